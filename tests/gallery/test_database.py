"""Opening, migrating and failing."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from paintdiff.accounts.schema import KeyRow
from paintdiff.errors import (
    GalleryDamagedError,
    GalleryError,
    GalleryFullError,
    GalleryReadOnlyError,
    GalleryTooNewError,
    GalleryUnavailableError,
    SettingsError,
)
from paintdiff.gallery.records import database as module
from paintdiff.gallery.records.database import FILE_NAME, Database
from paintdiff.gallery.records.schema import Table
from paintdiff.journal.schema import JobRow


def test_the_migrations_make_what_the_schema_says(database: Database) -> None:
    assert KeyRow.metadata is JobRow.metadata is Table.metadata
    with database.read() as session:
        context = MigrationContext.configure(
            session.connection(),
            opts={"include_name": lambda name, kind, _: "picture_words" not in (name or "")},
        )
        assert compare_metadata(context, Table.metadata) == []


def make_row(session: Session, name: str = "a.png") -> None:
    session.execute(text("INSERT INTO removals (file) VALUES (:name)"), {"name": name})


def count_rows(database: Database) -> int:
    with database.read() as session:
        return session.execute(text("SELECT count(*) FROM removals")).scalar_one()


def test_what_was_stored_is_there_after_reopening(database_url: str, tmp_path: Path) -> None:
    for number in range(2):
        database = Database.open(tmp_path, database_url)
        assert count_rows(database) == number
        with database.write() as session:
            make_row(session, f"{number}.png")
        database.close()


def test_a_failed_block_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        make_row(session)
        raise RuntimeError
    assert count_rows(database) == 0


def test_a_newer_database_is_refused_and_left_alone(database_url: str, tmp_path: Path) -> None:
    database = Database.open(tmp_path, database_url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(GalleryTooNewError, match="9999"):
        Database.open(tmp_path, database_url)


def test_by_default_the_file_lies_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "50% of it"
    Database.open(folder).close()
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_acknowledged_writes_are_synchronous(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.write() as session:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = [session.execute(text(f"PRAGMA {name}")).scalar() for name in names]
    database.close()
    assert values == ["wal", 2, 1, 10_000]


@pytest.mark.parametrize(
    "content",
    [b"not a database at all" * 100, b"SQLite format 3\0" + b"x" * 4080],
    ids=["text", "header"],
)
def test_a_damaged_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(GalleryDamagedError):
        Database.open(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE notes (text)")
        other.commit()
    with pytest.raises(GalleryDamagedError):
        Database.open(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]


def test_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.05)
    database = Database.open(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryUnavailableError), database.write() as session:
            make_row(session)
        assert count_rows(database) == 0, "reading goes on"
        other.execute("ROLLBACK")
    with database.write() as session:
        make_row(session)
    database.close()


def test_a_locked_table_of_a_server_says_so(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_SECONDS", 2)
    schema = f"gallery_{secrets.token_hex(6)}"
    url = f"{postgresql_server}?options=-csearch_path%3D{schema}"
    with psycopg.connect(postgresql_server) as other:
        other.execute(f"CREATE SCHEMA {schema}".encode())
        other.commit()
        database = Database.open(tmp_path, url)
        other.execute(f"LOCK TABLE {schema}.removals".encode())
        with pytest.raises(GalleryUnavailableError), database.write() as session:
            make_row(session)
        other.rollback()
        with database.write() as session:
            make_row(session)
        assert count_rows(database) == 1
        database.close()


def test_a_full_disk_says_so_and_a_retry_works(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with database.read() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar()
        session.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(GalleryFullError), database.write() as session:
        make_row(session, "x" * 100_000)
    assert count_rows(database) == 0
    with database.read() as session:
        session.execute(text("PRAGMA max_page_count = 1000000"))
    with database.write() as session:
        make_row(session, "x" * 100_000)
    assert count_rows(database) == 1
    database.close()


def test_a_read_only_file_says_so(tmp_path: Path) -> None:
    Database.open(tmp_path).close()
    with pytest.raises(GalleryReadOnlyError):
        Database.open(tmp_path, f"sqlite:///file:{tmp_path / FILE_NAME}?mode=ro&uri=true")


def test_a_file_in_the_folders_place_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GalleryReadOnlyError):
        Database.open(tmp_path / "file")


def test_a_missing_volume_says_so(tmp_path: Path) -> None:
    (tmp_path / "volume").symlink_to(tmp_path / "missing" / "mount")
    with pytest.raises(GalleryReadOnlyError):
        Database.open(tmp_path / "volume")
    with pytest.raises(GalleryReadOnlyError):
        Database.open(tmp_path, f"sqlite:///{tmp_path}/missing/gallery.sqlite3")
    assert not (tmp_path / "missing").exists()


def test_a_volume_that_disappears_says_so(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "volume")
    with database.write() as session:
        make_row(session)
    database.close()
    (tmp_path / "volume").rename(tmp_path / "elsewhere")
    with pytest.raises(GalleryReadOnlyError):
        count_rows(database)  # its connections were closed
    assert not (tmp_path / "volume").exists()


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://user:secret@host/db", "sqlite://", "http://x"]
)
def test_a_wrong_url_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database.open(tmp_path, url)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(GalleryUnavailableError):
        Database.open(tmp_path, "postgresql://test@127.0.0.1:1/nothing")


def test_a_file_is_copied_before_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path)
    with database.write() as session:
        make_row(session)
    database.close()
    with an_added_version(tmp_path, monkeypatch):
        Database.open(tmp_path).close()
        Database.open(tmp_path).close()
    (copy,) = tmp_path.glob("*.backup.sqlite3")
    copied = Database.open(tmp_path, f"sqlite:///{copy}")
    assert count_rows(copied) == 1
    copied.close()
    with pytest.raises(GalleryTooNewError):
        Database.open(tmp_path)


def test_a_failed_migration_changes_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.open(tmp_path, database_url)
    with database.write() as session:
        make_row(session)
    database.close()
    failing = "op.add_column('removals', sa.Column('why', sa.Text)); op.execute('nonsense')"
    with (
        an_added_version(tmp_path, monkeypatch, failing),
        pytest.raises(GalleryError),
    ):
        Database.open(tmp_path, database_url)
    database = Database.open(tmp_path, database_url)
    with database.read() as session:
        columns = [each["name"] for each in inspect(session.connection()).get_columns("removals")]
    assert columns == ["file"]
    assert count_rows(database) == 1
    database.close()


@contextmanager
def an_added_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: str = "pass"
) -> Iterator[None]:
    """Within, the migrations have one more."""
    folder = tmp_path / "migrations"
    real = Path(module.__file__).parent / "migrations"
    shutil.copytree(real, folder, ignore=shutil.ignore_patterns("__pycache__"))
    last = sorted((folder / "versions").glob("0*.py"))[-1].stem[:4]
    (folder / "versions" / "9999_more.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision = '9999', {last!r}\ndef upgrade():\n    {statements}\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MIGRATIONS", folder)
        yield
