"""Tells who sent a request: passwords, keys, and sign-ins."""
