"""Help while typing a prompt: its reading, completions, and earlier prompts."""
