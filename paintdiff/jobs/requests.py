"""Requests: frozen values that describe a whole job.

A request is the wire format, the metadata in a picture, and a gallery's row.

A field that is None is left to the model: its row in the catalog and the quality preset decide, and
the seed is drawn. The engine fills every None once, when the request is submitted. A *resolved*
request (the one in `Job.request`, in results and in files) has none left, except for unused fields:
`variation_seed` at a variation strength of 0, and an absent `mask` or `sketch`.

ControlNets are a part of every painting request (`controls`), not a kind of their own, and so are
the other `request_parts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import MAX_SIDE_PX, MIN_SIDE_PX, ResizeMode, Size
from paintdiff.jobs import messages
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.invalid_values import describe_invalid
from paintdiff.jobs.request_parts import (
    MAX_GUIDANCE_SCALE as MAX_GUIDANCE_SCALE,
)
from paintdiff.jobs.request_parts import (
    MAX_PROMPT_CHARACTERS as MAX_PROMPT_CHARACTERS,
)
from paintdiff.jobs.request_parts import (
    MAX_SEED as MAX_SEED,
)
from paintdiff.jobs.request_parts import (
    MAX_STEPS,
    MAX_STYLES,
    Axis,
    Branch,
    ControlInput,
    FreeU,
    HiresFix,
    IpAdapterInput,
    LoraInput,
    Name,
    Outpaint,
    Prompt,
    PromptTemplate,
    PromptTexts,
    Refiner,
    Upscaling,
)
from paintdiff.prompts.attention import Emphasis
from paintdiff.prompts.syntax import PromptSyntax
from paintdiff.prompts.wildcards.expansion import WildcardMode

REQUEST_VERSION = 1
MAX_IMAGES = 64
MAX_LOOPBACK = 16
MAX_MASK_BLUR_PX = 64
MAX_PADDING_PX = 512
MAX_CONTROLS = 4
MAX_LORAS = 16
MAX_IP_ADAPTERS = 4
MAX_BRANCHES = 8
MAX_CLIP_SKIP = 12
MAX_TIME_BUDGET_SECONDS = 86_400.0
MAX_AXES_CHARACTERS = 200_000
"""So that a sheet's file can hold its settings."""

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
"""A colour as "#rrggbb"."""

MaskedContent = Literal["original", "fill", "noise", "empty"]
"""The start of the masked part: the original, the colours around it, noise, or zero latents."""


@dataclass(frozen=True)
class Sampling:
    """The resolved settings of one denoising run; `size` is in pixels.

    `variation_seed` is 0 and unused if `variation_strength` is 0.
    """

    size: Size
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    seed: int
    variation_seed: int = 0
    variation_strength: float = 0.0


