"""What a model can't make of a request's words."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from paintdiff.prompts.words import cut_words, quoted, unknown_words
from paintdiff.requests import PaintingRequest

if TYPE_CHECKING:
    from paintdiff.models.lease import LeasedPipeline


def remarks(request: PaintingRequest, leased: LeasedPipeline) -> tuple[str, ...]:
    """What the model can't make of the words, as sentences for people."""
    sentences: list[str] = []
    title = leased.row.title.split(",")[0]
    if leased.known_words is not None:
        unknown = unknown_words(f"{request.prompt}\n{request.negative_prompt}", leased.known_words)
        if unknown:
            them = "it" if len(unknown) == 1 else "them"
            sentences.append(
                f"{title} doesn't know {quoted(unknown)}, so the picture may leave {them} out."
            )
    for which, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
        cut = cut_words(text, leased.tokenizer)
        if cut:
            sentences.append(
                f"The {which} is too long for {title}; "
                f"it was painted without its end: \u201c{shorten(cut, 80, placeholder=' …')}\u201d."
            )
    return tuple(sentences)
