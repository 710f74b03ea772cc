"""The guard around everything served, so that a new route is guarded from the start.

It refuses, in this order: an unknown Host (DNS rebinding), a request sent by another site's page
(CSRF), a visitor who must sign in (see `gate`), and a body that is too large or too slow. It knows
nothing of the routes behind it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paintdiff.accounts.scopes import VISITOR_SCOPES
from paintdiff.server import identities, messages
from paintdiff.server.authentication.credentials import read_credentials
from paintdiff.server.authentication.gate import Gate
from paintdiff.server.authentication.sign_in_page import (
    MAX_FORM_BYTES,
    SIGN_IN_PATH,
    SIGN_OUT_PATH,
    read_form,
    show_sign_in,
    show_sign_out,
)
from paintdiff.server.authentication.sign_ins import SIGN_IN_SECONDS
from paintdiff.server.bodies import ArrivingBodies, LimitedBody, too_large
from paintdiff.server.connections import send_in_pieces
from paintdiff.server.identities import Identity, make_stranger
from paintdiff.server.origins import Origins
from paintdiff.server.problems import ErrorShapes, Refusal, strip_root_path
from paintdiff.server.visitors import identify_visitor, read_client_address

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})
"""Names of this machine, on which every program may serve pages, each at its own port."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNING_METHODS = ("GET", "HEAD", "POST")
DEFAULT_MAX_BODY_BYTES = 16 * 2**20
COOKIE = "paintdiff_visitor"
BROWSER_COOKIE_SECONDS = 365 * 24 * 3600
CHALLENGE_OF_PAGES = 'Bearer realm="PaintDiffusion"'
CHALLENGE = ", ".join(('Basic realm="PaintDiffusion"', 'charset="UTF-8"', CHALLENGE_OF_PAGES))
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

    `gate` decides who may enter; `open_paths` are those that need no sign-in. `public` are prefixes
    of paths whose files are the same for everyone; a browser may cache them even behind a password.
    `origins` are those of other sites that may use the app. `shapes` make the responses to refused
    requests.
    """

    app: ASGIApp
    hosts: Hosts
    gate: Gate = field(default_factory=Gate)
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    frame_ancestors: tuple[str, ...] = field(default=("'self'",))
    public: tuple[str, ...] = ()
    open_paths: frozenset[str] = frozenset()
    origins: Origins = field(default_factory=Origins)
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
        exchange = _Exchange(self, scope, Headers(scope=scope), receive, send)
        refusal = self._find_refusal(exchange)
        if refusal is not None:
            await exchange.refuse(refusal)
            return
        preflight = self.origins.answer_preflight(scope["method"], exchange.headers)
        if preflight is not None:
            await exchange.respond(preflight)
        elif exchange.path in (SIGN_IN_PATH, SIGN_OUT_PATH):
            await self._sign(exchange)
        else:
            await self._admit(exchange)

    def _find_refusal(self, exchange: _Exchange) -> Refusal | None:
        """Return why a request is refused, whoever sends it."""
        headers = exchange.headers
        if "content-length" in headers and "transfer-encoding" in headers:
            return Refusal(400, messages.LENGTH_AND_CHUNKS_TOGETHER, {"Connection": "close"})
        if len(headers.getlist("host")) != 1 or headers.get("host") not in self.hosts:
            return Refusal(421, messages.UNKNOWN_HOST)
        if self.origins.admits(headers):
            return None
        if exchange.scope["method"] in SAFE_METHODS:
            ours = not _another_page_reads(headers)
        else:
            ours = self.hosts.is_own_page(headers)
        return None if ours else Refusal(403, messages.FROM_ANOTHER_SITE)

    async def _admit(self, exchange: _Exchange) -> None:
        """Let the gate decide, and run the app for whoever may enter."""
        headers, address = exchange.headers, read_client_address(exchange.scope)
        local = exchange.comes_from_this_machine()
        admission = await self.gate.admit(headers, address, exchange.sign_in, local=local)
        is_open = exchange.path in self.open_paths
        exchange.is_private = admission.identity is not None or not admission.may_enter
        if admission.refusal is not None:
            await exchange.refuse(admission.refusal)
        elif admission.identity is None and not admission.may_enter and not is_open:
            await exchange.refuse(Refusal(401, messages.SIGN_IN))
        elif _read_length(headers) > self.max_body_bytes:
            await exchange.refuse(too_large(self.max_body_bytes))
        else:
            identity = admission.identity
            if admission.cookie is not None and not exchange.has_key:
                exchange.set_cookie(COOKIE, admission.cookie, SIGN_IN_SECONDS)
            if identity is None:
                known = admission.may_enter
                identity = self._find_anonymous(exchange, local) if known else make_stranger()
            await self._forward(exchange, identity)

    async def _sign(self, exchange: _Exchange) -> None:
        """Sign somebody in or out. Another site's page can't: its visitors would paint for it."""
        method = exchange.scope["method"]
        if method not in _SIGNING_METHODS:
            allowed = ", ".join(_SIGNING_METHODS)
            wrong = Refusal(405, messages.wrong_method(allowed), {"Allow": allowed})
            await exchange.refuse(wrong)
            return
        if method != "POST":
            is_out = exchange.path == SIGN_OUT_PATH
            show = show_sign_out if is_out else partial(show_sign_in, status=200)
            await exchange.respond(show(exchange.path))
            return
        if not self.hosts.is_own_page(exchange.headers):
            await exchange.refuse(Refusal(403, messages.FROM_ANOTHER_SITE))
            return
        if exchange.path == SIGN_OUT_PATH:
            self.gate.sign_out(exchange.sign_in)
            exchange.set_cookie(COOKIE, "", 0)
            await exchange.respond(RedirectResponse("./", 303))
            return
        address = read_client_address(exchange.scope)
        body = LimitedBody(
            exchange.receive, MAX_FORM_BYTES, self._arriving, identify_visitor(address)
        )
        try:
            given = await read_form(body.receive)
        finally:
            body.close()
        if given is None:
            page = show_sign_in(exchange.path, messages.UNREADABLE_FORM, 400)
            await exchange.respond(page)
            return
        local = exchange.comes_from_this_machine()
        admission = await self.gate.check(given, address, local=local)
        if admission.refusal is not None:
            wrong = admission.refusal
            page = show_sign_in(exchange.path, wrong.detail, wrong.status, user=given.user)
            page.headers.update(wrong.headers)
            await exchange.respond(page)
            return
        exchange.set_cookie(COOKIE, admission.cookie or "", SIGN_IN_SECONDS)
        await exchange.respond(RedirectResponse("./", 303))

    def _find_anonymous(self, exchange: _Exchange, local: bool) -> Identity:
        """Return who somebody is who hasn't signed in; a new browser gets a cookie."""
        if local:
            return Identity()
        token = exchange.cookies.get(identities.COOKIE, "")
        if not identities.is_token(token):
            token = identities.make_token()
            exchange.set_cookie(identities.COOKIE, token, BROWSER_COOKIE_SECONDS)
        return Identity(identities.name_browser(token), sees_all=False, scopes=VISITOR_SCOPES)

    async def _forward(self, exchange: _Exchange, identity: Identity) -> None:
        """Run the app with a counted and timed body; exceeding a limit ends the exchange."""
        scope = _make_inner_scope(exchange.scope, identity)
        visitor = identify_visitor(read_client_address(scope))
        body = LimitedBody(exchange.receive, self.max_body_bytes, self._arriving, visitor)
        started = False

        async def limited_receive() -> Message:
            message = await body.receive()
            if body.refusal is not None and not started:
                await exchange.refuse(body.refusal)
            return message

        async def sealed_send(message: Message) -> None:
            nonlocal started
            if body.refusal is not None:
                return
            if message["type"] == "http.response.start":
                started = True
                exchange.seal(MutableHeaders(scope=message))
            await exchange.send(message)

        try:
            await self.app(scope, limited_receive, send_in_pieces(sealed_send))
        except Exception:
            if body.refusal is None:  # else it is only the disconnect that the app saw
                raise
        finally:
            body.close()


