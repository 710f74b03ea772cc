"""Properties of model families, as rows of data (`presets/models.yaml`, families)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from paintdiff.config.presets import find_row, validate_row
from paintdiff.imaging.geometry import Size
from paintdiff.models.registry.samplers import SAMPLERS, SamplerKind, check_sampler, find_samplers

DENOISERS = ("transformer", "unet")
"""Names of a pipeline's denoiser, and of its folder."""

GuidanceKind = Literal["classifier_free", "embedded", "true_scale", "beyond_one", "none"]
"""How a guidance scale reaches a family's pipelines; see `models/inference/pipelines/calls.py`."""

PromptEncoding = Literal["clip", "clip_pair", "clip_t5", "pipeline"]
"""The text encoders that take weights and long prompts: one CLIP, SDXL's two, or Stable Diffusion
3's two beside a T5. "pipeline": none does, so a pipeline encodes its prompts by itself."""

LatentLayout = Literal["plain", "packed", "packed_frames", "pixels"]
"""How a family's denoiser takes latents; see `models/inference/previews/latent_formats.py`."""


def _parse_size(value: object) -> object:
    return Size.parse(value) if isinstance(value, str) else value


SizeText = Annotated[Size, BeforeValidator(_parse_size)]
"""A Size that is written "512x768" in YAML."""

SamplerName = Annotated[str, BeforeValidator(lambda value: check_sampler(str(value)))]
"""A sampler's name in SAMPLERS."""


class LatentRgb(BaseModel):
    """The linear map from latents to colours: `rgb = latents @ matrix + bias`.

    `matrix` has a row per latent channel and three columns (red, green, blue); the result is in
    -1..1. The latents are scaled as the denoiser sees them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    matrix: tuple[tuple[float, float, float], ...] = Field(min_length=1)
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


class QualityFigures(BaseModel):
    """The figures of a quality preset, for one model or as a family's default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0.0, le=50.0)


class WorkingMemory(BaseModel):
    """The working memory of a family's networks, counted in numbers of the run's precision.

    The denoiser needs `denoiser_fixed`, and `denoiser_per_px` for each pixel (not: latent) of each
    picture in a batch. The VAE needs `decode_per_px` for each pixel that it decodes at once;
    encoding needs less. `largest_block` is the fraction of the denoiser's weights in its largest
    block.

    Without fused attention, the largest attention also stores its scores: it has `attention_heads`,
    and a token for each `attention_token_px` pixels. The VAE's has one head and a token per latent,
    unless it has no attention (`vae_attention`).
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
    """The common properties of all models of one architecture.

    `pipelines` maps a task to its diffusers class; `call` are extra arguments for calling these.
    `denoiser` is the name of the pipeline's denoiser. `samplers` is the kind of samplers it was
    trained for, `sampler` the default one, `quality` the figures of each quality preset ({}: the
    general ones). `guidance` is the kind of guidance; a negative prompt has no effect unless it is
    supported.

    `prompt_encoding` is the kind of its text encoders. `cross_attention_dim` is the width of text
    embeddings, which identifies ControlNets of the family (None: no ControlNets). `tokenizer` is
    the one for the longest prompt, `max_prompt_tokens` its limit.

    Latents have `latent_channels`; `latent_layout` is the denoiser's format. `latent_rgb` is the
    preview matrix (None: previews need a tiny autoencoder). With `vae_full_precision` the VAE
    overflows in half precision and stays in float32. `vae_whole_px` is the side of the largest
    square picture that the VAE takes at once (None: the default). With `overflows_in_float16` all
    networks overflow, so only bfloat16 halves their memory. `working_memory` is the memory of a run
    beside the weights (None: unknown).

    `hires_strength` is the default strength of the second pass; 0 only enlarges. `refiners` are the
    families whose models may take over before a picture is done.
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
    prompt_encoding: PromptEncoding = "pipeline"
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
            raise ValueError(f"sampler {self.sampler!r} isn't of the kind {self.samplers!r}")
        if self.latent_rgb is not None and len(self.latent_rgb.matrix) != self.latent_channels:
            raise ValueError(f"latent_rgb needs {self.latent_channels} rows, one for each channel")
        return self

    @property
    def guides_in_batch(self) -> bool:
        """Return whether its pipelines predict with and without the prompt in one batch of two."""
        return self.guidance == "classifier_free" and self.samplers != "own"

    @property
    def takes_weights(self) -> bool:
        """Return whether words in a prompt can have weights, and a prompt any length."""
        return self.prompt_encoding != "pipeline"

    def sampler_names(self) -> tuple[str, ...]:
        """List the samplers for its models, in the order shown."""
        return find_samplers(self.samplers)


def read_families(rows: object, path: Path) -> dict[str, Family]:
    """Read the `families` section of a models file. Raise PresetError, which names `path`."""
    by_name = validate_row(dict[str, dict[str, object]], rows, path)
    named = {name: find_row(name, row, path) for name, row in by_name.items()}
    return validate_row(dict[str, Family], named, path)
