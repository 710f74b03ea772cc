"""The graphs of UNets for OpenVINO, without weights.

A graph is exported once for all models with the same config, by a process of its own
(`export_worker`), and kept in the user's cache folder. Importable without torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from paintdiff.errors import ModelLoadError
from paintdiff.models.acceleration import messages
from paintdiff.system.atomic_files import new_file, temporary_folder

logger = logging.getLogger(__name__)

Part = Literal["all", "whole", "shallow"]
"""A part of a UNet.

"all" predicts, "whole" returns the deep features too, and "shallow" predicts from those (see
`deepcache.SplitUNet`).
"""

MAX_BYTES = 64 * 2**20
"""The limit for all graphs in the folder; one takes one or two MiB."""

_CHILD = Path(__file__).with_name("export_worker.py")
_LENGTH_BYTES = 8
_POLL_SECONDS = 0.1
_SUFFIX = ".graph"


def is_running() -> bool:
    """Return whether the program is running, and not only waiting for its last threads."""
    return threading.main_thread().is_alive()


class Graphs:
    """A folder of graphs, a file each, whose name contains its checksum.

    The folder is made when it is needed. Use it from one thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(
        self, config: Mapping[str, Any], part: Part, shapes: Mapping[str, Sequence[int]]
    ) -> tuple[bytes, bytes]:
        """Return the graph of a UNet; it is exported first if need be, which takes half a minute.

        Args:
            config: The UNet's config.
            part: The part that the graph computes.
            shapes: The shapes of its inputs by name. Only their numbers of dimensions matter.

        Returns:
            OpenVINO's XML, and the few constants in it.

        Raises:
            ModelLoadError: It can't be exported.
        """
        built = {key: value for key, value in config.items() if not key.startswith("_")}
        asked = {"config": built, "part": part, "shapes": {k: list(v) for k, v in shapes.items()}}
        key = _make_key(asked)
        for path in self._folder.glob(f"{key}-*{_SUFFIX}"):
            content = _read(path)
            if content is not None:
                return content
        packed = _export(asked)
        self._store(key, packed)
        return _unpack(packed)

    def _store(self, key: str, packed: bytes) -> None:
        path = self._folder / f"{key}-{_checksum(packed)}{_SUFFIX}"
        try:
            with new_file(path) as file:
                file.write(packed)
            self._drop_oldest()
        except OSError as error:
            logger.warning("a network's graph can't be stored in %s: %s", self._folder, error)

    def _drop_oldest(self) -> None:
        room = MAX_BYTES
        known = [(path.stat(), path) for path in self._folder.glob(f"*{_SUFFIX}")]
        for status, path in sorted(known, key=lambda each: -each[0].st_mtime_ns):
            room -= status.st_size
            if room < 0:
                path.unlink(missing_ok=True)


def _make_key(asked: Mapping[str, Any]) -> str:
    """Return a key of all that a graph depends on.

    That is the config, the part, the inputs' names and numbers of dimensions, and the versions of
    the libraries and of the worker.
    """
    versions = [version(each) for each in ("openvino", "torch", "diffusers")]
    shapes = {name: len(shape) for name, shape in asked["shapes"].items()}
    content = [versions, _checksum(_CHILD.read_bytes()), {**asked, "shapes": shapes}]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _read(path: Path) -> tuple[bytes, bytes] | None:
    """Return a stored graph; delete the file and return None if its checksum is wrong."""
    try:
        packed = path.read_bytes()
        if path.stem.endswith(_checksum(packed)):
            os.utime(path)
            return _unpack(packed)
        logger.info("%s is replaced: its checksum is wrong", path)
        path.unlink()
    except OSError as error:
        logger.info("%s is replaced: %s", path, error)
    return None


def _unpack(packed: bytes) -> tuple[bytes, bytes]:
    end = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES], "little")
    return packed[_LENGTH_BYTES:end], packed[end:]


def _export(asked: Mapping[str, Any]) -> bytes:
    with temporary_folder() as folder:
        file, said = folder / "graph.xml", folder / "errors.txt"
        with said.open("wb") as errors:
            child = subprocess.Popen(
                [sys.executable, "-I", "-B", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )
        assert child.stdin is not None  # it is a pipe
        try:
            with suppress(BrokenPipeError):  # it has ended, and its status says why
                child.stdin.write(json.dumps({**asked, "file": str(file)}).encode() + b"\n")
                child.stdin.flush()  # left open: the child ends when it closes
            while child.poll() is None and is_running():
                time.sleep(_POLL_SECONDS)
        finally:
            child.kill()  # does nothing to one that has ended
            child.wait()
            with suppress(BrokenPipeError):
                child.stdin.close()
        if child.returncode:
            last = said.read_text("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            raise ModelLoadError(messages.not_exported(last))
        xml, constants = file.read_bytes(), file.with_suffix(".bin").read_bytes()
    return len(xml).to_bytes(_LENGTH_BYTES, "little") + xml + constants
