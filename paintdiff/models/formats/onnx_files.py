"""Checks that a file has the outline of an ONNX network (protobuf). Importable without torch.

The network itself isn't parsed: a library that could crash on it tries it in a separate process
(`trials`).
"""

from __future__ import annotations

from pathlib import Path

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats import messages
from paintdiff.system.regular_files import open_file

_GRAPH = 7 << 3 | 2  # field 7, length-delimited
_MAX_FIELDS = 1_000


def check_onnx(path: Path, max_bytes: int) -> None:
    """Check the outermost fields of a file.

    Raises:
        ModelLoadError: The file can't be read, has more than `max_bytes`, or contains no network.
    """
    try:
        with open_file(path) as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelLoadError(messages.it_is_unreadable(error.strerror)) from error
    if len(data) > max_bytes:
        raise ModelLoadError(messages.more_bytes_than(max_bytes))
    if not _has_graph(data):
        raise ModelLoadError(messages.NOT_ONNX)


def _has_graph(data: bytes) -> bool:
    place, found = 0, False
    for _field in range(_MAX_FIELDS):
        if place == len(data):
            return found
        try:
            tag, place = _read_varint(data, place)
            found = found or tag == _GRAPH
            match tag & 7:
                case 0:
                    _value, place = _read_varint(data, place)
                case 2:
                    size, place = _read_varint(data, place)
                    place += size
                case 1 | 5 as kind:
                    place += 8 if kind == 1 else 4
                case _:
                    return False
        except IndexError:
            return False
        if place > len(data):
            return False
    return False


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a varint. Return its value and the position after it. Raise IndexError at the end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise IndexError(messages.NUMBER_TOO_LONG)
