"""All current rows: built in, on this machine, and downloaded."""
