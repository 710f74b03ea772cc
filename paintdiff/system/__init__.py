"""The operating system below us: files written whole, threads, standard streams."""
