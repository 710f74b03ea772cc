"""Request bodies, counted and timed while they arrive."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from starlette.types import Message, Receive

from paintdiff.server import messages
from paintdiff.server.problems import Refusal
from paintdiff.server.visitors import THIS_MACHINE

MAX_BODY_SECONDS = 180.0
"""How long a request's body may take to arrive."""
MAX_ARRIVING_BYTES = 384 * 2**20
"""Most bytes of the bodies of all unanswered requests together."""
MAX_ARRIVING_BYTES_PER_VISITOR = 96 * 2**20
"""The same for one address: six pictures, as many as a browser sends at once."""


class ArrivingBodies:
    """The bytes of the bodies of unanswered requests, by visitor."""

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()

    def add(self, visitor: str, count: int) -> None:
        """Count received bytes; a negative count subtracts them."""
        self._bytes[visitor] += count
        if self._bytes[visitor] <= 0:
            del self._bytes[visitor]

    def is_over(self, visitor: str) -> bool:
        """Return whether the visitor's next bytes would exceed a limit."""
        if self._bytes.total() > MAX_ARRIVING_BYTES:
            return True
        return visitor != THIS_MACHINE and self._bytes[visitor] > MAX_ARRIVING_BYTES_PER_VISITOR


class LimitedBody:
    """A request's body with limits.

    If it exceeds one, `refusal` says so, and the app sees a disconnect from then on. Call `close`
    when the request is answered.
    """

    def __init__(
        self, receive: Receive, max_bytes: int, arriving: ArrivingBodies, visitor: str
    ) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._arriving = arriving
        self._visitor = visitor
        self._received_bytes = 0
        self._until = time.monotonic() + MAX_BODY_SECONDS
        self._whole = False
        self.refusal: Refusal | None = None

    async def receive(self) -> Message:
        """Return the next message of the request."""
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        try:
            rest = None if self._whole else self._until - time.monotonic()
            message = await asyncio.wait_for(self._receive(), rest)
        except TimeoutError:
            self.refusal = Refusal(408, messages.BODY_TOO_SLOW)
            return {"type": "http.disconnect"}
        count = len(message.get("body", b""))
        self._received_bytes += count
        self._arriving.add(self._visitor, count)
        self._whole = not message.get("more_body", False)
        if self._received_bytes > self._max_bytes:
            self.refusal = too_large(self._max_bytes)
        elif count and self._arriving.is_over(self._visitor):
            self.refusal = Refusal(503, messages.TOO_MANY_BODIES, {"Retry-After": "5"})
        return message if self.refusal is None else {"type": "http.disconnect"}

    def close(self) -> None:
        """Release the body's bytes."""
        self._arriving.add(self._visitor, -self._received_bytes)
        self._received_bytes = 0


def too_large(max_bytes: int) -> Refusal:
    """Return the refusal of a body that is too large."""
    return Refusal(413, messages.body_too_large(max_bytes))


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that sends the body once, then what follows."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
