"""Migrations of the gallery's database, which Alembic runs when it is opened."""
