"""The `parameters` text that the AUTOMATIC1111 web UI writes into its pictures."""
