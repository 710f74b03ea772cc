"""What is to be put into a model: checked, and its open choices filled, when a request is
submitted. Nothing is loaded.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.jobs.messages import FieldMessage
from paintdiff.jobs.request_parts import MAX_LORA_WEIGHT, IpAdapterInput
from paintdiff.jobs.requests import MAX_LORAS, PaintingRequest
from paintdiff.models.conditioning.prompt_words import find_embeddings, shorten_words
from paintdiff.models.registry.adapter_rows import EmbeddingRow, IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.extra_networks import find_malformed_tags, split_lora_tags
from paintdiff.tasks.adapters import collect_lora_uses, prompt_text
from paintdiff.tasks.pictures import decode_input_picture

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.families import Family

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)
RowT = TypeVar("RowT", bound=WeightsRow)


def resolve_adapters(settled: PaintingT, catalog: Catalog) -> tuple[PaintingT, tuple[str, ...]]:
    """The request with an IP-Adapter for each of its pictures as prompts, a VAE if its model has
    none, and what a person should know about all that is put into the model.

    Raises RequestError or UnknownNameError, with the field in `field`, such as "loras.0.name".
    """
    model = catalog.find(ModelRow, settled.model)
    warnings = _checked_loras(settled, model, catalog)
    warnings += _embedding_remarks(settled, model, catalog)
    vae, vae_remarks = _settled_vae(settled, model, catalog)
    warnings += vae_remarks
    warnings += _checked_refiner(settled, model, catalog)
    ip_adapters, more = _settled_ip_adapters(settled, model, catalog)
    update = {"ip_adapters": ip_adapters, "vae": vae}
    return settled.model_copy(update=update), (*warnings, *more)


def _named(catalog: Catalog, kind: type[RowT], name: str, field: str) -> RowT:
    try:
        return catalog.find(kind, name)
    except UnknownNameError as error:
        raise error.at(field) from error


def _checked_loras(settled: PaintingRequest, model: ModelRow, catalog: Catalog) -> list[str]:
    places = [(tag.name, "prompt") for tag in split_lora_tags(settled.prompt)[1]]
    places += [(given.name, f"loras.{index}.name") for index, given in enumerate(settled.loras)]
    field_of = dict(reversed(places))
    warnings: list[str] = [
        FieldMessage(
            f"{tag} can't be read as a LoRA, so it stayed in the prompt. Write <lora:name:0.8>.",
            "prompt",
        )
        for tag in find_malformed_tags(settled.prompt)
    ]
    if split_lora_tags(settled.negative_prompt)[1]:
        warnings.append(
            FieldMessage(
                "A LoRA in the negative prompt has no effect. Write it in the prompt.",
                "negative_prompt",
            )
        )
    uses = collect_lora_uses(settled)
    if len(uses) > MAX_LORAS:
        raise RequestError(
            f"{len(uses)} LoRAs are too many; at most {MAX_LORAS} can be used together.",
            field="loras",
        )
    times = Counter(name for name, _field in places)
    for use in uses:
        field = field_of[use.name]
        row = _named(catalog, LoraRow, use.name, field)
        _check_family(f"The LoRA {row.title}", row.family, model, field)
        for weight in (use.weight, use.text_encoder_weight):
            if abs(weight) > MAX_LORA_WEIGHT:
                raise RequestError(
                    f"The LoRA {row.title} has a weight of {weight:g}; it may be "
                    f"-{MAX_LORA_WEIGHT:g} to {MAX_LORA_WEIGHT:g}.",
                    field=field.replace("name", "weight"),
                )
        if not use.acts:
            warnings.append(
                FieldMessage(
                    f"The LoRA {row.title} has no effect at a weight of 0.",
                    field.replace("name", "weight"),
                )
            )
        elif times[use.name] > 1:
            warnings.append(
                FieldMessage(
                    f"The LoRA {row.title} is used {times[use.name]} times; the weights add up "
                    f"to {use.weight:g}.",
                    field,
                )
            )
    return warnings


def _check_family(what: str, family: Family | None, model: ModelRow, field: str) -> None:
    if family is not None and family.name != model.family.name:
        raise RequestError(
            f"{what} is for {family.title}, but {model.title} is of the family "
            f"{model.family.title}. Choose another.",
            field=field,
        )


def _embedding_remarks(settled: PaintingRequest, model: ModelRow, catalog: Catalog) -> list[str]:
    """Words that name an embedding which the model can't learn."""
    others = {
        row.name: row for row in catalog.rows(EmbeddingRow) if model.family.name not in row.families
    }
    texts = (("prompt", prompt_text(settled)), ("negative_prompt", settled.negative_prompt))
    unclear = shorten_words(row.name for row in catalog.fitting(EmbeddingRow, model))
    remarks: list[str] = [
        FieldMessage(
            f"{len(unclear[word])} embeddings are called {word}, so it is read as a word. Write "
            f"one of: {', '.join(unclear[word])}.",
            field,
        )
        for field, text in texts
        for word in find_embeddings(text, [word for word, own in unclear.items() if len(own) > 1])
    ]
    return remarks + [
        FieldMessage(
            f"The embedding {name} has no effect: it is for "
            f"{', '.join(others[name].families) or 'an unknown family'}, but {model.title} is of "
            f"the family {model.family.title}.",
            field,
        )
        for field, text in texts
        for name in find_embeddings(text, others)
    ]


