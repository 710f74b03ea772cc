"""What UNets compute, without their weights, as OpenVINO reads it: made once for all models that
are built alike, by a process of its own (`graph_child`), and kept in the user's cache folder.

Importable without torch.
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
from paintdiff.system.atomic_files import new_file, temporary_folder

logger = logging.getLogger(__name__)

Part = Literal["all", "whole", "shallow"]
"""Of a UNet. "all" predicts, "whole" gives its deep features too, and "shallow" predicts by those
(see `feature_cache.SplitUNet`).
"""

MAX_BYTES = 64 * 2**20
"""Of all graphs that are kept; one takes one or two MiB."""

_CHILD = Path(__file__).with_name("openvino_export_worker.py")
_LENGTH_BYTES = 8
_POLL_SECONDS = 0.1
_SUFFIX = ".graph"


def is_running() -> bool:
    """Whether this program goes on, and isn't waiting for its last threads to end."""
    return threading.main_thread().is_alive()


class Graphs:
    """Remembers graphs in a folder, which is made when it is needed; a file each, whose name has
    its sum. To be used by one thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def graph(
        self, config: Mapping[str, Any], part: Part, shapes: Mapping[str, Sequence[int]]
    ) -> tuple[bytes, bytes]:
        """A UNet of that configuration, with inputs of those names and numbers of dimensions: its
        graph in OpenVINO's XML, and the few constants in it. Its making takes half a minute.

        Raises ModelLoadError if it can't be made.
        """
        built = {key: value for key, value in config.items() if not key.startswith("_")}
        asked = {"config": built, "part": part, "shapes": {k: list(v) for k, v in shapes.items()}}
        key = _key(asked)
        for path in self._folder.glob(f"{key}-*{_SUFFIX}"):
            content = _read(path)
            if content is not None:
                return content
        packed = _made(asked)
        self._keep(key, packed)
        return _unpacked(packed)

    def _keep(self, key: str, packed: bytes) -> None:
        path = self._folder / f"{key}-{_sum(packed)}{_SUFFIX}"
        try:
            with new_file(path) as file:
                file.write(packed)
            self._drop_oldest()
        except OSError as error:
            logger.warning("a network's graph can't be kept in %s: %s", self._folder, error)

    def _drop_oldest(self) -> None:
        room = MAX_BYTES
        known = [(path.stat(), path) for path in self._folder.glob(f"*{_SUFFIX}")]
        for status, path in sorted(known, key=lambda each: -each[0].st_mtime_ns):
            room -= status.st_size
            if room < 0:
                path.unlink(missing_ok=True)


def _key(asked: Mapping[str, Any]) -> str:
    """What it depends on: of shapes the names and numbers of dimensions, and the versions of all
    that has a say.
    """
    versions = [version(each) for each in ("openvino", "torch", "diffusers")]
    shapes = {name: len(shape) for name, shape in asked["shapes"].items()}
    content = [versions, _sum(_CHILD.read_bytes()), {**asked, "shapes": shapes}]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _read(path: Path) -> tuple[bytes, bytes] | None:
    """None, and the file is gone, if it isn't what its name says."""
    try:
        packed = path.read_bytes()
        if path.stem.endswith(_sum(packed)):
            os.utime(path)
            return _unpacked(packed)
        logger.info("%s is made anew: its sum is another", path)
        path.unlink()
    except OSError as error:
        logger.info("%s is made anew: %s", path, error)
    return None


def _unpacked(packed: bytes) -> tuple[bytes, bytes]:
    end = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES], "little")
    return packed[_LENGTH_BYTES:end], packed[end:]


def _made(asked: Mapping[str, Any]) -> bytes:
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
        assert child.stdin is not None  # it was asked for
        try:
            with suppress(BrokenPipeError):  # it has ended already, and its status says why
                child.stdin.write(json.dumps({**asked, "file": str(file)}).encode() + b"\n")
                child.stdin.flush()  # and left open: the child ends with us
            while child.poll() is None and is_running():
                time.sleep(_POLL_SECONDS)
        finally:
            child.kill()  # does nothing to one that has ended
            child.wait()
            with suppress(BrokenPipeError):
                child.stdin.close()
        if child.returncode:
            last = said.read_text("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            raise ModelLoadError(f"OpenVINO can't be told what the network computes: {last}")
        xml, constants = file.read_bytes(), file.with_suffix(".bin").read_bytes()
    return len(xml).to_bytes(_LENGTH_BYTES, "little") + xml + constants
