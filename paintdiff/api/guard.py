"""One ASGI guard around everything that is served, so that a new route is guarded before anyone
thinks of it.

It refuses, in this order: a Host that isn't ours (DNS rebinding), a state-changing request that
another site's page sends (CSRF), a visitor without the password if one is set, and a body that is
too large. It knows nothing of the routes behind it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_MAX_BODY_BYTES = 16 * 2**20
MAX_WRONG_PASSWORDS = 10
WRONG_PASSWORD_WINDOW_SECONDS = 60.0
COOKIE = "paintdiff_visitor"


class Hosts:
    """The names this server answers to. Ports don't matter: forwarding may change them, an attacker
    can't use them.

    `any_address` also lets every literal IP address in, for a server that listens on all of them: a
    rebinding attack needs a name.
    """

    def __init__(self, names: Iterable[str] = (), *, any_address: bool = False) -> None:
        self._names = {_bare(name) for name in (*LOOPBACK_NAMES, *names)}
        self._any_address = any_address

    def allow(self, name: str) -> None:
        """Answer to one more name, such as a share link's once it is known."""
        self._names.add(_bare(name))

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str) or not host:
            return False
        bare = _bare(host)
        return bare in self._names or (self._any_address and _is_address(bare))


class PasswordGate:
    """Checks a name and a password, and slows down whoever guesses.

    A visitor who once gave the right ones carries a signed cookie, and is let in whatever others
    do. Everyone else shares one budget of wrong guesses per window: behind a tunnel all visitors
    have the same address.
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
        self._wrong: deque[float] = deque()

    def knows(self, cookie: str) -> bool:
        """Whether the cookie is one that this process signed."""
        visitor, _, signature = cookie.partition(".")
        return hmac.compare_digest(self._signature(visitor).encode(), signature.encode())

    def cookie(self) -> str:
        """A new signed cookie."""
        visitor = secrets.token_urlsafe(16)
        return f"{visitor}.{self._signature(visitor)}"

    def seconds_to_wait(self) -> float:
        """How long until the next guess is heard, 0 if it is now."""
        now = self._clock()
        while self._wrong and now - self._wrong[0] >= self._window_seconds:
            self._wrong.popleft()
        if len(self._wrong) < self._max_wrong:
            return 0.0
        return self._window_seconds - (now - self._wrong[0])

    def opens_for(self, authorization: str) -> bool:
        """Whether a Basic authorization header is right. A wrong one costs a guess, a missing one
        doesn't."""
        given = _basic(authorization)
        if given is None:
            return False
        if hmac.compare_digest(_digest(*given), self._expected):
            return True
        self._wrong.append(self._clock())
        return False

    def _signature(self, visitor: str) -> str:
        return hmac.new(self._key, visitor.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Guard:
    """Wraps an ASGI app. `gate` is None if everyone may come in."""

    app: ASGIApp
    hosts: Hosts
    gate: PasswordGate | None = None
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    frame_ancestors: tuple[str, ...] = field(default=("'self'",))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by refusing, or hand the request on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket is served, so none is let in
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        refusal, cookie = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._forward(scope, receive, send, cookie)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[Response | None, str | None]:
        """Why the request isn't let in, or None; and a cookie to give if the password was right
        just now."""
        if len(headers.getlist("host")) != 1 or headers.get("host") not in self.hosts:
            text = "This server doesn't answer to that name. If it is yours: --allow-host NAME\n"
            return PlainTextResponse(text, 421), None
        if scope["method"] not in SAFE_METHODS and not _same_origin(headers):
            return PlainTextResponse("Another site's page may not do this.\n", 403), None
        refusal, cookie = self._password_refusal(headers)
        if refusal is not None:
            return refusal, None
        if _length(headers) > self.max_body_bytes:
            return self._too_large(), None
        return None, cookie

    def _password_refusal(self, headers: Headers) -> tuple[Response | None, str | None]:
        gate = self.gate
        if gate is None or gate.knows(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return None, None
        wait_seconds = gate.seconds_to_wait()
        if wait_seconds > 0:
            retry = {"Retry-After": str(int(wait_seconds) + 1)}
            return PlainTextResponse("Too many wrong passwords. Wait a little.\n", 429, retry), None
        if gate.opens_for(headers.get("authorization", "")):
            return None, gate.cookie()
        challenge = {"WWW-Authenticate": 'Basic realm="PaintDiffusion", charset="UTF-8"'}
        return PlainTextResponse("This app asks for a name and a password.\n", 401, challenge), None

    async def _forward(
        self, scope: Scope, receive: Receive, send: Send, cookie: str | None
    ) -> None:
        """Run the app with a counted body; a body over the limit ends the exchange with 413."""
        received = 0
        started = refused = False

        async def counted_receive() -> Message:
            nonlocal received, refused
            if refused:
                return {"type": "http.disconnect"}
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                refused = True
                if not started:
                    await self._too_large()(scope, receive, send)
                return {"type": "http.disconnect"}
            return message

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if refused:
                return
            if message["type"] == "http.response.start":
                started = True
                self._seal(MutableHeaders(scope=message), scope, cookie)
            await send(message)

        try:
            await self.app(scope, counted_receive, guarded_send)
        except Exception:
            if not refused:  # else it is only the disconnect that we told it of
                raise

    def _seal(self, headers: MutableHeaders, scope: Scope, cookie: str | None) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Content-Security-Policy"] = f"frame-ancestors {' '.join(self.frame_ancestors)}"
        if cookie is not None:
            secure = "; Secure" if _came_by_https(scope) else ""
            headers.append(
                "Set-Cookie", f"{COOKIE}={cookie}; HttpOnly; SameSite=Lax; Path=/{secure}"
            )

    def _too_large(self) -> Response:
        return PlainTextResponse(
            f"At most {self.max_body_bytes:,} bytes can be sent at once.\n", 413
        )


def _same_origin(headers: Headers) -> bool:
    """Whether a state-changing request comes from our own page, or from no page at all (a
    script)."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _came_by_https(scope: Scope) -> bool:
    return (
        scope.get("scheme") == "https" or Headers(scope=scope).get("x-forwarded-proto") == "https"
    )


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _bare(host: str) -> str:
    """A Host header's name without port, brackets, trailing dot or capitals."""
    try:
        return (urlsplit(f"//{host.strip()}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(user: str, password: str) -> bytes:
    return hashlib.sha256(f"{user}\0{password}".encode()).digest()


def _basic(authorization: str) -> tuple[str, str] | None:
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None
