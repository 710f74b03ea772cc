"""The guard around everything that is served, so that a new route is guarded before anyone thinks
of it.

It refuses, in this order: a Host that isn't ours (DNS rebinding), a request that another site's
page sends (CSRF), a visitor without the password if one is set, and a body that is too large or too
slow. It knows nothing of the routes behind it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paintdiff.server.bodies import ArrivingBodies, LimitedBody, too_large
from paintdiff.server.connections import in_pieces
from paintdiff.server.passwords import PasswordGate, has_credentials
from paintdiff.server.visitors import client_address, visitor_of

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})
"""Names under which every program of this machine may serve pages, each at a port of its own."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_MAX_BODY_BYTES = 16 * 2**20
COOKIE = "paintdiff_visitor"
RETRY_SECONDS = "5"
_HOST = re.compile(r"(?:[^\s/?#@:\[\]\\,]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
"""A name or an address, and perhaps a port: no address of a page, of which it would be a part."""
_REFLECTED = frozenset({b"x-forwarded-host", b"x-gradio-server"})


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
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            return False
        bare = _bare(host)
        return bare in self._names or (self._any_address and _is_address(bare))

    def own_page_sent(self, headers: Headers) -> bool:
        """Return whether a state-changing request comes from our own page, or from no page at all.

        A reverse proxy may rewrite the Host header and its port, so an Origin counts as ours if it
        has the name of the Host, or a name that was allowed. On this machine another port is
        another program, so there the ports have to agree.
        """
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        try:
            place = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        host = headers.get("host", "").lower()
        name = _bare(place)
        if name in THIS_MACHINE:
            return place == host
        return bool(name) and (name == _bare(host) or name in self._names)


@dataclass(frozen=True)
class Guard:
    """Wraps an ASGI app.

    `gate` is None if everyone may come in. `public` are the beginnings of paths whose files are the
    same for everyone, and may be kept by a browser even behind a password.
    """

    app: ASGIApp
    hosts: Hosts
    gate: PasswordGate | None = None
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    frame_ancestors: tuple[str, ...] = field(default=("'self'",))
    public: tuple[str, ...] = ()
    _arriving: ArrivingBodies = field(default_factory=ArrivingBodies, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by refusing, or hand the request on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket is served, so none is let in
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        refusal, cookie = await self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._forward(_without_reflected_headers(scope), receive, send, cookie)

    async def _refusal(self, scope: Scope, headers: Headers) -> tuple[Response | None, str | None]:
        """Return why the request isn't let in, or None; and a cookie to set if it brought the right
        password."""
        if "content-length" in headers and "transfer-encoding" in headers:
            text = "A request has a length or is sent in chunks, never both.\n"
            return PlainTextResponse(text, 400, {"Connection": "close"}), None
        if len(headers.getlist("host")) != 1 or headers.get("host") not in self.hosts:
            text = (
                "This server doesn't answer to that host name. To allow it, start with "
                "--allow-host NAME.\n"
            )
            return PlainTextResponse(text, 421), None
        if scope["method"] in SAFE_METHODS:
            ours = not _another_page_reads(headers)
        else:
            ours = self.hosts.own_page_sent(headers)
        if not ours:
            return PlainTextResponse("Requests from other sites are blocked.\n", 403), None
        refusal, cookie = await self._password_refusal(scope, headers)
        if refusal is not None:
            return refusal, None
        if _length(headers) > self.max_body_bytes:
            return too_large(self.max_body_bytes), None
        return None, cookie

    async def _password_refusal(
        self, scope: Scope, headers: Headers
    ) -> tuple[Response | None, str | None]:
        gate = self.gate
        if gate is None or gate.knows(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return None, None
        address = client_address(scope)
        authorization = headers.get("authorization", "")
        if has_credentials(authorization) and not await gate.take_turn(address):
            text = "Too many passwords were wrong lately. Try again in a few seconds.\n"
            return PlainTextResponse(text, 429, {"Retry-After": RETRY_SECONDS}), None
        if gate.opens_for(authorization, address):
            return None, gate.cookie()
        challenge = {"WWW-Authenticate": 'Basic realm="PaintDiffusion", charset="UTF-8"'}
        return PlainTextResponse(
            "This app requires a user name and password.\n", 401, challenge
        ), None

    async def _forward(
        self, scope: Scope, receive: Receive, send: Send, cookie: str | None
    ) -> None:
        """Run the app with a body that is counted and timed; one over a limit ends the exchange."""
        visitor = visitor_of(client_address(scope))
        body = LimitedBody(receive, self.max_body_bytes, self._arriving, visitor)
        started = False

        async def limited_receive() -> Message:
            message = await body.receive()
            if body.refusal is not None and not started:
                await body.refusal(scope, receive, send)
            return message

        async def sealed_send(message: Message) -> None:
            nonlocal started
            if body.refusal is not None:
                return
            if message["type"] == "http.response.start":
                started = True
                self._seal(MutableHeaders(scope=message), scope, cookie)
            await send(message)

        try:
            await self.app(scope, limited_receive, in_pieces(sealed_send))
        except Exception:
            if body.refusal is None:  # else it is only the disconnect that the app was told of
                raise
        finally:
            body.close()

    def _seal(self, headers: MutableHeaders, scope: Scope, cookie: str | None) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Content-Security-Policy"] = f"frame-ancestors {' '.join(self.frame_ancestors)}"
        for name in [each for each in headers if each.startswith("access-control-")]:
            del headers[name]  # no other site's page may read what is served here
        if self.gate is not None and not scope["path"].startswith(self.public):
            headers["Cache-Control"] = "no-store"
        if cookie is not None:
            secure = "; Secure" if _came_by_https(scope) else ""
            headers.append(
                "Set-Cookie", f"{COOKIE}={cookie}; HttpOnly; SameSite=Lax; Path=/{secure}"
            )


def _another_page_reads(headers: Headers) -> bool:
    """Return whether another site's page reads or embeds something; a link to us is no reading."""
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode", "navigate")
    return site in ("cross-site", "same-site") and mode != "navigate"


def _without_reflected_headers(scope: Scope) -> Scope:
    """Return the scope without the headers from which Gradio takes its own address."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _REFLECTED]
    return {**scope, "headers": kept}


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
