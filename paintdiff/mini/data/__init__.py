"""Training data: rendered scenes, cached latents, and damaged pictures."""
