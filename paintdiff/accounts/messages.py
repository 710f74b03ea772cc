"""Sentences about API keys and users."""

from __future__ import annotations

from collections.abc import Iterable


def unknown_scope(name: str, known: Iterable[str]) -> str:
    return f"There is no scope {name!r:.40}. Use some of: {', '.join(known)}."


NO_SCOPE = "Choose at least one scope."
NO_NAME = "A name has at least one character."
UNUSABLE_NAME = "A name can't have control characters, line breaks or spaces at its ends."
COLON_IN_NAME = "A user name can't have a colon."


def name_too_long(length: int, most: int) -> str:
    return f"The name has {length} characters; {most} is the limit."


def reserved_name(beginning: str) -> str:
    return f"Names that begin with {beginning!r} are taken by the app. Choose another."


def key_exists(name: str) -> str:
    return f"A key named {name!r} exists already. Revoke it first, or choose another name."


def no_such_key(name: str) -> str:
    return f"There is no active key {name!r:.80}. See all with: keys list"


def too_many(most: int, what: str) -> str:
    return f"There are {most} {what} already, which is the limit. Remove one first."


def user_exists(name: str) -> str:
    return f"A user named {name!r} exists already."


def no_such_user(name: str) -> str:
    return f"There is no user {name!r:.80}. See all with: users list"


def expiry_not_positive(days: float) -> str:
    return f"A key is valid for more than 0 and at most 36500 days, not {days:g}."


def password_too_short(length: int, least: int) -> str:
    return f"The password has {length} characters; at least {least} are needed."


def password_too_long(length: int, most: int) -> str:
    return f"The password has {length} characters; {most} is the limit."


UNUSABLE_PASSWORD = "The password can't have line breaks or other control characters."
PASSWORD_LIKE_A_KEY = "A password can't look like an API key. Choose another."
