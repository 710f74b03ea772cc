"""Records of pictures in a database: their fields, the store, and searches."""
