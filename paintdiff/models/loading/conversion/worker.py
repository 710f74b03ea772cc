"""The process that converts a pickled checkpoint to safetensors, started by `conversion`.

It reads the pickle from standard input, writes safetensors to standard output, and reports progress
as lines of JSON on standard error. It opens no file by name, so it gives up the right to write
files, and the network, before it reads the first byte.

Security: the pickle is read by `safe_pickle`, where nothing can be called, so none of its code
should ever run. If that failed, an audit hook would still stop this interpreter from opening
sockets, starting processes and writing files (machine code could circumvent it); resource limits
bound memory, time and file size; and on Linux, if the system allows it, there is no network, and
the process dies with its parent.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

if __name__ == "__main__":  # isolated: no variable or folder affects imports
    sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from paintdiff.errors import UnsafeWeightsError
from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_HEADER_BYTES, MAX_TABLE_DEPTH
from paintdiff.models.formats.pickles.machine import DamagedPickleError
from paintdiff.models.formats.pickles.records import TensorRecord, bytes_per_number
from paintdiff.models.formats.pickles.safe_pickle import (
    PickledTensors,
    check_sharing,
    explain_damage,
    format_key,
)
from paintdiff.models.loading import messages

MAX_MEMORY_BYTES = 16 * 2**30

_PROGRESS_BYTES = 64 * 2**20
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_DTYPES: Mapping[str, str] = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}


class NoRoomError(OSError):
    """The converted file would be larger than the free disk space."""


def select_tensors(content: Mapping[str, Any]) -> dict[str, TensorRecord]:
    """Select the tensors to keep: those of `state_dict` if there is one, without optimizers.

    EMA weights (`model_ema.`) are kept only if the plain weights are missing.

    Raises:
        DamagedPickleError: There are no tensors, or several tables of them.
    """
    table: Any = content
    for _ in range(MAX_TABLE_DEPTH):  # it may be nested in itself
        inner: object = table.get("state_dict")
        table = inner if isinstance(inner, dict) else table
    found = _select_records(table)
    if not found:
        inner = [value for value in table.values() if isinstance(value, dict)]
        tables = [each for each in map(_select_records, inner) if each]
        tables = [each for each in tables if any(map(_is_denoiser, each))] or tables
        if len(tables) != 1:
            raise DamagedPickleError(f"it contains {len(tables)} tables of tensors instead of one")
        found = tables[0]
    if any(map(_is_denoiser, found)):
        found = {name: item for name, item in found.items() if not name.startswith("model_ema.")}
    return found


def _is_denoiser(name: str) -> bool:
    return name.startswith("model.diffusion_model.")


def _select_records(table: Mapping[Any, Any]) -> dict[str, TensorRecord]:
    return {
        format_key(name): item
        for name, item in table.items()
        if isinstance(item, TensorRecord) and name != "__metadata__"
    }


def build_header(tensors: Mapping[str, TensorRecord]) -> tuple[bytes, int]:
    """Build the start of a safetensors file with these tensors in this order.

    Return it, and the number of data bytes that follow.
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, record in tensors.items():
        count = 1
        for side in record.shape:
            count *= side
        start, end = end, end + count * bytes_per_number(record.storage)
        entries[name] = {
            "dtype": _DTYPES[record.storage.kind],
            "shape": record.shape,
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise DamagedPickleError("its table of tensors is too large")
    return len(text).to_bytes(8, "little") + text, end


def convert(source: BinaryIO, target: BinaryIO, room_bytes: int) -> Iterable[tuple[int, int]]:
    """Write a pickle's tensors as safetensors, one at a time. Yield bytes written and total bytes.

    Raises:
        NoRoomError: There isn't enough room; nothing was written.
        UnsafeWeightsError: The pickle contains more than tensors.
        Exception: Anything else, for a damaged file (see `explain_damage`).
    """
    pickled = PickledTensors(source)
    # in file order, so that the file is read from front to back
    tensors = select_tensors(pickled.content)
    check_sharing((record.size_bytes for record in tensors.values()), source)
    header, total = build_header(tensors)
    if len(header) + total > room_bytes:
        raise NoRoomError(messages.bytes_needed(len(header) + total, room_bytes))
    target.write(header)
    done, reported = 0, -_PROGRESS_BYTES
    for record in tensors.values():
        numbers = pickled.numbers(record)
        target.write(numbers)
        done += len(numbers)
        if done - reported >= _PROGRESS_BYTES:
            reported = done
            yield done, total
    target.flush()
    yield total, total


def _say(**message: object) -> None:
    sys.stderr.write(json.dumps(message) + "\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Convert standard input to standard output.

    `arguments` are the room for the result in bytes and the CPU time in seconds.
    """
    room_bytes, seconds = (int(argument) for argument in arguments)
    offline = leave_network()
    codecs.lookup("cp437")  # zipfile imports it late
    import numpy as np  # noqa: PLC0415 (its threads must start after the network is gone)

    np.lib.stride_tricks.as_strided(np.zeros(1)).tobytes()
    limit_resources(MAX_MEMORY_BYTES, room_bytes + MAX_HEADER_BYTES, seconds)
    _say(offline=offline)
    source, target = os.fdopen(0, "rb"), os.fdopen(1, "wb")
    forbid_everything_else()
    try:
        for done, total in convert(source, target, room_bytes):
            _say(done=done, total=total)
    except UnsafeWeightsError as error:
        _say(kind="unsafe", error=str(error))
    except MemoryError:
        _say(kind="damaged", error="it asks for more memory than a checkpoint may take")
    except Exception as error:  # a damaged pickle can raise anything
        full = isinstance(error, NoRoomError) or getattr(error, "errno", None) in _FULL
        if full:
            _say(kind="disk", error=getattr(error, "strerror", None) or str(error))
        else:
            _say(kind="damaged", error=explain_damage(error))
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
