"""Passwords: HTTP Basic, a signed cookie for whoever gave the right one, and a limit on guesses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_WRONG_PASSWORDS = 10
"""How many wrong passwords one guesser may send within WRONG_PASSWORD_WINDOW_SECONDS."""
WRONG_PASSWORD_WINDOW_SECONDS = 60.0
MAX_GUESSERS = 4096
SECONDS_BETWEEN_GUESSES = 0.05
"""How far apart passwords are checked, whoever sends them, once many wrong ones have come."""
MAX_GUESS_DELAY_SECONDS = 5.0


class PasswordGate:
    """Checks a user name and a password, and slows down whoever guesses.

    A visitor who once gave the right ones carries a signed cookie and is let in whatever others
    do. Wrong guesses are counted by address, so a guesser locks out nobody else. Because addresses
    can be forged behind a tunnel, all guesses together are also spaced out once many are wrong.
    """

    def __init__(
        self,
        credentials: tuple[str, str],
        *,
        max_wrong: int = MAX_WRONG_PASSWORDS,
        window_seconds: float = WRONG_PASSWORD_WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected = _digest(*credentials)
        self._key = secrets.token_bytes(32)
        self._max_wrong = max_wrong
        self._window_seconds = window_seconds
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all_wrong: deque[float] = deque(maxlen=10 * max_wrong)
        self._next_turn = 0.0

    def knows(self, cookie: str) -> bool:
        """Return whether this process signed the cookie."""
        visitor, _, signature = cookie.partition(".")
        return hmac.compare_digest(self._signature(visitor).encode(), signature.encode())

    def cookie(self) -> str:
        """Return a new signed cookie."""
        visitor = secrets.token_urlsafe(16)
        return f"{visitor}.{self._signature(visitor)}"

    def seconds_to_wait(self, address: str) -> float:
        """Return how long a guesser at `address` is locked out, 0.0 if not."""
        wrong = self._wrong.get(identify_guesser(address))
        if wrong is None:
            return 0.0
        self._forget_old(wrong)
        if len(wrong) < self._max_wrong:
            return 0.0
        return self._window_seconds - (self._clock() - wrong[0])

    def guess_delay_seconds(self) -> float:
        """Return how long the next check of a password has to be delayed, and take that turn.

        0.0 unless many wrong passwords have come lately. More than MAX_GUESS_DELAY_SECONDS means
        that too many guesses wait already; then no turn is taken.
        """
        self._forget_old(self._all_wrong)
        if len(self._all_wrong) < (self._all_wrong.maxlen or 0):
            return 0.0
        now = self._clock()
        delay = max(0.0, self._next_turn - now)
        if delay <= MAX_GUESS_DELAY_SECONDS:
            self._next_turn = now + delay + SECONDS_BETWEEN_GUESSES
        return delay

    def opens_for(self, authorization: str, address: str) -> bool:
        """Return whether a Basic authorization header is right; count it as a guess if it is wrong.

        A header without credentials isn't a guess.
        """
        given = _basic(authorization)
        if given is None:
            return False
        if hmac.compare_digest(_digest(*given), self._expected):
            return True
        now = self._clock()
        self._all_wrong.append(now)
        guesser = identify_guesser(address)
        self._wrong.setdefault(guesser, deque(maxlen=self._max_wrong)).append(now)
        self._wrong.move_to_end(guesser)
        while len(self._wrong) > MAX_GUESSERS:
            self._wrong.popitem(last=False)
        return False

    def _forget_old(self, wrong: deque[float]) -> None:
        now = self._clock()
        while wrong and now - wrong[0] >= self._window_seconds:
            wrong.popleft()

    def _signature(self, visitor: str) -> str:
        return hmac.new(self._key, visitor.encode(), hashlib.sha256).hexdigest()


def identify_guesser(address: str) -> str:
    """Return what wrong guesses are counted by: an IPv4 address, or an IPv6 one's /64 network.

    Whatever is no address, as a forged header may say, counts as one guesser.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed, 64), strict=False))
    return str(parsed)


def has_credentials(authorization: str) -> bool:
    """Return whether an Authorization header carries a user name and a password."""
    return _basic(authorization) is not None


def _digest(user: str, password: str) -> bytes:
    return hashlib.sha256(f"{user}\0{password}".encode()).digest()


def _basic(authorization: str) -> tuple[str, str] | None:
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except ValueError:  # odd bytes, broken Base64, or no UTF-8
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None
