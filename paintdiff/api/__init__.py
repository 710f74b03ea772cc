"""The HTTP API, served beside the page by the same engine. Each dialect has a module."""
