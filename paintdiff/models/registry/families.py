"""What a family of models needs, as rows of data (`presets/models.yaml`, families)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from paintdiff.config.presets import find_row, validate_row
from paintdiff.imaging.geometry import Size
from paintdiff.models.registry.samplers import SAMPLERS, SamplerKind, check_sampler, find_samplers

DENOISERS = ("transformer", "unet")
"""What the part of a pipeline that predicts may be called, and the folder that it lies in."""

GuidanceKind = Literal["classifier_free", "embedded", "true_scale", "beyond_one", "none"]
"""How a guidance scale reaches a family's pipelines; `models/inference/pipeline_calls.py` says what
each does.
"""

LatentLayout = Literal["plain", "packed", "packed_frames", "pixels"]
"""How a family's denoiser takes latents; `models/inference/latent_formats.py` says what each is."""


def _size(value: object) -> object:
    return Size.parse(value) if isinstance(value, str) else value


SizeText = Annotated[Size, BeforeValidator(_size)]
"""A Size that is written "512x768" in YAML."""

SamplerName = Annotated[str, BeforeValidator(lambda value: check_sampler(str(value)))]
"""A sampler's name as it stands in SAMPLERS."""


class LatentRgb(BaseModel):
    """The linear map from latents to colours: `rgb = latents @ matrix + bias`.

    `matrix` has a row for each latent channel and three columns, red, green, blue; the result is in
    -1..1. The latents are those that the denoiser sees (already scaled).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    matrix: tuple[tuple[float, float, float], ...] = Field(min_length=1)
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


class QualityFigures(BaseModel):
    """A quality preset's figures for one model, or for all of a family that have none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0.0, le=50.0)


class WorkingMemory(BaseModel):
    """What a family's networks hold at once beside their weights: numbers, each as many bytes as
    the run's precision has.

    The denoiser holds `denoiser_fixed`, and `denoiser_per_px` for each pixel of the picture that it
    sees (not: latent), for each of a batch. The VAE holds `decode_per_px` for each pixel of what it
    decodes at once. Encoding takes less. `largest_block` is the part of the denoiser's weights that
    is in the largest of its blocks.

    Where attention isn't fused, the largest one also holds its scores: it has `attention_heads`,
    and a token for each `attention_token_px` pixels. The VAE's has one head and a token for each
    latent, unless it has none (`vae_attention`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    denoiser_per_px: float = Field(gt=0)
    denoiser_fixed: float = Field(default=0, ge=0)
    decode_per_px: float = Field(gt=0)
    largest_block: float = Field(gt=0, le=1)
    attention_heads: int = Field(ge=1)
    attention_token_px: int = Field(ge=1)
    vae_attention: bool = True


class Family(BaseModel):
    """What all models of one architecture share. `pipelines` maps a task to its diffusers class,
    `call` is what these classes are told beyond what all of them are.

    `denoiser` is the pipeline's part that predicts. `samplers` is the kind of samplers that it was
    trained for, `sampler` the one used unless another is asked for, `quality` the figures of each
    quality preset ({}: the general ones). `guidance` says how it is guided; where it doesn't
    support a negative prompt, one has no effect.

    `cross_attention_dim` is how many numbers stand for a word, by which a ControlNet's family is
    told (None: no ControlNet is). `tokenizer` is the part that splits the longest prompt it can
    read, `max_prompt_tokens` how many tokens of it are read.

    Latents have `latent_channels`, and `latent_layout` says how the denoiser takes them.
    `latent_rgb` is None if no map to colours is known, so that there are previews only with a tiny
    autoencoder. `vae_full_precision` says that the VAE overflows in half precision, so it stays in
    float32; `vae_whole_px` up to which size, squared, it takes pictures at once (None: the usual
    one). `overflows_in_float16` says that everything does, and only bfloat16 halves it.

    `working_memory` is what a run takes beside the weights (None: nobody knows).

    `hires_strength` is the default strength of the second pass; 0 only enlarges.
    `refiners` are the families whose models may take over before a picture is done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    pipelines: Mapping[str, str]
    call: Mapping[str, bool | int | float | str] = Field(
        default_factory=dict[str, bool | int | float | str]
    )
    denoiser: Literal["unet", "transformer"] = "unet"
    samplers: SamplerKind = "diffusion"
    guidance: GuidanceKind = "classifier_free"
    size_multiple: int = Field(ge=1)
    native_size: SizeText
    sizes: tuple[SizeText, ...]
    sampler: SamplerName
    quality: Mapping[str, QualityFigures] = Field(default_factory=dict[str, QualityFigures])
    cross_attention_dim: int | None = Field(default=None, ge=1)
    tokenizer: Literal["tokenizer", "tokenizer_2", "tokenizer_3"] = "tokenizer"
    max_prompt_tokens: int = Field(default=77, ge=1)
    latent_channels: int = Field(default=4, ge=1)
    latent_layout: LatentLayout = "plain"
    latent_rgb: LatentRgb | None = None
    vae_full_precision: bool = False
    vae_whole_px: int | None = Field(default=None, ge=1)
    overflows_in_float16: bool = False
    working_memory: WorkingMemory | None = None
    hires_strength: float = Field(default=0.4, ge=0.0, le=1.0)
    refiners: tuple[str, ...] = ()
    supports_negative_prompt: bool = True
    supports_clip_skip: bool = False
    supports_windows: bool = False
    supports_controlnets: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if SAMPLERS[self.sampler].kind != self.samplers:
            raise ValueError(f"{self.sampler!r} isn't a sampler of the kind {self.samplers!r}")
        if self.latent_rgb is not None and len(self.latent_rgb.matrix) != self.latent_channels:
            raise ValueError(f"latent_rgb needs {self.latent_channels} rows, one for each channel")
        return self

    @property
    def guides_in_batch(self) -> bool:
        """Whether its pipelines predict without the words and with them in one batch of two."""
        return self.guidance == "classifier_free" and self.samplers != "own"

    def sampler_names(self) -> tuple[str, ...]:
        """The samplers that its models can be painted with, in the order in which they are
        offered.
        """
        return find_samplers(self.samplers)


def read_families(rows: object, path: Path) -> dict[str, Family]:
    """Check the `families` part of a models file. Raises PresetError, which names `path`."""
    by_name = validate_row(dict[str, dict[str, object]], rows, path)
    named = {name: find_row(name, row, path) for name, row in by_name.items()}
    return validate_row(dict[str, Family], named, path)
