"""Upscalers and face restorers."""
