"""The store of API keys and users, in the gallery's database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from paintdiff.accounts import messages
from paintdiff.accounts.hashes import KEY_MARK, hash_secret, make_key
from paintdiff.accounts.schema import KeyRow, UserRow
from paintdiff.accounts.scopes import Scope, format_scopes
from paintdiff.errors import RequestError
from paintdiff.gallery.records.database import Database

MAX_NAME_CHARACTERS = 64
MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 256
MAX_KEYS = 1000
"""Most active keys, and most users: the server reads them all every few seconds."""
MAX_DAYS = 36_500
KEY_OWNER = "key-"
_RESERVED = (KEY_OWNER, "browser-", "user-")
"""Beginnings of owners that are no user's: see `server/identities.py`."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class ApiKey:
    """A key. `owner` owns its pictures: a user, or the key itself."""

    id: str
    name: str
    hash: str
    scopes: frozenset[Scope]
    owner: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_active(self, now: datetime) -> bool:
        """Return whether it may be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class User:
    """A user, who owns the pictures that have their name as `owner`."""

    name: str
    hash: str
    scopes: frozenset[Scope]
    created_at: datetime


@dataclass(frozen=True)
class Snapshot:
    """All keys that aren't revoked, by id, and all users, by folded name."""

    keys: Mapping[str, ApiKey]
    users: Mapping[str, User]

    def has_active_keys(self, now: datetime) -> bool:
        """Return whether a key may be used."""
        return any(each.is_active(now) for each in self.keys.values())


NOBODY = Snapshot({}, {})


