"""The embedded model's networks: how each is built and trained."""
