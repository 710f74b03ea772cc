"""The HTTP API of the A1111 web UI, for programs that were written for it."""
