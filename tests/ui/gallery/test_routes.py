"""The Gallery tab's routes, for those whose pictures they are."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.database import FILE_NAME
from paintdiff.gallery.records.record import Record
from paintdiff.gallery.records.rows import set_values
from paintdiff.server.access import Access
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.identities import COOKIE, make_token, name_browser
from paintdiff.server.page_events import PageEvents
from paintdiff.server.sessions import NoEvents, Sessions
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.gallery import messages, routes
from tests.gallery.records import record


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def app(gallery: Gallery, context: PageContext) -> Guard:
    server = FastAPI()
    server.include_router(routes.gallery_routes(gallery, context))
    hosts = Hosts()
    hosts.allow("studio.lan")  # as for a share link; with it from the start, a proxy is expected
    return Guard(Access(server, PageEvents({}), Sessions(NoEvents())), hosts)


@pytest.fixture
def local(app: Guard) -> TestClient:
    return TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))


@contextmanager
def browser(app: Guard, token: str) -> Generator[TestClient]:
    with TestClient(app, base_url="http://studio.lan", client=("192.0.2.1", 1)) as client:
        client.cookies.set(COOKIE, token)
        yield client


def add(gallery: Gallery, prompt: str = "a boat", minute: float = 0, **values: Any) -> Record:
    made = record(prompt, minute, **values)
    path = gallery.path_of(made.file)
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", (600, 300), "red").save(path)
    return gallery.store.add(replace(made, size=made.size))


def prompts(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/gallery/pictures", params=query)
    assert answer.status_code == 200, answer.text
    return [each["prompt"] for each in answer.json()["pictures"]]


def change(client: TestClient, *ids: str, **what: Any) -> Any:
    return client.post("/gallery/changes", json={"ids": list(ids), **what})


def test_pages_follow_each_other(
    gallery: Gallery, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PAGE_LENGTH", 2)
    for minute in range(5):
        add(gallery, str(minute), minute)
    first = local.get("/gallery/pictures").json()
    assert [each["prompt"] for each in first["pictures"]] == ["4", "3"]
    assert first["total"] == 5
    second = local.get("/gallery/pictures", params={"cursor": first["next"]}).json()
    assert [each["prompt"] for each in second["pictures"]] == ["2", "1"]
    assert second["total"] is None
    assert prompts(local, order="oldest") == ["0", "1"]
    assert local.get("/gallery/pictures?cursor=nonsense").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        *(
            f"{name}={text}"
            for name in ("search", "kind", "model")
            for text in ("%00", "%ED%A0%80")
        ),
        "tag=a%00",
        "cursor=a%00",
        "since=9999-12-31T23:59:59-12:00",
        "until=0001-01-01T00:00:00%2B14:00",
        f"since={'9' * 30}",
        "since=2026-11-30T12:00:00",
        f"size={'9' * 6}x1&order=pixels&cursor={'9' * 18}.{'9' * 18}.a",
    ],
)
def test_a_hostile_query_finds_nothing_or_is_refused(
    gallery: Gallery, local: TestClient, query: str
) -> None:
    add(gallery)
    for path in ("pictures", "ids"):
        answer = local.get(f"/gallery/{path}?{query}")
        if path == "ids" and "cursor" in query:
            continue  # it has none
        assert answer.status_code in (200, 400, 422), answer.text
        if answer.status_code == 200:
            assert not answer.json()[path], answer.text


def test_filters(gallery: Gallery, local: TestClient) -> None:
    add(gallery, "a red boat", 1, model="mini", feedback=1, tags=("sea",))
    add(gallery, "a red house", 2, model="large", favourite=True, kind="inpaint")
    deleted = add(gallery, "a cat", 3)
    gallery.store.delete([deleted.id])
    assert prompts(local, search="red bo") == ["a red boat"]
    assert prompts(local, model="large") == ["a red house"]
    assert prompts(local, kind="inpaint") == ["a red house"]
    assert prompts(local, feedback=1) == ["a red boat"]
    assert prompts(local, favourite=True) == ["a red house"]
    assert prompts(local, tag="sea") == ["a red boat"]
    assert prompts(local, bin=True) == ["a cat"]
    assert prompts(local, size="256x128") == ["a red house", "a red boat"]
    assert prompts(local, size="128x256") == []
    assert prompts(local, since="2026-11-30T12:02:00Z") == ["a red house"]
    assert prompts(local, until="2026-11-30T13:02:00+01:00") == ["a red boat"]
    for bad in (
        "feedback=2",
        "favourite=perhaps",
        f"search={'x' * 501}",
        "size=256",
        "size=-1x2",
        "since=yesterday",
        "since=2026-11-30T12:00:00",
        "order=random",
    ):
        assert local.get(f"/gallery/pictures?{bad}").status_code == 422
    assert local.get("/gallery/choices").json() == {
        "models": [["large", "<i>Large"], ["mini", "Mini"]],
        "kinds": [["inpaint", "Sketch & inpaint"], ["text_to_image", "Text to image"]],
        "tags": ["sea"],
        "sizes": [["256x128", "256x128"]],
        "bin_days": None,
        "may_set_bin_days": True,
    }


def test_pictures_are_sorted_and_pages_keep_the_order(
    gallery: Gallery, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PAGE_LENGTH", 2)
    for minute, (feedback, side) in enumerate([(1, 64), (-1, 96), (0, 64), (1, 32), (0, 96)]):
        made = add(gallery, f"{feedback} {side} {minute}", minute, feedback=feedback)
        with gallery.database.write() as session:
            set_values(session, [made.id], width=side, height=side)

    def read_all(order: str) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = local.get("/gallery/pictures", params={"order": order, "cursor": cursor}).json()
            found += [each["prompt"] for each in page["pictures"]]
            cursor = page["next"]
            if cursor is None:
                return found

    assert read_all("rating") == ["1 32 3", "1 64 0", "0 96 4", "0 64 2", "-1 96 1"]
    assert read_all("pixels") == ["0 96 4", "-1 96 1", "0 64 2", "1 64 0", "1 32 3"]
    cursor = local.get("/gallery/pictures").json()["next"]
    answer = local.get("/gallery/pictures", params={"order": "rating", "cursor": cursor})
    assert answer.status_code == 400, "a cursor belongs to its order"


def test_all_that_match_can_be_selected(
    gallery: Gallery, app: Guard, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_token()
    made = [add(gallery, f"boat {minute}", minute) for minute in range(4)]
    add(gallery, "a house", owner=name_browser(token))
    found = local.get("/gallery/ids", params={"search": "boat", "order": "oldest"}).json()
    assert found == {"ids": [each.id for each in made], "total": 4}
    monkeypatch.setattr(routes, "MAX_SELECTED", 2)
    assert local.get("/gallery/ids").json() == {"ids": [made[3].id, made[2].id], "total": 5}
    with browser(app, token) as visitor:
        assert visitor.get("/gallery/ids").json()["total"] == 1


def test_a_picture_with_its_settings_and_relatives(gallery: Gallery, local: TestClient) -> None:
    params = {
        "kind": "text_to_image",
        "prompt": "a boat",
        "model": "gone",
        "sampler": "DDIM",
        "num_inference_steps": 20,
        "loras": [{"name": "ink", "weight": 0.5}],
        "controls": [],
        "image": {"sha256": "0" * 64, "data": None},
    }
    parent = add(gallery, params=params, model="gone", seed=7, negative_prompt="fog")
    child = add(gallery, "larger", parent=parent.id, relation="upscale")
    found = local.get(f"/gallery/pictures/{parent.id}").json()
    assert found["negative_prompt"] == "fog" and found["usable"]
    assert ["Seed", "7"] in found["settings"] and ["Steps", "20"] in found["settings"]
    assert ["LoRAs", "ink, weight 0.5"] in found["settings"]
    assert not [label for label, _ in found["settings"] if label in ("Controls", "Image")]
    assert found["note"] == messages.model_not_here("gone")
    assert [each["id"] for each in found["children"]] == [child.id]
    assert found["children"][0]["relation"] == "Enlarged from"
    assert (found["ancestors"], found["relation"], found["more"]) == ([], "", False)
    of_child = local.get(f"/gallery/pictures/{child.id}").json()
    assert [each["id"] for each in of_child["ancestors"]] == [parent.id]
    assert of_child["relation"] == "Enlarged from"
    assert not of_child["usable"]


def test_the_lineage_is_a_small_tree(gallery: Gallery, app: Guard, local: TestClient) -> None:
    token = make_token()
    owner = name_browser(token)
    root = add(gallery, "root", 0, owner="ada")
    line = [root]
    for minute in range(1, 4):
        parent = line[-1].id
        line.append(
            add(gallery, str(minute), minute, parent=parent, owner=owner, relation="inpaint")
        )
    many = [add(gallery, "child", 5, parent=line[2].id, owner=owner) for _ in range(30)]
    gallery.store.delete([many[0].id])
    for viewer, ancestors in ((local, ["root", "1"]), (None, ["1"])):
        with nullcontext(viewer) if viewer else browser(app, token) as client:
            found = client.get(f"/gallery/pictures/{line[2].id}").json()
            assert [each["prompt"] for each in found["ancestors"]] == ancestors
            assert (len(found["children"]), found["more"]) == (24, True)
            above = client.get(f"/gallery/pictures/{line[1].id}").json()
            (below,) = above["children"]
            assert (len(below["children"]), below["more"]) == (8, True)


def test_the_file_and_the_thumbnail(gallery: Gallery, local: TestClient) -> None:
    picture = add(gallery)
    path = gallery.path_of(picture.file)
    whole = local.get(f"/gallery/pictures/{picture.id}/file?download=1")
    assert whole.content == path.read_bytes()
    assert whole.headers["content-disposition"].startswith("attachment;")
    small = local.get(f"/gallery/pictures/{picture.id}/thumbnail")
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"
    path.unlink()
    for what in ("file", "thumbnail"):
        answer = local.get(f"/gallery/pictures/{picture.id}/{what}")
        assert (answer.status_code, answer.json()["detail"]) == (404, messages.FILE_MISSING)


def test_changes_are_made_and_answered(gallery: Gallery, local: TestClient) -> None:
    one, other = add(gallery), add(gallery)
    answer = change(local, one.id, other.id, change="feedback", value=-1)
    assert [each["feedback"] for each in answer.json()["pictures"]] == [-1, -1]
    assert change(local, one.id, change="favourite", value=True).json()["pictures"][0]["favourite"]
    tagged = change(local, one.id, change="tag", value=" sea ").json()
    assert tagged["pictures"][0]["tags"] == ["sea"]
    assert change(local, one.id, change="untag", value="sea").json()["pictures"][0]["tags"] == []
    assert change(local, one.id, change="delete").json()["pictures"][0]["deleted"]
    assert not change(local, one.id, change="restore").json()["pictures"][0]["deleted"]
    change(local, one.id, change="delete")
    assert local.post("/gallery/bin/empty", json={}).json() == {"erased": 1}
    assert not gallery.path_of(one.file).exists() and gallery.path_of(other.file).exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": [], "change": "delete"},
        {"ids": ["x"], "change": "erase"},
        {"ids": ["x"], "change": "feedback", "value": "1"},
        {"ids": ["x"], "change": "feedback", "value": True},
        {"ids": ["x"], "change": "feedback", "value": 2},
        {"ids": ["x"], "change": "favourite", "value": 1},
        {"ids": ["x"], "change": "tag", "value": ""},
        {"ids": ["x"], "change": "delete", "value": 1},
        {"ids": ["x"], "change": "delete", "more": 1},
        {"ids": [1], "change": "delete"},
        {"ids": ["../x"], "change": "delete"},
        {"ids": [str(number) for number in range(501)], "change": "delete"},
    ],
)
def test_a_bad_change_changes_nothing(
    gallery: Gallery, local: TestClient, body: dict[str, Any]
) -> None:
    before = add(gallery)
    ids = [before.id if each == "x" else each for each in body.get("ids", ())]
    answer = local.post("/gallery/changes", json={**body, **({"ids": ids} if body else {})})
    assert answer.status_code in (400, 404, 422)
    assert gallery.store.get(before.id) == before


def test_hostile_bodies_and_ids(local: TestClient) -> None:
    for content in (b"", b"[]", b"{" * 5000, b"\xff", b"x" * 300_000):
        assert local.post("/gallery/changes", content=content).status_code in (400, 413)
    for id in ("..%2f..%2fetc", "A", "%00", "x" * 65, "gallery.sqlite3"):
        assert local.get(f"/gallery/pictures/{id}/file").status_code in (404, 422)
    assert local.get("/gallery/changes").status_code == 405, "reading changes nothing"


def test_a_browser_sees_and_changes_only_its_own(
    gallery: Gallery, app: Guard, local: TestClient
) -> None:
    token = make_token()
    own = add(gallery, "mine", owner=name_browser(token), tags=("my tag",))
    other = add(gallery, "theirs", owner="ada", tags=("secret",), parent=own.id)
    with browser(app, token) as visitor:
        assert prompts(visitor) == ["mine"]
        assert visitor.get("/gallery/choices").json()["tags"] == ["my tag"]
        details = visitor.get(f"/gallery/pictures/{own.id}").json()
        assert details["children"] == []
        for path in ("", "/file", "/thumbnail"):
            assert visitor.get(f"/gallery/pictures/{own.id}{path}").status_code == 200
            assert visitor.get(f"/gallery/pictures/{other.id}{path}").status_code == 404
        assert change(visitor, own.id, other.id, change="delete").status_code == 404
        assert change(visitor, other.id, change="feedback", value=1).status_code == 404
        change(local, other.id, change="delete")
        change(visitor, own.id, change="delete")
        assert visitor.post("/gallery/bin/empty", json={}).json() == {"erased": 1}
    with browser(app, make_token()) as stranger:
        assert prompts(stranger) == []
    assert prompts(local, bin=True) == ["theirs"], "somebody else's bin isn't emptied"


def test_a_change_of_many_is_made_whole_or_not_at_all(gallery: Gallery, local: TestClient) -> None:
    tags = tuple(f"tag {number}" for number in range(100))
    free, full = add(gallery), add(gallery, tags=tags)
    assert change(local, free.id, full.id, change="tag", value="one more").status_code == 400
    assert gallery.store.get(free.id).tags == ()


def test_only_somebody_on_this_machine_decides_when_the_bin_is_emptied(
    app: Guard, local: TestClient, context: PageContext
) -> None:
    with browser(app, make_token()) as visitor:
        assert visitor.post("/gallery/bin/days", json={"days": 1}).status_code == 403
        assert visitor.get("/gallery/choices").json()["may_set_bin_days"] is False
    for bad in (0, -1, 3651, "7", 1.5, True):
        assert local.post("/gallery/bin/days", json={"days": bad}).status_code == 422, bad
    assert context.preferences.bin_days is None
    assert local.post("/gallery/bin/days", json={"days": 30}).json()["bin_days"] == 30
    assert context.preferences.bin_days == 30
    assert local.post("/gallery/bin/days", json={"days": None}).json()["bin_days"] is None


def test_an_unusable_database_is_explained(gallery: Gallery, local: TestClient) -> None:
    add(gallery)
    gallery.close()
    with sqlite3.connect(gallery.folder / FILE_NAME) as connection:
        connection.execute("DROP TABLE pictures")
    connection.close()
    answer = local.get("/gallery/pictures")
    assert answer.status_code == 503
    assert answer.json()["detail"]
