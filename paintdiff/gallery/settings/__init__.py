"""Settings in picture files: ours and those of other programs."""
