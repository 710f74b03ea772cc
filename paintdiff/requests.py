"""What a job is. A request is a frozen value: the wire format, what a picture carries, what a
gallery stores.

A field that is None is left to the model: its row in the catalog and the quality preset decide, and
the seed is drawn. The engine fills every None once, when the request is submitted, so a *settled*
request (the one in `Job.request`, in results and in files) has none left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from paintdiff.errors import RequestError
from paintdiff.geometry import MAX_SIDE_PX, MIN_SIDE_PX, Size

REQUEST_VERSION = 1
MAX_SEED = 2**32 - 1
MAX_PROMPT_CHARACTERS = 10_000
MAX_IMAGES = 64
MAX_STEPS = 1000
MAX_GUIDANCE_SCALE = 50.0

Prompt = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


@dataclass(frozen=True)
class Sampling:
    """The settings of one denoising run with nothing left open; `size` is in pixels."""

    size: Size
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    seed: int


class TextToImage(BaseModel):
    """Paint `num_images` pictures from words; picture i uses `seed + i`.

    Raises RequestError (never pydantic's own error) when built through `parsed`; direct
    construction raises pydantic's ValidationError, which is a ValueError too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = REQUEST_VERSION
    kind: Literal["text_to_image"] = "text_to_image"
    prompt: Prompt
    negative_prompt: Prompt = ""
    model: Name = "mini"
    quality: Name = "balanced"
    width: int | None = Field(default=None, ge=MIN_SIDE_PX, le=MAX_SIDE_PX)
    height: int | None = Field(default=None, ge=MIN_SIDE_PX, le=MAX_SIDE_PX)
    num_inference_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    guidance_scale: float | None = Field(default=None, ge=0.0, le=MAX_GUIDANCE_SCALE)
    sampler: Name | None = None
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    num_images: int = Field(default=1, ge=1, le=MAX_IMAGES)

    @classmethod
    def parsed(cls, values: dict[str, object]) -> TextToImage:
        """Build from untrusted values. Raises RequestError with the first bad field in `field`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or None
            raise RequestError(f"{field or 'request'}: {first['msg']}.", field=field) from None

    def sampling(self) -> Sampling:
        """The settled settings. Raises RequestError if the engine hasn't filled every None yet."""
        values = (
            self.width,
            self.height,
            self.num_inference_steps,
            self.guidance_scale,
            self.sampler,
            self.seed,
        )
        width, height, steps, guidance, sampler, seed = values
        if (
            width is None
            or height is None
            or steps is None
            or guidance is None
            or sampler is None
            or seed is None
        ):
            raise RequestError("This request isn't settled yet: submit it to an engine first.")
        return Sampling(Size(width, height), steps, guidance, sampler, seed)


Request = TextToImage
"""Any job. A union once there is a second kind."""
