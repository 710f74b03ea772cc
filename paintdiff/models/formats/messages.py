"""Sentences about weight files: why one can't be read, or isn't safe."""

from __future__ import annotations

# Opening and hashing.


def not_a_file(what: str) -> str:
    return f"It is {what}, not a file"


def hashing_cancelled(name: str) -> str:
    return f"Hashing {name} was cancelled."


def unreadable(name: str, reason: str | None) -> str:
    return f"{name} can't be read: {reason}."


def no_weight_file(name: str) -> str:
    return f"The weight file {name} doesn't exist."


# Headers.


def not_usable(name: str, form: str, reason: object) -> str:
    return f"{name} isn't a usable {form} file: {reason}."


def not_usable_safetensors(reason: object) -> str:
    return f"This isn't a usable safetensors file: {reason}."


def unreadable_safetensors(name: str, reason: object) -> str:
    return f"{name} isn't a readable safetensors file: {reason}."


def unknown_format(name: str, start: bytes) -> str:
    return (
        f"{name} isn't a safetensors, GGUF or torch file: it begins with {start!r}. Get the "
        ".safetensors version."
    )


def replaced_while_opening(name: str) -> str:
    return f"{name} was replaced while it was being opened."


def damaged(name: str, reason: object) -> str:
    return f"{name} is damaged: {reason}."


def cut_off_while_reading(name: str) -> str:
    return f"{name} was cut off while it was being read."


def changed_while_reading(name: str) -> str:
    return f"{name} was changed while it was being read. Load it again once it is complete."


def damaged_tokenizer(what: str, reason: object) -> str:
    return f"{what} can't be read; its tokenizer is damaged: {reason}"


# Pickles.


def only_unsafe_weights(folder: object, name: str) -> str:
    return (
        f"{folder} has no weights but {name}, whose format could run code or is unknown. Get the "
        ".safetensors version."
    )


def is_a_pickle(name: str) -> str:
    return (
        f"{name} is a pickle, a format that could run code when it is read, whatever its suffix. "
        "Get the .safetensors version, or convert it."
    )


def pickle_with_more(name: str, found: object) -> str:
    return (
        f"{name} is a pickle that contains more than tensors ({found}) and could run code. It was "
        "not run. Get the .safetensors version."
    )


def damaged_weights(name: str, reason: str) -> str:
    return (
        f"{name} is damaged or isn't a weight file: {reason}. Download it again, or get the "
        ".safetensors version."
    )


def compressed_in_it(name: str) -> str:
    return f"{name} in it is compressed"


def two_sizes_in_it(name: str) -> str:
    return f"{name} in it has two sizes"


# What a file contains.


def for_width(what: str, width: int) -> str:
    return f"{what} for text embeddings of width {width:,}"


def fits_no_family(reason: str) -> str:
    return f"{reason}, which fits no supported family"
