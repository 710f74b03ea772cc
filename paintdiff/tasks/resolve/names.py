"""Full names for what a request calls by a short one.

So a resolved request, and the picture made from it, always means the same files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import UnknownNameError
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.conditioning.prompt_words import restore_whole_names
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow, VaeRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import change_between_tags, rename_tags
from paintdiff.tasks.resolve.context import ResolveContext

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.base_rows import WeightsRow

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_names(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Return the request with the catalog's names for its LoRAs, embeddings, VAE and refiner.

    LoRAs in the prompt are renamed too. An unknown or ambiguous name stays; the code that looks it
    up later raises the error.
    """
    catalog = context.catalog
    embeddings = [row.name for row in catalog.fitting(EmbeddingRow, context.model)]

    def rename_lora(name: str) -> str:
        return _find_full_name(catalog, LoraRow, name)

    def restore_words(text: str) -> str:
        return restore_whole_names(text, embeddings)

    refiner, vae = request.refiner, request.vae
    if refiner is not None:
        refiner = refiner.model_copy(
            update={"model": _find_full_name(catalog, ModelRow, refiner.model)}
        )
    update = {
        "prompt": change_between_tags(rename_tags(request.prompt, rename_lora), restore_words),
        "negative_prompt": change_between_tags(request.negative_prompt, restore_words),
        "loras": tuple(
            each.model_copy(update={"name": rename_lora(each.name)}) for each in request.loras
        ),
        "vae": None if vae is None else _find_full_name(catalog, VaeRow, vae),
        "refiner": refiner,
    }
    return request.model_copy(update=update)


def _find_full_name(catalog: Catalog, kind: type[WeightsRow], name: str) -> str:
    try:
        return catalog.find(kind, name).name
    except UnknownNameError:
        return name
