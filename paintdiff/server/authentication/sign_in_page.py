"""The page to sign in and out. It needs nothing else of the server, which may be closed to all."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse
from starlette.types import Receive

from paintdiff.server import messages
from paintdiff.server.authentication.credentials import Credentials

MAX_FORM_BYTES = 8192
SIGN_IN_PATH, SIGN_OUT_PATH = "/login", "/logout"
_FIELDS = ("user", "password")

# The colours of the page's theme in `ui/page.py`, which can't be asked for before signing in.
_STYLE = """
:root { color-scheme: light dark; --back: #f5f3ee; --card: #fffdfa; --text: #26241f;
  --line: #d3cdc1; --bad: #b3261e; --main: #3f4fb3; }
@media (prefers-color-scheme: dark) { :root { --back: #15161a; --card: #1d1f24; --text: #e9e7e2;
  --line: #3a3d45; --bad: #ff8a80; --main: #5666cf; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { width: min(100%, 22rem); }
form { padding: 2rem; border: 1px solid var(--line);
  border-radius: 0.75rem; background: var(--card); display: grid; gap: 1rem; }
h1 { margin: 0; font-size: 1.25rem; }
label { display: grid; gap: 0.25rem; }
input, button { font: inherit; padding: 0.6rem 0.75rem; border-radius: 0.5rem; width: 100%; }
input { border: 1px solid var(--line); background: transparent; color: inherit; }
input:focus-visible { outline: 2px solid var(--main); outline-offset: -1px; }
button { border: 0; font-weight: 600; background: var(--main); color: #fff; cursor: pointer; }
p { margin: 0; color: var(--bad); }
"""


def show_sign_in(
    path: str, problem: str = "", status: int = 401, *, user: str = ""
) -> HTMLResponse:
    """Return the form, to be shown at a path below the app's own address.

    `user` is the name that was typed before, so that only the password has to be typed again.
    """
    said = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    fields = (
        f'<label>{messages.USER_LABEL}<input name="user" autocomplete="username" '
        f'autocapitalize="none" spellcheck="false" value="{escape(user)}"'
        f"{'' if user else ' autofocus'}></label>"
        f'<label>{messages.PASSWORD_LABEL}<input name="password" type="password" required '
        f'autocomplete="current-password"{" autofocus" if user else ""}></label>'
    )
    content = said + fields + f"<button>{messages.SIGN_IN_BUTTON}</button>"
    return _show(messages.SIGN_IN_TITLE, _find_way(path, SIGN_IN_PATH), content, status)


def show_sign_out(path: str) -> HTMLResponse:
    """Return the form with the button to sign out."""
    content = f"<button>{messages.SIGN_OUT_BUTTON}</button>"
    return _show(messages.SIGN_OUT_TITLE, _find_way(path, SIGN_OUT_PATH), content, 200)


async def read_form(receive: Receive) -> Credentials | None:
    """Return what was typed, None if the body isn't the form's, or is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(body) > MAX_FORM_BYTES:
            return None
        if not message.get("more_body", False):
            break
    try:
        text = body.decode("ascii")
        found = parse_qs(text, keep_blank_values=True, max_num_fields=len(_FIELDS), errors="strict")
    except ValueError:
        return None
    user, password = (found.get(name, [""])[0] for name in _FIELDS)
    return Credentials(password, user)


def _find_way(path: str, target: str) -> str:
    """Return a target relative to a path: the address that the browser sees may begin longer."""
    return "../" * (path.count("/") - 1) + target[1:]


def _show(title: str, action: str, content: str, status: int) -> HTMLResponse:
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>"
        f'<form method="post" action="{escape(action)}"><h1>{title}</h1>{content}</form>'
        "</main></body></html>"
    )
    return HTMLResponse(page, status)
