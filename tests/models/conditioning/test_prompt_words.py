"""Words for embeddings of which several have the same name."""

from __future__ import annotations

from paintdiff.models.conditioning.prompt_words import restore_whole_names, shorten_words


def test_a_word_that_can_mean_one_embedding_becomes_its_name() -> None:
    names = ("a/Hands", "b/eyes", "c/eyes", "ink", "d/ink")
    assert shorten_words(names) == {"hands": ("a/Hands",), "eyes": ("b/eyes", "c/eyes")}
    text = "HANDS, a/hands, (hands:1.2), handsome, eyes, b/eyes, ink, d/ink"
    assert restore_whole_names(text, names) == (
        "a/Hands, a/hands, (a/Hands:1.2), handsome, eyes, b/eyes, ink, d/ink"
    )
    assert restore_whole_names("hands", ("hands", "a/hands")) == "hands"
    assert restore_whole_names("hands", ()) == "hands"
