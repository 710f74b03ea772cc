"""The page's sessions: limits those that send events without reading the answers."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from paintdiff.server import messages
from paintdiff.server.page_events import EventRefusedError
from paintdiff.server.visitors import THIS_MACHINE

MAX_UNREAD_SESSIONS = 32
"""How many sessions may have events that nobody reads yet.

A page opens its stream right after its first event, so it is among them for milliseconds only.
"""
MAX_STREAMS = 400
"""How many streams may be open at once. A page has one while one of its events runs."""
MAX_STREAMS_PER_SESSION = 4
"""A reloaded page leaves a stream behind until the server notices."""
MAX_STREAMS_PER_VISITOR = 100
"""How many streams one address may have open. A browser opens up to six connections."""
MAX_EVENTS_PER_SESSION = 32
"""How many queued events of one session may be unfinished at once."""


class EventQueue(Protocol):
    """The store of answers to queued events until their session reads them."""

    def unfinished(self, session: str) -> int:
        """Return how many of the session's events aren't fully answered."""
        ...

    async def forget(self, session: str) -> None:
        """Drop the session's events, and the answers it hasn't read."""
        ...


class Sessions:
    """Counts the open streams of each session, and drops sessions that never open one.

    The answers to a queued event are kept until its session reads them, so a visitor who only sends
    events would fill the memory. If too many sessions don't read, the oldest one of the visitor who
    has most of them is dropped.
    """

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._reading: Counter[str] = Counter()
        self._reading_visitors: Counter[str] = Counter()
        self._unread: OrderedDict[str, str] = OrderedDict()  # session -> visitor, oldest first

    async def admit(self, session: str, visitor: str = THIS_MACHINE) -> None:
        """Register a queued event of a visitor's session.

        Raises:
            EventRefusedError: Too many of its events are unfinished.
        """
        if self._queue.unfinished(session) >= MAX_EVENTS_PER_SESSION:
            raise EventRefusedError(messages.TOO_MANY_PENDING, 429)
        if self._reading[session]:
            return
        self._unread[session] = visitor
        self._unread.move_to_end(session)
        while len(self._unread) > MAX_UNREAD_SESSIONS:
            ((greediest, _),) = Counter(self._unread.values()).most_common(1)
            oldest = next(each for each, theirs in self._unread.items() if theirs == greediest)
            del self._unread[oldest]
            await self._queue.forget(oldest)

    @contextmanager
    def open_stream(self, session: str, visitor: str = THIS_MACHINE) -> Generator[None]:
        """Register a visitor's open stream of a session.

        Raises:
            EventRefusedError: Too many are open, of the session, of the visitor or altogether.
        """
        self._check_streams(session, visitor)
        self._unread.pop(session, None)
        self._reading[session] += 1
        self._reading_visitors[visitor] += 1
        try:
            yield
        finally:
            _subtract(self._reading, session)
            _subtract(self._reading_visitors, visitor)

    def _check_streams(self, session: str, visitor: str) -> None:
        if self._reading[session] >= MAX_STREAMS_PER_SESSION:
            raise EventRefusedError(messages.PAGE_OPEN_TOO_OFTEN, 429)
        of_visitor = self._reading_visitors[visitor]
        if visitor != THIS_MACHINE and of_visitor >= MAX_STREAMS_PER_VISITOR:
            raise EventRefusedError(messages.TOO_MANY_OF_YOUR_PAGES, 429)
        if self._reading.total() >= MAX_STREAMS:
            raise EventRefusedError(messages.TOO_MANY_PAGES, 503)


def _subtract(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
