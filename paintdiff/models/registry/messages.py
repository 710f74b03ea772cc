"""Sentences about single models, ControlNets and upscalers. Titles are in the tables of rows."""

from __future__ import annotations

from pathlib import Path

# Models.


def comes_with_the_app(title: str) -> str:
    return f"{title} (comes with the app)"


def to_download(size: str) -> str:
    return f"{size} to download"


ACCEPT_ITS_LICENCE = "gated: accept its licence"


def unreadable_folder(name: str, folder: str, reason: str | None) -> str:
    return f"{name} of {folder} can't be read, so this folder was skipped: {reason}."


def wrong_file(error: Exception) -> str:
    return f"{error} Download the model again, or correct the file."


def wrong_latent_rgb(folder: str, name: str, rows: int, channels: int) -> str:
    return (
        f"{folder}/{name}: matrix: it has {rows} rows; this model needs {channels}, one for each "
        "channel. Download the model again, or correct the file."
    )


# ControlNets.


def unknown_family(path: Path, name: str, family: str) -> str:
    return f"{path}: controlnets.{name}: unknown family {family!r}."


def no_controlnet_at(source: str) -> str:
    return (
        f"There is no ControlNet at {source!r}. Use a name from the list, a folder, a .safetensors "
        "or .pth file, or a Hugging Face id like owner/name."
    )


def width_not_supported(source: str, width: object, known: str) -> str:
    return (
        f"The ControlNet {source!r} is for text embeddings of width {width}, which fits no "
        f"supported family. Supported families: {known}."
    )


def no_controlnet_files(folder: str, files: str) -> str:
    return f"{folder} isn't a ControlNet: it has none of the files {files}."


def unreadable_controlnet(folder: str, file: str) -> str:
    return f"{folder} can't be used as a ControlNet: {file} can't be read."


def not_a_controlnet_class(file: str, given: object, wanted: str) -> str:
    return f"{file} describes a {given}. Only a {wanted} can be used as a ControlNet."


def not_a_controlnet(name: str) -> str:
    return (
        f"{name} isn't a ControlNet: it has no cross-attention. (T2I adapters, LoRAs and "
        "Control-LoRAs aren't ControlNets.)"
    )


def controlnet_not_found(source: str) -> str:
    return (
        f"The ControlNet {source} isn't on this machine and couldn't be looked up. Check its name "
        "and the connection; the log has the details."
    )


# Upscalers.


def no_language_model_at(source: str, files: str) -> str:
    return (
        f"There is no language model at {source!r}. Name a folder with config.json, vocab.json, "
        f"merges.txt and {files}, or a Hugging Face id."
    )


def no_upscaler_at(source: str) -> str:
    return (
        f"There is no upscaler at {source!r}. Use a name from the list, or a .safetensors or .pth "
        "file."
    )


def upscaler_missing(name: str, file: str) -> str:
    return f"{name} should be at {file}, which doesn't exist."


def downloading_upscaler(title: str, done: str, size: str) -> str:
    return f"Downloading {title}: {done} of {size}"


def upscaler_not_downloaded(
    title: str, size: str, address: object, reason: object, folder: Path
) -> str:
    return (
        f"{title} ({size}) couldn't be downloaded from {address}: {reason}. Try again later, put "
        f"the file in {folder} by hand, or choose another upscaler."
    )


# Presets.


def exact_changes_nothing(path: Path, profile: str) -> str:
    return f"{path}: {profile}: this profile must not change any setting."
