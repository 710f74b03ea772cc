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
    sentences += _family_remarks(request, leased)
    texts = (("prompt", request.prompt), ("negative prompt", request.negative_prompt))
    for which, text in texts if leased.tokenizer is not None else ():
        cut = cut_words(text, leased.tokenizer, leased.max_prompt_tokens)
        if cut:
            sentences.append(
                f"The {which} is too long for {title}; "
                f"it was painted without its end: \u201c{shorten(cut, 80, placeholder=' …')}\u201d."
            )
    return tuple(sentences)


def _family_remarks(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    """What only the loaded model can tell of its family."""
    sentences: list[str] = []
    title = leased.row.title.split(",")[0]
    if leased.of_unknown_family:
        sentences.append(
            f"{title} is a {leased.class_name}, of a family that this app doesn't know: it is "
            "painted with diffusers' own settings, without previews."
        )
    guidance_scale = request.sampling().guidance_scale
    if leased.unguided(guidance_scale, request.negative_prompt):
        sentences.append(
            f"The guidance scale of {guidance_scale:g} had no effect: {title} was trained to do "
            "without. Only with a negative prompt is it guided."
        )
    if request.negative_prompt.strip() and not leased.guided_by_words:
        sentences.append(
            f"The negative prompt had no effect: {title} has learnt its guidance, and takes the "
            "scale as a number."
        )
    return sentences