class JobRequest(BaseModel):
    """The base of all requests."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = REQUEST_VERSION

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Build a request from untrusted values.

        Direct construction raises pydantic's ValidationError instead, which is a ValueError, too.

        Raises:
            RequestError: A value is invalid; `field` is the first such field.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or None
            message = describe_invalid(first)
            raise RequestError(f"{field or 'request'}: {message}.", field=field) from None

    def input_images(self) -> tuple[InputImage, ...]:
        """Return all input images, including those in its parts."""
        return tuple(_input_images(self))

    def without_image_data(self) -> Self:
        """Return the request with references in place of its input images, as stored in files."""
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
    """The base of all painting requests: `num_images` pictures, of which picture i uses `seed + i`.

    With a `variation_strength` above 0 the pictures are variations of one: all use `seed`, whose
    noise is interpolated by that fraction towards the noise of `variation_seed + i`.

    All `controls` apply together. `upscaling` enlarges each finished picture.

    Prompts in the syntax "a1111" may weigh words (`(red:1.3)`), change during the run
    (`[cat:dog:0.5]`) and so on; in "plain" ones, brackets are text and the end of a long prompt is
    ignored. `emphasis` is how weights act: as in the A1111 web UI, the same without restoring the
    mean, or as in ComfyUI.

    `styles` are put around both prompts, and in "a1111" prompts `{red|blue}`, `__colour__` and
    variables (`prompts/wildcards`) are replaced: at "random" by each picture's seed, or so that
    consecutive seeds give all combinations ("combinatorial"). "off" leaves them as text. When a
    request is resolved, `expansions` gets each picture's prompts. A picture's own request has these
    as its prompts, and in `template` what they were made of.

    `loras` apply in addition to those in the prompt (`<lora:name:0.8>`), which stay in it. `vae` is
    a name in the catalog, None for the model's own. `clip_skip` counts the text encoder's last
    layers as the A1111 web UI does: 1 uses all, 2 leaves the last one out.

    `profile` trades exactness against speed: a name in presets/profiles.yaml, None for the default.

    `branches` continue the run with other settings from a step on, in the order of their steps.

    With a `time_budget_seconds` the engine chooses those of steps, profile and size that are open
    so that all pictures are done in that time, loading aside; a resolved request has none.
    """

    prompt: Prompt
    negative_prompt: Prompt = ""
    prompt_syntax: PromptSyntax = "a1111"
    emphasis: Emphasis = "original"
    wildcards: WildcardMode = "random"
    styles: tuple[Name, ...] = Field(default=(), max_length=MAX_STYLES)
    expansions: tuple[PromptTexts, ...] = Field(default=(), max_length=MAX_IMAGES)
    template: PromptTemplate | None = None
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
    branches: tuple[Branch, ...] = Field(default=(), max_length=MAX_BRANCHES)
    time_budget_seconds: float | None = Field(default=None, gt=0.0, le=MAX_TIME_BUDGET_SECONDS)

    def sampling(self) -> Sampling:
        """Return the resolved settings.

        Raises:
            RequestError: A field is still None.
        """
        if (
            self.width is None
            or self.height is None
            or self.num_inference_steps is None
            or self.guidance_scale is None
            or self.sampler is None
            or self.seed is None
            or (self.variation_seed is None and self.variation_strength > 0)
        ):
            raise RequestError(messages.OPEN_VALUES)
        return Sampling(
            Size(self.width, self.height),
            self.num_inference_steps,
            self.guidance_scale,
            self.sampler,
            self.seed,
            self.variation_seed or 0,
            self.variation_strength,
        )

    def for_image(self, index: int) -> Self:
        """Return the resolved request of picture `index` (from 0) alone, which paints it again.

        Raises:
            RequestError: This request isn't resolved.
        """
        sampling = self.sampling()
        change: dict[str, object] = {"num_images": 1}
        if sampling.variation_strength > 0:
            change["variation_seed"] = sampling.variation_seed + index
        else:
            change["seed"] = sampling.seed + index
        if self.expansions:
            change |= self._replace_prompts(self.expansions[index])
        return self.model_copy(update=change)

    def split_by_prompt(self) -> tuple[Self, ...]:
        """Return the resolved request as several, one for each run of pictures of one prompt."""
        if not self.expansions:
            return (self,)
        parts: list[Self] = []
        for _texts, run in groupby(range(self.num_images), lambda index: self.expansions[index]):
            indexes = list(run)
            one = self.for_image(indexes[0])
            parts.append(one.model_copy(update={"num_images": len(indexes)}))
        return tuple(parts)

    def _replace_prompts(self, texts: PromptTexts) -> dict[str, object]:
        template = PromptTemplate(
            prompt=self.prompt, negative_prompt=self.negative_prompt, styles=self.styles
        )
        return {
            "prompt": texts.prompt,
            "negative_prompt": texts.negative_prompt,
            "template": template,
            "styles": (),
            "expansions": (),
            "wildcards": "off",
        }

    def without_image_data(self) -> Self:
        """Return the request with references in place of its input images, as stored in files."""
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
    """Paint pictures from a prompt. With a `hires` fix, the size is the first pass's."""

    kind: Literal["text_to_image"] = "text_to_image"
    hires: HiresFix | None = None


class ImageToImage(PaintingRequest):
    """Paint pictures from a prompt and a picture.

    `strength` is how much of the picture changes, 0 to 1: the last `int(num_inference_steps *
    strength)` steps are run, at least one. Transparent parts of the picture become `background`,
    and `resize_mode` fits it to the size. A `width` and `height` of None keep its size, or at least
    its proportions (`geometry.working_size`).

    With a `loopback` over 1 each result is the next pass's input, for that many passes; pass k
    (from 0) has the strength `strength * loopback_strength_factor ** k`, at most 1, and the seed
    `seed + k`.

    A `tiled` run works in windows, as in HiresFix, with the same default.
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
        """Return each pass's strength, in order."""
        factor = self.loopback_strength_factor
        return tuple(min(1.0, self.strength * factor**number) for number in range(self.loopback))


