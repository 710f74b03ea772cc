"""LoRAs, embeddings, VAE, refiner and IP-Adapters: checked and chosen. Loads nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError
from paintdiff.jobs.request_parts import MAX_LORA_WEIGHT, IpAdapterInput
from paintdiff.jobs.requests import MAX_LORAS, PaintingRequest
from paintdiff.models.adapters.specs import LoraUse
from paintdiff.models.conditioning.prompt_words import find_embeddings, shorten_words
from paintdiff.models.registry.adapter_rows import EmbeddingRow, IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import find_malformed_tags, split_lora_tags
from paintdiff.tasks.adapters import collect_lora_uses, remove_lora_tags
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.context import ResolveContext

if TYPE_CHECKING:
    from paintdiff.models.registry.families import Family

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_adapters(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Check all adapters; choose an IP-Adapter for each image prompt, and a VAE if one is missing.

    The pictures are decoded to check them. Raises RequestError or UnknownNameError, with the field
    in `field`, such as "loras.0.name".
    """
    check_loras(request, context)
    warn_of_embeddings(request, context)
    vae = _resolve_vae(request, context)
    _check_refiner(request, context)
    ip_adapters = _resolve_ip_adapters(request, context)
    return request.model_copy(update={"ip_adapters": ip_adapters, "vae": vae})


def check_loras(request: PaintingRequest, context: ResolveContext) -> None:
    """Check the LoRAs of a request, those in its prompt too.

    Raises RequestError or UnknownNameError, with the field in `field`.
    """
    for tag in find_malformed_tags(request.prompt):
        context.warn(
            messages.unreadable_lora_tag(tag),
            "prompt",
        )
    if split_lora_tags(request.negative_prompt)[1]:
        context.warn(
            messages.LORA_IN_NEGATIVE_PROMPT,
            "negative_prompt",
        )
    uses = collect_lora_uses(request)
    if len(uses) > MAX_LORAS:
        raise RequestError(
            messages.too_many_loras(len(uses), MAX_LORAS),
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
    row = context.find(LoraRow, use.name, field)
    _check_family(messages.the_lora(row.title), row.family, context.model, field)
    for weight in (use.weight, use.text_encoder_weight):
        if abs(weight) > MAX_LORA_WEIGHT:
            raise RequestError(
                messages.lora_weight_out_of_range(row.title, weight, MAX_LORA_WEIGHT),
                field=field.replace("name", "weight"),
            )
    if not use.acts:
        context.warn(
            messages.lora_without_effect(row.title),
            field.replace("name", "weight"),
        )
    elif times > 1:
        context.warn(
            messages.lora_used_often(row.title, times, use.weight),
            field,
        )


def _check_family(what: str, family: Family | None, model: ModelRow, field: str) -> None:
    if family is not None and family.name != model.family.name:
        raise RequestError(
            messages.for_another_family(what, family.title, model.title, model.family.title),
            field=field,
        )


def warn_of_embeddings(request: PaintingRequest, context: ResolveContext) -> None:
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
                messages.ambiguous_embedding(len(short[word]), word, ", ".join(short[word])),
                field,
            )
    for field, text in texts:
        for name in find_embeddings(text, others):
            context.warn(
                messages.embedding_for_another_family(
                    name,
                    ", ".join(others[name].families),
                    model.title,
                    model.family.title,
                ),
                field,
            )


def _resolve_vae(request: PaintingRequest, context: ResolveContext) -> str | None:
    """Return the name of the VAE that replaces the model's own, None for its own."""
    model = context.model
    if request.vae is not None:
        row = context.find(VaeRow, request.vae, "vae")
        _check_fits(messages.the_vae(row.title), row.families, model, "vae")
        return row.name
    if not model.parts or "vae" in model.parts or "text_encoder" not in model.parts:
        return None  # a denoiser alone takes all other parts from one model
    row = next(iter(context.catalog.fitting(VaeRow, model)), None)
    if row is None:
        return None
    context.warn(messages.no_vae_of_its_own(model.title, row.title), "vae")
    return row.name


def _check_fits(what: str, families: tuple[str, ...], model: ModelRow, field: str) -> None:
    if families and model.family.name not in families:
        raise RequestError(
            messages.for_another_family(what, ", ".join(families), model.title, model.family.title),
            field=field,
        )


def _check_refiner(request: PaintingRequest, context: ResolveContext) -> None:
    model, refiner = context.model, request.refiner
    if refiner is None:
        return
    row = context.find(ModelRow, refiner.model, "refiner.model")
    if not model.family.refiners:
        raise RequestError(
            messages.refiner_not_supported(model.title, model.family.title),
            field="refiner.model",
        )
    if row.family.name not in model.family.refiners:
        raise RequestError(
            messages.refiner_does_not_fit(
                row.title, row.family.title, model.title, " or ".join(model.family.refiners)
            ),
            field="refiner.model",
        )
    if row.name == model.name:
        raise RequestError(messages.own_refiner(row.title), field="refiner.model")
    if refiner.switch_at == 0:
        raise RequestError(
            messages.switch_at_zero(model.title, row.title),
            field="refiner.switch_at",
        )
    if refiner.switch_at == 1:
        context.warn(messages.SWITCH_AT_ONE, "refiner.switch_at")
    elif request.controls:
        context.warn(messages.CONTROLNETS_BEFORE_REFINER, "refiner.switch_at")


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
                messages.no_image_encoder(row.title),
                field=f"{field}.name",
            )
        if each.scale == 0:
            context.warn(messages.ip_adapter_without_effect(row.title), f"{field}.scale")
        resolved.append(each.model_copy(update={"name": row.name}))
    return tuple(resolved)


def _find_fitting_ip_adapter(name: str | None, context: ResolveContext, field: str) -> IpAdapterRow:
    model = context.model
    if name is not None:
        row = context.find(IpAdapterRow, name, field)
        _check_fits(messages.the_ip_adapter(row.title), row.families, model, field)
        return row
    fitting = context.catalog.fitting(IpAdapterRow, model)
    if not fitting:
        raise RequestError(
            messages.no_ip_adapter(model.title, model.family.title),
            field=field,
        )
    return fitting[0]
