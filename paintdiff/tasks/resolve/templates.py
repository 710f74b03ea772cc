"""Styles and wildcards: the prompts of each picture. See `prompts/wildcards`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError
from paintdiff.jobs.request_parts import MAX_PROMPT_CHARACTERS, PromptTexts
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.prompts.styles import apply_styles
from paintdiff.prompts.wildcards.expansion import Template
from paintdiff.prompts.wildcards.template import is_template
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.adapters import check_loras, warn_of_embeddings
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.names import resolve_prompt_names
from paintdiff.tasks.resolve.prompts import check_prompts
from paintdiff.tasks.resolve.sampling import resolve_seeds

if TYPE_CHECKING:
    from paintdiff.prompts.library import PromptLibrary

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def expand_prompts(
    request: PaintingT, library: PromptLibrary, context: ResolveContext
) -> PaintingT:
    """Return the request with each picture's prompts in `expansions`, if these differ from it.

    Its seeds are resolved then. Raises RequestError or UnknownNameError, with the field in `field`.
    """
    if request.expansions:
        if len(request.expansions) != request.num_images:
            raise RequestError(
                messages.wrong_number_of_expansions(len(request.expansions), request.num_images),
                field="expansions",
            )
        return request
    texts = apply_styles(
        request.prompt, request.negative_prompt, library.find_styles(request.styles)
    )
    expands = request.prompt_syntax == "a1111" and request.wildcards != "off"
    if not request.styles and not (expands and is_template("\n".join(texts))):
        return request
    seed, variation_seed = resolve_seeds(request)
    resolved = request.model_copy(update={"seed": seed, "variation_seed": variation_seed})
    wildcards = library.find_wildcards()
    mode = request.wildcards if expands else "off"
    prompt, negative = (
        Template(text, wildcards, mode, field)
        for text, field in zip(texts, ("prompt", "negative_prompt"), strict=True)
    )
    expansions = tuple(
        _expand(prompt, negative, resolved, index) for index in range(request.num_images)
    )
    _warn_of_combinations((prompt, negative), resolved, context)
    plain = _get_texts(request)
    if not request.styles and all(texts == plain for texts in expansions):
        return request
    return resolved.model_copy(update={"expansions": expansions})


def _expand(
    prompt: Template, negative: Template, request: PaintingRequest, index: int
) -> PromptTexts:
    """Return the prompts of picture `index`. Variations of one picture choose alike."""
    assert request.seed is not None  # it is resolved
    seed = number = request.seed + index
    if request.variation_strength > 0:
        seed, number = request.seed, (request.variation_seed or 0) + index
    positive = prompt.expand(seed, number)
    count = len(prompt.list_combinations(seed))
    texts = (positive, negative.expand(seed, number // count))
    for text, field in zip(texts, ("prompt", "negative_prompt"), strict=True):
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise RequestError(
                messages.expanded_too_long(len(text), MAX_PROMPT_CHARACTERS), field=field
            )
    return PromptTexts(prompt=texts[0], negative_prompt=texts[1])


def _warn_of_combinations(
    templates: tuple[Template, Template], request: PaintingRequest, context: ResolveContext
) -> None:
    if request.wildcards != "combinatorial":
        return
    assert request.seed is not None
    count = 1
    for template in templates:
        count *= len(template.list_combinations(request.seed))
    if any(template.has_more for template in templates):
        context.warn(messages.more_combinations(count), "wildcards")
    elif count > request.num_images:
        context.warn(messages.combinations_left(count, request.num_images), "num_images")


def use_first_expansion(request: PaintingT) -> PaintingT:
    """Return the request with its first picture's prompts in place of its own."""
    return _use(request, request.expansions[0]) if request.expansions else request


def resolve_expansions(asked: PaintingT, resolved: PaintingT, context: ResolveContext) -> PaintingT:
    """Check all expansions, and return the resolved request with them and the asked prompts.

    `resolved` has the first expansion as its prompts. Raises RequestError or UnknownNameError, with
    the field in `field`.
    """
    if not asked.expansions:
        return resolved
    made = {_key(asked.expansions[0]): _get_texts(resolved)}
    for texts in asked.expansions:
        if _key(texts) in made:
            continue
        one = resolve_prompt_names(_use(resolved, texts), context)
        check_prompts(one, context)
        check_loras(one, context)
        warn_of_embeddings(one, context)
        made[_key(texts)] = _get_texts(one)
    update = {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "expansions": tuple(made[_key(texts)] for texts in asked.expansions),
    }
    return resolved.model_copy(update=update)


def _use(request: PaintingT, texts: PromptTexts) -> PaintingT:
    update = {"prompt": texts.prompt, "negative_prompt": texts.negative_prompt}
    return request.model_copy(update=update)


def _get_texts(request: PaintingRequest) -> PromptTexts:
    return PromptTexts(prompt=request.prompt, negative_prompt=request.negative_prompt)


def _key(texts: PromptTexts) -> tuple[str, str]:
    return texts.prompt, texts.negative_prompt
