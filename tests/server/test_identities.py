"""Pictures are owned and seen by machine, user name or browser, not by what a client says."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from paintdiff.server.authentication.gate import Gate
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.identities import (
    COOKIE,
    HEADER,
    MAX_OWNER_CHARACTERS,
    Identity,
    name_browser,
    name_user,
)

EVERYTHING = ["gallery", "manage", "paint"]
LOCAL, REMOTE = ("127.0.0.1", 5000), ("192.0.2.7", 5000)


async def say(request: Request) -> JSONResponse:
    identity = Identity.parse(request.headers.get(HEADER))
    scopes = sorted(identity.scopes)
    return JSONResponse({"owner": identity.owner, "sees_all": identity.sees_all, "may": scopes})


APP = Starlette(routes=[Route("/", say), Route("/assets/x", say)])


def visitor(
    address: tuple[str, int] = REMOTE, host: str = "studio.lan", **options: Any
) -> TestClient:
    options = {"hosts": Hosts(any_address=True), **options}
    if host == "studio.lan":
        options["hosts"].allow(host)
    guard = Guard(APP, public=("/assets/",), **options)
    return TestClient(guard, base_url=f"https://{host}", client=address)


def test_on_this_machine_everything_is_seen() -> None:
    answer = visitor(LOCAL, "localhost:7860").get("/")
    assert answer.json() == {"owner": "", "sees_all": True, "may": EVERYTHING}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("address", "host", "headers"),
    [
        (REMOTE, "localhost:7860", {}),
        (LOCAL, "studio.lan", {}),  # such as a share link's tunnel
        (LOCAL, "localhost", {"X-Forwarded-For": "192.0.2.7"}),
        (LOCAL, "localhost", {"Via": "1.1 proxy"}),
    ],
)
def test_elsewhere_a_browser_sees_its_own(
    address: tuple[str, int], host: str, headers: dict[str, str]
) -> None:
    first = visitor(address, host)
    seen = first.get("/", headers=headers).json()
    assert seen["owner"].startswith("browser-") and not seen["sees_all"]
    assert first.get("/", headers=headers).json() == seen, "it is known again by its cookie"
    assert visitor(address, host).get("/", headers=headers).json() != seen


def test_behind_a_proxy_nobody_is_taken_for_the_person_on_this_machine() -> None:
    behind = visitor(LOCAL, "localhost", hosts=Hosts(["studio.lan"]))
    assert not behind.get("/").json()["sees_all"], "the proxy may have changed the Host header"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_1_0_comes_from_a_proxy(version: str) -> None:
    app = visitor(LOCAL, "localhost").app

    async def spoken(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "http_version": version}, receive, send)

    client = TestClient(spoken, base_url="http://localhost", client=LOCAL)
    assert client.get("/").json()["sees_all"] == (version == "1.1")


def test_the_name_of_a_browser_does_not_reveal_its_cookie() -> None:
    browser = visitor()
    owner = browser.get("/").json()["owner"]
    token = browser.cookies[COOKIE]
    assert owner == name_browser(token) and token not in owner
    for forged in (owner, "", "ada", "x" * 33):
        headers = {"Cookie": f"{COOKIE}={forged}"}
        assert visitor().get("/", headers=headers).json()["owner"] != owner


def test_whoever_is_signed_in_is_their_user_name() -> None:
    credentials = base64.b64encode("ädä:x".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    gate = Gate(("ädä", "x"))
    answer = visitor(gate=gate).get("/", headers=headers)
    assert answer.json() == {"owner": "ädä", "sees_all": False, "may": ["gallery", "paint"]}
    assert COOKIE not in answer.headers["set-cookie"]
    local = visitor(LOCAL, "localhost", gate=gate).get("/", headers=headers)
    assert local.json() == {"owner": "ädä", "sees_all": True, "may": EVERYTHING}


def test_a_very_long_user_name_is_shortened_to_one_of_its_own() -> None:
    names = {name_user("x" * length) for length in (100, 101, 4000)}
    assert len(names) == 3 and max(map(len, names)) <= MAX_OWNER_CHARACTERS


def test_a_client_cant_name_its_identity() -> None:
    headers = {HEADER: Identity("ada").format()}
    assert not visitor().get("/", headers=headers).json()["sees_all"]
    both = TestClient(APP).get("/", headers=headers).json()
    assert both == {"owner": "ada", "sees_all": True, "may": EVERYTHING}, (
        "negative control: without the guard"
    )
    for text in (None, "", "all", "all paint", "all paint x", "none paint x y", "all paint x y z"):
        parsed = Identity.parse(text)
        assert not parsed.sees_all and not parsed.scopes
    for identity in (
        Identity("a b+c/ü", sees_all=False),
        Identity("x", scopes=frozenset(), name="ädä x"),
    ):
        assert Identity.parse(identity.format()) == identity


def test_the_cookie_fits_the_place_of_the_page() -> None:
    own = visitor().get("/").headers["set-cookie"]
    assert "HttpOnly" in own and "SameSite=Lax" in own and "; Secure" in own
    framed = visitor(frame_ancestors=("'self'", "https://huggingface.co")).get("/")
    assert "SameSite=None; Partitioned" in framed.headers["set-cookie"]
    assert "set-cookie" not in visitor().get("/assets/x").headers, "a cache may keep that answer"
