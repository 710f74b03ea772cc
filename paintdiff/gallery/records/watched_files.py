"""What is known of the files in watched folders, so that they aren't read again at each start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.rows import divide
from paintdiff.gallery.records.schema import PictureRow, WatchedRow


@dataclass(frozen=True)
class WatchedFile:
    """A file that was imported or left out; `file_bytes` and `modified_ns` change with it."""

    path: str
    file_bytes: int
    modified_ns: int
    sha256: str


def note_files(session: Session, files: Iterable[WatchedFile]) -> None:
    """Note files, or what has changed of them."""
    for part in divide(list({each.path: each for each in files}.values())):
        gone = WatchedRow.path.in_([each.path for each in part])
        session.execute(delete(WatchedRow).where(gone))
        session.execute(insert(WatchedRow), [vars(each) for each in part])


class WatchedFiles:
    """The files of watched folders that a database knows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, file: WatchedFile) -> None:
        """Note a file, or what has changed of it."""
        with self._database.write() as session:
            note_files(session, [file])

    def find(self, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return the bytes and the time of those of the files that were noted."""
        found: dict[str, tuple[int, int]] = {}
        row = WatchedRow
        with self._database.read() as session:
            for part in divide(paths):
                wanted = select(row.path, row.file_bytes, row.modified_ns).where(row.path.in_(part))
                found |= {path: (size, time) for path, size, time in session.execute(wanted)}
        return found

    def find_sizes(self, files: Sequence[str]) -> dict[str, int]:
        """Return the bytes of those of the files that are in the gallery, also in its bin."""
        found: dict[str, int] = {}
        row = PictureRow
        with self._database.read() as session:
            for part in divide(files):
                wanted = select(row.file, row.file_bytes).where(row.file.in_(part))
                found |= dict(session.execute(wanted).all())
        return found

    def is_unwanted(self, sha256: str) -> bool:
        """Return whether a picture with this hash is in the bin, or was erased from it."""
        row = PictureRow
        with self._database.read() as session:
            kept = select(row.deleted_at).where(row.file_sha256 == sha256)
            states = list(session.scalars(kept))
            if states:
                return all(state is not None for state in states)
            noted = select(WatchedRow.path).where(WatchedRow.sha256 == sha256).limit(1)
            return session.scalar(noted) is not None
