"""Links to finished pictures: signed, so that they work for whoever has them, and only for a while.

OpenAI's work for an hour, and so do these. They end with the server's process.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request

from paintdiff.api import messages
from paintdiff.gallery.files.other_formats import FileFormat

LINK_SECONDS = 3600


@dataclass(frozen=True)
class Linked:
    """A picture to link to: number `index` of a job's. `picture` is its id in the gallery or ""."""

    job: str
    index: int
    picture: str
    format: FileFormat
    quality: int


class Links:
    """Makes and checks links. `root_path` is the path that a reverse proxy puts in front."""

    def __init__(self, root_path: str = "") -> None:
        self._root_path = root_path
        self._key = secrets.token_bytes(32)

    def make(self, linked: Linked, request: Request) -> str:
        """Return the link to a picture, at the server as the request's client calls it."""
        headers = Headers(scope=request.scope)
        scheme = headers.get("x-forwarded-proto", request.url.scheme)
        expires = int(time.time()) + LINK_SECONDS
        query = {
            "picture": linked.picture,
            "quality": linked.quality,
            "expires": expires,
            "signature": self._sign(linked, expires),
        }
        place = f"/v1/images/files/{linked.job}/{linked.index}.{linked.format}"
        server = f"{'https' if scheme == 'https' else 'http'}://{headers['host']}"
        return f"{server}{self._root_path}{place}?{urlencode(query)}"

    def check(self, linked: Linked, expires: int, signature: str) -> None:
        """Raise HTTPException if a link wasn't made here, or has expired."""
        if not hmac.compare_digest(self._sign(linked, expires).encode(), signature.encode()):
            raise HTTPException(404, messages.NO_SUCH_LINK)
        if time.time() > expires:
            raise HTTPException(404, messages.LINK_EXPIRED)

    def _sign(self, linked: Linked, expires: int) -> str:
        text = "\0".join(map(str, (*asdict(linked).values(), expires)))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
