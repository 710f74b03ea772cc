"""What a job is. A request is a frozen value: the wire format, what a picture carries, what a
gallery stores.

A field that is None is left to the model: its row in the catalog and the quality preset decide, and
the seed is drawn. The engine fills every None once, when the request is submitted, so a *settled*
request (the one in `Job.request`, in results and in files) has none left, but for what isn't used:
`variation_seed` at a variation strength of 0, and the `mask` or `sketch` that wasn't given.

ControlNet is an ingredient of every request to paint (`controls`), not a kind of its own, and so
are the others of `request_parts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import MAX_SIDE_PX, MIN_SIDE_PX, ResizeMode, Size
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import (
    MAX_STEPS,
    ControlInput,
    FreeU,
    HiresFix,
    IpAdapterInput,
    LoraInput,
    Name,
    Outpaint,
    Refiner,
    Upscaling,
)

REQUEST_VERSION = 1
MAX_SEED = 2**32 - 1
MAX_PROMPT_CHARACTERS = 10_000
MAX_IMAGES = 64
MAX_GUIDANCE_SCALE = 50.0
MAX_LOOPBACK = 16
MAX_MASK_BLUR_PX = 64
MAX_PADDING_PX = 512
MAX_CONTROLS = 4
MAX_LORAS = 16
MAX_IP_ADAPTERS = 4
MAX_CLIP_SKIP = 12

Prompt = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
"""A colour as "#rrggbb"."""

MaskedContent = Literal["original", "fill", "noise", "empty"]
"""What the masked part starts from: what was there, the colours around it, noise, or nothing (all
latents 0).
"""


@dataclass(frozen=True)
class Sampling:
    """The settings of one denoising run with nothing left open; `size` is in pixels.

    `variation_seed` is 0 and unused where `variation_strength` is 0.
    """

    size: Size
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    seed: int
    variation_seed: int = 0
    variation_strength: float = 0.0


class JobRequest(BaseModel):
    """What all requests share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = REQUEST_VERSION

    @classmethod
    def parsed(cls, values: Mapping[str, object]) -> Self:
        """Build from untrusted values.

        Raises RequestError (never pydantic's own error) with the first bad field in `field`; direct
        construction raises pydantic's ValidationError, which is a ValueError too.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or None
            message = first["msg"].removeprefix("Value error, ")
            raise RequestError(f"{field or 'request'}: {message}.", field=field) from None

    def input_images(self) -> tuple[InputImage, ...]:
        """Return all pictures that it brings along, those in its parts included."""
        return tuple(_input_images(self))

    def without_image_data(self) -> Self:
        """The same request with references in place of its pictures: what fits into a file."""
        update: dict[str, object] = {}
        for field in type(self).model_fields:
            value: object = getattr(self, field)
            if isinstance(value, InputImage):
                update[field] = value.reference()
        return self.model_copy(update=update)


def _input_images(value: object) -> Iterator[InputImage]:
    if isinstance(value, InputImage):
        yield value
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _input_images(getattr(value, field))
    elif isinstance(value, tuple):
        for each in cast("tuple[object, ...]", value):
            yield from _input_images(each)


class PaintingRequest(JobRequest):
    """What all requests to paint share: `num_images` pictures, of which picture i uses `seed + i`.

    With a `variation_strength` above 0 the pictures are variations of one: all use `seed`, whose
    noise is turned by that part of the way towards the noise of `variation_seed + i`.

    All `controls` act together. Each finished picture is enlarged by `upscaling` at the end.

    `loras` act beside those named in the prompt (`<lora:name:0.8>`), which stay in it. `vae` is a
    name in the catalog, None for the model's own. `clip_skip` counts the text encoder's last layers
    as the A1111 web UI does: 1 uses all, 2 leaves the last one out.

    `profile` says how exactly a picture has to be what diffusers paints, against how quick it is: a
    name in presets/profiles.yaml, None for the app's usual one.
    """

    prompt: Prompt
    negative_prompt: Prompt = ""
    model: Name = "mini"
    quality: Name = "balanced"
    profile: Name | None = None
    width: int | None = Field(default=None, ge=MIN_SIDE_PX, le=MAX_SIDE_PX)
    height: int | None = Field(default=None, ge=MIN_SIDE_PX, le=MAX_SIDE_PX)
    num_inference_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    guidance_scale: float | None = Field(default=None, ge=0.0, le=MAX_GUIDANCE_SCALE)
    sampler: Name | None = None
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    num_images: int = Field(default=1, ge=1, le=MAX_IMAGES)
    variation_seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    variation_strength: float = Field(default=0.0, ge=0.0, le=1.0)
    controls: tuple[ControlInput, ...] = Field(default=(), max_length=MAX_CONTROLS)
    upscaling: Upscaling | None = None
    loras: tuple[LoraInput, ...] = Field(default=(), max_length=MAX_LORAS)
    vae: Name | None = None
    clip_skip: int = Field(default=1, ge=1, le=MAX_CLIP_SKIP)
    refiner: Refiner | None = None
    ip_adapters: tuple[IpAdapterInput, ...] = Field(default=(), max_length=MAX_IP_ADAPTERS)
    free_u: FreeU | None = None

    def sampling(self) -> Sampling:
        """The settled settings. Raises RequestError if the engine hasn't filled every None yet."""
        if (
            self.width is None
            or self.height is None
            or self.num_inference_steps is None
            or self.guidance_scale is None
            or self.sampler is None
            or self.seed is None
            or (self.variation_seed is None and self.variation_strength > 0)
        ):
            raise RequestError("This request has open values. Submit it to an engine first.")
        return Sampling(
            Size(self.width, self.height),
            self.num_inference_steps,
            self.guidance_scale,
            self.sampler,
            self.seed,
            self.variation_seed or 0,
            self.variation_strength,
        )

    def alone(self, index: int) -> Self:
        """The settled request of picture `index` (from 0) alone: it paints that picture again.

        Raises RequestError if this one isn't settled.
        """
        sampling = self.sampling()
        if sampling.variation_strength > 0:
            change = {"variation_seed": sampling.variation_seed + index}
        else:
            change = {"seed": sampling.seed + index}
        return self.model_copy(update={**change, "num_images": 1})

    def without_image_data(self) -> Self:
        """The same request with references in place of its pictures: what fits into a file."""
        controls = tuple(
            control.model_copy(update={"image": control.image.reference()})
            for control in self.controls
        )
        ip_adapters = tuple(
            each.model_copy(update={"image": each.image.reference()}) for each in self.ip_adapters
        )
        update = {"controls": controls, "ip_adapters": ip_adapters}
        return super().without_image_data().model_copy(update=update)


