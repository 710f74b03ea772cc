"""Who may enter, and as whom: keys, users, a password, or nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from paintdiff.accounts.directory import Directory
from paintdiff.accounts.scopes import VISITOR_SCOPES, Scope
from paintdiff.accounts.store import AccountStore
from paintdiff.gallery.gallery import Gallery
from paintdiff.server.authentication import sign_ins
from paintdiff.server.authentication.credentials import Credentials
from paintdiff.server.authentication.gate import Gate
from paintdiff.server.authentication.guesses import GuessLimit
from paintdiff.server.authentication.sign_ins import SignIns
from paintdiff.server.guard import COOKIE, Guard, Hosts
from paintdiff.server.identities import HEADER, Identity
from paintdiff.server.origins import Origins

LOCAL, REMOTE = ("127.0.0.1", 5000), ("192.0.2.7", 5000)
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
PASSWORD = "correct horse"


async def say(request: Request) -> JSONResponse:
    identity = Identity.parse(request.headers.get(HEADER))
    scopes = sorted(identity.scopes)
    return JSONResponse({"owner": identity.owner, "all": identity.sees_all, "may": scopes})


APP = Starlette(
    routes=[Route(path, say, methods=["GET", "POST"]) for path in ("/", "/health", "/a/b")]
)


class House:
    """A guarded server with its accounts, seen at once by it."""

    def __init__(self, folder: Path) -> None:
        self.gallery = Gallery(folder)
        self.store = AccountStore(self.gallery.database)
        self._time = 0.0
        self.directory = Directory(self.gallery, clock=self._tick)

    def _tick(self) -> float:
        self._time += 100
        return self._time

    def guard(self, password: tuple[str, str] | None = None, **options: Any) -> Guard:
        hosts = Hosts(any_address=True)
        hosts.allow("studio.lan")
        gate = Gate(
            password,
            self.directory,
            open=options.pop("open", False),
            guesses=options.pop("guesses", None),
        )
        return Guard(APP, hosts, gate, open_paths=frozenset({"/health"}), **options)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.gallery.close()


def local(guard: Guard) -> TestClient:
    return TestClient(guard, "http://localhost", client=LOCAL, follow_redirects=False)


def remote(guard: Guard) -> TestClient:
    return TestClient(guard, "http://studio.lan", client=REMOTE, follow_redirects=False)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def ways_of(key: str) -> list[dict[str, str]]:
    return [
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key} "},
        {"X-API-Key": key},
        basic("", key),
        basic("anybody", key),
        {"X-API-Key": key, "Authorization": "Bearer sk-none"},
    ]


def test_a_key_is_taken_in_each_way_in_which_clients_send_it(house: House) -> None:
    key, text = house.store.create_key("a", {Scope.PAINT})
    guard = house.guard()
    for headers in ways_of(text):
        for client in (local(guard), remote(guard)):
            answer = client.get("/", headers=headers)
            assert answer.json() == {"owner": f"key-{key.id}", "all": False, "may": ["paint"]}
            assert "set-cookie" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"
    house.store.revoke_key("a")
    for headers in ways_of(text):
        answer = local(guard).get("/", headers=headers)
        assert answer.status_code == 401
        assert "revoked" in answer.json()["detail"]
        assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("wrong", ["pd_", "pd_x", "pd_0123456789ab_" + "x" * 43, "pd_" + "é" * 9])
def test_a_wrong_key_never_enters_not_even_where_nobody_needs_one(house: House, wrong: str) -> None:
    guard = house.guard(open=True)
    answer = local(guard).get("/", headers={b"X-API-Key": wrong.encode()})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_no_key_of_ours_is_as_if_nothing_was_sent(house: House) -> None:
    """OpenAI clients send a token even to servers that need none."""
    guard = house.guard()
    for headers in ({"Authorization": "Bearer sk-none"}, basic("user", "x"), {"X-API-Key": "abc"}):
        assert local(guard).get("/", headers=headers).json()["all"]
        assert not remote(guard).get("/", headers=headers).json()["all"]
    house.store.create_key("a", VISITOR_SCOPES)
    assert remote(guard).get("/", headers={"X-API-Key": "abc"}).status_code == 401


def test_with_manage_everything_is_seen(house: House) -> None:
    _, text = house.store.create_key("a", {Scope.MANAGE})
    answer = remote(house.guard()).get("/", headers={"X-API-Key": text}).json()
    assert answer["all"] and answer["may"] == ["manage"]


def test_a_users_key_makes_and_sees_their_pictures(house: House) -> None:
    house.store.create_user("Ada", PASSWORD, VISITOR_SCOPES)
    _, text = house.store.create_key("a", VISITOR_SCOPES, user="ada")
    answer = remote(house.guard()).get("/", headers={"X-API-Key": text}).json()
    assert answer == {"owner": "Ada", "all": False, "may": ["gallery", "paint"]}


@pytest.mark.parametrize(
    ("exist", "options", "here", "elsewhere"),
    [
        ((), {}, 200, 200),
        (("key",), {}, 200, 401),
        (("key",), {"open": True}, 200, 200),
        (("user",), {}, 401, 401),
        (("user", "key"), {}, 401, 401),
        (("user",), {"open": True}, 200, 200),
        ((), {"password": ("ada", "x")}, 401, 401),
        ((), {"password": ("ada", "x"), "open": True}, 401, 401),
    ],
)
def test_who_may_enter_without_signing_in(
    house: House, exist: tuple[str, ...], options: dict[str, Any], here: int, elsewhere: int
) -> None:
    if "key" in exist:
        house.store.create_key("a", VISITOR_SCOPES)
    if "user" in exist:
        house.store.create_user("bob", PASSWORD, VISITOR_SCOPES)
    guard = house.guard(**options)
    assert local(guard).get("/").status_code == here
    assert local(guard).get("/", headers={"X-Forwarded-For": "192.0.2.9"}).status_code == elsewhere
    assert remote(guard).get("/").status_code == elsewhere
    assert remote(guard).get("/no/such/path").status_code in (401, 404)
    health = remote(guard).get("/health")
    assert health.status_code == 200
    assert (health.json()["may"] == []) is (elsewhere == 401)
    if elsewhere == 200:
        assert remote(guard).get("/").json()["may"] == ["gallery", "paint"], "never manage"


def test_an_expired_key_closes_no_door(house: House) -> None:
    house.store.create_key("a", VISITOR_SCOPES, days=1e-9)
    assert remote(house.guard()).get("/").status_code == 200


def test_where_the_accounts_cannot_be_read_only_this_machine_enters(house: House) -> None:
    house.gallery.close()
    (house.gallery.folder / "gallery.sqlite3").write_bytes(b"x" * 4096)
    guard = house.guard()
    assert (local(guard).get("/").status_code, remote(guard).get("/").status_code) == (200, 401)


def sign_in(client: TestClient, user: str, password: str, **headers: str) -> Any:
    return client.post("/login", data={"user": user, "password": password}, headers=headers)


def test_a_person_signs_in_on_the_page_and_out_again(house: House) -> None:
    house.store.create_user("Ada <b>", PASSWORD, VISITOR_SCOPES | {Scope.MANAGE})
    client = remote(house.guard())
    page = client.get("/a/b", headers=PAGE)
    assert page.status_code == 401 and 'action="../login"' in page.text
    assert "www-authenticate" not in page.headers, "the browser would open a window of its own"
    assert "frame-ancestors" in page.headers["content-security-policy"]
    wrong = sign_in(client, "ada <b>", "wrong")
    assert wrong.status_code == 401 and "password is wrong" in wrong.text
    assert 'value="ada &lt;b&gt;"' in wrong.text, "only the password is to be typed again"
    assert 'autocomplete="current-password" autofocus' in wrong.text
    right = sign_in(client, "ada <B>", PASSWORD)
    assert (right.status_code, right.headers["location"]) == (303, "./")
    assert "HttpOnly" in right.headers["set-cookie"]
    assert client.get("/", headers=PAGE).json()["owner"] == "Ada <b>"
    cookie = client.cookies[COOKIE]
    assert client.get("/logout").status_code == 200
    assert client.post("/logout").status_code == 303
    client.cookies.clear()
    answer = client.get("/", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert answer.status_code == 401, "a copy of the cookie is of no use either"


def test_no_flood_of_sign_outs_brings_an_ended_cookie_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sign_ins, "MAX_ENDED", 3)
    made = SignIns()

    def find_stamp(subject: str) -> str:
        return f"stamp of {subject}"

    def make(subject: str) -> str:
        return made.make(subject, find_stamp(subject))

    ended = make("user ada")
    made.end(ended, find_stamp)
    for number in range(9):
        made.end(f"{ended[:-64].rpartition('.')[0]}.{number}.{'0' * 64}", find_stamp)  # forged
        made.end(make("user eve"), find_stamp)
        assert made.find_subject(ended, find_stamp) is None
    assert made.find_subject(make("user ada"), find_stamp) == "user ada"


def test_a_key_can_be_typed_too(house: House) -> None:
    key, text = house.store.create_key("a", VISITOR_SCOPES)
    client = remote(house.guard())
    assert sign_in(client, "", text).status_code == 303
    assert client.get("/").json()["owner"] == f"key-{key.id}"
    house.store.revoke_key("a")
    house.store.create_key("b", VISITOR_SCOPES)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("change", ["password", "removal"])
def test_a_sign_in_ends_with_the_password(house: House, change: str) -> None:
    house.store.create_user("ada", PASSWORD, VISITOR_SCOPES)
    house.store.create_user("bob", PASSWORD, VISITOR_SCOPES)
    client = remote(house.guard())
    assert sign_in(client, "ada", PASSWORD).status_code == 303
    assert client.get("/").status_code == 200
    if change == "password":
        house.store.set_password("ada", "another horse")
    else:
        house.store.remove_user("ada")
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_the_pages_to_sign_in_and_out_take_no_other_method(house: House, path: str) -> None:
    """A connection ends with a good answer to CONNECT, so the rest of the answer was an error."""
    client = local(house.guard())
    for method in ("CONNECT", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    for method in ("GET", "HEAD"):
        assert client.request(method, path).status_code == 200


def test_another_site_signs_nobody_in_or_out(house: House) -> None:
    house.store.create_user("ada", PASSWORD, VISITOR_SCOPES)
    client = remote(house.guard(origins=Origins(["*"])))
    for path in ("/login", "/logout"):
        headers = {"Origin": "https://evil.example"}
        data = {"user": "ada", "password": PASSWORD}
        assert client.post(path, data=data, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"x" * 9000, b"a=1&b=2&c=3", b"user=%ff&password=%ff", b"\xff", b"password="]
)
def test_an_odd_form_is_refused(house: House, body: bytes) -> None:
    house.store.create_user("ada", PASSWORD, VISITOR_SCOPES)
    answer = remote(house.guard()).post("/login", content=body)
    assert answer.status_code in (400, 401) and "<form" in answer.text


def test_a_page_that_is_open_gets_no_window_of_the_browser(house: House) -> None:
    house.store.create_user("ada", PASSWORD, VISITOR_SCOPES)
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    answer = remote(house.guard()).get("/", headers=headers)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")


def test_a_right_key_never_waits_for_a_guesser_at_its_address(house: House) -> None:
    """Once it was checked; the limit's clock stands still, so whoever waits is never answered."""
    _, text = house.store.create_key("a", VISITOR_SCOPES)
    limit = GuessLimit(max_wrong=1, max_wrong_of_all=1, clock=lambda: 0.0)
    client = remote(house.guard(guesses=limit))
    assert client.get("/", headers={"X-API-Key": text}).status_code == 200
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert client.get("/", headers={"X-API-Key": wrong}).status_code == 401
    for headers in ways_of(text):
        assert client.get("/", headers=headers).status_code == 200


