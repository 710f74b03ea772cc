"""Guesses: how many wrong passwords and keys an address may try, and how fast."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from paintdiff.server.turns import Turns
from paintdiff.server.visitors import THIS_MACHINE, identify_visitor

MAX_WRONG = 10
"""Wrong passwords and keys per address within WRONG_WINDOW_SECONDS before it is slowed down.

After that its next ones are checked one at a time, so far apart that the rate stays the same.
"""
WRONG_WINDOW_SECONDS = 60.0
MAX_WAITING_GUESSES = 4
MAX_GUESSERS = 4096
MAX_WRONG_OF_ALL = 100
"""The same for all addresses together, which may be forged or hidden."""
SECONDS_BETWEEN_GUESSES_OF_ALL = 0.1
MAX_WAITING_GUESSES_OF_ALL = 50


class GuessLimit:
    """Slows down guessing.

    Wrong passwords and keys are counted by address. They lock nobody out, because visitors behind
    one proxy or tunnel may share an address with an attacker: they make the next checks wait for
    turns. Addresses can be forged, so many wrong ones make all checks wait, briefly.
    """

    def __init__(
        self,
        *,
        max_wrong: int = MAX_WRONG,
        max_wrong_of_all: int = MAX_WRONG_OF_ALL,
        window_seconds: float = WRONG_WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guesses = partial(
            _Guesses, max_wrong, window_seconds, window_seconds / max_wrong, MAX_WAITING_GUESSES
        )
        self._all = _Guesses(
            max_wrong_of_all,
            window_seconds,
            SECONDS_BETWEEN_GUESSES_OF_ALL,
            MAX_WAITING_GUESSES_OF_ALL,
            clock,
        )
        self._clock = clock
        self._by_address: OrderedDict[str, _Guesses] = OrderedDict()

    async def take_turn(self, address: str) -> bool:
        """Wait until a password or key from `address` may be checked.

        Returns False if too many wait already; then it must not be checked.
        """
        visitor = identify_visitor(address)
        own = self._by_address.get(visitor)
        if own is not None and visitor != THIS_MACHINE and not await own.take_turn():
            return False
        return await self._all.take_turn()

    def note_wrong(self, address: str) -> None:
        """Count a wrong password or key."""
        visitor = identify_visitor(address)
        self._all.note_wrong()
        self._by_address.setdefault(visitor, self._guesses(self._clock)).note_wrong()
        self._by_address.move_to_end(visitor)
        while len(self._by_address) > MAX_GUESSERS:
            self._by_address.popitem(last=False)


class _Guesses:
    """Wrong guesses of the last `window_seconds`, and turns once there are `max_wrong`."""

    def __init__(
        self,
        max_wrong: int,
        window_seconds: float,
        seconds_apart: float,
        max_waiting: int,
        clock: Callable[[], float],
    ) -> None:
        self._wrong: deque[float] = deque(maxlen=max_wrong)
        self._max_wrong = max_wrong
        self._window_seconds = window_seconds
        self._clock = clock
        self._turns = Turns(seconds_apart, max_waiting, clock)

    def note_wrong(self) -> None:
        self._wrong.append(self._clock())

    async def take_turn(self) -> bool:
        oldest = self._clock() - self._window_seconds
        while self._wrong and self._wrong[0] <= oldest:
            self._wrong.popleft()
        return len(self._wrong) < self._max_wrong or await self._turns.take()
