"""The person's wildcards and styles, beside those that ship with the app."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import paintdiff.prompts.messages as messages
from paintdiff.config.presets import presets_folder, suggest_names
from paintdiff.errors import PromptFileError, RequestError, UnknownNameError
from paintdiff.prompts.prompt_files import Broken
from paintdiff.prompts.style_files import (
    STYLE_SUFFIXES,
    check_style,
    read_style_file,
    write_style_file,
)
from paintdiff.prompts.styles import Style
from paintdiff.prompts.wildcards.collection import Wildcards

OWN_STYLES_FILE = "styles.json"
MAX_STYLE_FILES = 200

_WILDCARD_PLACES = ("wildcards", "extensions/*/wildcards", "custom_nodes/*/wildcards")
_STYLE_PLACES = ("styles.csv", "styles/*", "sdxl_styles/*")
_Read = tuple[tuple[Style, ...], tuple[Broken, ...]]
_SLUG = re.compile(r"[^a-z0-9]+")


class PromptLibrary:
    """Wildcards and styles. Threads may share it.

    Both are looked for in each models folder, and in the program's folder around it if that is
    called `models`: `wildcards` there and in A1111's and ComfyUI's extensions; `styles.csv`, and
    CSV and JSON files in `styles` and Fooocus' `sdxl_styles`. Of several of one name the first
    folder's is used, and those that ship come last.

    `own_folder` (None: styles can't be saved) keeps the person's styles.
    """

    def __init__(self, models_folders: Iterable[Path] = (), own_folder: Path | None = None) -> None:
        self._bases = tuple(_list_bases(models_folders))
        self._own = own_folder and own_folder / OWN_STYLES_FILE
        self._lock = threading.RLock()
        self._read_files: dict[Path, tuple[object, _Read]] = {}
        self._wildcards: Wildcards | None = None
        self._wildcard_folders: tuple[Path, ...] = ()

    def find_wildcards(self) -> Wildcards:
        """Return the wildcards that are there now."""
        with self._lock:
            found = (path for base in self._bases for path in _find(base, _WILDCARD_PLACES))
            folders = tuple(path for path in found if path.is_dir())
            if self._wildcards is None or folders != self._wildcard_folders:
                self._wildcard_folders = folders
                self._wildcards = Wildcards([*folders, presets_folder() / "wildcards"])
            self._wildcards.refresh()
            return self._wildcards

    def list_wildcards(self) -> tuple[str, ...]:
        """Return the names of all wildcards, in order."""
        return self.find_wildcards().names

    def list_styles(self) -> tuple[Style, ...]:
        """Return all styles: the person's, those of their folders, then those that ship."""
        styles: dict[str, Style] = {}
        for each in self._read_styles():
            for style in each[0]:
                styles.setdefault(style.name.casefold(), style)
        return tuple(styles.values())

    def list_broken(self) -> tuple[Broken, ...]:
        """Return the files, and rows of files, that can't be used."""
        with self._lock:
            rows = [broken for each in self._read_styles() for broken in each[1]]
            return (*self.find_wildcards().broken, *rows)

    def find_styles(self, names: Sequence[str]) -> tuple[Style, ...]:
        """Return the styles of these names; case doesn't matter.

        Raises:
            UnknownNameError: There is no such style, for "styles".
        """
        known = {style.name.casefold(): style for style in self.list_styles()} if names else {}
        for name in names:
            if name.casefold() not in known:
                near = suggest_names(name, [style.name for style in known.values()])
                raise UnknownNameError(
                    messages.no_such_style(name, near),
                    field="styles",
                    what="style",
                    name=name,
                    suggestion=near[0] if near else None,
                )
        return tuple(known[name.casefold()] for name in names)

    def save_style(self, name: str, prompt: str, negative_prompt: str = "") -> Style:
        """Save a style of the person's own; one of that name is replaced.

        Raises:
            RequestError: It is empty, or too long.
            PromptFileError: It can't be written. Nothing has changed.
        """
        style = Style(name.strip(), prompt.strip(), negative_prompt.strip(), is_own=True)
        try:
            check_style(style.name, style.prompt, style.negative_prompt)
            if not style.name:
                raise PromptFileError(messages.STYLE_WITHOUT_NAME)
        except PromptFileError as error:
            raise RequestError(str(error), field="styles") from error
        if not style.prompt and not style.negative_prompt:
            raise RequestError(messages.empty_style(style.name), field="styles")
        with self._lock:
            others = self._list_own(without=style.name)
            self._write_own((*others, style))
        return style

    def delete_style(self, name: str) -> None:
        """Delete a style of the person's own.

        Raises:
            RequestError: It isn't one.
            PromptFileError: The file can't be written. Nothing has changed.
        """
        with self._lock:
            left = self._list_own(without=name)
            if len(left) == len(self._list_own()):
                raise RequestError(messages.not_your_style(name), field="styles")
            self._write_own(left)

    @property
    def can_save(self) -> bool:
        """Return whether there is a folder for the person's own styles."""
        return self._own is not None

    def _list_own(self, without: str = "") -> tuple[Style, ...]:
        styles = self._read_file(self._own)[0] if self._own is not None else ()
        return tuple(each for each in styles if each.name.casefold() != without.casefold())

    def _write_own(self, styles: Sequence[Style]) -> None:
        if self._own is None:
            raise RequestError(messages.NO_OWN_STYLES, field="styles")
        broken = self._read_file(self._own)[1] if self._own.exists() else ()
        if broken:  # writing would lose what can't be read
            raise PromptFileError(f"{broken[0].path}: {broken[0].reason}")
        write_style_file(self._own, styles)

    def _read_styles(self) -> list[_Read]:
        with self._lock:
            own = [self._own] if self._own is not None and self._own.exists() else []
            found = [path for base in self._bases for path in _list_style_files(base)]
            shipped = presets_folder() / "styles" / "styles.json"
            return [self._read_file(path) for path in (*own, *found[:MAX_STYLE_FILES], shipped)]

    def _read_file(self, path: Path) -> _Read:
        try:
            status = path.stat()
            stamp: object = (status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = None
        known = self._read_files.get(path)
        if known is not None and known[0] == stamp and stamp is not None:
            return known[1]
        if stamp is None and path == self._own:
            return (), ()
        styles, broken = read_style_file(path)
        is_own, shipped = path == self._own, path.parent == presets_folder() / "styles"
        completed = tuple(
            Style(
                each.name,
                each.prompt,
                each.negative_prompt,
                is_own,
                find_thumbnail(each.name) if shipped else "",
            )
            for each in styles
        )
        self._read_files[path] = (stamp, (completed, broken))
        return completed, broken


def find_thumbnail(name: str) -> str:
    """Return the file name of the thumbnail of a style that ships, "" if it has none."""
    file = make_thumbnail_name(name)
    return file if (thumbnails_folder() / file).is_file() else ""


def make_thumbnail_name(name: str) -> str:
    """Return the file name that a style's thumbnail has, or would have."""
    return f"{_SLUG.sub('-', name.casefold()).strip('-')}.webp"


def thumbnails_folder() -> Path:
    """Return the folder of the thumbnails of the styles that ship."""
    return presets_folder() / "styles" / "thumbnails"


def _list_bases(folders: Iterable[Path]) -> list[Path]:
    bases: dict[Path, None] = {}
    for folder in folders:
        bases[folder] = None
        if folder.name.casefold() == "models":
            bases[folder.absolute().parent] = None
    return list(bases)


def _list_style_files(base: Path) -> list[Path]:
    files = [path for path in _find(base, _STYLE_PLACES) if path.is_file()]
    return [path for path in files if path.suffix.lower() in STYLE_SUFFIXES]


def _find(base: Path, patterns: Sequence[str]) -> list[Path]:
    try:
        return [path for pattern in patterns for path in sorted(base.glob(pattern))]
    except OSError:  # a folder that can't be read has none
        return []
