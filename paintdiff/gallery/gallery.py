"""A gallery: an output folder, and the database that has a record of each picture."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from paintdiff.errors import PictureNotFoundError
from paintdiff.gallery import messages
from paintdiff.gallery.files.input_files import InputFiles
from paintdiff.gallery.files.thumbnails import Thumbnails
from paintdiff.gallery.records.database import FILE_NAME, Database, check_url
from paintdiff.gallery.records.record import Record
from paintdiff.gallery.records.store import GalleryStore
from paintdiff.jobs.requests import Request, parse_saved_request

_ID = re.compile(r"[0-9a-z]{1,40}")


def is_picture_id(text: str) -> bool:
    """Return whether a text has the form of a picture's id."""
    return _ID.fullmatch(text) is not None


class Gallery:
    """The pictures of an output folder. Threads may share it; nothing is opened before it's needed.

    `url` is the database's, None for a SQLite file in the folder.

    Raises:
        SettingsError: The URL isn't one of SQLite or PostgreSQL, or the driver is missing.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        if url is not None:
            check_url(url)
        self.folder = folder.absolute()
        self.inputs = InputFiles(self.folder)
        self.thumbnails = Thumbnails(self.folder)
        self._url = url
        self._opening = threading.Lock()
        self._database: Database | None = None

    @property
    def is_made(self) -> bool:
        """Return whether there is a database. That of a server is there from the start."""
        return self._url is not None or (self.folder / FILE_NAME).is_file()

    @property
    def database(self) -> Database:
        """Return the database, opened (and created or migrated) when it is first needed.

        Raises:
            GalleryError: It can't be opened. The next use tries again.
        """
        with self._opening:
            if self._database is None:
                self._database = Database.open(self.folder, self._url)
            return self._database

    @property
    def store(self) -> GalleryStore:
        """Return the store of records.

        Raises:
            GalleryError: The database can't be opened. The next use tries again.
        """
        return GalleryStore(self.database)

    def path_of(self, file: str) -> Path:
        """Return where a record's `file` or `thumbnail` lies."""
        return self.folder / file

    def name_of(self, path: Path) -> str:
        """Return a path as records have it: within the output folder if it lies there."""
        absolute = Path(os.path.abspath(path))
        if absolute.is_relative_to(self.folder):
            return absolute.relative_to(self.folder).as_posix()
        return absolute.as_posix()

    def find(self, id: str, owner: str | None = None) -> Record:
        """Return the record of a picture, which must belong to `owner` unless that is None.

        Raises:
            PictureNotFoundError: There is no such picture, or it is somebody else's.
            GalleryError: The database can't be used.
        """
        if not is_picture_id(id):
            raise PictureNotFoundError(messages.picture_not_found(id[:40]))
        record = self.store.get(id)
        if owner is not None and record.owner != owner:
            raise PictureNotFoundError(messages.picture_not_found(id[:40]))
        return record

    def load_request(self, record: Record) -> Request:
        """Return the request that paints a picture again, with its input images.

        Raises:
            InputMissingError: An input image isn't there any more.
            RequestError: The record has no settings, or they can't be used.
        """
        return parse_saved_request(self.inputs.fill(record.params))

    def close(self) -> None:
        """Close the database."""
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._database = None