class Inpaint(PaintingRequest):
    """Repaint a part of a picture. The result has the picture's own size, grown by `outpaint`.

    Repainted are the parts where `mask` is white (or black, with `invert_mask`), where `sketch` has
    colour, and what `outpaint` adds. `mask` and `sketch` have the picture's size, all after EXIF
    orientation. `mask_blur_px` softens the edge (the standard deviation of a Gaussian), and every
    pixel where the blurred mask is 0 keeps its value (on `background` where the picture is
    transparent).

    `sketch` is content: painting starts from the picture with its strokes, opaque or not, on top.
    `masked_content` is the start of the rest of the masked part. With `soft`, a darker grey mask
    keeps more of the picture, at every step and not only in the final blend. `only_masked` paints
    the masked part and `padding_px` around it at the full working size, and pastes it back. `width`
    and `height` are that working size (None: chosen from the picture and the model), never the
    result's. `strength` is as for ImageToImage.
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
    """Enlarge pictures, each by itself.

    A result keeps its picture's alpha channel, grey mode, 8 or 16 bits a channel, and colour
    profile.
    """

    kind: Literal["upscale"] = "upscale"
    images: tuple[InputImage, ...] = Field(min_length=1, max_length=MAX_IMAGES)
    upscaling: Upscaling = Upscaling()

    @property
    def num_images(self) -> int:
        """Return the number of pictures."""
        return len(self.images)

    def for_image(self, index: int) -> Self:
        """Return the request of picture `index` (from 0) alone."""
        return self.model_copy(update={"images": (self.images[index],)})

    def without_image_data(self) -> Self:
        """Return the request with references in place of its pictures."""
        return self.model_copy(update={"images": tuple(each.reference() for each in self.images)})


Painting = TextToImage | ImageToImage | Inpaint
"""Any painting request."""


class Grid(JobRequest):
    """Paint a picture for each combination of the axes' values, and a labelled sheet of them all.

    `x` runs from left to right, `y` downwards, and each value of `z` is a block of its own below
    the others. A cell is `base` with its values of the axes, so it has one picture. All cells share
    a seed that `base` leaves open.
    """

    kind: Literal["grid"] = "grid"
    base: Annotated[Painting, Field(discriminator="kind")]
    x: Axis
    y: Axis | None = None
    z: Axis | None = None

    @property
    def axes(self) -> Mapping[str, Axis]:
        """Return the axes that are there, by name: "x" first."""
        named = {"x": self.x, "y": self.y, "z": self.z}
        return {name: axis for name, axis in named.items() if axis is not None}

    @model_validator(mode="after")
    def _limit(self) -> Self:
        if self.base.num_images != 1:
            raise ValueError(messages.one_picture_a_cell(self.base.num_images))
        size = sum(len(value) for axis in self.axes.values() for value in axis.values)
        if size > MAX_AXES_CHARACTERS:
            raise ValueError(messages.axes_too_long(size, MAX_AXES_CHARACTERS))
        return self

    def without_image_data(self) -> Self:
        """Return the grid with references in place of its input images."""
        return self.model_copy(update={"base": self.base.without_image_data()})


Request = Painting | Upscale | Grid
"""Any request; `kind` says which."""


def find_painting(request: Request) -> Painting | None:
    """Return what a request paints: itself, the base of a grid, None if it only enlarges."""
    if isinstance(request, Grid):
        return request.base
    return None if isinstance(request, Upscale) else request


def find_upscaling(request: Request) -> Upscaling | None:
    """Return the upscaling of a request, or of a grid's base; None without one."""
    return request.base.upscaling if isinstance(request, Grid) else request.upscaling


def check_painting(request: Request) -> Painting:
    """Return a request that paints.

    Raises:
        RequestError: It is of another kind.
    """
    if isinstance(request, (Upscale, Grid)):
        raise RequestError(messages.not_a_painting(request.kind), field="kind")
    return request


def count_pictures(request: Request) -> int:
    """Return the number of pictures of a request that isn't a grid; of a grid, those of a cell."""
    return request.base.num_images if isinstance(request, Grid) else request.num_images


REQUEST_KINDS: Mapping[str, type[Request]] = {
    "text_to_image": TextToImage,
    "image_to_image": ImageToImage,
    "inpaint": Inpaint,
    "upscale": Upscale,
    "grid": Grid,
}


def parse_request(values: Mapping[str, object]) -> Request:
    """Build the request that untrusted values describe, by their `kind` (default: text to image).

    Raises:
        RequestError: A value is invalid; `field` is the first such field.
    """
    kind = values.get("kind", "text_to_image")
    found = REQUEST_KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise RequestError(
            messages.unknown_kind(kind, REQUEST_KINDS),
            field="kind",
        )
    return found.parse(values)


def parse_saved_request(values: Mapping[str, object]) -> Request:
    """Build the request of a saved picture: what its prompts say is final.

    Raises:
        RequestError: As `parse_request`.
    """
    return parse_request({"wildcards": "off", **values} if "prompt" in values else values)