def _settled_vae(
    settled: PaintingRequest, model: ModelRow, catalog: Catalog
) -> tuple[str | None, list[str]]:
    """The name of the VAE that takes the place of the model's, None for its own."""
    if settled.vae is not None:
        row = _named(catalog, VaeRow, settled.vae, "vae")
        _check_fits(f"The VAE {row.title}", row.families, model, "vae")
        return row.name, []
    if not model.parts or "vae" in model.parts or "text_encoder" not in model.parts:
        return None, []  # what is a denoiser alone takes all other parts from one model
    row = next(iter(catalog.fitting(VaeRow, model)), None)
    if row is None:
        return None, []
    said = f"{model.title} has no VAE of its own, so {row.title} is used."
    return row.name, [FieldMessage(said, "vae")]


def _check_fits(what: str, families: tuple[str, ...], model: ModelRow, field: str) -> None:
    if families and model.family.name not in families:
        raise RequestError(
            f"{what} is for {', '.join(families)}, but {model.title} is of the family "
            f"{model.family.title}. Choose another.",
            field=field,
        )


def _checked_refiner(settled: PaintingRequest, model: ModelRow, catalog: Catalog) -> list[str]:
    refiner = settled.refiner
    if refiner is None:
        return []
    row = _named(catalog, ModelRow, refiner.model, "refiner.model")
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
        return [
            FieldMessage(
                "The refiner has no effect: a switch at 1 leaves it no steps.", "refiner.switch_at"
            )
        ]
    if settled.controls:
        return [FieldMessage("ControlNets act until the refiner takes over.", "refiner.switch_at")]
    return []


def _settled_ip_adapters(
    settled: PaintingRequest, model: ModelRow, catalog: Catalog
) -> tuple[tuple[IpAdapterInput, ...], list[str]]:
    given: list[IpAdapterInput] = []
    warnings: list[str] = []
    for index, each in enumerate(settled.ip_adapters):
        field = f"ip_adapters.{index}"
        decode_input_picture(each.image, f"{field}.image")
        row = _ip_adapter(each.name, model, catalog, f"{field}.name")
        if row.image_encoder is None:
            raise RequestError(
                f"The IP-Adapter {row.title} needs its CLIP image encoder: put the folder with "
                "its config.json and model.safetensors in the folder clip_vision of a models "
                "folder.",
                field=f"{field}.name",
            )
        if each.scale == 0:
            warnings.append(
                FieldMessage(
                    f"The IP-Adapter {row.title} has no effect at a scale of 0.", f"{field}.scale"
                )
            )
        given.append(each.model_copy(update={"name": row.name}))
    return tuple(given), warnings


def _ip_adapter(name: str | None, model: ModelRow, catalog: Catalog, field: str) -> IpAdapterRow:
    if name is not None:
        row = _named(catalog, IpAdapterRow, name, field)
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
