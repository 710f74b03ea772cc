"""The LoRAs that a prompt names, as rows with a weight each.

Only the prompt stores them: the rows are made from it, and the page's script writes into it.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from paintdiff.errors import UnknownNameError
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.prompts.extra_networks import LoraTag, split_lora_tags
from paintdiff.ui.settings import messages

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow

MAX_WORDS_SHOWN = 12
MIN_WEIGHT, MAX_WEIGHT, WEIGHT_STEP = -1, 2, 0.05


def lora_rows(prompt: str, model: ModelRow, catalog: Catalog, prompt_id: str) -> str:
    """Return the rows as markup; "" if the prompt names no LoRA.

    A row says why its LoRA has no effect on the model. `prompt_id` is the id of the prompt box.
    """
    tags = {tag.name: tag for tag in split_lora_tags(prompt)[1]}
    if not tags:
        return ""
    rows = "".join(_row(tag, _find(name, catalog), model) for name, tag in tags.items())
    return f'<ul class="lora-rows" data-prompt="{escape(prompt_id)}">{rows}</ul>'


def _find(name: str, catalog: Catalog) -> LoraRow | UnknownNameError:
    try:
        return catalog.find(LoraRow, name)
    except UnknownNameError as error:
        return error


def explain_no_effect(tag: LoraTag, row: LoraRow | UnknownNameError, model: ModelRow) -> str:
    """Return why a LoRA in the prompt does nothing or can't be used; "" if it works."""
    if isinstance(row, UnknownNameError):
        return str(row)
    if row.family is not None and row.family.name != model.family.name:
        return messages.for_another_family(row.family.title, model.title)
    if tag.weight == 0 and tag.text_encoder_weight == 0:
        return messages.NO_EFFECT_AT_ZERO
    return ""


def _row(tag: LoraTag, row: LoraRow | UnknownNameError, model: ModelRow) -> str:
    name = escape(tag.name)
    title = escape(tag.name if isinstance(row, UnknownNameError) else row.title)
    trigger_words = () if isinstance(row, UnknownNameError) else row.trigger_words
    reason = explain_no_effect(tag, row, model)
    said = f'<p class="why">{escape(reason)}</p>' if reason else ""
    words = "".join(
        f'<button type="button" data-word="{escape(word)}" '
        f'title="{escape(messages.ADD_TO_PROMPT)}">{escape(word)}</button>'
        for word in trigger_words[:MAX_WORDS_SHOWN]
    )
    return (
        f'<li data-lora="{name}"><div class="head"><span class="title">{title}</span>'
        f'{_weight(tag, title)}<button type="button" class="out" data-out '
        f'aria-label="{messages.remove(title)}" title="{escape(messages.REMOVE)}">×</button></div>'  # noqa: RUF001 (the sign itself)
        f"{said}{f'<div class=words>{words}</div>' if words else ''}</li>"
    )


def _weight(tag: LoraTag, title: str) -> str:
    """Return a slider, or the weights as text if the text encoders have one of their own."""
    other = tag.text_encoder_weight
    if other != tag.weight:
        return f'<output class="two">{messages.two_weights(tag.weight, other)}</output>'
    return (
        f'<input type="range" min="{MIN_WEIGHT}" max="{MAX_WEIGHT}" step="{WEIGHT_STEP}" '
        f'value="{tag.weight:g}" aria-label="{messages.weight_of(title)}">'
        f"<output>{tag.weight:g}</output>"
    )
