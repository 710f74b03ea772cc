"""Words for embeddings of which several have the same name."""

from __future__ import annotations

from paintdiff.models.embedding_words import short_words, with_whole_names


def test_a_word_that_can_mean_one_embedding_becomes_its_name() -> None:
    names = ("a/Hands", "b/eyes", "c/eyes", "ink", "d/ink")
    assert short_words(names) == {"hands": ("a/Hands",), "eyes": ("b/eyes", "c/eyes")}
    text = "HANDS, a/hands, (hands:1.2), handsome, eyes, b/eyes, ink, d/ink"
    assert with_whole_names(text, names) == (
        "a/Hands, a/hands, (a/Hands:1.2), handsome, eyes, b/eyes, ink, d/ink"
    )
    assert with_whole_names("hands", ("hands", "a/hands")) == "hands"
    assert with_whole_names("hands", ()) == "hands"
