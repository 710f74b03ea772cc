"""Puts the names of the catalog in the place of what a person calls things, so that a settled
request, and the picture that is made from it, means the same files for good.
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

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.base_rows import WeightsRow

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_names(request: PaintingT, catalog: Catalog) -> PaintingT:
    """The request with the catalog's names for its LoRAs, in the prompt too, its embeddings, its
    VAE and its refiner. A name that isn't known, or not clear, stays: who uses it refuses it.
    """
    embeddings = [
        row.name for row in catalog.fitting(EmbeddingRow, catalog.find(ModelRow, request.model))
    ]

    def lora(name: str) -> str:
        return _own_name(catalog, LoraRow, name)

    def words(text: str) -> str:
        return restore_whole_names(text, embeddings)

    refiner, vae = request.refiner, request.vae
    if refiner is not None:
        refiner = refiner.model_copy(update={"model": _own_name(catalog, ModelRow, refiner.model)})
    update = {
        "prompt": change_between_tags(rename_tags(request.prompt, lora), words),
        "negative_prompt": change_between_tags(request.negative_prompt, words),
        "loras": tuple(each.model_copy(update={"name": lora(each.name)}) for each in request.loras),
        "vae": None if vae is None else _own_name(catalog, VaeRow, vae),
        "refiner": refiner,
    }
    return request.model_copy(update=update)


def _own_name(catalog: Catalog, kind: type[WeightsRow], name: str) -> str:
    try:
        return catalog.find(kind, name).name
    except UnknownNameError:
        return name
