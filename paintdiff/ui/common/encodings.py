"""Encoded pictures that several readers ask for, each made once and kept while there is room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

import anyio
import anyio.to_thread

from paintdiff.errors import QueueFullError

MAX_KEPT_BYTES = 64 * 2**20
MAX_AT_ONCE = 2
"""How many are encoded at the same time. A large picture takes a core, and memory of its size."""
MAX_WAITING = 64


class Encodings:
    """A table of encoded pictures, bounded by their bytes. What was used least recently is
    forgotten first. For one event loop.
    """

    def __init__(self, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_kept_bytes = max_kept_bytes
        self._kept_bytes = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._made: dict[Hashable, asyncio.Future[bytes]] = {}
        self._limiter: anyio.CapacityLimiter | None = None

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return what `make` returns, called in a thread unless its result is kept under `key`.

        Whoever asks while it is made waits for the same result. Raises what `make` raises, and
        QueueFullError if too many others wait to be made.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._made:
            if len(self._made) >= MAX_WAITING:
                raise QueueFullError("Too many pictures are asked for. Try again in a moment.")
            self._made[key] = asyncio.ensure_future(self._make(key, make))
        # Shielded: the others still want it if the first reader goes away.
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
