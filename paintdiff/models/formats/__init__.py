"""Weight file formats: headers and tensors, read without trusting the file."""
