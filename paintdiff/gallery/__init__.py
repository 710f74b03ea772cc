"""Finished pictures: their metadata and files."""