def test_a_right_password_is_a_guess_even_if_its_user_was_here_before(house: House) -> None:
    """Else a guesser could try all: wrong ones would be refused, and the right one would enter."""
    house.store.create_user("ada", PASSWORD, VISITOR_SCOPES)
    limit = GuessLimit(max_wrong=1, clock=lambda: 0.0)
    right, wrong = Credentials(PASSWORD, "ada"), Credentials("wrong horse", "ada")

    async def guess() -> None:
        gate = Gate(None, house.directory, guesses=limit)
        assert (await gate.check(right, "192.0.2.1")).identity is not None
        for _ in range(2):  # the second takes the first turn
            refusal = (await gate.check(wrong, "192.0.2.7")).refusal
            assert refusal is not None and refusal.status == 401
        for each in (wrong, right):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(gate.check(each, "192.0.2.7"), 0.2)

    asyncio.run(guess())


LISTED, STRANGE = "https://paint.example.org", "https://evil.example"


def preflight(client: TestClient, origin: str) -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options("/", headers={**headers, "Sec-Fetch-Site": "cross-site"} | CORS)


CORS = {"Sec-Fetch-Mode": "cors"}


def test_without_listed_origins_no_other_page_may_ask(house: House) -> None:
    client = local(house.guard())
    assert preflight(client, STRANGE).status_code == 403
    assert "vary" not in client.get("/").headers


