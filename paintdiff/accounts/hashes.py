"""Secrets: how keys look, and how they and passwords are stored."""

from __future__ import annotations

import re
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

KEY_MARK = "pd_"
"""The beginning of every key, so that people and scanners for leaked secrets know it."""
_ID_BYTES = 6
_SECRET_BYTES = 32
_KEY = re.compile(rf"{KEY_MARK}([0-9a-f]{{{2 * _ID_BYTES}}})_[A-Za-z0-9_-]{{43}}")

# The parameters that OWASP recommends: some 20 ms and 19 MiB for each check.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$cGFpbnRkaWZmdXNpb24$bm9ib2R5J3MgcGFzc3dvcmQgaGFzIHRoaXMgaGFzaA"
)


def make_key() -> tuple[str, str]:
    """Return a new key's id, and the key."""
    id = secrets.token_hex(_ID_BYTES)
    return id, f"{KEY_MARK}{id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def find_key_id(text: str) -> str | None:
    """Return the id in a text that has the form of a key, None if it hasn't."""
    match = _KEY.fullmatch(text)
    return None if match is None else match[1]


def hash_secret(secret: str) -> str:
    """Return Argon2's hash of a key or password, with a new salt."""
    return _HASHER.hash(secret)


def is_secret(secret: str, hash: str | None) -> bool:
    """Return whether a hash is that of a secret. Without a hash it takes as long, and is False."""
    try:
        return _HASHER.verify(_NOBODYS if hash is None else hash, secret) and hash is not None
    except (Argon2Error, InvalidHashError):
        return False
