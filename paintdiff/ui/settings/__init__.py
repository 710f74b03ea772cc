"""The form of a request and its drawers."""
