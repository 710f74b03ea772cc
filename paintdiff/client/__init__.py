"""The client of a running app: paints and looks at its gallery over the HTTP API."""
