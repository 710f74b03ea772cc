"""A gallery in a database of each kind, as for the gallery's own tests."""

from tests.gallery.conftest import database, database_url, gallery, postgresql_server, store

__all__ = ["database", "database_url", "gallery", "postgresql_server", "store"]
