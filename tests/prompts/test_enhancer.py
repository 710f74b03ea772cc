from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest

from paintdiff.config.presets import presets_folder
from paintdiff.errors import RequestError
from paintdiff.prompts import enhance, variations
from paintdiff.prompts.enhancer import MAX_VARIATIONS, find_changes
from paintdiff.prompts.words import find_unknown_words

KNOWN = frozenset(json.loads((presets_folder() / "mini" / "words.json").read_text("utf-8")))


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, paintdiff.prompts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("known", [(), KNOWN])
def test_a_seed_gives_the_same_again(known: frozenset[str]) -> None:
    assert enhance("a cat", 7, known=known) == enhance("a cat", 7, known=known)
    assert len({enhance("a cat", seed, known=known) for seed in range(20)}) > 10


@pytest.mark.parametrize("subject", ["a cat", "A red boat", "an old house", "a mermaid", "a man"])
def test_the_embedded_models_words_are_enough(subject: str) -> None:
    for text in variations(subject, 8, known=KNOWN):
        assert find_unknown_words(text, KNOWN) == ()
        assert text.endswith(("sunrise", "day", "sunset", "dusk", "night"))


def test_a_colour_goes_before_its_subject() -> None:
    for text in variations("a cat on green hills at night", 4, known=KNOWN):
        assert text.endswith("cat on green hills at night")  # green is said, so no colour is added
    texts = variations("an old (house:1.3) in the desert", 8, known=KNOWN)
    assert all(text.startswith("an old (") and "house:1.3)" in text for text in texts)
    colours = {text.split()[1] for text in variations("a cat", 16, known=KNOWN)}
    assert "orange" not in colours or any(
        text.startswith("an orange cat") for text in variations("a cat", 16, known=KNOWN)
    )


def test_nothing_is_said_twice() -> None:
    assert variations("a red cat on green hills at night", known=KNOWN) == ()
    for seed in range(20):
        assert "watercolour, " not in enhance("a cat, watercolour, portrait", seed)[28:]


def test_a_prompt_stays_and_its_syntax_too() -> None:
    prompt = "a {red|blue} (cat:1.2) <lora:ink:0.7>"
    assert all(text.startswith(prompt) for text in variations(prompt, 8))


def test_an_empty_prompt_gets_a_scene() -> None:
    texts = variations("", 6, known=KNOWN)
    assert len(texts) == 6
    assert all(find_unknown_words(text, KNOWN) == () for text in texts)
    assert variations("") == ()


@pytest.mark.parametrize("count", [0, -1, MAX_VARIATIONS + 1])
def test_the_number_of_variations_is_limited(count: int) -> None:
    with pytest.raises(RequestError, match=f"1 to {MAX_VARIATIONS}"):
        variations("a cat", count)


def test_a_long_prompt_is_refused() -> None:
    with pytest.raises(RequestError, match="at most 5000"):
        enhance("a" * 5001)


def test_changes_rebuild_the_enhanced_prompt() -> None:
    before, after = "a cat", "a red cat at night"
    changes = find_changes(before, after)
    assert "".join(change.text for change in changes) == after
    assert "".join(change.text for change in changes if change.is_new) == "red  at night"


def test_any_text_can_be_enhanced() -> None:
    random = Random(3)
    letters = "a cat house ()[]{}|:<lora:>\\__\0\u00e9\U0001f431,.;"
    for seed in range(500):
        text = "".join(random.choice(letters) for _ in range(random.randrange(40)))
        for known in ((), KNOWN):
            made = enhance(text, seed, known=known)
            assert "".join(change.text for change in find_changes(text, made)) == made
