"""Models: what there is, how it is loaded, who owns it."""
