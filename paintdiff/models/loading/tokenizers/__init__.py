"""Tokenizers: tried in a process of their own, then loaded."""
