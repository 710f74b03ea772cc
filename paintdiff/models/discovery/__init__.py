"""What lies in people's folders: told by its contents, made into rows."""
