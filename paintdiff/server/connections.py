"""Connections with time limits: a visitor who sends or reads too slowly holds no place for long."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn.server import ServerState

MAX_CONNECTIONS = 800
"""How many connections may be open at once. A browser opens up to six for one page."""
MAX_HEADER_SECONDS = 15.0
"""How long a connection may take to send the header of its next request, after it has begun."""
MAX_WRITE_SECONDS = 60.0
"""How long a visitor may read nothing of what is waiting to be sent."""

_numbers = count()


class TimedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn serves it, with limits on the time and the number of connections.

    uvicorn closes a connection that is idle between two requests; this also closes one that never
    completes a request's header, and one that doesn't read. When there are too many connections,
    the oldest that still sends is closed, else the new one.
    """

    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    number = 0
    """The place in the order in which connections were opened."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.number = next(_numbers)
        self._time_header()
        if len(self.connections) > MAX_CONNECTIONS:
            _to_close(self.server_state, self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._header_timer)
        _stop(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_header()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._time_header()

    def pause_writing(self) -> None:
        super().pause_writing()
        _stop(self._write_timer)
        self._write_timer = self.loop.call_later(MAX_WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        _stop(self._write_timer)
        super().resume_writing()

    @property
    def is_sending(self) -> bool:
        """Whether the visitor still has to send a header or the rest of a body."""
        return not self._has_header or self.cycle.more_body

    @property
    def _has_header(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _time_header(self) -> None:
        """Start the timer for the header if none runs; stop it while a request is in progress."""
        if self._has_header:
            _stop(self._header_timer)
            self._header_timer = None
        elif self._header_timer is None and not self.transport.is_closing():
            self._header_timer = self.loop.call_later(MAX_HEADER_SECONDS, self.transport.abort)


def _to_close(state: ServerState, new: TimedProtocol) -> TimedProtocol:
    """Return the connection to close for a new one: the oldest that still sends, else the new."""
    sending = [
        each
        for each in state.connections
        if isinstance(each, TimedProtocol) and each is not new and each.is_sending
    ]
    return min(sending, key=lambda each: each.number, default=new)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
