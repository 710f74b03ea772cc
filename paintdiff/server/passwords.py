"""Passwords: HTTP Basic, a signed cookie after the right one, and a limit on guesses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from paintdiff.server.turns import Turns
from paintdiff.server.visitors import THIS_MACHINE, identify_visitor

MAX_WRONG_PASSWORDS = 10
"""Wrong passwords per address within WRONG_PASSWORD_WINDOW_SECONDS before it is slowed down.

After that its passwords are checked one at a time, so far apart that the rate stays the same.
"""
WRONG_PASSWORD_WINDOW_SECONDS = 60.0
MAX_WAITING_GUESSES = 4
MAX_GUESSERS = 4096
MAX_WRONG_PASSWORDS_OF_ALL = 100
"""The same for all addresses together, which may be forged or hidden."""
SECONDS_BETWEEN_GUESSES_OF_ALL = 0.1
MAX_WAITING_GUESSES_OF_ALL = 50


class PasswordGate:
    """Checks user name and password, and slows down guessing.

    A visitor who once sent the right ones has a signed cookie and is always admitted. Wrong
    passwords are counted by address. They lock nobody out, because visitors behind one proxy or
    tunnel may share an address with an attacker: they make the next checks wait for turns.
    Addresses can be forged, so many wrong passwords make everybody without a cookie wait, briefly.
    """

    def __init__(
        self,
        credentials: tuple[str, str],
        *,
        max_wrong: int = MAX_WRONG_PASSWORDS,
        max_wrong_of_all: int = MAX_WRONG_PASSWORDS_OF_ALL,
        window_seconds: float = WRONG_PASSWORD_WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.user = credentials[0]
        self._expected = _digest(*credentials)
        self._key = secrets.token_bytes(32)
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

    def knows(self, cookie: str) -> bool:
        """Return whether this process signed the cookie."""
        visitor, _, signature = cookie.partition(".")
        return hmac.compare_digest(self._signature(visitor).encode(), signature.encode())

    def cookie(self) -> str:
        """Return a new signed cookie."""
        visitor = secrets.token_urlsafe(16)
        return f"{visitor}.{self._signature(visitor)}"

    async def take_turn(self, address: str) -> bool:
        """Wait until a password from `address` may be checked.

        Returns False if too many passwords wait already; then it must not be checked.
        """
        visitor = identify_visitor(address)
        own = self._by_address.get(visitor)
        if own is not None and visitor != THIS_MACHINE and not await own.take_turn():
            return False
        return await self._all.take_turn()

    def opens_for(self, authorization: str, address: str) -> bool:
        """Return whether a Basic authorization header is right; count a wrong one as a guess.

        A header without credentials isn't a guess.
        """
        given = _basic(authorization)
        if given is None:
            return False
        if hmac.compare_digest(_digest(*given), self._expected):
            return True
        visitor = identify_visitor(address)
        self._all.note_wrong()
        self._by_address.setdefault(visitor, self._guesses(self._clock)).note_wrong()
        self._by_address.move_to_end(visitor)
        while len(self._by_address) > MAX_GUESSERS:
            self._by_address.popitem(last=False)
        return False

    def _signature(self, visitor: str) -> str:
        return hmac.new(self._key, visitor.encode(), hashlib.sha256).hexdigest()


class _Guesses:
    """Wrong passwords of the last `window_seconds`, and turns once there are `max_wrong`."""

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


def has_credentials(authorization: str) -> bool:
    """Return whether an Authorization header has a user name and a password."""
    return _basic(authorization) is not None


def _digest(user: str, password: str) -> bytes:
    return hashlib.sha256(f"{user}\0{password}".encode()).digest()


def _basic(authorization: str) -> tuple[str, str] | None:
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except ValueError:  # odd bytes, broken Base64, or not UTF-8
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None
