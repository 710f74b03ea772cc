"""Downloads from Hugging Face and elsewhere, and the cache that keeps them."""
