"""Sentences about the models that a scan finds."""

from __future__ import annotations


def loaded_by_auto_pipeline(pipeline: str) -> str:
    return f"{pipeline} is of an unknown family, so AutoPipelineForText2Image loads it."


def family_not_supported(name: str, family: str, pipeline: str, supported: str) -> str:
    return (
        f"{name!r} is of the family {family!r} ({pipeline}), which isn't supported. Supported "
        f"families: {supported}."
    )


ONLY_A_DENOISER = "Only a denoiser, without VAE and text encoders."


def usable_without(reason: str, name: str) -> str:
    return f"{reason}. {name} can be used without this file."


# Reasons, which go into a sentence.

NO_TENSORS = "it contains no tensors"
IS_CONTROL_LORA = "it is a Control-LoRA, which isn't supported"
IS_NOT_READ_AS_GGUF = "of GGUF files only checkpoints and denoisers are read; get it as safetensors"
IS_T2I_ADAPTER = "it is a T2I adapter, which isn't supported"
UNKNOWN_CONTROLNET = "it isn't a known ControlNet: it has no cross-attention"
FLUX_IP_ADAPTER = "an IP-Adapter for FLUX"
IS_FACEID_ADAPTER = "it is a FaceID IP-Adapter, which needs InsightFace and isn't supported"
IMAGE_ENCODER = "an image encoder"
LANGUAGE_MODEL = "a language model, which proposes richer prompts"
IS_TEXT_ENCODER = "it is a text encoder, which is only a part of a model"
NOT_READ_YET = "it wasn't read yet because unusable files took too long; rescan to read it"
INVALID_ANSWER = "the process that reads files gave an invalid answer; rescan to try again"
READING_TAKES_TOO_MUCH_MEMORY = "it can't be read: it would take too much memory"
LORA_OF_UNKNOWN_FAMILY = "a LoRA of an unknown family"
LORA_BY_NAMES = "a LoRA by its tensors' names"
OTHER_VERSION = "it has another version"
NEEDS_FACE_DETECTOR = (
    "it needs a face detector, and none was found; add face_detection_yunet_*.onnx"
)
OF_THE_OPERATING_SYSTEM = "it belongs to the operating system, so it isn't scanned"
NAME_NOT_UNICODE = "its name isn't valid Unicode; rename it"
IS_A_FOLDER = "it is a folder, not a file"
LEADS_UP = "it is a link to a folder that contains it, so it isn't scanned"
NOT_AN_OBJECT = "it isn't a JSON object"


def unknown_kind(first: object) -> str:
    return f"it isn't a known kind of weights; its first tensor is {first!r:.80}"


def controlnet_by(program: object) -> str:
    return f"a ControlNet by {program}"


def not_supported(what: object) -> str:
    return f"it is {what}, which isn't supported"


def embedding_of_widths(widths: object) -> str:
    return f"an embedding with vectors of width {widths}"


def tiny_autoencoder_for(channels: object) -> str:
    return f"a tiny autoencoder for latents of {channels} channels"


def face_restorer(title: object) -> str:
    return f"a face restorer ({title})"


def vae_fits_nothing(channels: object) -> str:
    return f"it is a VAE with {channels} latent channels, which fits no supported family"


def vae_with(channels: object) -> str:
    return f"a VAE with {channels} latent channels"


def upscaler(title: object) -> str:
    return f"an upscaler ({title})"


def no_use_on_its_own(class_name: object) -> str:
    return f"it is a {class_name}, which can't be used on its own"


def impossible_channels(channels: object, most: int) -> str:
    return f"its config.json says {channels!r:.40} latent channels; supported are 1 to {most:,}."


def reading_took_longer(seconds: float) -> str:
    return f"reading it took longer than {seconds:g} seconds"


def no_reading_process(reason: object) -> str:
    return f"the process that reads files can't be started: {reason}"


def reading_crashed(status: object) -> str:
    return f"reading it crashed the process that reads files (status {status})"


def reading_failed(error_type: object, error: object) -> str:
    return f"it can't be read ({error_type}: {error})"


def more_bytes_than(most: int) -> str:
    return f"it has more than {most:,} bytes"


def use_failed(error_type: object, error: object) -> str:
    return f"it can't be used ({error_type}: {error})"


def of_unsupported_family(family: object, reason: object) -> str:
    return f"it is of the family {family!r}, which isn't supported ({reason})"


def it_is_unreadable(reason: object) -> str:
    return f"it can't be read: {reason}"


def too_many_files(most: int) -> str:
    return (
        f"this folder and those after it were skipped, because there are more than {most:,} files; "
        "use a models folder with fewer files"
    )


def folder_too_deep(most: int) -> str:
    return f"it is more than {most} folders deep; move it up"
