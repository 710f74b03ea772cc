"""Painting, encoding and decoding of large pictures in parts."""
