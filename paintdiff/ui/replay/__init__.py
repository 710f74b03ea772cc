"""Replays on the page: step through a picture's run, verify it, continue it, download it."""
