"""What is in files with weights: formats, headers, tensors read without trusting them."""
