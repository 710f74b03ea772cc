"""Converts pickled checkpoints (.ckpt, .pt, .pth, .bin) to safetensors, once, into a cache.

This process never reads a pickle: a separate child does (`worker`), which gets the open
file, a file to write to, almost no environment, and no shell. Its result counts only if it exited
successfully and the file is valid safetensors; until then the file has a temporary name. Importable
without torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from paintdiff.errors import DiskSpaceError, ModelError, ModelLoadError, UnsafeWeightsError
from paintdiff.models.formats.messages import damaged_weights, pickle_with_more
from paintdiff.models.formats.weight_files import read_file_header
from paintdiff.models.loading import messages
from paintdiff.models.loading.conversion.cache import note_origin, remove_orphans
from paintdiff.system.atomic_files import new_file, remove_stale_parts
from paintdiff.system.regular_files import open_file

logger = logging.getLogger(__name__)

SPARE_BYTES = 256 * 2**20
"""Free disk space that a conversion must leave."""

_CHILD = Path(__file__).with_name("worker.py")
_POLL_SECONDS = 0.1
_SAMPLE_BYTES = 64 * 2**10
_LEAST_SECONDS, _BYTES_A_SECOND = 120, 10 * 2**20
_NEEDED_VARIABLES = ("SYSTEMROOT", "WINDIR")  # Windows starts no process without them

Report = Callable[[str], None]
Wanted = Callable[[], bool]


def convert_file(
    path: Path,
    cache: Path,
    report: Report = lambda _message: None,
    wanted: Wanted = lambda: True,
) -> Path:
    """Return the converted safetensors file from the folder `cache`; create it if needed.

    The file is reused while the pickle's path, size, modification time, start and end are the same.
    It is deleted in a later conversion if the pickle is gone. `report` receives progress messages.
    Once `wanted` returns False the child is killed. A failure leaves no files behind.

    Raises:
        UnsafeWeightsError: The pickle contains more than tensors.
        DiskSpaceError: The disk has too little room.
        ModelLoadError: The pickle is damaged, or the conversion was cancelled.
    """
    try:
        with open_file(path) as source:
            target = cache / f"{_make_plain(path.stem)}-{_make_key(path, source)}.safetensors"
            if not target.is_file():
                cache.mkdir(parents=True, exist_ok=True)
                remove_stale_parts(cache)
                remove_orphans(cache)
                with new_file(target) as part:
                    _convert(path, source, part, report, wanted)
                    _check_unchanged(path, source, target)
                    read_file_header(Path(part.name))  # verifies the size against the header
                note_origin(target, path)
    except OSError as error:
        raise ModelLoadError(messages.not_converted_because(path.name, error)) from error
    return target


def _make_plain(stem: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in stem)[:80]


def _make_key(path: Path, source: IO[bytes]) -> str:
    """Return a key for a file's state without reading all of it.

    The end of a zip, which torch writes, has checksums of everything in it.
    """
    status = os.fstat(source.fileno())
    source.seek(0)  # the child shares our position in the file
    start = source.read(_SAMPLE_BYTES)
    source.seek(max(0, status.st_size - _SAMPLE_BYTES))
    end = source.read(_SAMPLE_BYTES)
    source.seek(0)
    text = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape") + start + end).hexdigest()[:24]


def _check_unchanged(path: Path, source: IO[bytes], target: Path) -> None:
    if not target.stem.endswith(_make_key(path, source)):
        raise ModelLoadError(messages.changed_while_converting(path.name))


def _convert(
    path: Path, source: IO[bytes], part: IO[bytes], report: Report, wanted: Wanted
) -> None:
    report(messages.converting(path.name))
    room_bytes = max(0, shutil.disk_usage(Path(part.name).parent).free - SPARE_BYTES)
    seconds = _LEAST_SECONDS + os.fstat(source.fileno()).st_size // _BYTES_A_SECOND
    child = subprocess.Popen(
        [sys.executable, "-I", "-B", str(_CHILD), str(room_bytes), str(seconds)],
        stdin=source,
        stdout=part,
        stderr=subprocess.PIPE,
        env=_make_environment(),
        cwd=Path(part.name).parent,
        close_fds=True,
    )
    try:
        failure = _watch(child, path, report, wanted)
    finally:
        child.kill()  # no effect if it has ended
        child.wait()
        if child.stderr is not None:
            child.stderr.close()
    if failure is not None:
        raise failure


def _make_environment() -> dict[str, str]:
    """Return a minimal environment: no token, no proxy, no path."""
    own = {name: os.environ[name] for name in _NEEDED_VARIABLES if name in os.environ}
    return {**own, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _watch(
    child: subprocess.Popen[bytes], path: Path, report: Report, wanted: Wanted
) -> ModelError | None:
    """Wait for the child and return its failure, if any. Raise ModelLoadError if cancelled."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    reader = threading.Thread(target=_read_lines, args=(child.stderr, lines), daemon=True)
    reader.start()
    failure: Mapping[str, Any] = {}
    while True:
        ended = child.poll() is not None
        if ended:
            reader.join()
        while not lines.empty():
            message = _parse_message(lines.get())
            if "total" in message:
                share = 100 * message["done"] // max(1, message["total"])
                report(messages.converting_share(path.name, share))
            elif "error" in message:
                failure = message
            elif message.get("offline") is False:
                logger.info("converting %s without network isolation", path.name)
        if ended:
            return _make_failure(path, failure, child.returncode) if child.returncode else None
        if not wanted():
            raise ModelLoadError(messages.converting_cancelled(path.name))
        time.sleep(_POLL_SECONDS)


def _read_lines(stream: IO[bytes] | None, lines: queue.SimpleQueue[bytes]) -> None:
    while stream is not None and (line := stream.readline(64 * 2**10)):
        lines.put(line)


def _parse_message(line: bytes) -> dict[str, Any]:
    try:
        content: object = json.loads(line)
    except ValueError:
        content = None
    if isinstance(content, dict):
        return {str(key): value for key, value in content.items()}
    logger.warning("while converting: %s", line.decode("utf-8", "replace").strip())
    return {}


def _make_failure(path: Path, message: Mapping[str, Any], status: int) -> ModelError:
    reason = str(message.get("error", messages.reader_crashed(status)))
    kind = message.get("kind")
    if kind == "unsafe":
        return UnsafeWeightsError(pickle_with_more(path.name, reason))
    if kind == "disk":
        return DiskSpaceError(messages.no_room_to_convert(path.name, reason))
    return ModelLoadError(damaged_weights(path.name, reason))
