"""A database of each kind, as for the gallery."""

from tests.gallery.conftest import database, database_url, postgresql_server

__all__ = ["database", "database_url", "postgresql_server"]
