"""What a settled request wants to be put into its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.adapters.specs import Adapters, FreeUFactors, IpAdapterUse, LoraUse
from paintdiff.models.conditioning.prompt_words import find_embeddings
from paintdiff.models.registry.adapter_rows import EmbeddingRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import split_lora_tags
from paintdiff.tasks.pictures import decode_input_picture

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.catalog.catalog import Catalog


def prompt_text(request: PaintingRequest) -> str:
    """The prompt as the model gets it: without the LoRAs that are named in it."""
    return split_lora_tags(request.prompt)[0]


def collect_lora_uses(request: PaintingRequest) -> tuple[LoraUse, ...]:
    """The LoRAs named in the prompt, then those of `loras`, each once: the weights of one that is
    asked for twice add up.
    """
    uses: dict[str, LoraUse] = {}
    for name, weight, text_encoder in _asked(request):
        before = uses.get(name, LoraUse(name, 0.0, 0.0))
        uses[name] = LoraUse(
            name, before.weight + weight, before.text_encoder_weight + text_encoder
        )
    return tuple(uses.values())


def _asked(request: PaintingRequest) -> list[tuple[str, float, float]]:
    tags = split_lora_tags(request.prompt)[1]
    asked = [(tag.name, tag.weight, tag.text_encoder_weight) for tag in tags]
    for given in request.loras:
        text_encoder = given.text_encoder_weight
        asked.append(
            (given.name, given.weight, given.weight if text_encoder is None else text_encoder)
        )
    return asked


def find_prompt_embeddings(request: PaintingRequest, catalog: Catalog) -> tuple[str, ...]:
    """The embeddings of the model's family that its words name."""
    names = [
        row.name for row in catalog.fitting(EmbeddingRow, catalog.find(ModelRow, request.model))
    ]
    return find_embeddings(f"{prompt_text(request)}\n{request.negative_prompt}", names)


def collect_adapters(settled: PaintingRequest, catalog: Catalog) -> Adapters:
    """What a settled request is to be leased with. What has no effect isn't even loaded."""
    free_u = settled.free_u
    refiner = settled.refiner
    return Adapters(
        loras=tuple(use for use in collect_lora_uses(settled) if use.acts),
        embeddings=find_prompt_embeddings(settled, catalog),
        vae=settled.vae,
        free_u=free_u and FreeUFactors(free_u.b1, free_u.b2, free_u.s1, free_u.s2),
        ip_adapters=tuple(
            IpAdapterUse(each.name, each.scale)
            for each in settled.ip_adapters
            if each.scale > 0 and each.name is not None
        ),
        refiner=refiner.model if refiner is not None and refiner.switch_at < 1 else None,
    )


def decode_ip_pictures(settled: PaintingRequest) -> tuple[Image.Image, ...]:
    """The pictures (RGB) of the IP-Adapters that act. Raises RequestError for one that can't be
    read.
    """
    return tuple(
        decode_input_picture(each.image, f"ip_adapters.{index}.image").convert("RGB")
        for index, each in enumerate(settled.ip_adapters)
        if each.scale > 0 and each.name is not None
    )
