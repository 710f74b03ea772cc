"""Warnings about a request that need the loaded model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import paintdiff.tasks.messages as messages
from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest
from paintdiff.models.conditioning.prompt_words import insert_embeddings, replace_near_words
from paintdiff.prompts.attention import list_words
from paintdiff.prompts.syntax import list_texts, parse_prompt
from paintdiff.prompts.words import find_cut_words, find_unknown_words, knows_none
from paintdiff.tasks.adapters import remove_lora_tags
from paintdiff.tasks.runs import build_run

if TYPE_CHECKING:
    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline


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
    prompt, negative = read_texts(request)
    vocabulary = leased.prompts.vocabulary
    if vocabulary.known is not None:
        learned = dict.fromkeys(leased.adapters.tokens, "")
        _, replaced = replace_near_words(f"{prompt}\n{negative}", vocabulary.near)
        sentences += _describe_replaced_words(title, replaced)
        painted, _near = replace_near_words(prompt, vocabulary.near)
        others = insert_embeddings(painted, learned)
        unknown = find_unknown_words(others, vocabulary.known)
        if others == painted and knows_none(painted, vocabulary.known):
            sentences.append(_explain_no_word_known(leased, unknown))
        elif unknown:
            sentence = messages.unknown_words(title, unknown)
            sentences.append(FieldMessage(sentence, "prompt", words=unknown))
        is_guided = request.sampling().guidance_scale > 1  # else the negative prompt isn't read
        avoided, _near = replace_near_words(negative if is_guided else "", vocabulary.near)
        if ignored := find_unknown_words(insert_embeddings(avoided, learned), vocabulary.known):
            sentence = messages.unknown_words_to_avoid(title, ignored)
            sentences.append(FieldMessage(sentence, "negative_prompt"))
    sentences += _warn_of_family(request, leased)
    return sentences + _warn_of_length(request, leased, (prompt, negative))


def _warn_of_length(
    request: PaintingRequest, leased: LeasedPipeline, texts: tuple[str, str]
) -> list[str]:
    prompts, title = leased.prompts, leased.row.title
    any_length = request.prompt_syntax == "a1111" and leased.row.family.takes_weights
    if prompts.tokenizer is None or (any_length and not prompts.has_limited_encoder):
        return []
    sentences: list[str] = []
    for which, text in zip(("prompt", "negative prompt"), texts, strict=True):
        cut = find_cut_words(prompts.prepare_text(text), prompts.tokenizer, prompts.max_tokens)
        if cut:
            sentences.append(messages.prompt_too_long(which, title, cut, t5_only=any_length))
    return sentences


def read_texts(request: PaintingRequest) -> tuple[str, str]:
    """Return all words that a request's prompts say at any step, without LoRA tags and syntax."""
    if request.prompt_syntax == "plain":
        return remove_lora_tags(request), request.negative_prompt
    prompts, negatives = [request.prompt], [request.negative_prompt]
    for branch in request.branches:
        prompts += [branch.prompt] if branch.prompt is not None else []
        negatives += [branch.negative_prompt] if branch.negative_prompt is not None else []
    words = [list_words(list_texts(parse_prompt(each))) for each in prompts]
    avoided = [list_words(list_texts(parse_prompt(each, divided=False))) for each in negatives]
    return "\n".join(words), "\n".join(avoided)


def _explain_no_word_known(leased: LeasedPipeline, unknown: tuple[str, ...]) -> FieldMessage:
    """Return a warning that the picture won't show the prompt, and what to write instead."""
    subjects = leased.prompts.vocabulary.subjects
    sentence = messages.no_word_known(leased.row.title, unknown, subjects)
    return FieldMessage(sentence, "prompt", subjects, unknown)


def _describe_replaced_words(title: str, replaced: tuple[tuple[str, str], ...]) -> list[str]:
    if not replaced:
        return []
    sentence = messages.words_read_as(title, replaced)
    return [FieldMessage(sentence, "prompt", words=tuple(word for word, _near in replaced))]


def _warn_of_profile(leased: LeasedPipeline) -> list[str]:
    lacking, why_torch = leased.unsupported, leased.computing.why_torch
    title = leased.row.title
    sentences: list[str] = []
    if lacking:
        sentence = messages.profile_not_supported(title, leased.profile.title, lacking)
        sentences.append(FieldMessage(sentence, "profile"))
    if why_torch:
        sentence = messages.torch_instead(why_torch)
        sentences.append(FieldMessage(sentence, "profile"))
    return sentences


def _warn_of_clip_skip(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    if request.clip_skip == 1 or leased.prompts.skips_layers(request.clip_skip):
        return []
    why = messages.ALWAYS_THAT_LAYER if leased.prompts.takes_clip_skip else messages.NO_CLIP_SKIP
    sentence = messages.clip_skip_without_effect(request.clip_skip, leased.row.title, why)
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
        messages.switch_leaves_no_steps(request.refiner.switch_at)
        if not first.refiner_steps
        else messages.switch_before_painting(request.refiner.switch_at)
    )
    return [FieldMessage(messages.refiner_without_effect(why, len(steps)), "refiner.switch_at")]


def _warn_of_family(request: PaintingRequest, leased: LeasedPipeline) -> list[str]:
    """Return warnings about the model's family that depend on the loaded model."""
    sentences: list[str] = []
    title = leased.row.title
    if leased.is_of_unknown_family:
        sentences.append(messages.unknown_family(title, type(leased.pipeline).__name__))
    guidance_scale = request.sampling().guidance_scale
    if leased.ignores_guidance(guidance_scale, request.negative_prompt):
        sentence = messages.guidance_without_effect(guidance_scale, title)
        sentences.append(FieldMessage(sentence, "guidance_scale"))
    if request.negative_prompt.strip() and not leased.takes_negative_prompt:
        sentence = messages.negative_prompt_without_effect(title)
        sentences.append(FieldMessage(sentence, "negative_prompt"))
    return sentences
