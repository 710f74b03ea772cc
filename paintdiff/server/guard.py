"""The guard around everything served, so that a new route is guarded from the start.

It refuses, in this order: an unknown Host (DNS rebinding), a request sent by another site's page
(CSRF), a visitor without the password if one is set, and a body that is too large or too slow. It
knows nothing of the routes behind it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paintdiff.server import identities, messages
from paintdiff.server.bodies import ArrivingBodies, LimitedBody, too_large
from paintdiff.server.connections import send_in_pieces
from paintdiff.server.identities import Identity
from paintdiff.server.passwords import PasswordGate, has_credentials
from paintdiff.server.problems import ErrorShapes, Refusal
from paintdiff.server.visitors import identify_visitor, read_client_address

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})
"""Names of this machine, on which every program may serve pages, each at its own port."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_MAX_BODY_BYTES = 16 * 2**20
COOKIE = "paintdiff_visitor"
BROWSER_COOKIE_SECONDS = 365 * 24 * 3600
RETRY_SECONDS = "5"
_HOST = re.compile(r"(?:[^\s/?#@:\[\]\\,]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
"""A name or an address, and perhaps a port; nothing else that a URL could contain."""
_DROPPED = frozenset({b"x-forwarded-host", b"x-gradio-server", identities.HEADER.encode()})
"""Headers that Gradio derives its own address from, and the one that only the guard sets."""


class Hosts:
    """The names this server answers to.

    Ports don't matter: forwarding may change them, and an attacker can't use them. `any_address`
    also admits every literal IP address, for a server that listens on all of them: a rebinding
    attack needs a name. With names of other machines it `may_have_proxy`, whose requests come from
    this machine and need not say for whom.
    """

    def __init__(self, names: Iterable[str] = (), *, any_address: bool = False) -> None:
        self._names = {_strip_port(name) for name in (*LOOPBACK_NAMES, *names)}
        self._any_address = any_address
        self.may_have_proxy = not self._names <= THIS_MACHINE

    def allow(self, name: str) -> None:
        """Answer to one more name, such as a share link's once it is known."""
        self._names.add(_strip_port(name))

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            return False
        bare = _strip_port(host)
        return bare in self._names or (self._any_address and _is_address(bare))

    def is_own_page(self, headers: Headers) -> bool:
        """Return whether a state-changing request comes from our own page, or from no page at all.

        A reverse proxy may rewrite the Host header and its port, so an Origin is ours if it has the
        Host's name or an allowed one. On this machine another port is another program, so there the
        ports must match.
        """
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        try:
            place = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        host = headers.get("host", "").lower()
        name = _strip_port(place)
        if name in THIS_MACHINE:
            return place == host
        return bool(name) and (name == _strip_port(host) or name in self._names)


@dataclass(frozen=True)
class Guard:
    """ASGI middleware around an app.

    `gate` is None if everyone may enter. `public` are prefixes of paths whose files are the same
    for everyone; a browser may cache them even behind a password. `shapes` make the responses to
    refused requests.
    """

    app: ASGIApp
    hosts: Hosts
    gate: PasswordGate | None = None
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    frame_ancestors: tuple[str, ...] = field(default=("'self'",))
    public: tuple[str, ...] = ()
    shapes: ErrorShapes = field(default_factory=ErrorShapes)
    _arriving: ArrivingBodies = field(default_factory=ArrivingBodies, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket is served, so none is admitted
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        refusal, cookie = await self._refusal(scope, headers)
        if refusal is not None:
            await self.shapes.respond(refusal, scope)(scope, receive, send)
            return
        identity, browser_cookie = self._identify(scope, headers)
        cookies = [each for each in (cookie, browser_cookie) if each is not None]
        await self._forward(_make_inner_scope(scope, identity), receive, send, cookies)

    async def _refusal(self, scope: Scope, headers: Headers) -> tuple[Refusal | None, str | None]:
        """Return the reason for a refusal, or None; and a Set-Cookie after the right password."""
        if "content-length" in headers and "transfer-encoding" in headers:
            reason = messages.LENGTH_AND_CHUNKS_TOGETHER
            return Refusal(400, reason, {"Connection": "close"}), None
        if len(headers.getlist("host")) != 1 or headers.get("host") not in self.hosts:
            return Refusal(421, messages.UNKNOWN_HOST), None
        if scope["method"] in SAFE_METHODS:
            ours = not _another_page_reads(headers)
        else:
            ours = self.hosts.is_own_page(headers)
        if not ours:
            return Refusal(403, messages.FROM_ANOTHER_SITE), None
        refusal, cookie = await self._password_refusal(scope, headers)
        if refusal is not None:
            return refusal, None
        if _read_length(headers) > self.max_body_bytes:
            return too_large(self.max_body_bytes), None
        return None, cookie

    async def _password_refusal(
        self, scope: Scope, headers: Headers
    ) -> tuple[Refusal | None, str | None]:
        gate = self.gate
        if gate is None or gate.knows(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return None, None
        address = read_client_address(scope)
        authorization = headers.get("authorization", "")
        if has_credentials(authorization) and not await gate.take_turn(address):
            reason = messages.TOO_MANY_WRONG_PASSWORDS
            return Refusal(429, reason, {"Retry-After": RETRY_SECONDS}), None
        if gate.opens_for(authorization, address):
            return None, _make_cookie(scope, COOKIE, gate.cookie())
        challenge = {"WWW-Authenticate": 'Basic realm="PaintDiffusion", charset="UTF-8"'}
        return Refusal(401, messages.PASSWORD_REQUIRED, challenge), None

    def _identify(self, scope: Scope, headers: Headers) -> tuple[Identity, str | None]:
        """Return who sends an admitted request, and a cookie to know a new browser again."""
        host = _strip_port(headers.get("host", ""))
        local = (
            not self.hosts.may_have_proxy
            and scope.get("http_version") != "1.0"  # nginx's, if nothing else is set; no browser's
            and identities.is_from_this_machine(read_client_address(scope), host, headers)
        )
        if self.gate is not None:
            return Identity(self.gate.user, sees_all=local), None
        if local:
            return Identity(), None
        token = cookie_parser(headers.get("cookie", "")).get(identities.COOKIE, "")
        if identities.is_token(token):
            return Identity(identities.name_browser(token), sees_all=False), None
        token = identities.make_token()
        framed = any(each != "'self'" for each in self.frame_ancestors)
        cookie = _make_cookie(
            scope, identities.COOKIE, token, BROWSER_COOKIE_SECONDS, framed=framed
        )
        return Identity(identities.name_browser(token), sees_all=False), cookie

    async def _forward(
        self, scope: Scope, receive: Receive, send: Send, cookies: Sequence[str]
    ) -> None:
        """Run the app with a counted and timed body; exceeding a limit ends the exchange."""
        visitor = identify_visitor(read_client_address(scope))
        body = LimitedBody(receive, self.max_body_bytes, self._arriving, visitor)
        started = False

        async def limited_receive() -> Message:
            message = await body.receive()
            if body.refusal is not None and not started:
                await self.shapes.respond(body.refusal, scope)(scope, receive, send)
            return message

        async def sealed_send(message: Message) -> None:
            nonlocal started
            if body.refusal is not None:
                return
            if message["type"] == "http.response.start":
                started = True
                self._seal(MutableHeaders(scope=message), scope, cookies)
            await send(message)

        try:
            await self.app(scope, limited_receive, send_in_pieces(sealed_send))
        except Exception:
            if body.refusal is None:  # else it is only the disconnect that the app saw
                raise
        finally:
            body.close()

    def _seal(self, headers: MutableHeaders, scope: Scope, cookies: Sequence[str]) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Content-Security-Policy"] = f"frame-ancestors {' '.join(self.frame_ancestors)}"
        for name in [each for each in headers if each.startswith("access-control-")]:
            del headers[name]  # no other site's page may read what is served here
        if scope["path"].startswith(self.public):
            return  # a cache may keep it, but must not keep somebody's cookie
        if self.gate is not None:
            headers["Cache-Control"] = "no-store"
        for cookie in cookies:
            headers.append("Set-Cookie", cookie)


def _another_page_reads(headers: Headers) -> bool:
    """Return whether another site's page reads or embeds something; a link isn't reading."""
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode", "navigate")
    return site in ("cross-site", "same-site") and mode != "navigate"


def _make_inner_scope(scope: Scope, identity: Identity) -> Scope:
    """Return the scope with headers that can be trusted, the identity's among them."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _DROPPED]
    own = (identities.HEADER.encode(), identity.format().encode())
    return {**scope, "headers": [*kept, own]}


def _make_cookie(
    scope: Scope, name: str, value: str, seconds: int | None = None, *, framed: bool = False
) -> str:
    """Return a Set-Cookie header.

    In a frame on another site's page a browser sends only cookies that are made for that.
    """
    secure = _came_by_https(scope)
    site = "None; Partitioned" if framed and secure else "Lax"
    age = "" if seconds is None else f"; Max-Age={seconds}"
    end = "; Secure" if secure else ""
    return f"{name}={value}; HttpOnly; SameSite={site}; Path=/{age}{end}"


def _came_by_https(scope: Scope) -> bool:
    return (
        scope.get("scheme") == "https" or Headers(scope=scope).get("x-forwarded-proto") == "https"
    )


def _read_length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _strip_port(host: str) -> str:
    """Return a Host header's name without port, brackets, trailing dot or capitals."""
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
