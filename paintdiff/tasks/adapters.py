"""The adapters of a resolved request: LoRAs, embeddings, VAE, FreeU, IP-Adapters, refiner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.jobs.request_parts import LATENT_UPSCALER, NO_CONTROLNET
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.models.adapters.specs import Adapters, FreeUFactors, IpAdapterUse, LoraUse
from paintdiff.models.conditioning.prompt_words import find_embeddings
from paintdiff.models.registry.adapter_rows import EmbeddingRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import split_lora_tags

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow
    from paintdiff.tasks.decoded_inputs import DecodedInputs


def remove_lora_tags(request: PaintingRequest) -> str:
    """Return the prompt as the model gets it: without the LoRA tags."""
    return split_lora_tags(request.prompt)[0]


def collect_lora_uses(request: PaintingRequest) -> tuple[LoraUse, ...]:
    """Return the LoRAs named in the prompt, then those of `loras`, each once.

    The weights of a LoRA that is named several times add up.
    """
    uses: dict[str, LoraUse] = {}
    for name, weight, text_encoder in _list_named_loras(request):
        before = uses.get(name, LoraUse(name, 0.0, 0.0))
        uses[name] = LoraUse(
            name, before.weight + weight, before.text_encoder_weight + text_encoder
        )
    return tuple(uses.values())


def _list_named_loras(request: PaintingRequest) -> list[tuple[str, float, float]]:
    tags = split_lora_tags(request.prompt)[1]
    named = [(tag.name, tag.weight, tag.text_encoder_weight) for tag in tags]
    for given in request.loras:
        text_encoder = given.text_encoder_weight
        named.append(
            (given.name, given.weight, given.weight if text_encoder is None else text_encoder)
        )
    return named


def find_prompt_embeddings(
    request: PaintingRequest, model: ModelRow, catalog: Catalog
) -> tuple[str, ...]:
    """Return the embeddings of the model's family that the prompts name."""
    names = [row.name for row in catalog.fitting(EmbeddingRow, model)]
    texts = [remove_lora_tags(request), request.negative_prompt]
    for branch in request.branches:
        texts += [branch.prompt or "", branch.negative_prompt or ""]
    return find_embeddings("\n".join(texts), names)


def collect_adapters(resolved: PaintingRequest, model: ModelRow, catalog: Catalog) -> Adapters:
    """Return the adapters to lease a resolved request's model with, except those without effect."""
    free_u = resolved.free_u
    refiner = resolved.refiner
    return Adapters(
        loras=tuple(use for use in collect_lora_uses(resolved) if use.acts),
        embeddings=find_prompt_embeddings(resolved, model, catalog),
        vae=resolved.vae,
        free_u=free_u and FreeUFactors(free_u.b1, free_u.b2, free_u.s1, free_u.s2),
        ip_adapters=tuple(
            IpAdapterUse(each.name, each.scale)
            for each in resolved.ip_adapters
            if each.scale > 0 and each.name is not None
        ),
        refiner=refiner.model if refiner is not None and refiner.switch_at < 1 else None,
    )


def has_known_weights(resolved: PaintingRequest) -> bool:
    """Return whether hashes identify all weights that a request needs, besides the model's.

    ControlNets, IP-Adapters, upscalers and face restorers have none, preprocessors neither.
    """
    hires = resolved.hires if isinstance(resolved, TextToImage) else None
    plain = not (resolved.controls or resolved.ip_adapters) and resolved.upscaling is None
    return plain and (
        hires is None or (hires.upscaler == LATENT_UPSCALER and hires.controlnet == NO_CONTROLNET)
    )


def decode_ip_pictures(resolved: PaintingRequest, inputs: DecodedInputs) -> tuple[Image.Image, ...]:
    """Return the pictures (RGB) of the IP-Adapters that have an effect.

    Raises RequestError for a picture that can't be read.
    """
    return tuple(
        inputs.decode(each.image, f"ip_adapters.{index}.image").convert("RGB")
        for index, each in enumerate(resolved.ip_adapters)
        if each.scale > 0 and each.name is not None
    )
