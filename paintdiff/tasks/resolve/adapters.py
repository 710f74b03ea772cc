"""LoRAs, embeddings, VAE, refiner and IP-Adapters: checked and chosen. Loads nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.jobs.request_parts import MAX_LORA_WEIGHT, IpAdapterInput
from paintdiff.jobs.requests import MAX_LORAS, PaintingRequest
from paintdiff.models.adapters.specs import LoraUse
from paintdiff.models.conditioning.prompt_words import find_embeddings, shorten_words
from paintdiff.models.registry.adapter_rows import EmbeddingRow, IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import find_malformed_tags, split_lora_tags
from paintdiff.tasks.adapters import collect_lora_uses, remove_lora_tags
from paintdiff.tasks.resolve.context import ResolveContext

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.families import Family

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)
RowT = TypeVar("RowT", bound=WeightsRow)


def resolve_adapters(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Check all adapters; choose an IP-Adapter for each image prompt, and a VAE if one is missing.

    The pictures are decoded to check them. Raises RequestError or UnknownNameError, with the field
    in `field`, such as "loras.0.name".
    """
    _check_loras(request, context)
    _warn_of_embeddings(request, context)
    vae = _resolve_vae(request, context)
    _check_refiner(request, context)
    ip_adapters = _resolve_ip_adapters(request, context)
    return request.model_copy(update={"ip_adapters": ip_adapters, "vae": vae})


def _find(catalog: Catalog, kind: type[RowT], name: str, field: str) -> RowT:
    try:
        return catalog.find(kind, name)
    except UnknownNameError as error:
        raise error.at(field) from error


def _check_loras(request: PaintingRequest, context: ResolveContext) -> None:
    for tag in find_malformed_tags(request.prompt):
        context.warn(
            f"{tag} can't be read as a LoRA, so it stayed in the prompt. Write <lora:name:0.8>.",
            "prompt",
        )
    if split_lora_tags(request.negative_prompt)[1]:
        context.warn(
            "A LoRA in the negative prompt has no effect. Write it in the prompt.",
            "negative_prompt",
        )
    uses = collect_lora_uses(request)
    if len(uses) > MAX_LORAS:
        raise RequestError(
            f"{len(uses)} LoRAs are too many; at most {MAX_LORAS} can be used together.",
            field="loras",
        )
    places = [(tag.name, "prompt") for tag in split_lora_tags(request.prompt)[1]]
    places += [(given.name, f"loras.{index}.name") for index, given in enumerate(request.loras)]
    field_of = dict(reversed(places))
    times = Counter(name for name, _field in places)
    for use in uses:
        _check_lora(use, times[use.name], field_of[use.name], context)


def _check_lora(use: LoraUse, times: int, field: str, context: ResolveContext) -> None:
    """Check a LoRA that is named so many times, first in `field`."""
    row = _find(context.catalog, LoraRow, use.name, field)
    _check_family(f"The LoRA {row.title}", row.family, context.model, field)
    for weight in (use.weight, use.text_encoder_weight):
        if abs(weight) > MAX_LORA_WEIGHT:
            raise RequestError(
                f"The LoRA {row.title} has a weight of {weight:g}; it may be "
                f"-{MAX_LORA_WEIGHT:g} to {MAX_LORA_WEIGHT:g}.",
                field=field.replace("name", "weight"),
            )
    if not use.acts:
        context.warn(
            f"The LoRA {row.title} has no effect at a weight of 0.",
            field.replace("name", "weight"),
        )
    elif times > 1:
        context.warn(
            f"The LoRA {row.title} is used {times} times; the weights add up to {use.weight:g}.",
            field,
        )


def _check_family(what: str, family: Family | None, model: ModelRow, field: str) -> None:
    if family is not None and family.name != model.family.name:
        raise RequestError(
            f"{what} is for {family.title}, but {model.title} is of the family "
            f"{model.family.title}. Choose another.",
            field=field,
        )


