"""Previews of unfinished pictures."""
