"""The operating system: atomic files, threads, standard streams."""