class AccountStore:
    """The keys and users of a database. Every change is on the disk when its method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def snapshot(self) -> Snapshot:
        """Return the keys that aren't revoked, and the users."""
        with self._database.read() as session:
            keys = session.scalars(select(KeyRow).where(KeyRow.revoked_at.is_(None))).all()
            users = session.scalars(select(UserRow)).all()
            return Snapshot(
                {row.id: _to_key(row) for row in keys}, {row.folded: _to_user(row) for row in users}
            )

    def list_keys(self) -> list[ApiKey]:
        """Return all keys, the revoked ones too, the oldest first."""
        with self._database.read() as session:
            rows = session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))
            return [_to_key(row) for row in rows]

    def create_key(
        self,
        name: str,
        scopes: Iterable[Scope],
        user: str | None = None,
        days: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key; return it, and the secret text, which is stored nowhere.

        It belongs to `user`, or to itself, and expires after `days`, or never.

        Raises:
            RequestError: A value can't be used, the name is taken, or there are too many keys.
        """
        name = clean_name(name)
        if days is not None and not 0 < days <= MAX_DAYS:
            raise RequestError(messages.expiry_not_positive(days), field="days")
        id, text = make_key()
        now, hashed = datetime.now(UTC), hash_secret(text)
        with self._database.write_alone() as session:
            owner = f"{KEY_OWNER}{id}" if user is None else _find_user(session, user).name
            active = session.scalars(select(KeyRow).where(KeyRow.revoked_at.is_(None))).all()
            if any(each.name == name and _to_key(each).is_active(now) for each in active):
                raise RequestError(messages.key_exists(name), field="name")
            if len(active) >= MAX_KEYS:
                raise RequestError(messages.too_many(MAX_KEYS, "keys"))
            row = KeyRow(
                id=id,
                name=name,
                hash=hashed,
                scopes=format_scopes(scopes),
                owner=owner,
                created_at=now,
                expires_at=None if days is None else now + timedelta(days=days),
            )
            session.add(row)
            session.flush()
            return _to_key(row), text

    def revoke_key(self, name: str) -> ApiKey:
        """Revoke the key of a name or an id.

        Raises:
            RequestError: No active key has this name or id.
        """
        with self._database.write() as session:
            wanted = select(KeyRow).where(
                KeyRow.revoked_at.is_(None), (KeyRow.id == name) | (KeyRow.name == name)
            )
            rows = session.scalars(wanted.order_by(KeyRow.created_at.desc())).all()
            if not rows:
                raise RequestError(messages.no_such_key(name), field="name")
            for row in rows:  # an expired one may have the same name
                row.revoked_at = datetime.now(UTC)
            return _to_key(rows[0])

    def list_users(self) -> list[User]:
        """Return all users, by name."""
        with self._database.read() as session:
            return [
                _to_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))
            ]

    def create_user(self, name: str, password: str, scopes: Iterable[Scope]) -> User:
        """Create a user.

        Raises:
            RequestError: The name is taken, a value can't be used, or there are too many users.
        """
        name = clean_name(name)
        if ":" in name:
            raise RequestError(messages.COLON_IN_NAME, field="name")
        for beginning in _RESERVED:
            if fold_name(name).startswith(beginning):
                raise RequestError(messages.reserved_name(beginning), field="name")
        check_password(password)
        hashed = hash_secret(password)
        with self._database.write_alone() as session:
            if session.get(UserRow, fold_name(name)) is not None:
                raise RequestError(messages.user_exists(name), field="name")
            if (session.scalar(select(func.count()).select_from(UserRow)) or 0) >= MAX_KEYS:
                raise RequestError(messages.too_many(MAX_KEYS, "users"))
            row = UserRow(
                folded=fold_name(name),
                name=name,
                hash=hashed,
                scopes=format_scopes(scopes),
                created_at=datetime.now(UTC),
            )
            session.add(row)
            session.flush()
            return _to_user(row)

    def set_password(self, name: str, password: str) -> User:
        """Give a user another password. Whoever is signed in with the old one is signed out.

        Raises:
            RequestError: There is no such user, or the password can't be used.
        """
        check_password(password)
        hashed = hash_secret(password)
        with self._database.write() as session:
            row = _find_user(session, name)
            row.hash = hashed
            return _to_user(row)

    def remove_user(self, name: str) -> tuple[User, int]:
        """Remove a user and revoke their keys; return the user, and how many keys that were.

        Their pictures stay.

        Raises:
            RequestError: There is no such user.
        """
        with self._database.write_alone() as session:
            row = _find_user(session, name)
            theirs = select(KeyRow.id).where(KeyRow.owner == row.name, KeyRow.revoked_at.is_(None))
            ids = session.scalars(theirs).all()
            moment = datetime.now(UTC)
            session.execute(update(KeyRow).where(KeyRow.id.in_(ids)).values(revoked_at=moment))
            session.delete(row)
            return _to_user(row), len(ids)


def clean_name(name: str) -> str:
    """Return a name of a key or user in its one spelling.

    Raises:
        RequestError: It can't be used.
    """
    clean = unicodedata.normalize("NFC", name)
    if not clean:
        raise RequestError(messages.NO_NAME, field="name")
    if len(clean) > MAX_NAME_CHARACTERS:
        raise RequestError(messages.name_too_long(len(clean), MAX_NAME_CHARACTERS), field="name")
    if _CONTROL.search(clean) or clean != clean.strip():
        raise RequestError(messages.UNUSABLE_NAME, field="name")
    return clean


def fold_name(name: str) -> str:
    """Return a user name as it is looked up: capitals and ways to encode it don't matter."""
    return unicodedata.normalize("NFKC", name).casefold()


def check_password(password: str) -> None:
    """Check that a password can be used.

    Raises:
        RequestError: It is too short or too long, or has characters that can't be typed.
    """
    length = len(password)
    if length < MIN_PASSWORD_CHARACTERS:
        message = messages.password_too_short(length, MIN_PASSWORD_CHARACTERS)
        raise RequestError(message, field="password")
    if length > MAX_PASSWORD_CHARACTERS:
        message = messages.password_too_long(length, MAX_PASSWORD_CHARACTERS)
        raise RequestError(message, field="password")
    if _CONTROL.search(password):
        raise RequestError(messages.UNUSABLE_PASSWORD, field="password")
    if password.startswith(KEY_MARK):
        raise RequestError(messages.PASSWORD_LIKE_A_KEY, field="password")


def _find_user(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, fold_name(name))
    if row is None:
        raise RequestError(messages.no_such_user(name), field="name")
    return row


def _read_scopes(text: str) -> frozenset[Scope]:
    named = set(text.split())  # a newer version may know more
    return frozenset(each for each in Scope if each in named)


def _to_key(row: KeyRow) -> ApiKey:
    return ApiKey(
        row.id,
        row.name,
        row.hash,
        _read_scopes(row.scopes),
        row.owner,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )


def _to_user(row: UserRow) -> User:
    return User(row.name, row.hash, _read_scopes(row.scopes), row.created_at)
