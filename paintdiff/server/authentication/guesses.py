"""Guesses: how many wrong passwords and keys an address may try, and how fast."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
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


MAX_TRUSTED = 256
"""How many addresses are remembered that gave a right password or key; the oldest are forgotten."""


@dataclass(frozen=True)
class Turn:
    """The right to check one password or key. It counts until `end`, which must be called."""

    _guesses: tuple[_Guesses, ...]
    _note_right: Callable[[], None]

    def end(self, *, right: bool) -> None:
        """Count the password or key, once it is checked."""
        for each in self._guesses:
            each.end(right=right)
        if right:
            self._note_right()


class GuessLimit:
    """Slows down guessing.

    Wrong passwords and keys are counted by address. They lock nobody out, because visitors behind
    one proxy or tunnel may share an address with an attacker: they make the next checks wait for
    turns. Addresses can be forged, so many wrong ones make all checks wait, briefly, except those
    from this machine, which are counted apart, and from addresses that gave a right one before.
    Nothing is checked without a turn: whoever could try the right one at once could try them all.
    """

    def __init__(
        self,
        *,
        max_wrong: int = MAX_WRONG,
        max_wrong_of_all: int = MAX_WRONG_OF_ALL,
        window_seconds: float = WRONG_WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        seconds_apart = window_seconds / max_wrong
        self._make = partial(
            _Guesses, max_wrong, window_seconds, seconds_apart, MAX_WAITING_GUESSES, clock
        )
        self._all, self._local = (
            _Guesses(
                max_wrong_of_all,
                window_seconds,
                SECONDS_BETWEEN_GUESSES_OF_ALL,
                MAX_WAITING_GUESSES_OF_ALL,
                clock,
            )
            for _ in range(2)
        )
        self._by_address: OrderedDict[str, _Guesses] = OrderedDict()
        self._trusted: OrderedDict[str, None] = OrderedDict()

    async def take_turn(self, address: str, *, local: bool = False) -> Turn | None:
        """Wait until a password or key from `address` may be checked.

        `local` is whether it comes straight from this machine. Returns None if too many wait
        already; then it must not be checked.
        """
        visitor = identify_visitor(address)
        wanted: list[_Guesses] = []
        if visitor != THIS_MACHINE:
            wanted.append(self._find(visitor))
        if visitor not in self._trusted:
            wanted.append(self._local if local else self._all)
        taken: list[_Guesses] = []
        try:
            for each in wanted:
                if not await each.take_turn():
                    return None
                taken.append(each)
        finally:
            if len(taken) < len(wanted):
                for each in taken:
                    each.end(right=True)
        return Turn(tuple(taken), partial(self._trust, visitor))

    def _find(self, visitor: str) -> _Guesses:
        found = self._by_address.setdefault(visitor, self._make())
        self._by_address.move_to_end(visitor)
        while len(self._by_address) > MAX_GUESSERS:
            self._by_address.popitem(last=False)
        return found

    def _trust(self, visitor: str) -> None:
        if visitor == THIS_MACHINE:  # as are all behind a tunnel
            return
        self._trusted[visitor] = None
        self._trusted.move_to_end(visitor)
        while len(self._trusted) > MAX_TRUSTED:
            self._trusted.popitem(last=False)


class _Guesses:
    """Wrong guesses of the last `window_seconds`, and turns once there are `max_wrong`.

    Those that are being checked may be wrong, so no more are begun than there could be wrong ones.
    """

    def __init__(
        self,
        max_wrong: int,
        window_seconds: float,
        seconds_apart: float,
        max_waiting: int,
        clock: Callable[[], float],
    ) -> None:
        self._wrong: deque[float] = deque(maxlen=max_wrong)
        self._checking = 0
        self._ended = asyncio.Event()
        self._max_wrong = max_wrong
        self._window_seconds = window_seconds
        self._clock = clock
        self._turns = Turns(seconds_apart, max_waiting, clock)

    def end(self, *, right: bool) -> None:
        self._checking -= 1
        if not right:
            self._wrong.append(self._clock())
        self._ended.set()

    async def take_turn(self) -> bool:
        while self._count_wrong() < self._max_wrong <= len(self._wrong) + self._checking:
            self._ended.clear()
            await self._ended.wait()
        if len(self._wrong) >= self._max_wrong and not await self._turns.take():
            return False
        self._checking += 1
        return True

    def _count_wrong(self) -> int:
        oldest = self._clock() - self._window_seconds
        while self._wrong and self._wrong[0] <= oldest:
            self._wrong.popleft()
        return len(self._wrong)
