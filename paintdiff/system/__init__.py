"""The operating system: atomic files, threads, the allocator, standard streams."""
