"""The gallery's database: its connections, its version, and its errors as ours.

SQLite beside the pictures by default, or PostgreSQL. Only this module connects.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from paintdiff.errors import (
    GalleryDamagedError,
    GalleryError,
    GalleryFullError,
    GalleryReadOnlyError,
    GalleryTooNewError,
    GalleryUnavailableError,
    SettingsError,
)
from paintdiff.gallery import messages
from paintdiff.system.atomic_files import make_folder, sync_folder

logger = logging.getLogger(__name__)

FILE_NAME = "gallery.sqlite3"
_BUSY_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
_MIGRATIONS = Path(__file__).parent / "migrations"
_APPLICATION = 0x50444741
"""Marks a SQLite file as a gallery ("PDGA")."""
_ADVISORY_LOCK = _APPLICATION
_INPUTS_LOCK = _APPLICATION + 1
_WRITES = "paintdiff_writes"

_SQLITE: dict[int, tuple[type[GalleryError], str]] = {
    sqlite3.SQLITE_BUSY: (GalleryUnavailableError, messages.DATABASE_BUSY),
    sqlite3.SQLITE_LOCKED: (GalleryUnavailableError, messages.DATABASE_BUSY),
    sqlite3.SQLITE_FULL: (GalleryFullError, messages.DATABASE_DISK_FULL),
    sqlite3.SQLITE_IOERR: (GalleryUnavailableError, messages.DATABASE_UNUSABLE),
    sqlite3.SQLITE_READONLY: (GalleryReadOnlyError, messages.DATABASE_READ_ONLY),
    sqlite3.SQLITE_CANTOPEN: (GalleryReadOnlyError, messages.DATABASE_READ_ONLY),
    sqlite3.SQLITE_PERM: (GalleryReadOnlyError, messages.DATABASE_READ_ONLY),
    sqlite3.SQLITE_CORRUPT: (GalleryDamagedError, messages.DATABASE_DAMAGED),
    sqlite3.SQLITE_NOTADB: (GalleryDamagedError, messages.DATABASE_DAMAGED),
}
_POSTGRESQL: dict[str, tuple[type[GalleryError], str]] = {
    "53100": (GalleryFullError, messages.DATABASE_DISK_FULL),
    "25006": (GalleryReadOnlyError, messages.DATABASE_READ_ONLY),
    "42501": (GalleryReadOnlyError, messages.DATABASE_READ_ONLY),
    "XX001": (GalleryDamagedError, messages.DATABASE_DAMAGED),
    "XX002": (GalleryDamagedError, messages.DATABASE_DAMAGED),
}
"""By SQLSTATE."""
_RETRYABLE_CLASSES = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE: connection, rollback, resources, locks, intervention."""
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)


