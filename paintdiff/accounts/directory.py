"""The keys and users as a running server sees them: fresh within seconds, and cheap to check."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paintdiff.accounts.hashes import find_key_id, is_secret
from paintdiff.accounts.store import (
    MAX_PASSWORD_CHARACTERS,
    NOBODY,
    AccountStore,
    ApiKey,
    Snapshot,
    User,
    fold_name,
)
from paintdiff.errors import GalleryError

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery

logger = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
"""How long a change by another process, such as `keys revoke`, may go unnoticed."""
MAX_CHECKED = 4096
"""How many right secrets are remembered, as keyed digests, so that each is hashed once."""


class Directory:
    """The keys and users of a gallery's database. Threads may share it.

    Its methods block: on the database once in FRESH_SECONDS, and on Argon2 for a secret that
    wasn't checked before. A database that was never made is not made for it.
    """

    def __init__(
        self,
        gallery: Gallery,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gallery = gallery
        self._clock = clock
        self._now = now
        self._reading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._read_at: float | None = None
        self._digest_key = secrets.token_bytes(32)
        self._checked: OrderedDict[bytes, str] = OrderedDict()
        """By digest of a name and a secret: the stored hash that it fits."""
        self._checking = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        """Return whether `read` answers at once."""
        return self._read_at is not None and self._clock() - self._read_at < FRESH_SECONDS

    def read(self) -> Snapshot | None:
        """Return the keys and users, as they were at most FRESH_SECONDS ago.

        If the database can't be read: as they were before, None if they were never read.
        """
        if self.is_fresh:
            return self._snapshot
        with self._reading:
            if not self.is_fresh:
                try:
                    self._snapshot = self._read()
                except GalleryError as error:
                    logger.warning("the keys and users can't be read: %s", error)
                self._read_at = self._clock()
            return self._snapshot

    @property
    def latest(self) -> Snapshot | None:
        """Return what was read last, None if nothing was."""
        return self._snapshot

    def _read(self) -> Snapshot:
        if self._gallery.is_made:
            return AccountStore(self._gallery.database).snapshot()
        return self._snapshot or NOBODY  # a disk that was taken away must not open the doors

    def find_key(self, id: str) -> ApiKey | None:
        """Return the active key of an id, of those that were read last."""
        found = None if self._snapshot is None else self._snapshot.keys.get(id)
        return found if found is not None and found.is_active(self._now()) else None

    def find_user(self, name: str) -> User | None:
        """Return the user of a name, of those that were read last."""
        return None if self._snapshot is None else self._snapshot.users.get(fold_name(name))

    def has_active_keys(self) -> bool:
        """Return whether a key may be used."""
        return self._snapshot is not None and self._snapshot.has_active_keys(self._now())

    def was_key_checked(self, text: str) -> bool:
        """Return whether a text is an active key that was found right before."""
        id = find_key_id(text)
        key = None if id is None else self.find_key(id)
        if id is None or key is None:
            return False
        return self._checked.get(self._make_digest(id, text)) == key.hash

    def check_key(self, text: str) -> ApiKey | None:
        """Return the active key that a text is, None if it is none."""
        id = find_key_id(text)
        key = None if id is None else self.find_key(id)
        if id is None or key is None:
            return None  # an id is public, so how long this takes reveals nothing
        return key if self._check(id, text, key.hash) else None

    def check_password(self, name: str, password: str) -> User | None:
        """Return the user of a name and a password, None if one of them is wrong."""
        if len(password) > MAX_PASSWORD_CHARACTERS:
            return None
        user = self.find_user(name)
        right = self._check(fold_name(name), password, None if user is None else user.hash)
        return user if right else None

    def _check(self, name: str, secret: str, hash: str | None) -> bool:
        digest = self._make_digest(name, secret)
        if hash is not None and self._checked.get(digest) == hash:
            return True
        if not is_secret(secret, hash) or hash is None:
            return False
        with self._checking:
            self._checked[digest] = hash
            self._checked.move_to_end(digest)
            while len(self._checked) > MAX_CHECKED:
                self._checked.popitem(last=False)
        return True

    def _make_digest(self, name: str, secret: str) -> bytes:
        folded = fold_name(name)
        text = f"{len(folded)} {folded} {secret}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._digest_key, text, hashlib.sha256)
