"""Input images (sources, masks, sketches, control images), kept once each under their hash.

They are written before the picture that was painted from them. One that no record refers to is
removed, under a lock of the database that the recorder takes, too: so none is removed while a
record of it is being added.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from paintdiff.errors import InputMissingError
from paintdiff.gallery import messages
from paintdiff.jobs.input_images import InputImage
from paintdiff.system.atomic_files import new_file

logger = logging.getLogger(__name__)

FOLDER_NAME = "inputs"
_STARTS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}
_SUFFIXES = (*_STARTS.values(), "")
_NAME = re.compile(r"([0-9a-f]{64})(\.png|\.jpg|\.webp)?")


class InputFiles:
    """The input images of an output folder, in `inputs/ab/ab12….png`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER_NAME

    def keep(self, images: Iterable[InputImage]) -> None:
        """Write those images that aren't there yet; then they are on the disk. Skip references.

        Raises:
            OSError: One can't be written.
        """
        for image in images:
            if image.data is None or self.find(image.sha256) is not None:
                continue
            suffix = next(
                (end for start, end in _STARTS.items() if image.data.startswith(start)), ""
            )
            with new_file(self._path(image.sha256, suffix)) as file:
                file.write(image.data)

    def find(self, sha256: str) -> Path | None:
        """Return the file of an image, None if it isn't there."""
        if _NAME.fullmatch(sha256) is None:
            return None
        paths = (self._path(sha256, suffix) for suffix in _SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def load(self, sha256: str) -> bytes:
        """Return the bytes of an image, checked against its hash.

        Raises:
            InputMissingError: It isn't there, can't be read or was changed.
        """
        path = self.find(sha256)
        try:
            data = b"" if path is None else path.read_bytes()
        except OSError as error:
            raise _missing(sha256) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise _missing(sha256)
        return data

    def fill(self, params: Mapping[str, object]) -> dict[str, object]:
        """Return a request's values with the bytes of the images that it refers to.

        Raises:
            InputMissingError: One isn't there, can't be read or was changed.
        """
        return {name: self._fill(value) for name, value in params.items()}

    def _fill(self, value: object) -> object:
        if isinstance(value, Mapping):
            fields = cast("Mapping[str, object]", value)
            sha256 = fields.get("sha256")
            if isinstance(sha256, str) and sha256 and fields.get("data") is None:
                return {"data": self.load(sha256), "sha256": sha256}
            return self.fill(fields)
        if isinstance(value, (list, tuple)):
            return [self._fill(each) for each in cast("Sequence[object]", value)]
        return value

    def list(self) -> Iterator[tuple[str, Path]]:
        """Yield the hash and the path of each image."""
        for path in sorted(self._folder.glob("*/*")):
            name = _NAME.fullmatch(path.name)
            if name is not None:
                yield name[1], path

    def _path(self, sha256: str, suffix: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}{suffix}"


def _missing(sha256: str) -> InputMissingError:
    return InputMissingError(messages.input_missing(sha256[:12]))
