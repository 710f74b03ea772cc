"""Warnings about a request that need the loaded model."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest
from paintdiff.models.conditioning.prompt_words import insert_embeddings, replace_near_words
from paintdiff.prompts.words import find_cut_words, find_unknown_words, knows_none, quote_words
from paintdiff.tasks.adapters import remove_lora_tags
from paintdiff.tasks.runs import build_run

if TYPE_CHECKING:
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline


def list_warnings(request: PaintingRequest, leased: LeasedPipeline) -> tuple[str, ...]:
    """Return sentences about everything in the request that the model can't do."""
    return (
        *_warn_of_words(request, leased),
        *leased.adapters.notes,
        *_warn_of_clip_skip(request, leased),
        *_warn_of_refiner(request, leased),
        *_warn_of_profile(leased),
    )


def _warn_of_words(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    sentences: list[str] = []
    title = leased.row.title
    prompt = remove_lora_tags(request)
    prompts, vocabulary = leased.prompts, leased.prompts.vocabulary
    if vocabulary.known is not None:
        learned = dict.fromkeys(leased.adapters.tokens, "")
        text, replaced = replace_near_words(f"{prompt}\n{request.negative_prompt}", vocabulary.near)
        sentences += _describe_replaced_words(title, replaced)
        text = insert_embeddings(text, learned)
        unknown = find_unknown_words(text, vocabulary.known)
        painted, _near = replace_near_words(prompt, vocabulary.near)
        taught = insert_embeddings(painted, learned) != painted
        if not taught and knows_none(painted, vocabulary.known):
            sentences.append(_explain_no_word_known(leased, unknown))
        elif unknown:
            them = "it" if len(unknown) == 1 else "them"
            sentences.append(
                f"{title} doesn't know {quote_words(unknown)}, so the picture may leave {them} out."
            )
    sentences += _warn_of_family(request, leased)
    texts = (("prompt", prompt), ("negative prompt", request.negative_prompt))
    for which, text in texts if prompts.tokenizer is not None else ():
        cut = find_cut_words(prompts.prepare_text(text), prompts.tokenizer, prompts.max_tokens)
        if cut:
            sentences.append(
                f"The {which} is too long for {title}, so its end was ignored: “"
                f"{shorten(cut, 80, placeholder=' …')}”."
            )
    return sentences


def _explain_no_word_known(leased: LeasedPipeline, unknown: tuple[str, ...]) -> FieldMessage:
    """Return a warning that the picture won't show the prompt, and what to write instead."""
    subjects = leased.prompts.vocabulary.subjects
    such = f", such as {', '.join(subjects[:3])}" if subjects else ""
    sentence = (
        f"{leased.row.title} knows none of these words: {quote_words(unknown)}. So the picture "
        f"doesn't show them. It paints one subject at a time{such}."
    )
    return FieldMessage(sentence, "prompt", subjects)


def _describe_replaced_words(title: str, replaced: tuple[tuple[str, str], ...]) -> list[str]:
    if not replaced:
        return []
    unknown = quote_words(tuple(word for word, _near in replaced))
    near = quote_words(tuple(dict.fromkeys(near for _word, near in replaced)))
    were = "was" if len(replaced) == 1 else "were"
    return [f"{title} doesn't know {unknown}, which {were} read as {near}."]


def _warn_of_profile(leased: LeasedPipeline) -> list[str]:
    lacking, why_torch = leased.unsupported, leased.computing.why_torch
    title = leased.row.title
    sentences: list[str] = []
    if lacking:
        sentence = f"{title} doesn't support all of {leased.profile.title}; painted without "
        sentences.append(FieldMessage(f"{sentence}{' and '.join(lacking)}.", "profile"))
    if why_torch:
        sentence = f"Painted with torch instead of OpenVINO: {why_torch}."
        sentences.append(FieldMessage(sentence, "profile"))
    return sentences


def _warn_of_clip_skip(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    if request.clip_skip == 1 or leased.prompts.skips_layers(request.clip_skip):
        return []
    why = (
        "it always uses that layer"
        if leased.prompts.takes_clip_skip
        else "its text encoder doesn't support it"
    )
    sentence = f"A clip skip of {request.clip_skip} has no effect on {leased.row.title}: {why}."
    return [FieldMessage(sentence, "clip_skip")]


def _warn_of_refiner(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    if leased.refiner is None or request.refiner is None:
        return []
    strengths = (1.0,)
    if isinstance(request, ImageToImage):
        strengths = request.strengths()
    elif isinstance(request, Inpaint):
        strengths = (request.strength,)
    steps = [leased.plan_hand_over(build_run(request), strength) for strength in strengths]
    if all(each.happens for each in steps):
        return []
    first = next(each for each in steps if not each.happens)
    why = (
        f"a switch at {request.refiner.switch_at:g} leaves it no steps. Switch earlier, or use "
        "more steps"
        if not first.refiner_steps
        else f"a switch at {request.refiner.switch_at:g} comes before painting begins. Switch "
        "later, or raise the strength"
    )
    passes = "" if len(steps) == 1 else " in at least one pass"
    return [FieldMessage(f"The refiner has no effect{passes}: {why}.", "refiner.switch_at")]


def _warn_of_family(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    """Return warnings about the model's family that depend on the loaded model."""
    sentences: list[str] = []
    title = leased.row.title
    if leased.is_of_unknown_family:
        sentences.append(
            f"{title} is a {type(leased.pipeline).__name__}, an unknown family: it is painted with "
            "diffusers' defaults, without previews."
        )
    guidance_scale = request.sampling().guidance_scale
    if leased.ignores_guidance(guidance_scale, request.negative_prompt):
        sentence = (
            f"The guidance scale of {guidance_scale:g} had no effect: {title} is guided only "
            "with a negative prompt."
        )
        sentences.append(FieldMessage(sentence, "guidance_scale"))
    if request.negative_prompt.strip() and not leased.takes_negative_prompt:
        sentence = f"The negative prompt had no effect: {title} is guidance-distilled."
        sentences.append(FieldMessage(sentence, "negative_prompt"))
    return sentences
