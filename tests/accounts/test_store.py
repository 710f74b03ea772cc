"""Keys and users in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from paintdiff.accounts import directory as module
from paintdiff.accounts.directory import Directory
from paintdiff.accounts.hashes import find_key_id, is_secret
from paintdiff.accounts.scopes import ALL_SCOPES, VISITOR_SCOPES, Scope, parse_scopes
from paintdiff.accounts.store import AccountStore
from paintdiff.errors import GalleryUnavailableError, RequestError
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.database import Database


@pytest.fixture
def store(database: Database) -> AccountStore:
    return AccountStore(database)


def test_of_a_key_only_its_hash_is_stored(store: AccountStore) -> None:
    key, text = store.create_key("laptop", VISITOR_SCOPES)
    assert find_key_id(text) == key.id and key.owner == f"key-{key.id}"
    assert store.list_keys() == [key] and store.snapshot().keys == {key.id: key}
    assert text not in repr(key) and text.split("_", 2)[2] not in key.hash
    assert is_secret(text, key.hash) and not is_secret(text + "x", key.hash)


def test_a_key_is_revoked_by_its_name_or_id_once(store: AccountStore) -> None:
    first, _ = store.create_key("a", VISITOR_SCOPES)
    store.create_key("b", {Scope.MANAGE})
    with pytest.raises(RequestError, match="exists already"):
        store.create_key("a", VISITOR_SCOPES)
    assert store.revoke_key(first.id).name == "a"
    assert store.revoke_key("b").scopes == {Scope.MANAGE}
    for name in ("a", "b", first.id, "", "\x00", "\ud800"):
        with pytest.raises(RequestError, match="no active key"):
            store.revoke_key(name)
    assert store.snapshot().keys == {}
    again, _ = store.create_key("a", VISITOR_SCOPES)
    assert [each.revoked_at is None for each in store.list_keys()] == [False, False, True]
    assert store.list_keys()[2] == again


def test_a_key_expires(store: AccountStore) -> None:
    key, _ = store.create_key("short", ALL_SCOPES, days=1)
    assert key.is_active(datetime.now(UTC))
    assert not key.is_active(datetime.now(UTC) + timedelta(days=1, seconds=1))
    for days in (0, -1, float("nan"), float("inf"), 40_000):
        with pytest.raises(RequestError, match="valid for more than 0"):
            store.create_key("x", ALL_SCOPES, days=days)


def test_a_user_is_found_whatever_the_capitals_and_removed_with_their_keys(
    store: AccountStore,
) -> None:
    user = store.create_user("Zoë", "correct horse", VISITOR_SCOPES)
    with pytest.raises(RequestError, match="exists already"):
        store.create_user("ZOE\u0308", "correct horse", VISITOR_SCOPES)
    key, _ = store.create_key("hers", {Scope.PAINT}, "zoë")
    assert key.owner == user.name == "Zoë"
    changed = store.set_password("zOË", "another horse")
    assert changed.hash != user.hash and is_secret("another horse", changed.hash)
    assert store.remove_user("zoë") == (changed, 1)
    assert store.list_users() == [] and store.snapshot().keys == {}
    for act in (store.remove_user, lambda name: store.set_password(name, "long enough")):
        with pytest.raises(RequestError, match="no user"):
            act("Zoë")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "at least one"),
        ("x" * 65, "64 is the limit"),
        (" a", "spaces"),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("a\ud800", "control"),
        ("a:b", "colon"),
        ("Key-1", "taken by the app"),
        ("browser-1", "taken by the app"),
    ],
)
def test_what_cannot_be_a_users_name(store: AccountStore, name: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        store.create_user(name, "correct horse", VISITOR_SCOPES)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "at least 8"),
        ("x" * 257, "256 is the limit"),
        ("a\x00bcdefgh", "control"),
        ("pd_123456789", "look like an API key"),
    ],
)
def test_what_cannot_be_a_password(store: AccountStore, password: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        store.create_user("ada", password, VISITOR_SCOPES)
    assert store.list_users() == []


def test_scopes_are_those_there_are() -> None:
    assert parse_scopes(["paint", "manage", "paint"]) == {Scope.PAINT, Scope.MANAGE}
    for names in ([], ["all"], ["Paint"]):
        with pytest.raises(RequestError, match="scope"):
            parse_scopes(names)


def test_a_change_is_noticed_within_seconds_and_a_secret_hashed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    gallery = Gallery(tmp_path)
    directory = Directory(gallery, clock=lambda: now[0])
    assert directory.read() is not None and not list(tmp_path.iterdir()), "nothing is made for it"
    store = AccountStore(gallery.database)
    key, text = store.create_key("a", VISITOR_SCOPES)
    user = store.create_user("Ada", "correct horse", VISITOR_SCOPES)
    assert directory.check_key(text) is None
    now[0] += module.FRESH_SECONDS
    directory.read()
    hashed: list[str] = []

    def count(secret: str, hash: str | None) -> bool:
        hashed.append(secret)
        return is_secret(secret, hash)

    monkeypatch.setattr(module, "is_secret", count)
    assert not directory.was_key_checked(text)
    for _ in range(3):
        assert directory.check_key(text) == key
        assert directory.check_password("ADA", "correct horse") == user
        assert directory.check_password("ada", "wrong horse") is None
        assert directory.check_password("nobody", "correct horse") is None
        assert directory.check_key(text[:-1] + "x") is None
    assert directory.was_key_checked(text) and not directory.was_key_checked(text[:-1] + "x")
    assert hashed.count(text) == 1
    assert hashed.count("correct horse") == 1 + 3, "for an unknown user it takes as long"
    store.revoke_key("a")
    store.set_password("ada", "another horse")
    assert directory.check_key(text) == key
    now[0] += module.FRESH_SECONDS
    directory.read()
    assert directory.check_key(text) is None and not directory.was_key_checked(text)
    assert directory.check_password("ada", "correct horse") is None
    gallery.close()


def test_a_database_that_goes_away_opens_no_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    gallery = Gallery(tmp_path)
    AccountStore(gallery.database).create_user("ada", "correct horse", VISITOR_SCOPES)

    def fail(self: AccountStore) -> None:
        raise GalleryUnavailableError("busy")

    with monkeypatch.context() as broken:
        broken.setattr(AccountStore, "snapshot", fail)
        assert Directory(gallery).read() is None
    directory = Directory(gallery, clock=lambda: now[0])
    assert directory.read() is not None and directory.find_user("ada") is not None
    monkeypatch.setattr(AccountStore, "snapshot", fail)
    now[0] += 10
    directory.read()
    assert directory.find_user("ada") is not None
    gallery.close()
    for file in tmp_path.iterdir():
        file.unlink()
    now[0] += 10
    directory.read()
    assert directory.find_user("ada") is not None
