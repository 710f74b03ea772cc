"""Identities: who owns the pictures that a request makes, which ones it may see, what it may do.

On this machine a person sees everything. Elsewhere somebody who is signed in, or has a key, sees
what their user or key owns, and everything with the scope `manage`. Anybody else sees what their
browser made, which it proves by a cookie. Limits count network addresses instead: see `visitors`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote, unquote

from paintdiff.accounts.scopes import ALL_SCOPES, Scope

COOKIE = "paintdiff_browser"
HEADER = "x-paintdiff-identity"
"""The header in which the guard passes an identity on. It drops the one that a client sends."""

MAX_OWNER_CHARACTERS = 100

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_OWNER_DIGITS = 32
_PARTS = 4


@dataclass(frozen=True)
class Identity:
    """`owner` is recorded with each picture: a user's, key's or browser's name, "" on this machine.

    Without `sees_all`, only the owner's pictures can be seen and changed. `scopes` are what may be
    done at all. `name` is that of the user or key that signed in, "" for anybody else.
    """

    owner: str = ""
    sees_all: bool = True
    scopes: frozenset[Scope] = ALL_SCOPES
    name: str = ""

    @property
    def scope(self) -> str | None:
        """Return the owner whose pictures can be seen; None if that is everybody's."""
        return None if self.sees_all else self.owner

    def may_see(self, owner: str) -> bool:
        """Return whether what belongs to an owner can be seen and changed."""
        return self.sees_all or owner == self.owner

    def format(self) -> str:
        """Format it for `HEADER`."""
        scopes = "+".join(sorted(self.scopes))
        kind = "all" if self.sees_all else "own"
        return f"{kind} {scopes} {quote(self.owner)} {quote(self.name)}"

    @classmethod
    def parse(cls, text: object) -> Identity:
        """Parse what `format` made. Anything else gives a stranger."""
        parts = str(text).split(" ")
        if len(parts) != _PARTS or parts[0] not in ("all", "own"):
            return make_stranger()
        kind, names, owner, name = parts
        scopes = frozenset(each for each in Scope if each in names.split("+"))
        return cls(unquote(owner), sees_all=kind == "all", scopes=scopes, name=unquote(name))


THIS_MACHINE = Identity()

current_identity: ContextVar[Identity] = ContextVar("current_identity", default=THIS_MACHINE)
"""The identity of whoever sent the event or request that is handled in this context."""


def make_stranger() -> Identity:
    """Return the identity of somebody who owns nothing and may do nothing."""
    return Identity(name_browser(make_token()), sees_all=False, scopes=frozenset())


def make_token() -> str:
    """Return a new secret by which a browser is known again."""
    return secrets.token_urlsafe(24)


def is_token(text: str) -> bool:
    """Return whether a cookie has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def name_browser(token: str) -> str:
    """Return the owner that a browser's token stands for. It doesn't reveal the token."""
    return f"browser-{hashlib.sha256(token.encode()).hexdigest()[:_OWNER_DIGITS]}"


def name_user(user: str) -> str:
    """Return the owner that a user name stands for: itself, unless it is very long."""
    if len(user) <= MAX_OWNER_CHARACTERS:
        return user
    return f"user-{hashlib.sha256(user.encode()).hexdigest()[:_OWNER_DIGITS]}"


def is_from_this_machine(address: str, host: str, headers: Mapping[str, str]) -> bool:
    """Return whether a request comes straight from a browser on this machine.

    Those of a share link or a reverse proxy come from this machine's address, too, but for another
    host name or with a proxy's headers.
    """
    forwarded = any(
        name in headers for name in ("forwarded", "via", "x-forwarded-for", "x-real-ip")
    )
    return not forwarded and _is_loopback(address) and (host == "localhost" or _is_loopback(host))


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
