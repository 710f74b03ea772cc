"""What is served besides the page, and the guard around everything."""
