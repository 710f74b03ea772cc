"""Encoded pictures that several readers request: each is made once and cached."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

import anyio
import anyio.to_thread

from paintdiff.errors import QueueFullError
from paintdiff.imaging import messages

MAX_KEPT_BYTES = 64 * 2**20
MAX_AT_ONCE = 2
"""How many encodings run at once. A large picture takes a core, and memory of its size."""
MAX_WAITING = 64


class Encodings:
    """A least-recently-used cache of encoded pictures, bounded in bytes.

    It belongs to one event loop.
    """

    def __init__(self, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_kept_bytes = max_kept_bytes
        self._kept_bytes = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._made: dict[Hashable, asyncio.Future[bytes]] = {}
        self._limiter: anyio.CapacityLimiter | None = None

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the bytes cached under `key`, or call `make` in a thread and cache its result.

        Concurrent callers wait for the same result.

        Raises:
            QueueFullError: Too many others wait to be encoded.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._made:
            if len(self._made) >= MAX_WAITING:
                raise QueueFullError(messages.TOO_MANY_PICTURES)
            self._made[key] = asyncio.ensure_future(self._make(key, make))
        # Shielded: the others still need it if the first reader disconnects.
        return await asyncio.shield(self._made[key])

    async def _make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        if self._limiter is None:  # here, because it needs a running loop
            self._limiter = anyio.CapacityLimiter(MAX_AT_ONCE)
        try:
            data = await anyio.to_thread.run_sync(make, limiter=self._limiter)
        finally:
            del self._made[key]
        self._kept[key] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > self._max_kept_bytes:
            _, forgotten = self._kept.popitem(last=False)
            self._kept_bytes -= len(forgotten)
        return data
