"""One file for each change of the tables. A file that has been released never changes."""
