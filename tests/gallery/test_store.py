"""The store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from paintdiff.errors import (
    GalleryDamagedError,
    PictureNotFoundError,
    PictureRecordedError,
    RequestError,
)
from paintdiff.gallery.records import record as module
from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import make_id
from paintdiff.gallery.records.store import GalleryStore
from paintdiff.imaging.geometry import Size
from tests.gallery.records import START, record

ALL = PictureQuery()


def prompts(store: GalleryStore, query: PictureQuery = ALL) -> list[str]:
    return [each.prompt for each in store.page(query).records]


def test_a_record_comes_back_as_it_was(store: GalleryStore) -> None:
    parent = store.add(record())
    given = record(
        "a boat",
        1.000001,
        negative_prompt="fog",
        seed=2**33,
        params={"prompt": "a \0 \ud800 boat", "steps": 20, "scale": 7.5},
        params_version=3,
        model="mini",
        model_hash="abc",
        seconds=1.25,
        device="cpu",
        libraries={"torch": "2.15"},
        thumbnail="t.webp",
        owner="ann",
        feedback=-1,
        favourite=True,
        tags=("sea", "blue"),
        parent=parent.id,
        relation="variation",
    )
    added = store.add(given)
    assert store.get(added.id) == added
    assert {**vars(added), "id": "", "tags": ("sea", "blue")} == vars(given)


def test_ids_are_short_and_sort_by_time() -> None:
    ids = [make_id(START + timedelta(milliseconds=number)) for number in range(200)]
    assert ids == sorted(ids)
    assert all(len(each) == 15 and each.isalnum() for each in ids)
    assert len({make_id(START) for _ in range(100)}) == 100


def test_pages_hold_each_picture_once_though_others_come_and_go(store: GalleryStore) -> None:
    added = [store.add(record(str(number), number // 3)) for number in range(20)]
    seen: list[str] = []
    cursor = None
    while True:
        page = store.page(ALL, cursor, limit=7)
        seen += [each.id for each in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break
        store.add(record("newer", 100))
        store.delete([seen[-1]])
        store.empty_bin()
    wanted = sorted(added, key=lambda each: (each.created_at, each.id), reverse=True)
    assert seen == [each.id for each in wanted]


def test_the_oldest_come_first_if_asked(store: GalleryStore) -> None:
    for number in range(5):
        store.add(record(str(number), number))
    first = store.page(PictureQuery(oldest_first=True), limit=3)
    rest = store.page(PictureQuery(oldest_first=True), first.next_cursor, limit=3)
    assert [each.prompt for each in (*first.records, *rest.records)] == list("01234")
    assert rest.next_cursor is None


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (PictureQuery(model="mini"), "a"),
        (PictureQuery(kind="upscale"), "b"),
        (PictureQuery(size=Size(64, 64)), "c"),
        (PictureQuery(feedback=1), "d"),
        (PictureQuery(favourite=True), "e"),
        (PictureQuery(tags=("x", "y")), "f"),
        (PictureQuery(owner="ann"), "g"),
        (PictureQuery(since=START + timedelta(minutes=59)), "h"),
        (PictureQuery(until=START), "i"),
        (PictureQuery(search="j"), "j"),
        (PictureQuery(search="j", model="other"), ""),
        (PictureQuery(model="nul\0"), ""),
    ],
)
def test_a_filter_finds_what_it_says(store: GalleryStore, query: PictureQuery, wanted: str) -> None:
    for each in (
        record("a", model="mini"),
        record("b", kind="upscale"),
        record("c", size=Size(64, 64)),
        record("d", feedback=1),
        record("e", favourite=True),
        record("f", tags=("x", "y")),
        record("g", owner="ann"),
        record("h", 60),
        record("i", -1),
        record("j", tags=("x",)),
    ):
        store.add(each)
    assert prompts(store, query) == list(wanted)
    assert store.count(query) == len(wanted)


def test_feedback_favourites_and_tags_change(store: GalleryStore) -> None:
    one = store.add(record()).id
    store.set_feedback([one], 1)
    store.set_favourite([one], True)
    store.add_tags([one], ["red", "  big   sky "])
    store.add_tags([one], ["red"])
    store.set_thumbnail(one, "t.webp")
    found = store.get(one)
    assert (found.feedback, found.favourite, found.tags) == (1, True, ("big sky", "red"))
    assert found.thumbnail == "t.webp"
    store.remove_tags([one], ["red", "absent"])
    assert store.get(one).tags == ("big sky",)


def test_the_bin_gives_back_or_erases(store: GalleryStore) -> None:
    kept, gone = store.add(record("kept")), store.add(record("gone", thumbnail="t.webp"))
    store.delete([kept.id, gone.id])
    assert prompts(store) == []
    assert store.count(PictureQuery(bin=True)) == 2
    store.restore([kept.id])
    assert store.empty_bin(before=store.get(gone.id).deleted_at) == 0
    assert store.empty_bin(owner="somebody else") == 0
    assert store.empty_bin() == 1
    assert prompts(store) == ["kept"]
    assert store.count(PictureQuery(search="gone", bin=True)) == 0
    with pytest.raises(PictureNotFoundError):
        store.get(gone.id)
    assert store.removals() == sorted([gone.file, "t.webp"])
    store.confirm_removals(["t.webp"])
    assert store.removals() == [gone.file]


def test_a_file_that_lies_elsewhere_stays(store: GalleryStore) -> None:
    elsewhere = (
        "/home/ann/a.png",
        "C:/ann/a.png",
        "C:a.png",
        r"\\ann\a.png",
        "../a.png",
        r"a\..\..\b",
    )
    for file in elsewhere:
        store.delete([store.add(record(file=file, thumbnail=None)).id])
    assert store.empty_bin() == len(elsewhere)
    assert store.removals() == []


def test_the_bin_takes_thousands_at_once(store: GalleryStore) -> None:
    ids = [store.add(record()).id for _ in range(3)]
    with pytest.raises(PictureNotFoundError):
        store.delete([*ids, *(f"absent{number}" for number in range(1100))])
    assert store.count(ALL) == 3
    store.delete(ids * 700)
    deleted_at = store.get(ids[0]).deleted_at
    store.delete(ids)
    assert store.get(ids[0]).deleted_at == deleted_at
    assert store.count(ALL) == 0


def test_files_that_nobody_recorded_are_found(store: GalleryStore) -> None:
    one, gone = store.add(record()), store.add(record())
    store.delete([gone.id])
    assert store.find_unrecorded([one.file, "new.png", gone.file]) == ["new.png"]
    store.empty_bin()
    assert store.find_unrecorded([gone.file, "new.png"]) == ["new.png"]


def test_pictures_of_one_moment_get_different_ids(
    store: GalleryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([1, 1, 1, 2])
    monkeypatch.setattr(module.secrets, "randbits", lambda _bits: next(drawn))
    assert store.add(record()).id != store.add(record()).id


def test_deleting_one_that_is_not_there_deletes_none(store: GalleryStore) -> None:
    one = store.add(record())
    with pytest.raises(PictureNotFoundError):
        store.delete([one.id, "nothing"])
    assert store.count(ALL) == 1


def test_lineage(store: GalleryStore) -> None:
    root = store.add(record())
    child = store.add(record(minute=1, parent=root.id, relation="variation"))
    other = store.add(record(minute=2, parent=root.id, relation="upscale"))
    grandchild = store.add(record(minute=3, parent=child.id, relation="inpaint"))
    assert store.children(root.id) == [child, other]
    assert store.parents(grandchild.id) == [child, root]
    store.delete([root.id])
    store.empty_bin()
    assert store.parents(grandchild.id)[0].parent is None


@pytest.mark.parametrize(
    "fault",
    [
        lambda store: store.add(record(feedback=2)),
        lambda store: store.add(record(relation="cousin")),
        lambda store: store.add(record(created_at=START.replace(tzinfo=None))),
        lambda store: store.add(record(tags=("",))),
        lambda store: store.add(record(tags=("a\0b",))),
        lambda store: store.add(record(tags=tuple(map(str, range(101))))),
        lambda store: store.add(record(file="\udcff.png")),
        lambda store: store.add(record(file="é" * 1001)),
        lambda store: store.add(record(model="x" * 201)),
        lambda store: store.add(record(owner="x" * 201)),
        lambda store: store.set_feedback(["x"], 5),
        lambda store: store.page(ALL, limit=0),
        lambda store: store.page(ALL, "1 OR 1=1"),
        lambda store: store.page(PictureQuery(search="a" * 10_001)),
    ],
)
def test_values_outside_their_limits_are_refused(
    store: GalleryStore, fault: Callable[[GalleryStore], object]
) -> None:
    with pytest.raises(RequestError):
        fault(store)
    assert store.count(ALL) == 0


@pytest.mark.parametrize("id", ["", "nothing", "a\0b", "\ud800", "x" * 100_000, "' OR 1=1 --"])
def test_an_unknown_id_is_not_found(store: GalleryStore, id: str) -> None:
    store.add(record())
    with pytest.raises(PictureNotFoundError):
        store.get(id)
    with pytest.raises(PictureNotFoundError):
        store.add(record(parent=id))


def test_a_file_is_recorded_once(store: GalleryStore) -> None:
    one = store.add(record())
    with pytest.raises(PictureRecordedError):
        store.add(record(file=one.file))
    assert store.count(ALL) == 1


def test_processes_write_at_once(database_url: str, tmp_path: Path) -> None:
    """They also race to make the database."""
    program = (
        "import sys; from pathlib import Path;"
        "from paintdiff.gallery.records.database import Database;"
        "from paintdiff.gallery.records.store import GalleryStore;"
        "from tests.gallery.records import record;"
        "store = GalleryStore(Database.open(Path(sys.argv[1]), sys.argv[2]))\n"
        "for number in range(60):\n"
        "    added = store.add(record(file=f'{sys.argv[3]}-{number}.png'))\n"
        "    store.add_tags([added.id], [sys.argv[3]])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), database_url]
    running = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [each.wait(timeout=240) for each in running] == [0, 0]
    database = Database.open(tmp_path, database_url)
    counts = [GalleryStore(database).count(PictureQuery(tags=(n,))) for n in ("one", "two")]
    database.close()
    assert counts == [60, 60]


def test_choices_are_those_of_the_query(store: GalleryStore) -> None:
    store.add(record(model="mini", owner="ann", tags=("b", "a")))
    store.add(record(model="large", kind="upscale", owner="bob", tags=("c",)))
    store.add(record(model="", owner="ann"))
    found = store.choices(PictureQuery(owner="ann"))
    assert (found.models, found.kinds, found.tags) == (("mini",), ("text_to_image",), ("a", "b"))
    everybody = store.choices(PictureQuery())
    assert everybody.models == ("large", "mini")
    assert everybody.kinds == ("text_to_image", "upscale")


def test_pictures_of_others_are_not_there(store: GalleryStore) -> None:
    own, other = store.add(record(owner="ann")), store.add(record(owner="bob"))
    store.check_owner([own.id, own.id], "ann")
    for ids in ([other.id], [own.id, other.id], ["unknown"]):
        with pytest.raises(PictureNotFoundError):
            store.check_owner(ids, "ann")


FIRST_MOMENT = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
LAST_MOMENT = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
NO_TEXT = ("\0", "a\0", "\ud800", "2026-11-30/\udcff.png")
NO_NUMBER = (2**63, -(2**63) - 1, 10**400)


@pytest.mark.parametrize(
    "values",
    [
        *({name: number} for name in ("seed", "file_bytes") for number in NO_NUMBER),
        {"params_version": 2**31},
        *({"size": Size(*sides)} for sides in ((2**31, 1), (1, 10**30))),
        *({"created_at": moment} for moment in (FIRST_MOMENT, LAST_MOMENT)),
        *({"deleted_at": moment} for moment in (LAST_MOMENT, datetime(2026, 1, 1))),
        *({name: text} for name in ("id", "kind", "file_sha256", "thumbnail") for text in NO_TEXT),
        *({"inputs": (text,)} for text in NO_TEXT),
    ],
    ids=lambda values: ascii(values)[:60],
)
def test_a_record_that_no_database_holds_is_refused(
    store: GalleryStore, values: dict[str, Any]
) -> None:
    """One whose time can be stored but not read would hide all others of its page."""
    with pytest.raises(RequestError):
        store.add(record(**values))
    assert store.page(ALL).records == ()


@pytest.mark.parametrize("text", NO_TEXT, ids=ascii)
def test_a_text_that_no_database_holds_finds_nothing(store: GalleryStore, text: str) -> None:
    """Not even what it would be without the characters that can't be stored."""
    plain = text.strip("\0\ud800") or "x"
    plain = plain.replace("\udcff", "")
    added = store.add(record("x", model=plain, kind=plain, owner=plain, model_hash=plain, seed=1))
    queries = (PictureQuery(model=text), PictureQuery(kind=text), PictureQuery(owner=text))
    for query in queries:
        assert (store.page(query).records, store.count(query), store.ids(query, 9)) == ((), 0, [])
        assert store.choices(query).models == ()
    with pytest.raises(RequestError):
        store.page(PictureQuery(tags=(text,)))
    assert store.page(PictureQuery(search=f"zebra {text}")).records == ()
    assert store.find_by_file(text) is None
    assert store.find_by_sha256([text]) is None and store.find_by_sha256(["a"], text) is None
    assert store.find_painted(1, text, plain) == store.find_painted(1, plain, text) == []
    assert store.find_unrecorded([text]) == [text]
    assert store.empty_bin(text) == 0
    store.confirm_removals([text])
    for change in (
        lambda: store.check_owner([added.id], text),
        lambda: store.check_owner([text], plain),
        lambda: store.get_all([added.id, text]),
        lambda: store.set_favourite([text], True),
        lambda: store.delete([added.id, text]),
        lambda: store.children(text),
        lambda: store.add(record(parent=text)),
        lambda: store.get(f"{added.id}\0"),
    ):
        with pytest.raises(PictureNotFoundError):
            change()
    assert store.get(added.id) == added


