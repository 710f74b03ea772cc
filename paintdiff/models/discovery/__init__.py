"""Discovery of people's model folders: files are identified by their contents and become rows."""
