"""What comes from the Hugging Face hub and from elsewhere on the internet, and where it is kept."""
