"""A store on each kind of database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.store import GalleryStore
from tests.gallery.postgresql import running_server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database: a file, or a schema of the server's only database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gallery.sqlite3'}"
    server: str = request.getfixturevalue("postgresql_server")
    name = f"gallery_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{server}?options=-csearch_path%3D{name}"


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def gallery(database_url: str, tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "out", database_url)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> GalleryStore:
    return GalleryStore(database)
