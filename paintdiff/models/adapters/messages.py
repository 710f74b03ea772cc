"""Sentences about LoRAs, IP-Adapters and FreeU."""

from __future__ import annotations

from collections.abc import Sequence

# Applying a LoRA.


def waiting_for(model: str) -> str:
    return f"Waiting for {model}: another job uses other LoRAs"


def free_u_without_effect(model: str) -> str:
    return f"FreeU has no effect: {model} has no UNet."


OWN_REFINER = "A model can't be its own refiner. Choose another."


def applying(lora: str) -> str:
    return f"Applying the LoRA {lora}"


def parts_without_effect(matched: int, total: int, lora: str, model: str) -> str:
    return (
        f"Only {matched} of {total} parts of the LoRA {lora} fit {model}; the others have no "
        "effect."
    )


def dora_not_applied(lora: str, model: str, component: str, layer: str, reason: object) -> str:
    return (
        f"The LoRA {lora} is a DoRA that can't be applied to {model}: at {component}.{layer} "
        f"{reason}. Get the file again, or another version of it."
    )


def lora_does_not_fit(
    lora: str, model: str, layer: str, down: object, up: object, weight: object
) -> str:
    return (
        f"The LoRA {lora} doesn't fit {model}: at {layer} it has {down} and {up} for a weight of "
        f"{weight}."
    )


def for_other_family(lora: str, theirs: str, model: str, family: str) -> str:
    return (
        f"The LoRA {lora} is for {theirs}, but {model} is of the family {family}. Choose another "
        "LoRA, or another model."
    )


def for_other_width(lora: str, width: int, model: str, family: str, fitting: int | None) -> str:
    return (
        f"The LoRA {lora} is for text embeddings of width {width}, but {model} is of the family "
        f"{family}, which uses {fitting}."
    )


def no_part_fits(lora: str, count: int, model: str, family: str) -> str:
    return (
        f"The LoRA {lora} is for another family of models: none of its {count} parts fits; "
        f"{model} is of the family {family}."
    )


# Reading a LoRA's file.


def unreadable_as_lora(name: str) -> str:
    return f"{name} can't be read as a LoRA"


def not_a_lora(name: str, why: str) -> str:
    return f"{name} isn't a LoRA: {why}."


NO_MATRICES = "it contains no LoRA matrices"
ALL_RANKS_ZERO = "all its pairs of matrices have a rank of 0"


def unsupported_kind(name: str, kinds: str) -> str:
    return (
        f"{name} is of an unsupported kind: {kinds}. Get it as a LoRA, or merge it into a "
        "checkpoint."
    )


def parts_ignored(name: str, kind: str) -> str:
    return f"Parts of {name} ({kind}) aren't supported and were ignored."


def had_no_effect(count: int, name: str, what: str) -> str:
    parts = "1 part" if count == 1 else f"{count:,} parts"
    return f"{parts} of {name} with {what} had no effect."


ALPHA_OF_ZERO = "an alpha of 0"
RANK_OF_ZERO = "a rank of 0"
TOKEN_EMBEDDINGS_OR_BIASES = "LoRA of token embeddings or biases"


def several_adapters(name: str, adapters: str) -> str:
    return f"{name} holds several adapters ({adapters}). Save each in a file of its own."


def several_tensors(name: str) -> str:
    return f"{name} has several tensors for the same part of a layer."


# Magnitudes of a DoRA.


def magnitudes_not_assigned(name: str, layer: str) -> str:
    return (
        f"{name} is a DoRA whose magnitudes can't be assigned: {layer} is only a part of a layer "
        "in the file. Use a LoRA without DoRA, or merge this one into a checkpoint."
    )


def dora_of_the_change(name: str) -> str:
    return (
        f"{name} is a DoRA of the change alone (wd_for_diff), which isn't supported. Get it as a "
        "LoRA or a usual DoRA, or merge it into a checkpoint."
    )


def wrong_magnitudes(name: str, layer: str, problem: str) -> str:
    return (
        f"{name} is a DoRA, and its magnitudes of {layer} {problem}. Get the file again, or "
        "another version of it."
    )