class _Exchange:
    """One request and its response: what the guard reads of the one and adds to the other."""

    def __init__(
        self, guard: Guard, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        self.scope, self.headers, self.receive, self.send = scope, headers, receive, send
        self.path = strip_root_path(guard.shapes.root_path, scope["path"])
        self._guard = guard
        self._set_cookies: list[str] = []
        self._is_guards_own = False
        self.is_private = False
        """Whether nobody may keep a copy of the response."""
        any_origin = guard.origins.admits(headers) and not guard.origins.trusts(headers)
        self.is_stranger_s = any_origin and not guard.hosts.is_own_page(headers)
        cookie = "" if self.is_stranger_s else headers.get("cookie", "")
        self.cookies = cookie_parser(cookie)

    @property
    def sign_in(self) -> str:
        """Return the cookie of a sign-in, "" if there is none."""
        return self.cookies.get(COOKIE, "")

    @property
    def has_key(self) -> bool:
        """Return whether the request has an API key, so that it needs no cookie."""
        given = read_credentials(self.headers)
        return given is not None and given.is_key

    def comes_from_this_machine(self) -> bool:
        """Return whether the request comes straight from somebody on this machine."""
        host = _strip_port(self.headers.get("host", ""))
        return (
            not self.is_stranger_s
            and not self._guard.hosts.may_have_proxy
            and self.scope.get("http_version") != "1.0"  # nginx's, if nothing else is set
            and identities.is_from_this_machine(read_client_address(self.scope), host, self.headers)
        )

    def set_cookie(self, name: str, value: str, seconds: int) -> None:
        """Add a cookie to the response."""
        framed = any(each != "'self'" for each in self._guard.frame_ancestors)
        self._set_cookies.append(_make_cookie(self.scope, name, value, seconds, framed=framed))

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal; a browser that may sign in gets the page for it."""
        if refusal.status == 401:
            await self.respond(self._ask_to_sign_in(refusal))
            return
        await self.respond(self._guard.shapes.respond(refusal, self.scope))

    async def respond(self, response: Response) -> None:
        """Answer with a response of the guard's own."""

        async def sealed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seal(MutableHeaders(scope=message))
            await self.send(message)

        self._is_guards_own = self.is_private = True
        await response(self.scope, self.receive, sealed_send)

    def _ask_to_sign_in(self, refusal: Refusal) -> Response:
        mode = self.headers.get("sec-fetch-mode")
        if "text/html" in self.headers.get("accept", "") and mode in (None, "navigate"):
            detail = "" if refusal.detail == messages.SIGN_IN else refusal.detail
            return show_sign_in(self.path, detail)
        # A browser would open a window of its own over our page.
        challenge = CHALLENGE if mode is None else CHALLENGE_OF_PAGES
        headers = {**refusal.headers, "WWW-Authenticate": challenge}
        return self._guard.shapes.respond(replace(refusal, headers=headers), self.scope)

    def seal(self, headers: MutableHeaders) -> None:
        """Add what every response has, and drop what no other site's page needs to know."""
        guard = self._guard
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Content-Security-Policy"] = f"frame-ancestors {' '.join(guard.frame_ancestors)}"
        if not self._is_guards_own:  # who may read an answer isn't a route's to decide
            for name in [each for each in headers if each.startswith("access-control-")]:
                del headers[name]
        guard.origins.let_read(headers, self.headers)
        if self.path.startswith(guard.public):
            return  # a cache may keep it, but must not keep somebody's cookie
        if self.is_private:
            headers["Cache-Control"] = "no-store"
        for cookie in self._set_cookies:
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
