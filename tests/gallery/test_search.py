"""Search finds the same on SQLite and on PostgreSQL, whatever is typed."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.store import GalleryStore
from tests.gallery.records import record


def finds(store: GalleryStore, search: str) -> set[str]:
    return {each.prompt for each in store.page(PictureQuery(search=search)).records}


PROMPTS = [
    "a red boat on the sea",
    "Red Boats, don't sink",
    "100% wool_scarf",
    "Café Ærø Straße",
    "東京タワーの夜",
    "東京 京都",
    "שלום עולם",
    "مرحبا بالعالم",
    "a 🐈‍⬛ and 👍🏽",
    "한국어 고양이",
    "हिन्दी की",
    "x AND y OR z NOT w NEAR v",
]


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        ("red", PROMPTS[:2]),
        ("RED boat", PROMPTS[:2]),
        ("boat red", PROMPTS[:1]),
        ("boat sea", PROMPTS[:1]),
        ("red bo", PROMPTS[:2]),
        ("re boat", []),
        ("boa boat", []),
        ("boat boa", PROMPTS[:1]),
        ("boat boat", PROMPTS[:1]),
        ("oat", []),
        ("don't", PROMPTS[1:2]),
        ("%", []),
        ("_", []),
        ("10%", PROMPTS[2:3]),
        ("wool_scarf", PROMPTS[2:3]),
        ("r_d", []),
        ('"red boat"', PROMPTS[:2]),
        ('"', []),
        ("'", []),
        ("*", []),
        ("red*", PROMPTS[:2]),
        ("red OR wool", []),
        ("x OR z", PROMPTS[11:]),
        ("red NOT boat", []),
        ("red AND boat", []),
        ("text:red", []),
        ("words:red", []),
        ("NEAR(red boat)", []),
        ("red -boat", PROMPTS[:2]),
        ("^red", PROMPTS[:2]),
        ("red & boat | !sea", PROMPTS[:1]),
        ("red <-> boat:*", PROMPTS[:2]),
        ("'); DROP TABLE pictures; --", []),
        ("cafe", PROMPTS[3:4]),
        ("STRASSE", PROMPTS[3:4]),
        ("東京", PROMPTS[4:6]),
        ("京", PROMPTS[4:6]),
        ("東京京都", []),
        ("タワー", PROMPTS[4:5]),
        ("東京都", []),
        ("京東", []),
        ("שלום", PROMPTS[6:7]),
        ("\u202b" + PROMPTS[6].split()[1], PROMPTS[6:7]),
        ("مرحبا", PROMPTS[7:8]),
        ("🐈", PROMPTS[8:9]),
        ("👍", PROMPTS[8:9]),
        ("🐕", []),
        ("고양", PROMPTS[9:10]),
        ("कि", []),
        ("की", PROMPTS[10:11]),
        ("red\0boat", PROMPTS[:2]),
        ("red \ud800", PROMPTS[:2]),
        ("   ", PROMPTS),
    ],
)
def test_every_word_must_occur_and_the_last_begin_one(
    store: GalleryStore, search: str, wanted: list[str]
) -> None:
    for prompt in PROMPTS:
        store.add(record(prompt))
    assert finds(store, search) == set(wanted)


@pytest.mark.parametrize(
    "prompt",
    [
        "a" * 10_000,
        "ab " * 3333,
        " ".join(f"w{number}" for number in range(1600)),
        "".join(chr(0x4E00 + number) for number in range(10_000)),
        ",".join(chr(0x4E00 + number) * 3 for number in range(2500)),
        "🐈" * 10_000,
        '"' * 10_000,
        "(" * 5000 + ")" * 5000,
        "é̈" * 5000,
    ],
    ids=["letters", "words", "different", "characters", "runs", "emoji", "quotes", "open", "marks"],
)
def test_ten_thousand_characters_are_found(store: GalleryStore, prompt: str) -> None:
    prompt = prompt[:10_000]
    store.add(record(prompt))
    store.add(record("something else"))
    expected = {prompt} if any(each.isalnum() or each == "🐈" for each in prompt) else set()
    assert finds(store, prompt) == expected
    assert finds(store, prompt[: len(prompt) // 2]) == expected


def test_words_of_the_model_are_found(store: GalleryStore) -> None:
    store.add(record("a boat", model="dream-shaper_8"))
    assert finds(store, "boat shaper") == {"a boat"}


def test_long_words_are_compared_in_full(store: GalleryStore) -> None:
    store.add(record("b" * 100 + " " + "c" * 100))
    assert finds(store, "b" * 100 + "c" * 100) == set()
    assert len(finds(store, "b" * 100)) == 1


PLAIN = st.text(string.ascii_lowercase[:3] + " ", max_size=12)
SEARCHES = st.text(max_size=60) | st.text("ab \"'*%_:&|!()<->^\\东京都🐈\u0301\0{}", max_size=40)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=SEARCHES, search=SEARCHES)
def test_nothing_that_is_typed_raises(store: GalleryStore, prompt: str, search: str) -> None:
    added = store.add(record(prompt))
    finds(store, search)
    found = {each.id for each in store.page(PictureQuery(search=prompt), limit=500).records}
    assert added.id in found or not any(c.isalnum() for c in prompt)
    store.delete([added.id])
    store.empty_bin()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=PLAIN, search=PLAIN)
def test_it_finds_what_a_plain_comparison_finds(
    store: GalleryStore, prompt: str, search: str
) -> None:
    added = store.add(record(prompt))
    words, (*before, last) = prompt.split(), search.split() or [""]
    wanted = set(before) <= set(words) and (
        not last or any(word.startswith(last) for word in words)
    )
    assert (store.count(PictureQuery(search=search)) == 1) == wanted
    store.delete([added.id])
    store.empty_bin()