def not_floating_point(dtype: object) -> str:
    return f"are {dtype}, not floating-point numbers"


def other_shape(shape: object, fitting: str) -> str:
    return f"have the shape {shape}; {fitting} fit"


NOT_FINITE = "are infinite or NaN"
ALL_ZERO = "are all 0"
MAGNITUDES_NOT_FINITE = "the magnitudes or matrices are too large, infinite or NaN"


def dora_without_magnitudes(where: str, component: str, layer: str) -> str:
    return (
        f"According to {where}, the LoRA is a DoRA, but its file has no magnitudes for "
        f"{component}.{layer}. Without them pictures would be wrong. Get the file again, or "
        "another version of it."
    )


# Alphas.


def alpha_not_a_number(layer: str, name: str, shape: object) -> str:
    return f"The alpha of {layer} in {name} has the shape {shape}; it should be one number."


def alpha_not_finite(layer: str, name: str, value: float) -> str:
    return (
        f"The alpha of {layer} in {name} is {value}, so it can't be used. Get the file again, or "
        "another version of it."
    )


def not_a_finite_number(key: str, where: str, value: str) -> str:
    return (
        f"{key} in {where} is {value}, not a finite number. Download the LoRA again, or correct "
        "the number."
    )


def alpha_for_expression(where: str, pattern: str) -> str:
    return (
        f"{where} has an alpha for layers like {pattern!r}, a regular expression that isn't read "
        "here. Write the layers' names instead."
    )


def not_lora_beside(name: str, kind: str, config: str) -> str:
    return (
        f"{name} is an adapter of the kind {kind}, by the {config} beside it; only LoRAs can be "
        "used."
    )


def alphas_damaged(key: str, name: str) -> str:
    return (
        f"The {key} in {name} is damaged, so its alphas are unknown: the LoRA may be too strong or "
        "too weak."
    )


def config_unreadable(config: str, name: str, reason: str) -> str:
    return (
        f"The {config} beside {name} can't be read ({reason}), so its alpha is unknown: the LoRA "
        "may be too strong or too weak."
    )


def alphas_in(key: str, name: str) -> str:
    return f"the {key} of {name}"


def config_beside(config: str, name: str) -> str:
    return f"the {config} beside {name}"


def config_too_large(most: int) -> str:
    return f"it has more than {most:,} bytes"


NOT_AN_OBJECT = "it isn't a JSON object"


# IP-Adapters.

PUT_IMAGE_ENCODER = (
    "Put the folder of its CLIP image encoder, with config.json and model.safetensors, in the "
    "folder clip_vision of a models folder."
)


def no_image_encoder(title: str) -> str:
    return f"{title} has no image encoder. {PUT_IMAGE_ENCODER}"


def encoder_not_loaded(title: str) -> str:
    return f"The image encoder of {title} can't be loaded"


def not_an_ip_adapter(title: str, missing: str) -> str:
    return f"{title} isn't an IP-Adapter: {missing} is missing."


def face_id(title: str) -> str:
    return f"{title} is an IP-Adapter FaceID, which needs a face recogniser and isn't supported."


def unknown_ip_adapter(title: str) -> str:
    return f"{title} is an IP-Adapter of an unknown kind."


def encoder_does_not_fit(title: str, needed: int, encoder: object, found: int) -> str:
    return (
        f"{title} needs an image encoder with {needed} dimensions; the one at {encoder} has "
        f"{found}."
    )


def no_image_prompts(model: str) -> str:
    return f"{model} doesn't support image prompts (IP-Adapter)."


def different_encoders(titles: str) -> str:
    return f"{titles} need different image encoders, so they can't be used together."


def ip_adapter_does_not_fit(
    title: str, model: str, widths: str, width: int, families: Sequence[str]
) -> str:
    told = f" It is for {', '.join(families)}." if families else ""
    return (
        f"The IP-Adapter {title} doesn't fit {model}: its embeddings are {widths} wide, the "
        f"model's {width}.{told}"
    )


def does_not_fit(titles: str, model: str) -> str:
    return f"{titles} doesn't fit {model}"
