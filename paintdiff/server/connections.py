"""Connections with time limits: slow visitors can't occupy places for long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

if TYPE_CHECKING:
    from starlette.types import Message, Send
    from uvicorn.server import ServerState

MAX_CONNECTIONS = 800
"""How many connections may be open at once. A browser opens up to six for one page."""
MAX_HEADER_SECONDS = 15.0
"""How long a connection may take to send the header of its next request, once it started."""
MAX_WRITE_SECONDS = 60.0
"""How long a visitor may take to read PIECE_BYTES of pending output."""
MAX_READING_SECONDS = 0.5
"""CPU time for reading one request.

A picture of 16 MiB takes a tenth of it, or less; the same in chunks of one byte would block the
server for minutes.
"""
SLICE_BYTES = 16 * 1024
PIECE_BYTES = 64 * 1024
"""Most bytes passed to a connection at once, so a slow reader holds no copy of a picture."""

_numbers = count()


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with limits on time and the number of connections.

    uvicorn closes a connection that is idle between two requests; this also closes one that never
    completes a request's header, and one that doesn't read. When there are too many connections, it
    closes one of the address that has the most: see `_choose_to_close`.
    """

    _reading_seconds = 0.0
    """CPU time spent on reading the current request."""
    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    number = 0
    """Order in which connections were opened."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first header; close a connection if there are too many."""
        super().connection_made(transport)
        self.logger.addFilter(_is_relevant)  # the logger is uvicorn's; a second call does nothing
        self.number = next(_numbers)
        self._time_header()
        if len(self.connections) > MAX_CONNECTIONS:
            _choose_to_close(self.server_state, self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        _stop_timer(self._header_timer)
        _stop_timer(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data in slices; close the connection if that takes too long in total."""
        # In slices, because each call is processed completely before other connections' turn.
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing():
                return
            begun = time.thread_time()
            super().data_received(data[start : start + SLICE_BYTES])
            self._reading_seconds += time.thread_time() - begun
            if self._reading_seconds > MAX_READING_SECONDS:
                self.transport.abort()
        self._time_header()

    def on_response_complete(self) -> None:
        """Start over with the next request."""
        self._reading_seconds = 0.0
        super().on_response_complete()
        self._time_header()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that can't be parsed, unless the app has begun to answer its header."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self.conn.our_state.__name__ not in ("IDLE", "SEND_RESPONSE"):
            self.transport.abort()
            return
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()
                return
            cycle.disconnected = True  # the app's own response is dropped
        super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Start the timer of a visitor who reads slowly."""
        super().pause_writing()
        _stop_timer(self._write_timer)
        self._write_timer = self.loop.call_later(MAX_WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer of a visitor who reads again."""
        _stop_timer(self._write_timer)
        super().resume_writing()

    def _should_upgrade(self) -> bool:
        # Only HTTP is served. uvicorn would log two lines about each upgrade request.
        return False

    @property
    def is_sending(self) -> bool:
        """Return whether the visitor still has to send a header or the rest of a body."""
        return not self._has_header or self.cycle.more_body

    @property
    def is_reading_slowly(self) -> bool:
        """Return whether the visitor hasn't read all output yet."""
        return self.flow.write_paused

    @property
    def address(self) -> str:
        """Return the peer's network address, perhaps a reverse proxy's."""
        return self.client[0] if self.client else ""

    @property
    def _has_header(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _time_header(self) -> None:
        """Start the timer for the header if none runs; stop it while a request is in progress."""
        if self._has_header:
            _stop_timer(self._header_timer)
            self._header_timer = None
        elif self._header_timer is None and not self.transport.is_closing():
            self._header_timer = self.loop.call_later(MAX_HEADER_SECONDS, self.transport.abort)


def _choose_to_close(state: ServerState, new: TimedProtocol) -> TimedProtocol:
    """Return the connection to close for a new one.

    It belongs to the address that has the most: the oldest that still sends, else the oldest that
    reads slowly, else the new one if it is of that address, else the oldest.
    """
    timed = [each for each in state.connections if isinstance(each, TimedProtocol)]
    counted = Counter(each.address for each in timed)
    if counted[new.address] == max(counted.values()):
        greedy = new.address
    else:
        greedy = counted.most_common(1)[0][0]
    theirs = [each for each in timed if each is not new and each.address == greedy]
    slow = [each for each in theirs if each.is_sending or each.is_reading_slowly]
    if slow:
        return min(slow, key=lambda each: (not each.is_sending, each.number))
    return new if new.address == greedy else min(theirs, key=lambda each: each.number)


def send_in_pieces(send: Send) -> Send:
    """Return a `send` that splits a long body into pieces, each sent once the last is read."""

    async def send_pieces(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) <= PIECE_BYTES:
            await send(message)
            return
        for start in range(0, len(body), PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES]
            more = message.get("more_body", False) or start + PIECE_BYTES < len(body)
            await send({**message, "body": piece, "more_body": more})
            await asyncio.sleep(0)  # a connection that is lost is seen, and others have their turn

    return send_pieces


def _is_relevant(record: logging.LogRecord) -> bool:
    """Return False for uvicorn's messages about visitors who don't speak HTTP."""
    return record.msg != "Invalid HTTP request received."


def _stop_timer(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