class Database:
    """An open gallery database of the current version. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})

    @classmethod
    def open(cls, folder: Path, url: str | None = None) -> Database:
        """Open the database at a URL, by default the file in `folder`; create or migrate it.

        Before a SQLite file is migrated it is copied beside itself.

        Raises:
            SettingsError: The URL isn't one of SQLite or PostgreSQL, or the driver is missing.
            GalleryError: It can't be opened; the subclass says why. Nothing in it has changed.
        """
        try:
            place = _parse_url(url) if url else _make_place(folder)
            database = cls(_connect(place))
            try:
                with _own_errors():
                    database._migrate()
            except BaseException:
                database.close()
                raise
        except OSError as error:
            logger.warning("the gallery's database: %s", error)
            if error.errno in _FULL_ERRORS:
                raise GalleryFullError(messages.DATABASE_DISK_FULL) from error
            raise GalleryReadOnlyError(messages.DATABASE_READ_ONLY) from error
        return database

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Generator[Session]:
        """Open a session that sees one state of the database."""
        with _own_errors(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """Open a session whose changes are on the disk when the block has ended, or undone.

        Raises:
            GalleryError: It can't be written. Nothing has changed.
        """
        with (
            _own_errors(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def write_alone(self) -> Generator[Session]:
        """Open a session as `write` does, of which there is one at a time in all processes.

        Raises:
            GalleryError: It can't be written. Nothing has changed.
        """
        with self.write() as session:  # on SQLite there is one at a time anyway
            if self._engine.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _INPUTS_LOCK})
            yield session

    def check(self) -> list[str]:
        """Return what the database itself finds wrong with its file; nothing for PostgreSQL."""
        if self._engine.dialect.name != "sqlite":
            return []
        with self.read() as session:
            found = session.execute(text("PRAGMA integrity_check")).scalars()
            return [line for line in found if line != "ok"]

    def _migrate(self) -> None:
        script = ScriptDirectory.from_config(_alembic_config())
        with self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                )
            else:
                _claim_file(connection)
            current = MigrationContext.configure(connection).get_current_revision()
            _check_known(script, current)
            if current is not None and connection.dialect.name == "sqlite":
                if current != script.get_current_head():
                    _back_up(connection, current)
                # SQLite accepts a read-only file until something is written
                connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
            _upgrade(connection, script)


def check_url(url: str) -> None:
    """Check that a database URL can be used, without connecting.

    Raises:
        SettingsError: It isn't one of SQLite or PostgreSQL, or the driver is missing.
    """
    _connect(_parse_url(url)).dispose()


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _check_known(script: ScriptDirectory, current: str | None) -> None:
    """Check that this version of PaintDiffusion has the database's version.

    Raises:
        GalleryTooNewError: It hasn't.
    """
    try:
        if current is not None:
            script.get_revision(current)
    except CommandError as error:
        raise GalleryTooNewError(
            messages.made_by_newer_version(current, script.get_current_head())
        ) from error


def _upgrade(connection: Connection, script: ScriptDirectory) -> None:
    def steps(revision: Any, _context: MigrationContext) -> Any:
        # As Alembic's own command does, which would need an env.py.
        return script._upgrade_revs("head", revision)  # pyright: ignore[reportPrivateUsage]

    with EnvironmentContext(_alembic_config(), script, fn=steps) as context:
        context.configure(connection=connection, transactional_ddl=True)
        context.run_migrations()


def _claim_file(connection: Connection) -> None:
    """Mark an empty SQLite file as a gallery.

    Raises:
        GalleryDamagedError: It is another program's.
    """
    if connection.execute(text("PRAGMA application_id")).scalar() == _APPLICATION:
        return
    if inspect(connection).get_table_names():
        raise GalleryDamagedError(messages.DATABASE_DAMAGED)
    connection.execute(text(f"PRAGMA application_id = {_APPLICATION}"))


def _back_up(connection: Connection, version: str) -> None:
    """Copy the database's file beside itself with SQLite's backup API; the copy is on the disk."""
    name = connection.engine.url.database
    assert name is not None
    path, moment = Path(name), datetime.now(UTC)
    copy = path.with_name(f"{path.stem}-{version}-{moment:%Y%m%d-%H%M%S-%f}.backup.sqlite3")
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.rename(copy)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
    logger.info("the gallery's database was copied to %s before its update", copy.name)


def _make_place(folder: Path) -> URL:
    make_folder(folder)
    return URL.create("sqlite", database=str(folder.absolute() / FILE_NAME))


def _parse_url(value: str) -> URL:
    try:
        url = make_url(value)
    except ArgumentError as error:
        raise SettingsError(messages.WRONG_DATABASE_URL) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg") or not url.database:
        raise SettingsError(messages.WRONG_DATABASE_URL)
    return url


def _connect(url: URL) -> Engine:
    try:
        if url.drivername == "sqlite":
            engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        engine = create_engine(
            url,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            connect_args={"connect_timeout": int(_BUSY_SECONDS)},
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise SettingsError(messages.POSTGRESQL_DRIVER_MISSING) from error
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # Two processes that create it at once; SQLite's own timeout doesn't cover this.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _set_up_postgresql(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = '{_BUSY_SECONDS:g}s'")
    connection.execute("SET synchronous_commit = on")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """Begin a transaction; one that writes takes the lock at once, so that it can't fail later."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _own_errors() -> Generator[None]:
    """Turn the databases' errors into ours, with the original as their cause."""
    try:
        yield
    except DBAPIError as error:
        raise _translate(error.orig or error) from error
    except sqlite3.Error as error:
        raise _translate(error) from error
    except PoolTimeoutError as error:
        raise GalleryUnavailableError(messages.DATABASE_BUSY) from error


def _translate(error: BaseException) -> GalleryError:
    logger.warning("the gallery's database: %s", error)
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        kind, message = _SQLITE.get(code & 0xFF, (GalleryError, ""))
    else:
        state: str | None = getattr(error, "sqlstate", None)
        kind, message = _POSTGRESQL.get(state or "", (GalleryError, ""))
        if kind is GalleryError and (state is None or state[:2] in _RETRYABLE_CLASSES):
            kind, message = GalleryUnavailableError, messages.DATABASE_BUSY
    return kind(message or messages.DATABASE_FAILED)
