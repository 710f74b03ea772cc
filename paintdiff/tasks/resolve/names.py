"""Full names for what a request calls by a short one.

So a resolved request, and the picture made from it, always means the same files.
"""

from __future__ import annotations

from typing import TypeVar

from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.conditioning.prompt_words import restore_whole_names
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow, VaeRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import change_between_tags, rename_tags
from paintdiff.tasks.resolve.context import ResolveContext

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_names(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Return the request with the catalog's names for its LoRAs, embeddings, VAE and refiner.

    LoRAs in the prompt are renamed too. Raises UnknownNameError for an unknown or ambiguous name.
    """
    refiner, vae = request.refiner, request.vae
    if refiner is not None:
        row = context.find(ModelRow, refiner.model, "refiner.model")
        refiner = refiner.model_copy(update={"model": row.name})
    update = {
        "loras": tuple(
            each.model_copy(
                update={"name": context.find(LoraRow, each.name, f"loras.{index}.name").name}
            )
            for index, each in enumerate(request.loras)
        ),
        "vae": None if vae is None else context.find(VaeRow, vae, "vae").name,
        "refiner": refiner,
    }
    return resolve_prompt_names(request.model_copy(update=update), context)


def resolve_prompt_names(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Return the request with the catalog's names for LoRAs and embeddings in its prompts.

    Raises UnknownNameError for an unknown or ambiguous LoRA.
    """
    embeddings = [row.name for row in context.catalog.fitting(EmbeddingRow, context.model)]

    def rename_lora(name: str) -> str:
        return context.find(LoraRow, name, "prompt").name

    def restore_words(text: str) -> str:
        return restore_whole_names(text, embeddings)

    update = {
        "prompt": change_between_tags(rename_tags(request.prompt, rename_lora), restore_words),
        "negative_prompt": change_between_tags(request.negative_prompt, restore_words),
    }
    return request.model_copy(update=update)
