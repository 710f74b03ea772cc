"""Prompts: parsing and checking."""
