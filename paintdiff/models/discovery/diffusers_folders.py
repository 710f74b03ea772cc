"""Detects what a folder in the diffusers layout is: a pipeline of some family, or one component.

Reads only its JSON files. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paintdiff.errors import PresetError, RequestError
from paintdiff.models.discovery import messages
from paintdiff.models.discovery.detection_rules import (
    FAMILIES_OF_LATENTS,
    FAMILIES_OF_VIDEO_LATENTS,
)
from paintdiff.models.formats.tensor_inventory import DetectedWeights
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.model_rows import read_json_file

OTHER_FAMILY = "other"
"""The family of models that only diffusers knows."""

# Where families share a pipeline, the UNet's width selects the family.
_FAMILY_OF_PIPELINE: Mapping[str, str] = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionImg2ImgPipeline": "sd1",
    "StableDiffusionInpaintPipeline": "sd1",
    "LatentConsistencyModelPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusionXLInpaintPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "StableDiffusion3Img2ImgPipeline": "sd3",
    "StableDiffusion3InpaintPipeline": "sd3",
    "FluxPipeline": "flux",
    "FluxImg2ImgPipeline": "flux",
    "FluxInpaintPipeline": "flux",
    "PixArtSigmaPipeline": "pixart",
    "QwenImagePipeline": "qwen-image",
    "QwenImageImg2ImgPipeline": "qwen-image",
    "QwenImageInpaintPipeline": "qwen-image",
    "ZImagePipeline": "z-image",
    "ZImageImg2ImgPipeline": "z-image",
    "ZImageInpaintPipeline": "z-image",
}
OTHER_PIPELINES = frozenset(
    {
        "AuraFlowPipeline",
        "ChromaPipeline",
        "CogView3PlusPipeline",
        "CogView4Pipeline",
        "Flux2KleinPipeline",
        "Flux2Pipeline",
        "GlmImagePipeline",
        "HunyuanDiTPipeline",
        "IFPipeline",
        "Ideogram4Pipeline",
        "Kandinsky3Pipeline",
        "KandinskyCombinedPipeline",
        "KandinskyV22CombinedPipeline",
        "KolorsPipeline",
        "Krea2Pipeline",
        "Lumina2Pipeline",
        "LuminaPipeline",
        "NucleusMoEImagePipeline",
        "OvisImagePipeline",
        "PRXPipeline",
        "PixArtAlphaPipeline",
        "QwenImage21Pipeline",
        "SanaPipeline",
        "StableCascadeCombinedPipeline",
        "WuerstchenCombinedPipeline",
    }
)
"""Other pipelines of diffusers' AutoPipelineForText2Image that need nothing but a prompt."""

# A VAE's scaling factor identifies the families whose latents it uses.
_FAMILIES_OF_SCALING: Mapping[float, tuple[str, ...]] = {
    0.18215: ("sd1", "sd2"),
    0.13025: ("sdxl", "sdxl-refiner", "pixart"),
    1.5305: ("sd3",),
    0.3611: ("flux", "z-image"),
}


_MOST_CHANNELS = 4096


@dataclass(frozen=True)
class FolderFamily:
    """The family of a pipeline's folder. `notice` is a remark for people, mostly empty."""

    name: str
    notice: str = ""


def detect_folder_family(folder: Path, families: Mapping[str, Family]) -> FolderFamily:
    """Detect a folder's family by its `model_index.json` and its UNet's configuration.

    A pipeline that diffusers supports but no row covers gets OTHER_FAMILY.

    Raises:
        ModelNotFoundError: The folder isn't a model.
        RequestError: Its family isn't among `families`.
    """
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    class_name = str(index.get("_class_name", "unknown"))
    usual = _FAMILY_OF_PIPELINE.get(class_name)
    if usual is not None and usual in families:
        return FolderFamily(_find_by_width(folder, usual, families))
    if (usual or class_name in OTHER_PIPELINES) and OTHER_FAMILY in families:
        return FolderFamily(
            OTHER_FAMILY,
            messages.loaded_by_auto_pipeline(class_name),
        )
    raise RequestError(
        messages.family_not_supported(
            folder.name, usual or class_name, class_name, ", ".join(families)
        ),
        field="model",
    )


def _find_by_width(folder: Path, usual: str, families: Mapping[str, Family]) -> str:
    """Return the family that shares the usual family's pipeline and has this UNet's width."""
    config = folder / "unet" / "config.json"
    if not config.is_file():
        return usual
    width: object = read_json_file(config, dict[str, Any]).get("cross_attention_dim")
    pipelines = set(families[usual].pipelines.values())
    for name, family in families.items():
        if family.cross_attention_dim == width and pipelines & {*family.pipelines.values()}:
            return name
    return usual


def detect_part(folder: Path) -> DetectedWeights:
    """Detect what a folder with a `config.json` is. A ControlNet's family isn't detected here.

    Raises:
        ModelNotFoundError: The `config.json` is missing.
        ModelLoadError: The `config.json` isn't an object.
        PresetError: Its number of channels is impossible.
    """
    config = read_json_file(folder / "config.json", dict[str, Any])
    class_name = str(config.get("_class_name") or _read_architecture(config) or "unknown")
    latents = _read_latent_channels(config)
    if class_name == "ControlNetModel":
        return DetectedWeights("controlnet", reason="a ControlNet")
    if class_name in ("AutoencoderKL", "AutoencoderKLQwenImage"):
        known = FAMILIES_OF_LATENTS if class_name == "AutoencoderKL" else FAMILIES_OF_VIDEO_LATENTS
        families = _FAMILIES_OF_SCALING.get(_to_float(config.get("scaling_factor")))
        return DetectedWeights(
            "vae",
            reason=messages.vae_with(latents),
            families=families or known.get(latents, ()),
            latent_channels=latents,
        )
    if class_name == "AutoencoderTiny":
        return DetectedWeights(
            "tiny_autoencoder",
            reason=messages.tiny_autoencoder_for(latents),
            families=FAMILIES_OF_LATENTS.get(latents, ()),
            parts=("encoder", "decoder"),
            latent_channels=latents,
        )
    if class_name == "CLIPVisionModelWithProjection":
        projected, hidden = config.get("projection_dim"), config.get("hidden_size")
        if isinstance(projected, int) and isinstance(hidden, int) and min(projected, hidden) > 0:
            widths = (projected, hidden)
            return DetectedWeights("image_encoder", reason=messages.IMAGE_ENCODER, widths=widths)
    if config.get("model_type") == "gpt2":
        return DetectedWeights("language_model", reason=messages.LANGUAGE_MODEL)
    return DetectedWeights("unknown", reason=messages.no_use_on_its_own(class_name))


def _read_latent_channels(config: Mapping[str, Any]) -> int:
    channels: object = config.get("latent_channels", 4)
    if type(channels) is not int or not 0 < channels <= _MOST_CHANNELS:
        raise PresetError(messages.impossible_channels(channels, _MOST_CHANNELS))
    return channels


def _read_architecture(config: Mapping[str, Any]) -> object:
    named = config.get("architectures")
    return named[0] if isinstance(named, list) and named else None


def _to_float(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
