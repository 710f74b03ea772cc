"""Code that all painting tabs share."""
