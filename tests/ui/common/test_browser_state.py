"""Values stored by a browser are checked, never trusted."""

from __future__ import annotations

import json

import pytest

from paintdiff.ui.common import browser_state
from paintdiff.ui.common.browser_state import BrowserState, FilmPicture


def test_what_was_stored_comes_back() -> None:
    film = browser_state.format_film([FilmPicture(("a", 0)), FilmPicture(("b", 3), "id7")])
    stored = {
        "settings": {"prompt": "a cat", "width": 96},
        "film": json.loads(film),
        "job": "a-_1 b",
    }
    memory = BrowserState.parse(json.dumps(stored))
    assert memory.film == (FilmPicture(("a", 0)), FilmPicture(("b", 3), "id7"))
    assert memory.job_ids == ("a-_1", "b")
    assert memory.text("prompt") == "a cat"
    assert memory.number("width", 128, 32, 4096) == 96


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "7",
        None,
        '{"settings": [], "film": {}, "job": 7}',
        '{"settings": null, "film": [null, "../../x/0", "a/b", "a/-1", "a/99999"], "job": "../x"}',
        "[" * 50_000,
        '"' + "x" * 200_000,
    ],
)
def test_nonsense_is_forgotten(text: object) -> None:
    assert BrowserState.parse(text) == BrowserState()
    within = f'{{"settings": {text}, "film": {text}, "job": [{text}], "model": {{}}, "fresh": 1}}'
    assert not BrowserState.parse(within).job_ids and not BrowserState.parse(within).film


def test_values_outside_their_limits_are_the_defaults() -> None:
    settings = {"a": 1e9, "b": True, "c": "x", "d": float("nan"), "e": ["Animals", 7], "f": "gone"}
    memory = BrowserState(settings)
    for name in "abcd":
        assert memory.number(name, 5, 0, 10) == 5
    assert memory.choices("e", ["Animals", "Scenery"]) == ["Animals"]
    assert memory.choice("f", ["fast"], "balanced") == "balanced"
    assert memory.switch("c") is False


def test_the_filmstrip_is_bounded_and_has_no_doubles() -> None:
    ids = [f"job/{index}" for index in range(50)] + ["job/0"]
    assert len(browser_state.parse_film(ids)) == browser_state.MAX_FILM
    assert browser_state.parse_film(["a/1", "a/1", "a/2"]) == (
        FilmPicture(("a", 1)),
        FilmPicture(("a", 2)),
    )
    twice = browser_state.parse_film(["a/1/id", "a/1", "a/1/../x", "a/b/id", "/1/id"])
    assert twice == (FilmPicture(("a", 1), "id"),)
