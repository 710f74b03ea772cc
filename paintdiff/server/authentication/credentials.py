"""What a client sends to prove who it is: an API key, or a user name and a password."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paintdiff.accounts.hashes import KEY_MARK

if TYPE_CHECKING:
    from starlette.datastructures import Headers

KEY_HEADER = "x-api-key"


@dataclass(frozen=True)
class Credentials:
    """A key, whatever the `user`, or a user's name and password, as `secret`."""

    secret: str
    user: str = ""

    @property
    def is_key(self) -> bool:
        """Return whether this is meant to be one of our keys, if perhaps a mangled one."""
        return self.secret.startswith(KEY_MARK)


def read_credentials(headers: Headers) -> Credentials | None:
    """Return what the headers give: `X-API-Key`, a Bearer token, or Basic authentication.

    Basic's password may be a key, whatever the name. None if there is nothing, or something that
    isn't ours: clients of other services send a Bearer token even if none is needed.
    """
    key = headers.get(KEY_HEADER, "").strip()
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if not key and kind.lower() == "bearer":
        key = rest.strip()
    if key:
        return Credentials(key) if key.startswith(KEY_MARK) else None
    return _read_basic(rest) if kind.lower() == "basic" else None


def _read_basic(encoded: str) -> Credentials | None:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except ValueError:  # odd bytes, broken Base64, or not UTF-8
        return None
    user, colon, password = text.partition(":")
    return Credentials(password, user) if colon else None
