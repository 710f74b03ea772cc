"""Turns: a scarce resource is granted to one visitor at a time, with pauses."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from random import SystemRandom

_random = SystemRandom()


class Turns:
    """Turns that come at least `seconds_apart`; up to `max_waiting` visitors may wait for one.

    Chance decides who is next and, when too many wait, who must leave. So a visitor who wants many
    turns delays the others, but can't block them as the head of a queue could.
    """

    def __init__(
        self,
        seconds_apart: float,
        max_waiting: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds_apart = seconds_apart
        self._max_waiting = max_waiting
        self._clock = clock
        self._next_turn = 0.0
        self._waiting: list[str] = []

    async def take(self) -> bool:
        """Wait for a turn and take it. Returns False for a visitor who must leave."""
        ticket = secrets.token_hex(8)
        self._waiting.append(ticket)
        try:
            if len(self._waiting) > self._max_waiting:
                self._waiting.remove(_random.choice(self._waiting))
            while ticket in self._waiting:
                now = self._clock()
                if now >= self._next_turn:
                    self._next_turn = now + self.seconds_apart
                    return True
                # All wait for the same moment; the first to wake up takes the turn.
                pause = self._next_turn - now + _random.uniform(0, self.seconds_apart / 10)
                await asyncio.sleep(pause)
            return False
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
