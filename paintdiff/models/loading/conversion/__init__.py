"""Conversion of pickled weights to safetensors, once, in a child process."""
