"""Reads server-sent events, and turns a job's into the events of `paintdiff.jobs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paintdiff.client import messages
from paintdiff.client.connection import make_error
from paintdiff.errors import PaintError, ServerError
from paintdiff.jobs.events import CellDone, Loading, Progress, Queued

MAX_EVENT_BYTES = 16 * 2**20


@dataclass(frozen=True)
class ServerSentEvent:
    """An event as it was sent. `id` is "" if it has none."""

    name: str
    data: str
    id: str


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Yield the events in a stream. One that is cut off isn't an event.

    Raises:
        ServerError: An event is larger than MAX_EVENT_BYTES.
    """
    fields: dict[str, str] = {}
    size = 0
    for line in _read_lines(chunks):
        size += len(line)
        _check_size(size)
        if not line:
            if "data" in fields:
                name = fields.get("event", "message")
                yield ServerSentEvent(name, fields["data"], fields.get("id", ""))
            fields, size = {}, 0
            continue
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in fields:
            value = f"{fields['data']}\n{value}"
        if name:  # a line that begins with a colon is a comment
            fields[name] = value


def _read_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield bytes(line.removesuffix(b"\r"))
        _check_size(len(rest))


def _check_size(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise ServerError(messages.event_too_large(MAX_EVENT_BYTES))


def parse_event(
    name: str, data: Mapping[str, Any]
) -> Queued | Loading | Progress | CellDone | PaintError | None:
    """Return what an event before the last says, the error of a failed job, None if unknown.

    A Progress has no preview, a CellDone no picture.

    Raises:
        KeyError, TypeError, ValueError: The event lacks something.
    """
    match name:
        case "queued":
            return Queued(int(data["position"]))
        case "loading":
            return Loading(str(data["model"]), str(data["message"]))
        case "progress":
            return Progress(
                step=int(data["step"]),
                total_steps=int(data["total_steps"]),
                image_index=int(data["image_index"]),
                num_images=int(data["num_images"]),
                stage=str(data["stage"]),
                seconds_left=data.get("seconds_left"),
                together=int(data.get("together", 1)),
            )
        case "cell":
            message = str(data["message"])
            return CellDone(int(data["cell"]), error=PaintError(message) if message else None)
        case "failed":
            return make_error(int(data["status"]), str(data["message"]), data.get("field"))
        case _:
            return None
