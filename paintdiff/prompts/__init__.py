"""Prompts: what a model understands of them."""
