from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paintdiff.prompts.extra_networks import (
    LoraTag,
    change_between_tags,
    find_malformed_tags,
    rename_tags,
    split_lora_tags,
    write_tag,
)


@pytest.mark.parametrize(
    ("tag", "weight", "text_encoder_weight"),
    [
        ("<lora:ink:0.8>", 0.8, 0.8),
        ("<lora:ink>", 1.0, 1.0),
        ("<lora:ink:0.8:0.5>", 0.5, 0.8),
        ("<lora:ink:te=0.3:unet=0.9>", 0.9, 0.3),
        ("<lora:ink:te=0.3>", 0.3, 0.3),
        ("<lora:ink:unet=0.3>", 0.3, 1.0),
        ("<LORA:ink:-1>", -1.0, -1.0),
        ("<lyco:ink:.5>", 0.5, 0.5),
    ],
)
def test_a_tag_says_which_weight_is_meant(
    tag: str, weight: float, text_encoder_weight: float
) -> None:
    text, tags = split_lora_tags(f"a house {tag} at night")
    assert text == "a house at night"
    assert tags == (LoraTag("ink", weight, text_encoder_weight),)
    assert find_malformed_tags(tag) == ()


@pytest.mark.parametrize(
    "text",
    [
        "<lora>",
        "<lora:>",
        "<lora:ink:thick>",
        "<lora:ink:1:2:3>",
        "<lora:ink:nan>",
        "<lora:ink:dyn=8>",
        "<lora:ink:0.8",
        "a < b > c",
        "<hypernet:ink:1>",
    ],
)
def test_what_is_no_tag_is_left_in_the_text(text: str) -> None:
    assert split_lora_tags(text) == (text, ())


@pytest.mark.parametrize("text", ["<lora:ink:thick>", "<lora:ink:1:2:3>", "<lora:ink:0.8"])
def test_what_was_meant_as_a_tag_is_told(text: str) -> None:
    assert find_malformed_tags(f"a house {text}") == (text,)


def test_a_backslash_takes_the_meaning_of_a_sign_away() -> None:
    assert split_lora_tags(r"a \<lora:ink:1> b") == ("a <lora:ink:1> b", ())
    assert find_malformed_tags(r"a \<lora:ink:1> b") == ()
    assert split_lora_tags(r"<lora:in\:k\>:0.5>")[1] == (LoraTag("in:k>", 0.5, 0.5),)


def test_several_tags_leave_one_space() -> None:
    text, tags = split_lora_tags("<lora:a:1> red <lora:b:1> <lora:a:0.5>, house<lora:c>")
    assert text == "red , house"
    assert [tag.name for tag in tags] == ["a", "b", "a", "c"]


WEIGHTS = st.floats(-10, 10).map(lambda value: round(value, 3) + 0.0)
NAMES = st.text(min_size=1, max_size=30).filter(
    lambda name: name == name.strip() and "\0" not in name
)


@given(NAMES, WEIGHTS, WEIGHTS)
def test_what_is_written_is_read_again(name: str, weight: float, text_encoder: float) -> None:
    tag = LoraTag(name, weight, text_encoder)
    assert split_lora_tags(f"a house {write_tag(tag)}") == ("a house", (tag,))


def test_a_backslash_may_stand_between_folders() -> None:
    assert split_lora_tags(r"<lora:styles\ink:0.5>")[1] == (LoraTag(r"styles\ink", 0.5, 0.5),)
    assert split_lora_tags(r"<lora:styles/ink \(v2\):0.5>")[1][0].name == "styles/ink (v2)"


def test_what_is_around_tags_is_changed() -> None:
    prompt = r"ink <lora:ink:1> \<ink <b> ink"
    assert change_between_tags(prompt, str.upper) == r"INK <lora:ink:1> \<INK <B> INK"
    assert change_between_tags("", str.upper) == ""


def test_tags_get_other_names_and_nothing_else_changes() -> None:
    prompt = r"a <LoRA:Ink:te=0.5:unet=1>, \<lora:Ink> (red:1.1) <lyco:in\:k> <lora:other:1>"
    renamed = rename_tags(prompt, lambda name: {"Ink": "a:b", "in:k": "c"}.get(name, name))
    assert renamed == (
        r"a <LoRA:a\:b:te=0.5:unet=1>, \<lora:Ink> (red:1.1) <lyco:c> <lora:other:1>"
    )
    assert [tag.name for tag in split_lora_tags(renamed)[1]] == ["a:b", "c", "other"]
