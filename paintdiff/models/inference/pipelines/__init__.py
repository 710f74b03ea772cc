"""Pipelines of diffusers: leased, adjusted, called."""
