"""Parts of a request: controls, LoRAs, a second model, upscaling.

Each is a frozen value, used by any request that supports it (`requests`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from paintdiff.imaging.geometry import ResizeMode
from paintdiff.jobs import messages
from paintdiff.jobs.axis_values import MAX_AXIS_VALUES, split_lines, split_values
from paintdiff.jobs.input_images import InputImage

MAX_STEPS = 1000
MAX_CONDITIONING_SCALE = 2.0
MAX_UPSCALE = 8.0
MAX_HIRES_SCALE = 4.0
MAX_LORA_WEIGHT = 10.0
MAX_OUTPAINT_PX = 2048
MIN_TILE_PX, MAX_TILE_PX = 32, 4096
LATENT_UPSCALER = "latent"
"""In place of an upscaler's name: enlarge the latents, without a network."""
NO_CONTROLNET = "none"
"""In place of a ControlNet's name: use none. (None would choose one.)"""

MAX_SEED = 2**32 - 1
MAX_PROMPT_CHARACTERS = 10_000
MAX_GUIDANCE_SCALE = 50.0

MAX_STYLES = 16

PROMPT_LINE = "prompt_line"
"""The axis whose values are whole prompts with flags of their own, one per line."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
AxisValue = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)]
Prompt = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)]


class ControlInput(BaseModel):
    """A picture that guides the layout, and its ControlNet.

    `image` is fitted to the painted size by `resize_mode` (a "pad" adds black), and then converted
    to a control map by `preprocessor` (a name in PREPROCESSORS; "none" if it is a map already).
    `controlnet` is a name in the catalog; None is the first that fits the model.
    `conditioning_scale` is how strictly the map is followed, from `guidance_start` to
    `guidance_end` (fractions of the steps).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image: InputImage
    preprocessor: Name = "none"
    controlnet: Name | None = None
    conditioning_scale: float = Field(default=1.0, ge=0.0, le=MAX_CONDITIONING_SCALE)
    guidance_start: float = Field(default=0.0, ge=0.0, le=1.0)
    guidance_end: float = Field(default=1.0, ge=0.0, le=1.0, validate_default=True)
    resize_mode: ResizeMode = "crop"

    @field_validator("guidance_end")
    @classmethod
    def _after_the_start(cls, end: float, info: ValidationInfo) -> float:
        start: object = info.data.get("guidance_start")
        if isinstance(start, float) and end <= start:
            raise ValueError(messages.end_before_start(end, start))
        return end


class Upscaling(BaseModel):
    """Settings for enlarging a picture: `scale` times each way, rounded to whole pixels.

    `upscaler` is a name in the catalog; None is the first one. The network runs until its own
    factors reach `scale`; a larger result is resampled (Lanczos). `tile_px` is the side of the
    tiles of a large picture, in pixels of the input; None lets the memory decide.

    `face_restorer`, a name in the catalog, restores faces; None leaves them unchanged.
    `face_strength` blends the restored face (1) with the enlarged picture (0).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    upscaler: Name | None = None
    scale: float = Field(default=2.0, ge=1.0, le=MAX_UPSCALE)
    tile_px: int | None = Field(default=None, ge=MIN_TILE_PX, le=MAX_TILE_PX)
    face_restorer: Name | None = None
    face_strength: float = Field(default=0.8, ge=0.0, le=1.0)


class HiresFix(BaseModel):
    """Paint small, enlarge `scale` times each way, then paint over the result.

    This makes pictures larger than the model was trained for, without repeated motifs.

    The second pass is image to image at `strength` (None: the model's family decides), over
    `num_inference_steps` (None: as many as the first). `upscaler` is a name in the catalog,
    LATENT_UPSCALER, or None for the first one. A `tiled` second pass works in overlapping windows
    of the model's native size, whose predictions are blended at every step; None: if the picture is
    more than twice that size.

    `controlnet` keeps the second pass close to the enlarged picture: a name in the catalog,
    NO_CONTROLNET, or None. None is the first "tile" ControlNet of the model's family, if there is
    one, the pass is tiled, and the request has no controls of its own (which apply to both passes).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scale: float = Field(default=2.0, gt=1.0, le=MAX_HIRES_SCALE)
    upscaler: Name | None = None
    strength: float | None = Field(default=None, ge=0.0, le=1.0)
    num_inference_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    tiled: bool | None = None
    controlnet: Name | None = None


class LoraInput(BaseModel):
    """A LoRA and its weight: 0 has no effect, 1 is as trained.

    `name` is one of the catalog's. `text_encoder_weight` is its weight in the text encoders, None
    for the denoiser's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Name
    weight: float = Field(default=1.0, ge=-MAX_LORA_WEIGHT, le=MAX_LORA_WEIGHT)
    text_encoder_weight: float | None = Field(default=None, ge=-MAX_LORA_WEIGHT, le=MAX_LORA_WEIGHT)


class Refiner(BaseModel):
    """A second model that takes over at `switch_at`, a fraction of the steps (SDXL's refiner)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Name
    switch_at: float = Field(default=0.8, ge=0.0, le=1.0)


class IpAdapterInput(BaseModel):
    """A picture as a prompt: `name` is an IP-Adapter of the catalog, `scale` its weight.

    Ye et al. 2023, arXiv:2308.06721.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image: InputImage
    name: Name | None = None
    scale: float = Field(default=0.6, ge=0.0, le=1.0)


class FreeU(BaseModel):
    """Backbone (`b1`, `b2`) and skip (`s1`, `s2`) factors of a UNet's first two decoder stages.

    Si et al. 2023, arXiv:2309.11497; the defaults are its values for Stable Diffusion 1.x.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    b1: float = Field(default=1.2, ge=0.0, le=4.0)
    b2: float = Field(default=1.4, ge=0.0, le=4.0)
    s1: float = Field(default=0.9, ge=0.0, le=4.0)
    s2: float = Field(default=0.2, ge=0.0, le=4.0)


class Branch(BaseModel):
    """Other settings for the rest of a run: the first `after_step` steps are as without it.

    None keeps what was before. `seed` is that of the noise which the sampler adds from there on;
    most samplers add none. `after_step` counts the steps that are run, of a hires fix those of the
    first pass; the second pass has the last branch's prompts and guidance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    after_step: int = Field(ge=1, lt=MAX_STEPS)
    prompt: Prompt | None = None
    negative_prompt: Prompt | None = None
    guidance_scale: float | None = Field(default=None, ge=0.0, le=MAX_GUIDANCE_SCALE)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)


class Outpaint(BaseModel):
    """The pixels by which the canvas grows on each side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)
    top: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)
    right: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)
    bottom: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))


class PromptTexts(BaseModel):
    """A prompt and a negative prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Prompt
    negative_prompt: Prompt = ""


class PromptTemplate(PromptTexts):
    """What the prompts of a picture were before wildcards were chosen and styles inserted."""

    styles: tuple[Name, ...] = Field(default=(), max_length=MAX_STYLES)


class Axis(BaseModel):
    """An axis of a grid: what changes along it, and its values.

    `field` is a name in `axes.AXES`. A text of `values` is split at commas, for PROMPT_LINE at line
    ends; numbers may be ranges, such as "1-10 (+3)" or "0.5-1 [5]".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    field: Name
    values: tuple[AxisValue, ...] = Field(min_length=1, max_length=MAX_AXIS_VALUES)

    @field_validator("values", mode="before")
    @classmethod
    def _split(cls, values: object, info: ValidationInfo) -> object:
        if not isinstance(values, str):
            return values
        if info.data.get("field") == PROMPT_LINE:
            return split_lines(values)
        return split_values(values)
