"""What a person learns about a prompt while typing it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paintdiff.engine.engine import Engine
from paintdiff.errors import UnknownNameError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks.prompt_check import MAX_MARKS, CheckedPrompt, PromptCheck
from tests.tiny_families import save_tiny_family


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(ModelManager(Catalog.default(), device="cpu")) as opened:
        yield opened


def check(engine: Engine, text: str, **how: Any) -> PromptCheck:
    return engine.check_prompt(CheckedPrompt(text, **how), "mini")


def marked(found: PromptCheck, text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(each.kind, text[each.start : each.end], each.choices) for each in found.marks]


def test_no_weights_are_loaded(engine: Engine) -> None:
    found = check(engine, "a red house")
    assert found.count is not None and found.count.tokens == 3
    assert (found.marks, found.notes, found.offer) == ((), (), None)
    assert engine.status().model_state == "none"


def test_a_newcomers_prompt_gets_the_closest_that_mini_can_paint(engine: Engine) -> None:
    text = "portrait of a cyberpunk girl"
    found = check(engine, text)
    assert marked(found, text) == [
        ("unknown", "portrait", ()),
        ("unknown", "cyberpunk", ()),
        ("unknown", "girl", ("woman",)),
    ]
    assert found.offer is not None and found.offer.texts == ("a woman",)
    assert "“portrait” and “cyberpunk”" in found.offer.message
    assert "larger model" in found.offer.advice


def test_only_the_words_of_templates_are_words(engine: Engine) -> None:
    text = "a {2::red|blou} __mini/place__ ${x=cat}${x}"
    assert [word for _, word, _ in marked(check(engine, text), text)] == ["blou"]
    assert "never closed" in check(engine, "a {red|blue").notes[0]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("masterpiece, best quality, 1girl, solo, city at night", ("woman", "night")),
        ("a forest at night, cinematic", ("a rainforest at night",)),
        ("(crimson:1.3) palace on the [moon:sea:0.5] <lora:ink:1> trending", ("crimson castle",)),
        ("beautiful robot", ("a house", "a castle", "a tree")),
    ],
)
def test_offers_are_what_mini_knows(engine: Engine, text: str, offered: tuple[str, ...]) -> None:
    offer = check(engine, text).offer
    assert offer is not None
    assert all(each in ", ".join(offer.texts) for each in offered), offer
    again = check(engine, offer.texts[0])
    assert again.offer is None and not again.marks


def test_a_misspelt_word_gets_suggestions(engine: Engine) -> None:
    text = "a hosue by the (lkae:1.2)"
    first, _ = marked(check(engine, text), text)
    assert first[:2] == ("unknown", "hosue") and "house" in first[2]


def test_mistakes_are_where_they_are(engine: Engine) -> None:
    text = "a red house :) [cat:dog:x] <lora:nobody:0.8> <lora:bad:x> (and"
    found = [each[1] for each in marked(check(engine, text), text) if each[0] == "mistake"]
    assert found == ["[cat:dog:x]", "<lora:nobody:0.8>", "<lora:bad:x>", "("]
    plain = [each[1] for each in marked(check(engine, text, syntax="plain"), text)]
    assert "(" not in plain and "<lora:nobody:0.8>" in plain


def test_limits_are_said_before_generate(engine: Engine) -> None:
    assert "at most 8" in check(engine, " AND ".join(["a cat"] * 9)).notes[0]
    assert check(engine, " AND ".join(["a cat"] * 9), is_negative=True).notes == ()


def test_the_longest_of_the_changing_texts_is_counted(engine: Engine) -> None:
    text = "[a cat:a red house on a green hill:0.5] AND a dog"
    count = check(engine, text).count
    assert count is not None and count.tokens == 7


def test_any_text_is_checked(engine: Engine) -> None:
    rng = random.Random(7)
    pieces = ["(", ")", "[", "]", ":", "|", "\\", "<lora:", ">", " AND ", " BREAK ", "0.5", "red "]
    pieces += ["\0", "\u0301", "é", "\U0001d538", "\u202e", "\n", "hosue ", "{", "__x__", "\u017f"]
    for _ in range(60):
        text = "".join(rng.choices(pieces, k=rng.randrange(120)))
        for each in (check(engine, text), check(engine, text, syntax="plain", is_negative=True)):
            assert all(0 <= mark.start < mark.end <= len(text) for mark in each.marks)
            assert each.count is not None and list(each.count.borders) == sorted(each.count.borders)
    assert len(check(engine, "x y " * 2500).marks) == MAX_MARKS


def test_an_unknown_model_is_an_error(engine: Engine) -> None:
    with pytest.raises(UnknownNameError):
        engine.check_prompt(CheckedPrompt("a cat"), "nobody")


@pytest.mark.parametrize(
    ("family", "room", "unread", "note"),
    [
        ("sdxl", 75, False, ""),
        ("sdxl-refiner", 75, False, ""),
        ("sd3", 75, True, ""),
        ("flux", 511, True, "Weights and BREAK have no effect"),
        ("pixart", 299, True, "Weights and BREAK have no effect"),
    ],
)
def test_each_family_counts_with_its_own_tokenizers(
    family: str, room: int, unread: bool, note: str, tmp_path: Path
) -> None:
    save_tiny_family(family, tmp_path / family)
    catalog = Catalog.default().with_source(str(tmp_path / family), family=family)
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        short = engine.check_prompt(CheckedPrompt("a (red:1.2) house"), family)
        long = engine.check_prompt(CheckedPrompt("a red house, " * 400), family)
        assert engine.status().model_state == "none"
    assert short.count is not None and short.count.tokens > 0
    assert short.count.chunk_size == room
    assert (note in short.notes[0]) if note else not short.notes
    assert [each.kind for each in long.marks] == (["unread"] if unread else [])


def test_a_model_that_isnt_here_is_only_checked_for_syntax(engine: Engine) -> None:
    away = next(row for row in engine.manager.catalog.rows(ModelRow) if not row.is_here)
    found = engine.check_prompt(CheckedPrompt("a (red house"), away.name)
    assert found.count is None and [each.kind for each in found.marks] == ["mistake"]


def test_a_broken_tokenizer_is_a_note(tmp_path: Path) -> None:
    save_tiny_family("sdxl", tmp_path / "broken")
    for path in (tmp_path / "broken").glob("tokenizer*/tokenizer.json"):
        path.write_text("{")
    catalog = Catalog.default().with_source(str(tmp_path / "broken"), family="sdxl")
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        found = engine.check_prompt(CheckedPrompt("a (red house"), "broken")
    assert found.count is None and "tokenizer" in found.notes[0]
