"""Sign-ins: signed cookies by which a browser that gave the right password is known again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

SIGN_IN_SECONDS = 30 * 24 * 3600
MAX_ENDED = 10_000
"""How many sign-outs are remembered until their cookies expire.

The oldest of whoever signed out most often is forgotten first, so nobody pushes others' out.
"""
_SIGNATURE_DIGITS = 64


class SignIns:
    """Makes and checks the cookies. Another process, such as this app's next start, knows none.

    A cookie is bound to a stamp of its subject, such as the hash of the password, so that it ends
    with that.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._now = now
        self._ended: OrderedDict[str, str] = OrderedDict()
        """The nonces of cookies that ended, and their subjects."""

    def make(self, subject: str, stamp: str) -> str:
        """Return a new cookie for a subject."""
        name = base64.urlsafe_b64encode(subject.encode()).decode().rstrip("=")
        until = int(self._now()) + SIGN_IN_SECONDS
        body = f"{name}.{until}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._sign(body, stamp)}"

    def find_subject(self, cookie: str, find_stamp: Callable[[str], str | None]) -> str | None:
        """Return the subject of a cookie that is still good, None for any other text.

        `find_stamp` returns a subject's stamp, None if it is gone.
        """
        body, _, signature = cookie.rpartition(".")
        parts = body.split(".")
        if len(parts) != 3 or len(signature) != _SIGNATURE_DIGITS or not cookie.isascii():
            return None
        name, until, nonce = parts
        try:
            subject = base64.b64decode(name + "=" * (-len(name) % 4), b"-_", True).decode()
        except ValueError:
            return None
        stamp = find_stamp(subject)
        if stamp is None or not hmac.compare_digest(self._sign(body, stamp), signature):
            return None
        if int(until) <= self._now() or nonce in self._ended:
            return None
        return subject

    def end(self, cookie: str, find_stamp: Callable[[str], str | None]) -> None:
        """Let a cookie count no more. One that doesn't count already is not remembered."""
        subject = self.find_subject(cookie, find_stamp)
        if subject is None:
            return
        self._ended[cookie.split(".")[2]] = subject
        if len(self._ended) > MAX_ENDED:
            ((most, _),) = Counter(self._ended.values()).most_common(1)
            del self._ended[next(nonce for nonce, each in self._ended.items() if each == most)]

    def _sign(self, body: str, stamp: str) -> str:
        return hmac.new(self._key, f"{stamp}\n{body}".encode(), hashlib.sha256).hexdigest()
