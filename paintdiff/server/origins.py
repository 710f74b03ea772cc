"""Other sites whose pages may use the API: `--allow-origin`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.datastructures import Headers, MutableHeaders

ANY = "*"
_METHODS = ("GET", "HEAD", "POST", "DELETE")
_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-API-Key")
_EXPOSED = "Location, Retry-After"
_PREFLIGHT_SECONDS = "600"


class Origins:
    """The origins that may read answers and send requests, besides our own page.

    A listed one is trusted like our own page: its visitors' cookies count. With "*", any other page
    may come, too, but only with what it sends itself, such as a key: no cookie counts, and nobody
    is taken for the person on this machine.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._listed = frozenset(allowed)
        self._any = ANY in self._listed

    def trusts(self, headers: Headers) -> bool:
        """Return whether a request comes from a listed origin."""
        return headers.get("origin", ANY) in self._listed - {ANY}

    def admits(self, headers: Headers) -> bool:
        """Return whether a request comes from an origin that is listed, or from any if any may."""
        origin = headers.get("origin")
        if origin is None or origin == "null":  # of files and sandboxes: nobody's
            return False
        return self._any or self.trusts(headers)

    def answer_preflight(self, method: str, headers: Headers) -> Response | None:
        """Return the answer to a browser that asks whether it may send a request, if it may."""
        asks = method == "OPTIONS" and "access-control-request-method" in headers
        if not asks or not self.admits(headers):
            return None
        answer = Response(status_code=204)
        answer.headers["Access-Control-Allow-Methods"] = ", ".join(_METHODS)
        answer.headers["Access-Control-Allow-Headers"] = ", ".join(_HEADERS)
        answer.headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        return answer

    def let_read(self, answer: MutableHeaders, headers: Headers) -> None:
        """Add the headers with which a browser lets the page of an admitted origin read it."""
        if self._listed:
            answer.add_vary_header("Origin")
        if not self.admits(headers):
            return
        trusted = self.trusts(headers)
        answer["Access-Control-Allow-Origin"] = headers["origin"] if trusted else ANY
        if trusted:
            answer["Access-Control-Allow-Credentials"] = "true"
        answer["Access-Control-Expose-Headers"] = _EXPOSED
