"""The gate: who may enter, by a password, a key, a sign-in or without any of them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from paintdiff.accounts.scopes import ALL_SCOPES, VISITOR_SCOPES, Scope
from paintdiff.server import messages
from paintdiff.server.authentication.credentials import Credentials, read_credentials
from paintdiff.server.authentication.guesses import GuessLimit
from paintdiff.server.authentication.sign_ins import SignIns
from paintdiff.server.identities import Identity, name_user
from paintdiff.server.problems import Refusal

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from paintdiff.accounts.directory import Directory
    from paintdiff.accounts.store import ApiKey, User

RETRY_SECONDS = "5"
MAX_READ_SECONDS = 1.0
"""How long a request waits for a database that answers slowly, if the accounts are known."""
_CHECKS_AT_ONCE = 2
"""How many secrets are hashed at once: each takes 19 MiB and a core."""
_KEY, _USER, _PASSWORD = "key", "user", "password"

T = TypeVar("T")


@dataclass(frozen=True)
class Admission:
    """The gate's answer.

    With a `refusal` the request ends. Without it and without an `identity` the sender is unknown,
    and `may_enter` is whether that is enough. `cookie` is a new sign-in, to be set.
    """

    identity: Identity | None = None
    refusal: Refusal | None = None
    may_enter: bool = True
    cookie: str | None = None


class Gate:
    """Admits requests.

    `password` is the one of `--auth`, as (user, password). `directory` has keys and users. Without
    any of them everybody may enter. With a password or a user, nobody may without signing in, on
    this machine neither. With keys alone, only people on this machine may, unless the app is
    `open` on purpose: then everybody may as long as there is no password.
    """

    def __init__(
        self,
        password: tuple[str, str] | None = None,
        directory: Directory | None = None,
        *,
        open: bool = False,
        guesses: GuessLimit | None = None,
    ) -> None:
        self._password = password
        self._stamp = "" if password is None else _digest(*password).hex()
        self._directory = directory
        self._open = open
        self._guesses = guesses if guesses is not None else GuessLimit()
        self._sign_ins = SignIns()
        self._reader = ThreadPoolExecutor(1, "accounts")
        self._checker = ThreadPoolExecutor(_CHECKS_AT_ONCE, "secrets")

    async def admit(
        self, headers: Headers, address: str, cookie: str = "", *, local: bool = False
    ) -> Admission:
        """Return whether a request may enter, and as whom.

        `address` is the network address that guesses are counted by; `cookie` is that of a sign-in,
        "" if there is none; `local` is whether it comes straight from this machine.
        """
        await self._refresh()
        given = read_credentials(headers)
        if given is not None and (given.is_key or self._has_passwords()):
            return await self.check(given, address, local=local)
        identity = self._find_signed_in(cookie, local=local) if cookie else None
        if identity is not None:
            return Admission(identity)
        return Admission(may_enter=self._admits_anonymous(local=local))

    async def check(self, given: Credentials, address: str, *, local: bool = False) -> Admission:
        """Check what somebody gave; a wrong secret counts as a guess."""
        await self._refresh()
        if self._is_known_key(given):
            return await self._check(given, local=local)
        turn = await self._guesses.take_turn(address, local=local)
        if turn is None:
            wait = {"Retry-After": RETRY_SECONDS}
            return Admission(refusal=Refusal(429, messages.TOO_MANY_WRONG_PASSWORDS, wait))
        right = False
        try:
            admission = await self._check(given, local=local)
            right = admission.refusal is None
            return admission
        finally:
            turn.end(right=right)

    async def _check(self, given: Credentials, *, local: bool) -> Admission:
        if self._is_password(given):
            cookie = self._sign_ins.make(_PASSWORD, self._stamp)
            return Admission(self._identify_password(local=local), cookie=cookie)
        if given.is_key:
            key = await self._find_key(given)
            if key is None:
                return Admission(refusal=Refusal(401, messages.WRONG_KEY))
            cookie = self._sign_ins.make(f"{_KEY} {key.id}", key.hash)
            return Admission(_identify_key(key), cookie=cookie)
        user = await self._find_user(given)
        if user is None:
            return Admission(refusal=Refusal(401, messages.WRONG_PASSWORD))
        cookie = self._sign_ins.make(f"{_USER} {user.name}", user.hash)
        return Admission(_identify_user(user), cookie=cookie)

    def sign_out(self, cookie: str) -> None:
        """End a sign-in."""
        self._sign_ins.end(cookie, self._find_stamp)

    async def _refresh(self) -> None:
        directory = self._directory
        if directory is None or directory.is_fresh:
            return
        reading = self._run(self._reader, directory.read)
        known = directory.latest is not None
        await asyncio.wait({reading}, timeout=MAX_READ_SECONDS if known else None)
        if reading.done():
            reading.result()  # an unexpected error ends the request: nobody enters unchecked

    async def _find_key(self, given: Credentials) -> ApiKey | None:
        directory = self._directory
        if directory is None:
            return None
        return await self._run(self._checker, lambda: directory.check_key(given.secret))

    async def _find_user(self, given: Credentials) -> User | None:
        directory = self._directory
        if directory is None or not (directory.latest and directory.latest.users):
            return None
        check = directory.check_password
        return await self._run(self._checker, lambda: check(given.user, given.secret))

    def _is_known_key(self, given: Credentials) -> bool:
        """Return whether it is a key that was checked before. Keys are too long to be guessed."""
        directory = self._directory
        return given.is_key and directory is not None and directory.was_key_checked(given.secret)

    def _is_password(self, given: Credentials) -> bool:
        if self._password is None:
            return False
        expected = _digest(*self._password)
        return hmac.compare_digest(_digest(given.user, given.secret), expected)

    def _has_passwords(self) -> bool:
        directory = self._directory
        users = directory is not None and directory.latest and directory.latest.users
        return self._password is not None or bool(users)

    def _admits_anonymous(self, *, local: bool) -> bool:
        directory = self._directory
        if self._password is not None:
            return False
        if directory is None or self._open:
            return True
        if directory.latest is None:  # unreadable: there may be users, but who owns the files?
            return local
        if directory.latest.users:
            return False
        return local or not directory.has_active_keys()

    def _find_signed_in(self, cookie: str, *, local: bool) -> Identity | None:
        subject = self._sign_ins.find_subject(cookie, self._find_stamp)
        kind, _, name = (subject or "").partition(" ")
        directory = self._directory
        if kind == _PASSWORD:
            return self._identify_password(local=local)
        if kind == _USER and directory is not None:
            user = directory.find_user(name)
            return None if user is None else _identify_user(user)
        if kind == _KEY and directory is not None:
            key = directory.find_key(name)
            return None if key is None else _identify_key(key)
        return None

    def _find_stamp(self, subject: str) -> str | None:
        kind, _, name = subject.partition(" ")
        if kind == _PASSWORD:
            return self._stamp or None
        if self._directory is None:
            return None
        directory = self._directory
        account = directory.find_key(name) if kind == _KEY else directory.find_user(name)
        return None if account is None else account.hash

    def _identify_password(self, *, local: bool) -> Identity:
        assert self._password is not None
        scopes = ALL_SCOPES if local else VISITOR_SCOPES
        user = self._password[0]
        return Identity(name_user(user), sees_all=local, scopes=scopes, name=user)

    @staticmethod
    def _run(executor: ThreadPoolExecutor, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.wrap_future(executor.submit(work))


def _identify_key(key: ApiKey) -> Identity:
    sees_all = Scope.MANAGE in key.scopes
    return Identity(key.owner, sees_all=sees_all, scopes=key.scopes, name=key.name)


def _identify_user(user: User) -> Identity:
    sees_all = Scope.MANAGE in user.scopes
    return Identity(user.name, sees_all=sees_all, scopes=user.scopes, name=user.name)


def _digest(user: str, password: str) -> bytes:
    text = f"{user}\0{password}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()
