"""What a family of models needs, as rows of data (`presets/models.yaml`, families)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from paintdiff.geometry import Size
from paintdiff.models.samplers import checked_sampler
from paintdiff.presets import checked, named_row


def _size(value: object) -> object:
    return Size.parse(value) if isinstance(value, str) else value


SizeText = Annotated[Size, BeforeValidator(_size)]
"""A Size that is written "512x768" in YAML."""

SamplerName = Annotated[str, BeforeValidator(lambda value: checked_sampler(str(value)))]
"""A sampler's name as it stands in SAMPLERS."""


class LatentRgb(BaseModel):
    """The linear map from latents to colours: `rgb = latents @ matrix + bias`.

    `matrix` has a row for each latent channel and three columns, red, green, blue; the result is in
    -1..1. The latents are those that the denoiser sees (already scaled).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    matrix: tuple[tuple[float, float, float], ...] = Field(min_length=1)
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Family(BaseModel):
    """What all models of one architecture share. `pipelines` maps a task to its diffusers class.

    `cross_attention_dim` is how many numbers stand for a word, by which a ControlNet's family is
    told. `vae_full_precision` says that the VAE overflows in half precision, so it stays in
    float32. `hires_strength` is how much of an enlarged picture gives way to detail unless it is
    asked for. `refiners` are the families whose models may take over before a picture is done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    pipelines: Mapping[str, str]
    size_multiple: int = Field(ge=1)
    native_size: SizeText
    sizes: tuple[SizeText, ...]
    sampler: SamplerName
    cross_attention_dim: int = Field(ge=1)
    latent_rgb: LatentRgb
    vae_full_precision: bool = False
    hires_strength: float = Field(default=0.4, gt=0.0, le=1.0)
    refiners: tuple[str, ...] = ()


def families_from(rows: object, path: Path) -> dict[str, Family]:
    """Check the `families` part of a models file. Raises PresetError, which names `path`."""
    by_name = checked(dict[str, dict[str, object]], rows, path)
    named = {name: named_row(name, row, path) for name, row in by_name.items()}
    return checked(dict[str, Family], named, path)
