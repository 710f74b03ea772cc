"""Templates: prompts with choices, wildcards and variables, and the texts they expand to."""