class TextToImage(PaintingRequest):
    """Paint pictures from words. `width` and `height` are the first pass's with a `hires` fix."""

    kind: Literal["text_to_image"] = "text_to_image"
    hires: HiresFix | None = None


class ImageToImage(PaintingRequest):
    """Paint pictures from words and a picture.

    `strength` is how much of the picture gives way, 0 to 1: of the steps the last
    `int(num_inference_steps * strength)` are run, and there has to be at least one. The picture is
    laid on `background` where it is transparent, and fitted to the size by `resize_mode`. A `width`
    and `height` of None keep its size, or at least its proportions (`geometry.working_size`).

    With a `loopback` over 1 each result is the next pass's picture, up to that many passes; pass k
    (from 0) has the strength `strength * loopback_strength_factor ** k`, at most 1, and the seed
    `seed + k`.

    A `tiled` run sees the picture through windows, as in HiresFix, None by the same rule.
    """

    kind: Literal["image_to_image"] = "image_to_image"
    image: InputImage
    background: Colour = "#ffffff"
    strength: float = Field(default=0.6, ge=0.0, le=1.0)
    resize_mode: ResizeMode = "stretch"
    loopback: int = Field(default=1, ge=1, le=MAX_LOOPBACK)
    loopback_strength_factor: float = Field(default=1.0, ge=0.1, le=2.0)
    tiled: bool | None = None

    def strengths(self) -> tuple[float, ...]:
        """Each pass's strength, in order."""
        factor = self.loopback_strength_factor
        return tuple(min(1.0, self.strength * factor**number) for number in range(self.loopback))


class Inpaint(PaintingRequest):
    """Repaint a part of a picture. The result has the picture's own size, grown by `outpaint`.

    What is repainted: where `mask` is white (or black, with `invert_mask`), where `sketch` has
    colour, and what `outpaint` adds. `mask` and `sketch` have the picture's size, once all are
    turned as their EXIF says. The edge is softened by `mask_blur_px` (the standard deviation of a
    Gaussian), and every pixel where the blurred mask is 0 keeps the value it had (on `background`
    where the picture is transparent).

    `sketch` is content: its strokes, opaque or not, lie over the picture as what is painted from.
    `masked_content` is what the rest of the masked part starts from. With `soft` a grey mask keeps
    more of the picture the darker it is, at every step, and not only when it is pasted.
    `only_masked` paints the masked part and `padding_px` around it at the full working size, and
    pastes it back. `width` and `height` are that working size (None: chosen from the picture and
    the model), which the result never has. `strength` is as for ImageToImage.
    """

    kind: Literal["inpaint"] = "inpaint"
    image: InputImage
    mask: InputImage | None = None
    sketch: InputImage | None = None
    background: Colour = "#ffffff"
    invert_mask: bool = False
    mask_blur_px: float = Field(default=4.0, ge=0.0, le=MAX_MASK_BLUR_PX)
    only_masked: bool = False
    padding_px: int = Field(default=32, ge=0, le=MAX_PADDING_PX)
    masked_content: MaskedContent = "original"
    strength: float = Field(default=0.75, ge=0.0, le=1.0)
    soft: bool = False
    outpaint: Outpaint = Outpaint()


class Upscale(JobRequest):
    """Enlarge pictures, each by itself. A result keeps its picture's alpha channel, its being grey,
    its 8 or 16 bits a channel, and its colour profile.
    """

    kind: Literal["upscale"] = "upscale"
    images: tuple[InputImage, ...] = Field(min_length=1, max_length=MAX_IMAGES)
    upscaling: Upscaling = Upscaling()

    @property
    def num_images(self) -> int:
        """How many pictures there will be."""
        return len(self.images)

    def alone(self, index: int) -> Self:
        """The request of picture `index` (from 0) alone."""
        return self.model_copy(update={"images": (self.images[index],)})

    def without_image_data(self) -> Self:
        """The same request with references in place of its pictures."""
        return self.model_copy(update={"images": tuple(each.reference() for each in self.images)})


Painting = TextToImage | ImageToImage | Inpaint
"""Any job that paints."""

Request = Painting | Upscale
"""Any job; `kind` says which."""

REQUEST_KINDS: Mapping[str, type[Request]] = {
    "text_to_image": TextToImage,
    "image_to_image": ImageToImage,
    "inpaint": Inpaint,
    "upscale": Upscale,
}


def parse_request(values: Mapping[str, object]) -> Request:
    """The request that untrusted values describe, by their `kind` (absent: text to image).

    Raises RequestError with the first bad field in `field`.
    """
    kind = values.get("kind", "text_to_image")
    found = REQUEST_KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise RequestError(
            f"Unknown kind of request {kind!r}. Use one of: {', '.join(REQUEST_KINDS)}.",
            field="kind",
        )
    return found.parsed(values)
