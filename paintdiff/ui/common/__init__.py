"""Widgets, markup and messages that every tab uses."""
