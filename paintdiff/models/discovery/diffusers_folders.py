"""What a folder in diffusers' layout is: a pipeline of some family, or a part of one. Told from its
JSON files. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paintdiff.errors import PresetError, RequestError
from paintdiff.models.discovery.detection_rules import (
    FAMILIES_OF_LATENTS,
    FAMILIES_OF_VIDEO_LATENTS,
)
from paintdiff.models.formats.tensor_inventory import DetectedWeights
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.model_rows import read_json_file

OTHER_FAMILY = "other"
"""The family of models of which nothing is known here."""

# Of the families that share a pipeline, that with the UNet's width is meant.
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
"""What else diffusers' AutoPipelineForText2Image paints pictures with, from words alone."""

# A VAE's scaling factor tells whose latents it makes.
_FAMILIES_OF_SCALING: Mapping[float, tuple[str, ...]] = {
    0.18215: ("sd1", "sd2"),
    0.13025: ("sdxl", "sdxl-refiner", "pixart"),
    1.5305: ("sd3",),
    0.3611: ("flux", "z-image"),
}


_MOST_CHANNELS = 4096


@dataclass(frozen=True)
class FolderFamily:
    """The family of a pipeline's folder, and what there is to say about that, often nothing."""

    name: str
    notice: str = ""


def detect_folder_family(folder: Path, families: Mapping[str, Family]) -> FolderFamily:
    """The family of a folder, by its `model_index.json` and its UNet's configuration.

    What diffusers can paint with and no row covers is of OTHER_FAMILY. Raises ModelNotFoundError
    if the folder is no model, RequestError if it is of a family that isn't among `families`.
    """
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    class_name = str(index.get("_class_name", "unknown"))
    usual = _FAMILY_OF_PIPELINE.get(class_name)
    if usual is not None and usual in families:
        return FolderFamily(_narrower(folder, usual, families))
    if (usual or class_name in OTHER_PIPELINES) and OTHER_FAMILY in families:
        return FolderFamily(
            OTHER_FAMILY,
            f"{class_name} is painted through AutoPipelineForText2Image: its family is unknown.",
        )
    raise RequestError(
        f"{folder.name!r} is of the family {usual or class_name!r} ({class_name}), which isn't "
        f"supported. Supported families: {', '.join(families)}.",
        field="model",
    )


def _narrower(folder: Path, usual: str, families: Mapping[str, Family]) -> str:
    """Of the families with a pipeline of the usual one's, that with the UNet's width."""
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
    """What a folder with a `config.json` is. A ControlNet's family isn't told here. Raises
    ModelNotFoundError or PresetError if its `config.json` can't be read.
    """
    config = read_json_file(folder / "config.json", dict[str, Any])
    class_name = str(config.get("_class_name") or _architecture(config) or "unknown")
    latents = _latent_channels(config)
    if class_name == "ControlNetModel":
        return DetectedWeights("controlnet", reason="a ControlNet")
    if class_name in ("AutoencoderKL", "AutoencoderKLQwenImage"):
        known = FAMILIES_OF_LATENTS if class_name == "AutoencoderKL" else FAMILIES_OF_VIDEO_LATENTS
        families = _FAMILIES_OF_SCALING.get(_number(config.get("scaling_factor")))
        return DetectedWeights(
            "vae",
            reason=f"a VAE with {latents} latent channels",
            families=families or known.get(latents, ()),
            latent_channels=latents,
        )
    if class_name == "AutoencoderTiny":
        return DetectedWeights(
            "tiny_autoencoder",
            reason=f"a tiny autoencoder for latents of {latents} channels",
            families=FAMILIES_OF_LATENTS.get(latents, ()),
            parts=("encoder", "decoder"),
            latent_channels=latents,
        )
    if class_name == "CLIPVisionModelWithProjection":
        projected, hidden = config.get("projection_dim"), config.get("hidden_size")
        if isinstance(projected, int) and isinstance(hidden, int) and min(projected, hidden) > 0:
            widths = (projected, hidden)
            return DetectedWeights("image_encoder", reason="an image encoder", widths=widths)
    return DetectedWeights(
        "unknown", reason=f"it is a {class_name}, which can't be used on its own"
    )


def _latent_channels(config: Mapping[str, Any]) -> int:
    channels: object = config.get("latent_channels", 4)
    if type(channels) is not int or not 0 < channels <= _MOST_CHANNELS:
        raise PresetError(
            f"its config.json says {channels!r:.40} latent channels; supported are 1 "
            f"to {_MOST_CHANNELS:,}."
        )
    return channels


def _architecture(config: Mapping[str, Any]) -> object:
    named = config.get("architectures")
    return named[0] if isinstance(named, list) and named else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
