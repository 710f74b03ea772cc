"""Scans models folders in the layouts of A1111 and Forge, of ComfyUI, and of this app.

Lists files without reading them. Importable without torch.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from paintdiff.models.discovery import messages
from paintdiff.models.discovery.sidecars import PREVIEW_ENDS, SIDECAR_ENDS
from paintdiff.models.formats.headers import WEIGHT_SUFFIXES
from paintdiff.system.links import is_system_folder, leads_up
from paintdiff.system.messages import not_a_file
from paintdiff.system.regular_files import explain_not_a_file

MAX_DEPTH = 40
"""The most nested folders that are scanned.

Deeper ones are reported as unusable, as are the folders that come after MAX_ENTRIES files.
"""
MAX_ENTRIES = 200_000

Role = Literal["", "upscaler", "face_restorer", "controlnet", "detector"]

# Folder names, in lower case, that say what their files are for where the bytes don't.
_ROLES: dict[str, Role] = {
    "upscale_models": "upscaler",
    "esrgan": "upscaler",
    "realesrgan": "upscaler",
    "upscalers": "upscaler",
    "swinir": "upscaler",
    "scunet": "upscaler",
    "dat": "upscaler",
    "hat": "upscaler",
    "facerestore_models": "face_restorer",
    "gfpgan": "face_restorer",
    "face_restoration": "face_restorer",
    "codeformer": "face_restorer",
    "controlnet": "controlnet",
    "face_detection": "detector",
    "facedetection": "detector",
}
# Folder names, in lower case, of other programs' data that can't be used here.
_PASSED_OVER = frozenset(
    {
        "annotators",
        "animatediff_models",
        "audio_encoders",
        "blip",
        "clip",
        "configs",
        "custom_nodes",
        "deepbooru",
        "gligen",
        "hypernetworks",
        "insightface",
        "interrogators",
        "karlo",
        "ldsr",
        "midas",
        "sams",
        "style_models",
        "text_encoder",
        "text_encoders",
        "torch_deepdanbooru",
        "ultralytics",
        "__pycache__",
    }
)
_ORDER = list(_ROLES)
# Files that mark a folder as another program's, of which only the folders below are scanned.
_PROGRAMS = ("webui.py", "launch.py", "main.py", "webui.sh")
_IN_PROGRAMS = ("models", "embeddings", "extensions/sd-webui-controlnet/models")

_PART_WEIGHTS = re.compile(
    r"(?:(?:diffusion_)?pytorch_model|model)(?:[.-][\w.-]+)?\.(?:safetensors|bin)"
)
"""How diffusers and transformers name weights beside a `config.json`: in any variant
("model.bf16.safetensors"), whole or in shards.
"""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A weight file, by its name.

    `sidecars` are the files beside it that may describe it, each with its modification time in ns.
    `rank` is the position of its folder among those of its role.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    role: Role
    rank: int
    preview: Path | None
    sidecars: tuple[tuple[Path, int], ...]

    @property
    def fingerprint(self) -> str:
        """A text that changes when the file does."""
        return f"{self.size_bytes}-{self.mtime_ns}"


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A folder in the diffusers layout.

    It is a whole pipeline (with a `model_index.json`), or one component (with a `config.json` and
    weights). `files` are names, sizes and modification times (ns) of its weights and
    configurations.
    """

    path: Path
    role: Role
    pipeline: bool
    files: tuple[tuple[str, int, int], ...]
    preview: Path | None

    @property
    def size_bytes(self) -> int:
        """The size of all its weights."""
        return sum(size for name, size, _time in self.files if not name.endswith(".json"))

    @property
    def fingerprint(self) -> str:
        """A text that changes when any of `files` does."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()[:16]


def read_stamp(path: Path) -> dict[str, object]:
    """Return the size and fingerprint of a file or a pipeline's folder. Raise OSError."""
    if path.is_dir():
        folder = open_folder(path)
        return {"size_bytes": folder.size_bytes, "fingerprint": folder.fingerprint}
    status = path.stat()
    fingerprint = f"{status.st_size}-{status.st_mtime_ns}"
    return {"size_bytes": status.st_size, "fingerprint": fingerprint}


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file or folder that couldn't be scanned, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The sorted content of models folders. Two scans are equal if nothing has changed.

    `detectors` are possible face detectors, each with its fingerprint.
    """

    files: tuple[FoundFile, ...] = ()
    folders: tuple[FoundFolder, ...] = ()
    detectors: tuple[tuple[Path, str], ...] = ()
    unusable: tuple[Unusable, ...] = ()


def scan_folders(models_dirs: Sequence[Path]) -> ScanResult:
    """Scan models folders. A missing folder counts as empty.

    Hidden files and loops of symbolic links are skipped. Anything that can't be scanned is in
    `unusable`, with the reason.
    """
    scan = _Scan()
    for index, place in enumerate(_list_places(models_dirs)):
        scan.scan(place, "", index * len(_ROLES), 0)
    scan.files.sort(key=lambda file: (file.rank, file.path.parts))
    return ScanResult(
        tuple(scan.files),
        tuple(sorted(scan.folders, key=lambda folder: folder.path.parts)),
        tuple(sorted(scan.detectors)),
        tuple(scan.unusable),
    )


def _list_places(models_dirs: Iterable[Path]) -> list[Path]:
    """List the folders to scan.

    Of another program's root these are only its models folders; its `models` brings in the
    `embeddings` beside it.
    """
    places: list[Path] = []
    for given in models_dirs:
        root = given.expanduser().absolute()
        if (root / "models").is_dir() and any((root / name).is_file() for name in _PROGRAMS):
            places += [root / name for name in _IN_PROGRAMS]
        else:
            places.append(root)
            beside = root.parent / "embeddings"
            if root.name == "models" and any((root.parent / name).is_file() for name in _PROGRAMS):
                places.append(beside)
    return [place for place in places if place.is_dir()]


class _Scan:
    """One scan of all folders. A folder that is reachable in several ways is scanned once."""

    def __init__(self) -> None:
        self.files: list[FoundFile] = []
        self.folders: list[FoundFolder] = []
        self.detectors: list[tuple[Path, str]] = []
        self.unusable: list[Unusable] = []
        self._seen: set[object] = set()
        self._entries = 0

    def scan(self, path: Path, role: Role, rank: int, depth: int) -> None:
        """Scan a folder and its subfolders."""
        try:
            identity = _identify(path)
            if identity in self._seen or self._must_skip(path, depth):
                return
            self._seen.add(identity)
            with os.scandir(path) as listing:  # an endless listing is cut off
                some = islice(listing, MAX_ENTRIES + 1)
                entries = sorted(some, key=lambda entry: entry.name)
        except OSError as error:
            self.unusable.append(Unusable(path, messages.it_is_unreadable(error.strerror)))
            return
        if self._entries > MAX_ENTRIES:
            return
        self._entries += len(entries)
        if self._entries > MAX_ENTRIES:
            reason = messages.too_many_files(MAX_ENTRIES)
            self.unusable.append(Unusable(path, reason))
            return
        entries = [entry for entry in entries if self._is_listed(entry)]
        names = {entry.name for entry in entries}
        is_part = "config.json" in names and any(map(_PART_WEIGHTS.fullmatch, names))
        if is_part or "model_index.json" in names:
            self._add_folder(path, role, "model_index.json" in names)
            return
        times = dict[str, tuple[Path, int]]()
        for entry in entries:
            if entry.name.lower().endswith(SIDECAR_ENDS):
                self._add_sidecar(entry, times)
        beside = {name.lower(): path / name for name in names}
        for entry in entries:
            self._scan_entry(entry, role, rank, depth, beside, times)

    def _must_skip(self, path: Path, depth: int) -> bool:
        """Return whether a folder must not be scanned, after saying why."""
        reason = None
        if is_system_folder(path):
            reason = messages.OF_THE_OPERATING_SYSTEM
        elif depth and path.is_symlink() and leads_up(path):  # often to the whole disk
            reason = messages.LEADS_UP
        if reason is not None:
            self.unusable.append(Unusable(path, reason))
        return reason is not None

    def _is_listed(self, entry: os.DirEntry[str]) -> bool:
        """Return whether an entry is visible and its name can appear in a request."""
        if entry.name.startswith("."):
            return False
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            reason = messages.NAME_NOT_UNICODE
            self.unusable.append(Unusable(Path(entry.path), reason))
            return False
        return True

    def _scan_entry(
        self,
        entry: os.DirEntry[str],
        role: Role,
        rank: int,
        depth: int,
        beside: dict[str, Path],
        times: dict[str, tuple[Path, int]],
    ) -> None:
        stem, suffix = os.path.splitext(entry.name)
        try:
            if entry.is_dir():
                name = entry.name.lower()
                if depth >= MAX_DEPTH:
                    reason = messages.folder_too_deep(MAX_DEPTH)
                    self.unusable.append(Unusable(Path(entry.path), reason))
                elif name not in _PASSED_OVER:
                    its_role = _ROLES.get(name, role)
                    its_rank = rank + _ORDER.index(name) if name in _ROLES else rank
                    before = self._count_found()
                    self.scan(Path(entry.path), its_role, its_rank, depth + 1)
                    if suffix.lower() in WEIGHT_SUFFIXES and self._count_found() == before:
                        self._add_unusable(entry, messages.IS_A_FOLDER)
            elif suffix.lower() == ".onnx":
                _check_file(entry.stat())
                path = Path(entry.path)
                self.detectors.append((path, str(read_stamp(path)["fingerprint"])))
            elif suffix.lower() in WEIGHT_SUFFIXES:
                status = entry.stat()
                _check_file(status)
                sidecars = (times.get(stem.lower() + end) for end in SIDECAR_ENDS)
                self.files.append(
                    FoundFile(
                        Path(entry.path),
                        status.st_size,
                        status.st_mtime_ns,
                        role,
                        rank,
                        _find_preview(stem, beside),
                        tuple(each for each in sidecars if each is not None),
                    )
                )
        except OSError as error:  # the file has gone, or a link is broken
            self._add_unusable(entry, messages.it_is_unreadable(error.strerror))

    def _count_found(self) -> int:
        """Return how much was found so far."""
        return len(self.files) + len(self.folders) + len(self.unusable) + len(self.detectors)

    def _add_unusable(self, entry: os.DirEntry[str], reason: str) -> None:
        self.unusable.append(Unusable(Path(entry.path), reason))

    def _add_sidecar(self, entry: os.DirEntry[str], times: dict[str, tuple[Path, int]]) -> None:
        try:
            time_ns = entry.stat().st_mtime_ns
        except OSError:
            time_ns = 0  # whoever reads it reports the error
        times[entry.name.lower()] = (Path(entry.path), time_ns)

    def _add_folder(self, path: Path, role: Role, pipeline: bool) -> None:
        try:
            self.folders.append(open_folder(path, role, pipeline=pipeline))
        except OSError as error:
            reason = messages.it_is_unreadable(error.strerror)
            self.unusable.append(Unusable(path, reason))


def _identify(path: Path) -> object:
    """Return a value that identifies a folder whatever the path to it. Raise OSError."""
    status = path.stat()
    if status.st_ino:
        return status.st_dev, status.st_ino
    return path.resolve()  # a file system without inode numbers


def _check_file(status: os.stat_result) -> None:
    """Raise OSError for anything but a regular file, such as a named pipe."""
    what = explain_not_a_file(status.st_mode)
    if what is not None:
        raise OSError(errno.EINVAL, not_a_file(what))


def open_folder(path: Path, role: Role = "", *, pipeline: bool = True) -> FoundFolder:
    """List a folder in the diffusers layout; for a pipeline, one level of subfolders, too.

    Raises:
        OSError: The folder can't be read.
    """
    files: list[tuple[str, int, int]] = []
    with os.scandir(path) as listing:
        below = [entry.path for entry in listing if pipeline and entry.is_dir()]
    for place in (path, *below):
        with os.scandir(place) as listing:
            for entry in listing:
                if _is_counted(entry.name) and entry.is_file():
                    status = entry.stat()
                    name = os.path.relpath(entry.path, path)
                    files.append((name, status.st_size, status.st_mtime_ns))
    previews = (path.parent / f"{path.name}{end}" for end in PREVIEW_ENDS)
    preview = next((each for each in previews if each.is_file()), None)
    return FoundFolder(path, role, pipeline, tuple(sorted(files)), preview)


def _is_counted(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    return suffix in WEIGHT_SUFFIXES or name in ("model_index.json", "config.json")


def _find_preview(stem: str, beside: dict[str, Path]) -> Path | None:
    return next(
        (beside[stem.lower() + end] for end in PREVIEW_ENDS if stem.lower() + end in beside), None
    )