def test_a_listed_origin_is_trusted_and_no_other(house: House) -> None:
    client = local(house.guard(origins=Origins([LISTED])))
    allowed = preflight(client, LISTED)
    assert allowed.status_code == 204
    assert "X-API-Key" in allowed.headers["access-control-allow-headers"]
    answer = client.post("/", headers={"Origin": LISTED, "Sec-Fetch-Site": "cross-site"})
    assert answer.json()["all"]
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"
    for origin in (STRANGE, "null", LISTED + ".evil.example", "http://paint.example.org"):
        assert preflight(client, origin).status_code == 403
        refused = client.post("/", headers={"Origin": origin})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers


def test_any_origin_means_with_what_it_sends_itself(house: House) -> None:
    """Its visitor may be the person on this machine, or signed in: neither is its merit."""
    client = local(house.guard(origins=Origins(["*"])))
    headers = {"Origin": STRANGE, "Sec-Fetch-Site": "cross-site"}
    answer = client.post("/", headers=headers)
    assert not answer.json()["all"] and answer.json()["may"] == ["gallery", "paint"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert client.post("/").json()["all"], "a program on this machine"
    assert client.post("/", headers={"Origin": "http://localhost"}).json()["all"], "our own page"
    assert client.post("/", headers={"Origin": "null"}).status_code == 403
    house.store.create_user("ada", PASSWORD, VISITOR_SCOPES)
    assert sign_in(client, "ada", PASSWORD).status_code == 303
    assert client.post("/", headers=headers).status_code == 401
    _, text = house.store.create_key("a", VISITOR_SCOPES)
    assert client.post("/", headers={**headers, "X-API-Key": text}).status_code == 200