def _warn_of_embeddings(request: PaintingRequest, context: ResolveContext) -> None:
    """Warn of words that name several embeddings, or one that doesn't fit the model."""
    model, catalog = context.model, context.catalog
    others = {
        row.name: row for row in catalog.rows(EmbeddingRow) if model.family.name not in row.families
    }
    texts = (("prompt", remove_lora_tags(request)), ("negative_prompt", request.negative_prompt))
    short = shorten_words(row.name for row in catalog.fitting(EmbeddingRow, model))
    ambiguous = [word for word, names in short.items() if len(names) > 1]
    for field, text in texts:
        for word in find_embeddings(text, ambiguous):
            context.warn(
                f"{len(short[word])} embeddings are called {word}, so it is read as a word. Write "
                f"one of: {', '.join(short[word])}.",
                field,
            )
    for field, text in texts:
        for name in find_embeddings(text, others):
            context.warn(
                f"The embedding {name} has no effect: it is for "
                f"{', '.join(others[name].families) or 'an unknown family'}, but {model.title} is "
                f"of the family {model.family.title}.",
                field,
            )


def _resolve_vae(request: PaintingRequest, context: ResolveContext) -> str | None:
    """Return the name of the VAE that replaces the model's own, None for its own."""
    model = context.model
    if request.vae is not None:
        row = _find(context.catalog, VaeRow, request.vae, "vae")
        _check_fits(f"The VAE {row.title}", row.families, model, "vae")
        return row.name
    if not model.parts or "vae" in model.parts or "text_encoder" not in model.parts:
        return None  # a denoiser alone takes all other parts from one model
    row = next(iter(context.catalog.fitting(VaeRow, model)), None)
    if row is None:
        return None
    context.warn(f"{model.title} has no VAE of its own, so {row.title} is used.", "vae")
    return row.name


def _check_fits(what: str, families: tuple[str, ...], model: ModelRow, field: str) -> None:
    if families and model.family.name not in families:
        raise RequestError(
            f"{what} is for {', '.join(families)}, but {model.title} is of the family "
            f"{model.family.title}. Choose another.",
            field=field,
        )


def _check_refiner(request: PaintingRequest, context: ResolveContext) -> None:
    model, refiner = context.model, request.refiner
    if refiner is None:
        return
    row = _find(context.catalog, ModelRow, refiner.model, "refiner.model")
    if not model.family.refiners:
        raise RequestError(
            f"{model.title} ({model.family.title}) doesn't support a refiner.",
            field="refiner.model",
        )
    if row.family.name not in model.family.refiners:
        raise RequestError(
            f"{row.title} ({row.family.title}) can't refine {model.title}. Choose a refiner of "
            f"the family {' or '.join(model.family.refiners)}.",
            field="refiner.model",
        )
    if row.name == model.name:
        raise RequestError(f"{row.title} can't be its own refiner.", field="refiner.model")
    if refiner.switch_at == 0:
        raise RequestError(
            f"A switch at 0 leaves {model.title} no steps. Switch later, or paint with "
            f"{row.title} alone.",
            field="refiner.switch_at",
        )
    if refiner.switch_at == 1:
        context.warn(
            "The refiner has no effect: a switch at 1 leaves it no steps.", "refiner.switch_at"
        )
    elif request.controls:
        context.warn("ControlNets act until the refiner takes over.", "refiner.switch_at")


def _resolve_ip_adapters(
    request: PaintingRequest, context: ResolveContext
) -> tuple[IpAdapterInput, ...]:
    resolved: list[IpAdapterInput] = []
    for index, each in enumerate(request.ip_adapters):
        field = f"ip_adapters.{index}"
        context.inputs.decode(each.image, f"{field}.image")
        row = _find_fitting_ip_adapter(each.name, context, f"{field}.name")
        if row.image_encoder is None:
            raise RequestError(
                f"The IP-Adapter {row.title} needs its CLIP image encoder: put the folder with "
                "its config.json and model.safetensors in the folder clip_vision of a models "
                "folder.",
                field=f"{field}.name",
            )
        if each.scale == 0:
            context.warn(
                f"The IP-Adapter {row.title} has no effect at a scale of 0.", f"{field}.scale"
            )
        resolved.append(each.model_copy(update={"name": row.name}))
    return tuple(resolved)


def _find_fitting_ip_adapter(name: str | None, context: ResolveContext, field: str) -> IpAdapterRow:
    model, catalog = context.model, context.catalog
    if name is not None:
        row = _find(catalog, IpAdapterRow, name, field)
        _check_fits(f"The IP-Adapter {row.title}", row.families, model, field)
        return row
    fitting = catalog.fitting(IpAdapterRow, model)
    if not fitting:
        raise RequestError(
            f"No IP-Adapter found for {model.title} ({model.family.title}). Put one in the "
            "folder ipadapter of a models folder.",
            field=field,
        )
    return fitting[0]
