"""Finished pictures: what they carry, and where they lie."""
