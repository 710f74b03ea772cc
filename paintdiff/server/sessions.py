"""The page's sessions: limits those that send events without reading the answers."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
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
MAX_EVENTS_PER_SESSION = 16
"""How many queued events of one session may be unfinished at once. A page has a few."""
MAX_EVENTS_PER_VISITOR = 64
"""The same for all sessions of one address."""
MAX_EVENTS = 256
"""The same for all sessions. The queue handles as many at once, so none waits for another."""
MAX_PENDING_BYTES = 16 * 2**20
"""Most bytes of the bodies of all unfinished events together."""
MAX_PENDING_BYTES_PER_VISITOR = 2 * 2**20
"""The same for one address."""


class EventQueue(Protocol):
    """The store of answers to queued events until their session reads them."""

    def unfinished(self, session: str) -> int:
        """Return how many of the session's events aren't fully answered."""
        ...

    async def forget(self, session: str) -> None:
        """Drop the session's events, and the answers it hasn't read."""
        ...


class NoEvents:
    """The event queue of a server without a page."""

    def unfinished(self, session: str) -> int:
        """Return 0."""
        return 0

    async def forget(self, session: str) -> None:
        """Do nothing."""


@dataclass
class _Unfinished:
    """A session with unfinished events: its visitor, and what it sent since it had none."""

    visitor: str
    bytes: int = 0
    cancellations: int = 0


class Sessions:
    """Counts each session's unfinished events and open streams.

    The answers to a queued event are kept until its session reads them, so a visitor who only sends
    events would fill the memory. If too many sessions don't read, or too much is unfinished, the
    oldest one that doesn't read is dropped, of the visitor who has most of them.
    """

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue
        self._reading: Counter[str] = Counter()
        self._reading_visitors: Counter[str] = Counter()
        self._unread: OrderedDict[str, str] = OrderedDict()  # session -> visitor, oldest first
        self._unfinished: dict[str, _Unfinished] = {}

    async def admit(self, session: str, visitor: str = THIS_MACHINE, body_bytes: int = 0) -> None:
        """Register a queued event of a visitor's session.

        Raises:
            EventRefusedError: Too many events are unfinished, of the session, of the visitor or
                altogether, or their bodies are too large.
        """
        if self._queue.unfinished(session) >= MAX_EVENTS_PER_SESSION:
            raise EventRefusedError(messages.TOO_MANY_PENDING, 429)
        while refusal := self._find_excess(visitor, body_bytes):
            if not await self._drop_unread(visitor if refusal.status == 429 else None):
                raise refusal
        self._unfinished.setdefault(session, _Unfinished(visitor)).bytes += body_bytes
        if not self._reading[session]:
            self._unread[session] = visitor
            self._unread.move_to_end(session)
        while len(self._unread) > MAX_UNREAD_SESSIONS:
            await self._drop_unread()

    def admit_cancellation(self, session: str) -> None:
        """Register the cancellation of one of a session's events.

        Raises:
            EventRefusedError: There are more than the session can have events. Each leaves an
                answer behind.
        """
        sent = self._unfinished.get(session)
        if sent is None:
            return
        if sent.cancellations >= MAX_EVENTS_PER_SESSION and self._queue.unfinished(session):
            raise EventRefusedError(messages.TOO_MANY_PENDING, 429)
        sent.cancellations += 1

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
            if not self._reading[session] and self._queue.unfinished(session):
                self._unread[session] = visitor

    async def _drop_unread(self, visitor: str | None = None) -> bool:
        """Forget the oldest session that doesn't read, of a visitor or of the greediest.

        Returns False if there is none.
        """
        if visitor is None and self._unread:
            ((visitor, _),) = Counter(self._unread.values()).most_common(1)
        oldest = next((each for each, theirs in self._unread.items() if theirs == visitor), None)
        if oldest is None:
            return False
        del self._unread[oldest]
        self._unfinished.pop(oldest, None)
        await self._queue.forget(oldest)
        return True

    def _find_excess(self, visitor: str, body_bytes: int) -> EventRefusedError | None:
        """Return why the visitor's next event would be too much, None if it isn't."""
        events, pending = Counter[str](), Counter[str]({visitor: body_bytes})
        for session, sent in list(self._unfinished.items()):
            count = self._queue.unfinished(session)
            if not count:
                del self._unfinished[session]
                continue
            events[sent.visitor] += count
            pending[sent.visitor] += sent.bytes
        if visitor != THIS_MACHINE and (
            events[visitor] >= MAX_EVENTS_PER_VISITOR
            or pending[visitor] > MAX_PENDING_BYTES_PER_VISITOR
        ):
            return EventRefusedError(messages.TOO_MANY_PENDING, 429)
        if events.total() >= MAX_EVENTS or pending.total() > MAX_PENDING_BYTES:
            return EventRefusedError(messages.TOO_MANY_PENDING_OF_ALL, 503)
        return None

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