@pytest.mark.parametrize(
    "query",
    [
        *(PictureQuery(size=Size(*sides)) for sides in ((2**31, 128), (256, 10**400))),
        *(PictureQuery(feedback=number) for number in NO_NUMBER),
        PictureQuery(since=LAST_MOMENT),
        PictureQuery(until=FIRST_MOMENT),
    ],
    ids=lambda query: ascii(query)[:60],
)
def test_a_number_or_time_of_no_picture_finds_nothing(
    store: GalleryStore, query: PictureQuery
) -> None:
    store.add(record())
    assert (store.page(query).records, store.count(query)) == ((), 0)
    assert store.count(PictureQuery(since=FIRST_MOMENT, until=LAST_MOMENT)) == 1
    assert store.find_painted(2**63, "", "") == []


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_without_a_zone_is_refused(store: GalleryStore, name: Any) -> None:
    with pytest.raises(RequestError) as refused:
        store.page(replace(ALL, **{name: datetime(2026, 11, 30)}))
    assert refused.value.field == name


@pytest.mark.parametrize("order", ["time", "rating", "pixels"])
def test_a_tampered_cursor_is_refused_or_finds_a_page(store: GalleryStore, order: Any) -> None:
    store.add(record(size=Size(2**31 - 1, 2**31 - 1)))
    numbers = ("0", "-1", "+1", "1e9", "9" * 18, "-" + "9" * 18, "9" * 19, "9" * 400, "\u0661")
    ends = ("a", "", "z" * 40, "z" * 41, "a\n", "a'--", "%", "\0", "\ud800", "A")
    for number, end in product(numbers, ends):
        for cursor in (f"{number}.{end}", f"{number}.{number}.{end}", f"{number}{end}", f".{end}"):
            for oldest_first in (False, True):
                try:
                    store.page(PictureQuery(order=order, oldest_first=oldest_first), cursor)
                except RequestError as error:
                    assert error.field == "cursor"


@pytest.mark.parametrize("column", ["created_at", "deleted_at"])
def test_a_stored_time_that_no_calendar_has_is_damage(
    store: GalleryStore, database: Database, column: str
) -> None:
    added = store.add(record())
    with database.write() as session:
        session.execute(text(f"UPDATE pictures SET {column} = 9000000000000000000"))
    with pytest.raises(GalleryDamagedError):
        store.get(added.id)
