"""Detects the kind and family of a weight file from its tensors' names and shapes and its metadata.

Pure functions over tables; nothing is loaded. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from paintdiff.models.discovery import detection_rules as tables
from paintdiff.models.discovery import messages
from paintdiff.models.discovery.lora_detection import detect_lora
from paintdiff.models.formats.headers import TensorShape
from paintdiff.models.formats.name_prefixes import strip_wrappers
from paintdiff.models.formats.tensor_inventory import (
    UNET_WIDTHS,
    Contents,
    DetectedWeights,
    Kind,
    match_width,
)

__all__ = ["UNET_WIDTHS", "DetectedWeights", "detect"]


def detect(
    tensors: Mapping[str, TensorShape],
    metadata: Mapping[str, str],
    widths: Mapping[int, str] = UNET_WIDTHS,
) -> DetectedWeights:
    """Detect what a file with these tensors is.

    `widths` maps text-embedding widths to families of UNets. Never raises: the kind is "unknown" if
    no rule matches, and `reason` says why.
    """
    inner = strip_wrappers(tensors)
    if inner is not None:
        tensors = {name: tensors[stored] for name, stored in inner.items()}
    contents = Contents(tensors, metadata, widths)
    rules: tuple[Callable[[Contents], DetectedWeights | None], ...] = (
        _detect_controlnet,
        _detect_denoiser,
        detect_lora,
        _detect_ip_adapter,
        _detect_embedding,
        _detect_tiny_autoencoder,
        _detect_face_restorer,
        _detect_vae,
        _detect_encoder,
        _detect_upscaler,
    )
    for rule in rules:
        found = rule(contents)
        if found is not None:
            return found
    first = next(iter(tensors), None)
    if first is None:
        return DetectedWeights("unknown", reason=messages.NO_TENSORS)
    return DetectedWeights(
        "unknown",
        reason=messages.unknown_kind(first),
    )


def _find_text_width(contents: Contents, prefix: str = "") -> int:
    for name in tables.WORD_WEIGHTS:
        if width := contents.side(prefix + name, 1):
            return width
    return contents.side(contents.find_ending(".attn2.to_k.weight"), 1)


def _detect_controlnet(contents: Contents) -> DetectedWeights | None:
    if contents.has_ends(("lora_controlnet",)):
        return DetectedWeights("unknown", reason=messages.IS_CONTROL_LORA)
    for start in tables.T2I_ADAPTER_STARTS:
        if contents.begins(start):
            return DetectedWeights("unknown", reason=messages.IS_T2I_ADAPTER)
    if not any(contents.begins(start) for start in tables.CONTROLNET_STARTS):
        return None
    width = _find_text_width(contents)
    if width:
        return match_width(contents, width, "controlnet", "a ControlNet")
    for start, family in tables.CONTROLNET_FAMILIES.items():
        if contents.begins(start):
            return DetectedWeights(
                "controlnet", family, messages.controlnet_by(start), families=(family,)
            )
    return DetectedWeights("controlnet", reason=messages.UNKNOWN_CONTROLNET)


def _detect_denoiser(contents: Contents) -> DetectedWeights | None:
    for prefix in tables.DENOISER_PREFIXES:
        if prefix and not contents.begins(prefix):
            continue
        for row in tables.DENOISERS:
            if contents.has(row.needs, prefix):
                return _describe_denoiser(contents, prefix, row)
    return None


def _describe_denoiser(contents: Contents, prefix: str, row: tables.DenoiserRow) -> DetectedWeights:
    channels = contents.side(prefix + row.channels_of, 1) if row.channels_of else 0
    refused = row.refused_channels.get(channels)
    if refused is not None or row.family is None:
        return DetectedWeights("unknown", reason=messages.not_supported(refused or row.title))
    parts = (
        "denoiser",
        *(part for part, starts in tables.PARTS.items() if any(map(contents.begins, starts))),
    )
    kind: Kind = "checkpoint" if len(parts) > 1 else "denoiser"
    if row.family == tables.UNET:
        found = match_width(contents, _find_text_width(contents, prefix), kind, row.title)
    else:
        found = DetectedWeights(kind, row.family, row.title, families=(row.family,))
    return replace(
        found,
        parts=parts,
        inpainting=channels in row.inpainting_channels,
        prediction_type=_read_prediction_type(contents),
        zero_terminal_snr=contents.has(("ztsnr",)),
    )


def _read_prediction_type(contents: Contents) -> Literal["", "epsilon", "v_prediction"]:
    if contents.has(("v_pred",)):
        return "v_prediction"
    said = contents.metadata.get("modelspec.prediction_type", "").strip().lower()
    if said in tables.V_PREDICTIONS:
        return "v_prediction"
    if said == "epsilon":
        return "epsilon"
    architecture = contents.metadata.get("modelspec.architecture", "").lower()
    return "v_prediction" if architecture.startswith("stable-diffusion-v2-768-v") else ""


def _detect_ip_adapter(contents: Contents) -> DetectedWeights | None:
    if contents.has_ends(("ip_adapter_double_stream_k_proj.weight",)):
        return DetectedWeights("ip_adapter", "flux", messages.FLUX_IP_ADAPTER, families=("flux",))
    if not contents.begins("image_proj.") or not contents.begins("ip_adapter."):
        return None
    if contents.side("image_proj.proj.0.weight", 1) == tables.FACE_ID_WIDTH:
        return DetectedWeights(
            "unknown",
            reason=messages.IS_FACEID_ADAPTER,
        )
    name = contents.find_ending("to_k_ip.weight")
    found = match_width(contents, contents.side(name, 1), "ip_adapter", "an IP-Adapter")
    projected = contents.side("image_proj.proj.weight", 1)
    hidden = contents.side("image_proj.proj_in.weight", 1) or contents.side(
        "image_proj.proj.0.weight", 1
    )
    return replace(found, widths=(projected, hidden))


def _detect_embedding(contents: Contents) -> DetectedWeights | None:
    if not 0 < len(contents.tensors) <= tables.MAX_EMBEDDING_TENSORS:
        return None
    shapes = {name: each.shape for name, each in contents.tensors.items() if each.shape}
    named = [
        shape[-1]
        for name, shape in shapes.items()
        if name in tables.EMBEDDING_NAMES or name.startswith(tables.EMBEDDING_STARTS)
    ]
    if not named and len(shapes) == 1:
        (shape,) = shapes.values()
        is_token = len(shape) == 1 or (len(shape) == 2 and shape[0] <= tables.MAX_TOKEN_VECTORS)
        known = {*contents.widths, *tables.TOKEN_WIDTHS}
        named = [shape[-1]] if is_token and shape[-1] in known else []
    if not named:
        return None
    widths = tuple(sorted(named))
    several: tuple[str, ...] = tables.EMBEDDING_FAMILIES.get(widths, ())
    if not several:
        family = contents.widths.get(widths[0]) if len(widths) == 1 else None
        several = (family,) if family else ()
    reason = messages.embedding_of_widths(", ".join(f"{width:,}" for width in widths))
    if not several:
        reason += ", which fits no supported family"
    return DetectedWeights(
        "embedding",
        several[0] if len(several) == 1 else None,
        reason,
        families=several,
        widths=widths,
    )


def _detect_tiny_autoencoder(contents: Contents) -> DetectedWeights | None:
    for row in tables.TINY_AUTOENCODERS:
        if contents.has(row.needs):
            channels = contents.side(row.needs[0], row.axis)
            families = tables.FAMILIES_OF_LATENTS.get(channels, ())
            return DetectedWeights(
                "tiny_autoencoder",
                reason=messages.tiny_autoencoder_for(channels),
                families=families,
                parts=row.parts,
                latent_channels=channels,
            )
    return None


def _detect_face_restorer(contents: Contents) -> DetectedWeights | None:
    for title, ends in tables.FACE_RESTORERS.items():
        if contents.has_ends(ends):
            return DetectedWeights("face_restorer", reason=messages.face_restorer(title))
    return None


# A file may hold only the decoder.
_VAE_PARTS = ("encoder.", "decoder.up.", "decoder.up_blocks.", "decoder.mid")


def _detect_vae(contents: Contents) -> DetectedWeights | None:
    if contents.has_ends(("decoder.middle.0.residual.0.gamma",)):
        return _describe_vae(16, tables.FAMILIES_OF_VIDEO_LATENTS)
    for prefix in ("", "first_stage_model.", "vae."):
        shape = contents.shape(prefix + "decoder.conv_in.weight")
        if not shape or not any(contents.begins(prefix + part) for part in _VAE_PARTS):
            continue
        if len(shape) == 5:
            return _describe_vae(shape[1], tables.FAMILIES_OF_VIDEO_LATENTS)
        if len(shape) == 4:
            return _describe_vae(shape[1], tables.FAMILIES_OF_LATENTS)
    return None


def _describe_vae(channels: int, families: Mapping[int, tuple[str, ...]]) -> DetectedWeights:
    fitting = families.get(channels, ())
    if not fitting:
        return DetectedWeights(
            "unknown",
            reason=messages.vae_fits_nothing(channels),
        )
    return DetectedWeights(
        "vae",
        fitting[0] if len(fitting) == 1 else None,
        messages.vae_with(channels),
        families=fitting,
        latent_channels=channels,
    )


def _detect_encoder(contents: Contents) -> DetectedWeights | None:
    if contents.has_ends(("vision_model.embeddings.patch_embedding.weight",)):
        hidden = contents.side(contents.find_ending("vision_model.embeddings.class_embedding"), 0)
        projected = contents.side(contents.find_ending("visual_projection.weight"), 0)
        return DetectedWeights(
            "image_encoder", reason=messages.IMAGE_ENCODER, widths=(projected, hidden)
        )
    if any(contents.has_ends((end,)) for end in tables.TEXT_ENCODER_ENDS):
        return DetectedWeights("text_encoder", reason=messages.IS_TEXT_ENCODER)
    return None


def _detect_upscaler(contents: Contents) -> DetectedWeights | None:
    for title, ends in tables.UPSCALERS:
        if contents.has_ends(ends):
            return DetectedWeights("upscaler", reason=messages.upscaler(title))
    return None
