"""The throw-away process that turns a pickled checkpoint into safetensors; started by `conversion`.

It reads the pickle from its standard input, writes the safetensors file to its standard output, and
says on its standard error how far it is, in lines of JSON. It needs no file by name, so it gives up
the right to write one, and the network with it, before it looks at the first byte.

What that is worth: the pickle is read by `pickles`, in which there is nothing to call, so no code
of it should ever run. Should that fail, then an audit hook stops this interpreter from opening
sockets, starting processes and writing files (machine code could get around it), limits of the
operating system bound memory, time and the size of the file, and on Linux, where the system lets
us, it has no network at all and is ended with the process that started it.
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

if __name__ == "__main__":  # isolated, so that neither a variable nor a folder chooses what we are
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from paintdiff.errors import UnsafeWeightsError
from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_HEADER_BYTES, MAX_TABLE_DEPTH
from paintdiff.models.formats.pickle_records import TensorRecord, bytes_per_number
from paintdiff.models.formats.safe_pickle import PickledTensors, check_sharing, format_key

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
    """The converted file would be larger than the room there is."""


def select_tensors(content: Mapping[str, Any]) -> dict[str, TensorRecord]:
    """The tensors to keep: those of `state_dict` where there is one, without optimizers; running
    averages (`model_ema.`) only if the plain weights aren't there.

    Raises ValueError if there are none, or if it isn't clear which are meant.
    """
    table: Any = content
    for _ in range(MAX_TABLE_DEPTH):  # it may be in itself
        inner: object = table.get("state_dict")
        table = inner if isinstance(inner, dict) else table
    found = _tensors_in(table)
    if not found:
        inner = [value for value in table.values() if isinstance(value, dict)]
        tables = [each for each in map(_tensors_in, inner) if each]
        tables = [each for each in tables if any(map(_is_denoiser, each))] or tables
        if len(tables) != 1:
            raise ValueError(f"it contains {len(tables)} tables of tensors instead of one")
        found = tables[0]
    if any(map(_is_denoiser, found)):
        found = {name: item for name, item in found.items() if not name.startswith("model_ema.")}
    return found


def _is_denoiser(name: str) -> bool:
    return name.startswith("model.diffusion_model.")


def _tensors_in(table: Mapping[Any, Any]) -> dict[str, TensorRecord]:
    return {
        format_key(name): item
        for name, item in table.items()
        if isinstance(item, TensorRecord) and name != "__metadata__"
    }


def build_header(tensors: Mapping[str, TensorRecord]) -> tuple[bytes, int]:
    """The beginning of a safetensors file with these tensors in this order, and the bytes that
    follow it.
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
        raise ValueError("its table of tensors is too large")
    return len(text).to_bytes(8, "little") + text, end


def convert(source: BinaryIO, target: BinaryIO, room_bytes: int) -> Iterable[tuple[int, int]]:
    """Write the tensors of a pickle as safetensors, one at a time; says again and again how many
    bytes of how many are written.

    Raises NoRoomError before anything is written if there isn't room, UnsafeWeightsError, and for a
    damaged file anything else.
    """
    pickled = PickledTensors(source)
    # As they lie in the file, so that it is read from front to back.
    tensors = select_tensors(pickled.content)
    check_sharing((record.size_bytes for record in tensors.values()), source)
    header, total = build_header(tensors)
    if len(header) + total > room_bytes:
        raise NoRoomError(
            f"{len(header) + total:,} bytes are needed, but only {room_bytes:,} are free"
        )
    target.write(header)
    done, told = 0, -_PROGRESS_BYTES
    for record in tensors.values():
        numbers = pickled.numbers(record)
        target.write(numbers)
        done += len(numbers)
        if done - told >= _PROGRESS_BYTES:
            told = done
            yield done, total
    target.flush()
    yield total, total


def _say(**message: object) -> None:
    sys.stderr.write(json.dumps(message) + "\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Convert standard input to standard output. `arguments` are the room there is for the result,
    in bytes, and the computing time there is, in seconds.
    """
    room_bytes, seconds = (int(argument) for argument in arguments)
    offline = leave_network()
    codecs.lookup("cp437")  # zipfile asks for it late
    import numpy as np  # noqa: PLC0415 (its threads, if any, come after the network is gone)

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
        _say(kind="disk" if full else "damaged", error=str(error) or type(error).__name__)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
