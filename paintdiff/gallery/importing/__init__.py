"""Brings pictures of other folders into the gallery, once or as they appear."""
