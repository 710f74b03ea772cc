"""Prompts in the A1111 web UI's language: their limits, mistakes, and what a model can't do."""

from __future__ import annotations

import re

import paintdiff.tasks.resolve.messages as messages
from paintdiff.errors import RequestError
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.conditioning.prompt_plan import PromptPlan, plan_prompts
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.attention import Mistake
from paintdiff.prompts.syntax import find_mistakes
from paintdiff.tasks.resolve.context import ResolveContext

MAX_PARTS = 8
"""Each prompt between `AND` costs another call of the model per step."""
MAX_TEXTS = 100
"""All texts that a prompt changes to are kept in memory."""
_MOST_NAMED = 3
_AROUND_CHARACTERS = 10
_MOST_SHOWN = 60
_BEFORE = re.compile(rf"\S{{0,{_AROUND_CHARACTERS}}}.{{0,{_AROUND_CHARACTERS}}}\Z", re.DOTALL)
_AFTER = re.compile(rf".{{0,{_AROUND_CHARACTERS}}}\S{{0,{_AROUND_CHARACTERS}}}", re.DOTALL)
_CLOSING = re.compile(r"[)\]]")
_WEIGHT = re.compile(r":\s*[-+]?[.\d]+\s*$")


def check_prompts(request: PaintingRequest, context: ResolveContext) -> None:
    """Check the prompts of a request whose sampling is resolved.

    Raises:
        RequestError: A prompt has too many parts or changes.
    """
    if request.prompt_syntax == "plain":
        return
    steps = request.sampling().num_inference_steps
    plan = plan_prompts(request.prompt, request.negative_prompt, steps, 0, lambda text: text)
    _check_limits(plan)
    for sentence in list_unsupported(plan, context.model):
        context.warn(sentence, "prompt")
    for field in ("prompt", "negative_prompt"):
        text: str = getattr(request, field)
        for mistake in list_mistakes(text)[:_MOST_NAMED]:
            context.warn(messages.mistake_at(mistake.message, _quote(mistake, text)), field)


def _check_limits(plan: PromptPlan) -> None:
    if len(plan.parts) > MAX_PARTS:
        raise RequestError(messages.too_many_parts(len(plan.parts), MAX_PARTS), field="prompt")
    positive = {pieces for part in plan.parts for _, pieces in part}
    negative = {pieces for _, pieces in plan.negative}
    for field, texts in (("prompt", positive), ("negative_prompt", negative)):
        if len(texts) > MAX_TEXTS:
            sentence = messages.too_many_changes(len(texts) - 1, MAX_TEXTS - 1)
            raise RequestError(sentence, field=field)


def list_unsupported(plan: PromptPlan, model: ModelRow) -> list[str]:
    """Return sentences about what a model can't do of its prompts."""
    if model.family.takes_weights:
        return []
    sentences = [messages.weights_not_supported(model.title)] if plan.is_weighted else []
    if len(plan.parts) > 1:
        sentences.append(messages.parts_not_supported(model.title))
    elif not plan.is_single:
        sentences.append(messages.changes_not_supported(model.title))
    return sentences


def list_mistakes(text: str) -> list[Mistake]:
    """Return the mistakes in a prompt, except a closing bracket alone, as in ":)"."""
    return [each for each in find_mistakes(text) if not _is_plainly_text(each, text)]


def _is_plainly_text(mistake: Mistake, text: str) -> bool:
    found = text[mistake.start : mistake.end]
    alone = _CLOSING.fullmatch(found) is not None
    return alone and _WEIGHT.search(text[max(0, mistake.start - 20) : mistake.start]) is None


def _quote(mistake: Mistake, text: str) -> str:
    """Return the mistake and what is around it, in whole words where these are short."""
    before = _BEFORE.search(text[max(0, mistake.start - 2 * _AROUND_CHARACTERS) : mistake.start])
    after = _AFTER.match(text, mistake.end)
    assert before is not None and after is not None  # both also match nothing
    shown = before[0] + text[mistake.start : mistake.end] + after[0]
    return re.sub(r"\s+", " ", shown)[:_MOST_SHOWN].strip()
