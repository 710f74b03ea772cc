"""Words that name embeddings, and words that a model doesn't know."""

from __future__ import annotations

import json

from paintdiff import Engine, TextToImage
from paintdiff.jobs.field_messages import message_choices, message_field, message_words
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.conditioning.prompt_words import (
    replace_near_words,
    restore_whole_names,
    shorten_words,
)
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow, read_known_words, read_near_words


def test_a_word_that_can_mean_one_embedding_becomes_its_name() -> None:
    names = ("a/Hands", "b/eyes", "c/eyes", "ink", "d/ink")
    assert shorten_words(names) == {"hands": ("a/Hands",), "eyes": ("b/eyes", "c/eyes")}
    text = "HANDS, a/hands, (hands:1.2), handsome, eyes, b/eyes, ink, d/ink"
    assert restore_whole_names(text, names) == (
        "a/Hands, a/hands, (a/Hands:1.2), handsome, eyes, b/eyes, ink, d/ink"
    )
    assert restore_whole_names("hands", ("hands", "a/hands")) == "hands"
    assert restore_whole_names("hands", ()) == "hands"


def test_unknown_words_give_way_to_the_nearest_known_ones() -> None:
    near = {"ship": "boat", "winter": "snowy mountain"}
    text, replaced = replace_near_words("A Ship, two ships in WINTER; a ship's dog", near)
    assert text == "A boat, two ships in snowy mountain; a boat's dog"
    assert replaced == (("ship", "boat"), ("winter", "snowy mountain"))
    assert replace_near_words("a red house", near) == ("a red house", ())


def test_what_mini_reads_instead_it_knows() -> None:
    row = Catalog.default().find(ModelRow, "mini")
    assert row.folder is not None
    known, near = read_known_words(row, row.folder), read_near_words(row, row.folder)
    assert known and near
    assert not known & set(near), "what it knows is left alone"
    assert {word for text in near.values() for word in text.split()} <= known
    assert json.dumps(near).islower()


def test_mini_paints_snow_and_says_how() -> None:
    with Engine(ModelManager(Catalog.default())) as engine:
        request = TextToImage(prompt="a blue house in the SNOW", seed=1, quality="fast")
        finished = engine.generate(request)
        near = request.model_copy(update={"prompt": "a blue house in the snowy mountain"})
        read = engine.generate(near)
    assert finished.pictures[0].image.tobytes() == read.pictures[0].image.tobytes()
    assert finished.pictures[0].request.prompt == request.prompt
    said = " ".join(finished.warnings)
    assert "\u201csnow\u201d, which was read as \u201csnowy mountain\u201d" in said


def test_a_prompt_of_unknown_words_is_answered_by_what_mini_paints() -> None:
    with Engine(ModelManager(Catalog.default())) as engine:
        request = TextToImage(prompt="a cyberpunk samurai", num_inference_steps=1)
        (said,) = engine.generate(request).warnings
        (partly,) = engine.generate(request.model_copy(update={"prompt": "a red samurai"})).warnings
    assert "none of these words: “cyberpunk” and “samurai”" in said
    assert "one subject at a time" in said
    assert "a dragon" in message_choices([said])
    assert "none" not in partly and message_choices([partly]) == ()
    assert message_words(said) == ("cyberpunk", "samurai") and message_words(partly) == ("samurai",)


def test_unknown_words_of_the_negative_prompt_are_said_to_have_no_effect() -> None:
    with Engine(ModelManager(Catalog.default())) as engine:
        request = TextToImage(prompt="a cat", negative_prompt="blurry", num_inference_steps=1)
        (said,) = engine.generate(request).warnings
    assert said == "Mini doesn't know “blurry”, so the negative prompt can't avoid it."
    assert message_field(said) == "negative_prompt"
