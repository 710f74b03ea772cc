"""What goes into a picture beyond words: control maps, LoRAs, a second model, what happens to it
once it is painted. Each is a frozen value that any request which can use it takes (`requests`).
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
from paintdiff.jobs.input_images import InputImage

MAX_STEPS = 1000
MAX_CONDITIONING_SCALE = 2.0
MAX_UPSCALE = 8.0
MAX_HIRES_SCALE = 4.0
MAX_LORA_WEIGHT = 10.0
MAX_OUTPAINT_PX = 2048
MIN_TILE_PX, MAX_TILE_PX = 32, 4096
LATENT_UPSCALER = "latent"
"""In place of an upscaler's name: the latents themselves are enlarged, and no network is used."""
NO_CONTROLNET = "none"
"""In place of a ControlNet's name, where None would be one that is chosen."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ControlInput(BaseModel):
    """A picture that says where things are, and the ControlNet that sees to it.

    `image` becomes a control map by `preprocessor` (a name in PREPROCESSORS; "none" if it is one
    already), once it is fitted to the size that is painted by `resize_mode` (a "pad" adds black).
    `controlnet` is a name in the catalog; None is the first that fits the model.
    `conditioning_scale` is how strictly the map is followed; it is from `guidance_start` to
    `guidance_end`, parts of the steps.
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
            raise ValueError(f"the end, {end:g}, should come after the start, {start:g}")
        return end


class Upscaling(BaseModel):
    """How a picture is enlarged, `scale` times each way (rounded to whole pixels).

    `upscaler` is a name in the catalog; None is the first there is. The network is run until its
    own factors reach `scale`; what is too large then is resampled (Lanczos). `tile_px` is the side
    of the tiles in which a large picture is worked through, in pixels of the picture that is
    enlarged; None lets the memory decide.

    The faces in the picture are repaired by `face_restorer`, a name in the catalog; None leaves
    them as they are. `face_strength` is how much of a repaired face shows, the rest is the enlarged
    picture's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    upscaler: Name | None = None
    scale: float = Field(default=2.0, ge=1.0, le=MAX_UPSCALE)
    tile_px: int | None = Field(default=None, ge=MIN_TILE_PX, le=MAX_TILE_PX)
    face_restorer: Name | None = None
    face_strength: float = Field(default=0.8, ge=0.0, le=1.0)


class HiresFix(BaseModel):
    """Paint small, enlarge `scale` times each way, then paint over it from there: larger pictures
    than a model was made for, without its doublings.

    The second pass is image to image at `strength` (None: the model's family decides), over
    `num_inference_steps` (None: as many as the first). `upscaler` is a name in the catalog,
    LATENT_UPSCALER, or None for the first there is. A `tiled` second pass sees the picture through
    overlapping windows of the model's native size, whose predictions are blended at every step;
    None: where the picture is more than twice as large as that.

    The second pass is held to the enlarged picture by `controlnet`: a name in the catalog,
    NO_CONTROLNET, or None for the first "tile" ControlNet of the model's family, where there is
    one, the pass is tiled, and the request has no controls of its own (which act on both passes).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scale: float = Field(default=2.0, gt=1.0, le=MAX_HIRES_SCALE)
    upscaler: Name | None = None
    strength: float | None = Field(default=None, ge=0.0, le=1.0)
    num_inference_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    tiled: bool | None = None
    controlnet: Name | None = None


class LoraInput(BaseModel):
    """A LoRA, and how strongly it acts: 0 is not at all, 1 as it was trained.

    `name` is one of the catalog's. `text_encoder_weight` is its weight in the text encoders, None
    for the same as in the denoiser.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Name
    weight: float = Field(default=1.0, ge=-MAX_LORA_WEIGHT, le=MAX_LORA_WEIGHT)
    text_encoder_weight: float | None = Field(default=None, ge=-MAX_LORA_WEIGHT, le=MAX_LORA_WEIGHT)


class Refiner(BaseModel):
    """A second model that takes over at `switch_at`, a part of the steps: SDXL's hand-over."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: Name
    switch_at: float = Field(default=0.8, ge=0.0, le=1.0)


class IpAdapterInput(BaseModel):
    """A picture as a prompt: `name` is an IP-Adapter of the catalog, `scale` how strongly it acts.

    Ye et al. 2023, arXiv:2308.06721.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image: InputImage
    name: Name | None = None
    scale: float = Field(default=0.6, ge=0.0, le=1.0)


class FreeU(BaseModel):
    """Backbone (`b1`, `b2`) and skip (`s1`, `s2`) factors of a UNet's first two decoder stages.

    Si et al. 2023, arXiv:2309.11497; the values are those given there for Stable Diffusion 1.x.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    b1: float = Field(default=1.2, ge=0.0, le=4.0)
    b2: float = Field(default=1.4, ge=0.0, le=4.0)
    s1: float = Field(default=0.9, ge=0.0, le=4.0)
    s2: float = Field(default=0.2, ge=0.0, le=4.0)


class Outpaint(BaseModel):
    """By how many pixels the canvas grows on each side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)
    top: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)
    right: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)
    bottom: int = Field(default=0, ge=0, le=MAX_OUTPAINT_PX)

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))
