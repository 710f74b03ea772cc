"""POST /generate and /upscale: one flat request in, a painted picture out."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from paintdiff.api import messages
from paintdiff.api.encoded_images import SMALL_PNG_URL, ImageText, encode_data_url
from paintdiff.api.routing import make_router
from paintdiff.api.submissions import wait_until_finished
from paintdiff.errors import RequestError
from paintdiff.jobs.requests import (
    MAX_SEED,
    Grid,
    Painting,
    Upscale,
    check_painting,
    parse_request,
)

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.jobs.events import Finished, Picture
    from paintdiff.jobs.job import Job

_PROMPT = "a red sailboat on a calm sea at sunset"
_MOST_NAMED = 20
"""How many ignored fields a warning names."""
_FIELDS = {
    "image": "init_image",
    "controls": "controlnet_method",
    "controls.0.image": "control_image",
    "controls.0.preprocessor": "controlnet_method",
    "controls.0.conditioning_scale": "controlnet_conditioning_scale",
    "upscaling": "upscale",
    "upscaling.scale": "upscale",
}
"""A request's field as this body calls it."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description=messages.KEY_DESCRIPTION,
    ),
]


class LenientBody(BaseModel):
    """A body whose unknown fields are accepted, and named in a warning."""

    model_config = ConfigDict(extra="allow")

    def list_ignored(self) -> tuple[str, ...]:
        """Return a warning about fields that have no effect here."""
        names = sorted(self.model_extra or {})
        return (messages.ignored_fields(names[:_MOST_NAMED]),) if names else ()


class GenerateBody(LenientBody):
    """A request to paint. Only `prompt` is needed; the task follows from the pictures given."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": _PROMPT}]},
        use_attribute_docstrings=True,
    )

    prompt: str
    negative_prompt: str = ""
    model: str | None = None
    """A name in the catalog; without one, the model that the app starts with."""
    width: int | None = None
    height: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    seed: int | None = None
    num_images: int = 1
    quality: str = "balanced"
    profile: str | None = None
    init_image: ImageText | None = None
    strength: float | None = None
    mask: ImageText | None = None
    """White is repainted."""
    sketch: ImageText | None = None
    """Coloured strokes on a transparent picture, to paint over."""
    controlnet_method: str | None = None
    """What the ControlNet follows: "canny", "depth", ..., or "none" for a finished control map."""
    control_image: ImageText | None = None
    controlnet_conditioning_scale: float | None = None
    enhance_prompt: bool = False
    """Paint a richer prompt, as /prompt-variations proposes it; the answer's params have it."""
    upscale: bool | float = False
    """How many times to enlarge the picture; true is 2 times."""

    def to_values(self) -> dict[str, object]:
        """Return the values of the request that this describes.

        Raises:
            RequestError: Some of it doesn't fit together.
        """
        plain = (
            "prompt",
            "negative_prompt",
            "model",
            "width",
            "height",
            "num_inference_steps",
            "guidance_scale",
            "sampler",
            "seed",
            "num_images",
            "quality",
            "profile",
        )
        values: dict[str, object] = {name: getattr(self, name) for name in plain}
        values |= self._list_pictures() | self._list_controls()
        if self.upscale is not False:
            values["upscaling"] = {"scale": 2.0 if self.upscale is True else self.upscale}
        return values

    def _list_pictures(self) -> dict[str, object]:
        given = {name: getattr(self, name) for name in ("mask", "sketch")}
        parts = {name: value for name, value in given.items() if value is not None}
        if self.init_image is None:
            for name in parts:
                raise RequestError(messages.INIT_IMAGE_NEEDED, field=name)
            if self.strength is not None:
                raise RequestError(messages.STRENGTH_NEEDS_IMAGE, field="strength")
            return {"kind": "text_to_image"}
        if self.strength is not None:
            parts["strength"] = self.strength
        kind = "inpaint" if "mask" in parts or "sketch" in parts else "image_to_image"
        return {"kind": kind, "image": self.init_image, **parts}

    def _list_controls(self) -> dict[str, object]:
        scale = self.controlnet_conditioning_scale
        if self.controlnet_method is None and self.control_image is None:
            if scale is not None:
                raise RequestError(
                    messages.SCALE_NEEDS_CONTROL, field="controlnet_conditioning_scale"
                )
            return {}
        if self.control_image is None:
            raise RequestError(messages.CONTROL_NEEDS_IMAGE, field="control_image")
        control: dict[str, object] = {"image": self.control_image}
        if self.controlnet_method is not None:
            control["preprocessor"] = self.controlnet_method
        if scale is not None:
            control["conditioning_scale"] = scale
        return {"controls": [control]}


class UpscaleBody(LenientBody):
    """A request to enlarge a picture."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"image": SMALL_PNG_URL, "scale": 2}]}
    )

    image: ImageText
    scale: float = 2.0
    upscaler: str | None = None
    face_restorer: str | None = None


class PaintedPicture(BaseModel):
    """A finished picture. `id` is the gallery's, "" if it isn't in there; `params` its settings."""

    id: str
    image: str
    width: int
    height: int
    seed: int | None
    params: dict[str, Any]


class PaintedAnswer(PaintedPicture):
    """The first picture, all of them, and what there is to say about them."""

    job_id: str
    images: list[PaintedPicture]
    warnings: list[str]
    seconds: float


def painting_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router = make_router(context, "Paint")

    @router.post("/generate")
    async def generate(
        body: GenerateBody, client: Request, key: IdempotencyKey = None
    ) -> PaintedAnswer:
        """Paint a picture."""
        try:
            request = await run_in_threadpool(_make_request, context, body, key)
            job = await context.submissions.submit(request, key)
        except RequestError as error:
            raise rename_field(error, _FIELDS) from error
        finished = await wait_until_finished(job, client, cancel=key is None)
        return await run_in_threadpool(describe_pictures, job, finished, body.list_ignored())

    @router.post("/upscale")
    async def upscale(
        body: UpscaleBody, client: Request, key: IdempotencyKey = None
    ) -> PaintedAnswer:
        """Enlarge a picture."""
        upscaling = {
            "scale": body.scale,
            "upscaler": body.upscaler,
            "face_restorer": body.face_restorer,
        }
        try:
            request = Upscale.parse({"images": (body.image,), "upscaling": upscaling})
            job = await context.submissions.submit(request, key)
        except RequestError as error:
            fields = {"images": "image", "images.0": "image"}
            fields |= {f"upscaling.{name}": name for name in upscaling}
            raise rename_field(error, fields) from error
        finished = await wait_until_finished(job, client, cancel=key is None)
        return await run_in_threadpool(describe_pictures, job, finished, body.list_ignored())

    return router


def _make_request(context: ApiContext, body: GenerateBody, key: str | None) -> Painting:
    values = body.to_values()
    if body.model is None:
        values["model"] = context.choose_default()
    request = check_painting(parse_request(values))
    if not body.enhance_prompt:
        return request
    seed = request.seed
    if seed is None:  # a repeated request must be the same one
        seed = secrets.randbelow(MAX_SEED) if key is None else zlib.crc32(key.encode())
    richer = context.engine.propose_prompts(request.prompt, request.model, 1, seed)
    return request.model_copy(update={"prompt": richer[0]}) if richer else request


def rename_field(error: RequestError, names: Mapping[str, str]) -> RequestError:
    """Return the error for the body's own name of the field."""
    field = error.field or ""
    while field and field not in names and "." in field:
        field = field.rpartition(".")[0]
    own = names.get(field, error.field)
    text = str(error)
    if error.field and own and text.startswith(f"{error.field}: "):
        text = own + text[len(error.field) :]
    return RequestError(text, field=own)


def describe_pictures(
    job: Job, finished: Finished, warnings: tuple[str, ...] = ()
) -> PaintedAnswer:
    """Return the answer with the pictures in it.

    Raises:
        StorageError: A picture's file is gone.
    """
    pictures = [_describe_picture(each) for each in finished.pictures]
    notes = (note for each in finished.pictures for note in each.notes)
    said = dict.fromkeys((*warnings, *map(str, finished.warnings), *map(str, notes)))
    return PaintedAnswer(
        **pictures[0].model_dump(),
        job_id=job.id,
        images=pictures,
        warnings=list(said),
        seconds=round(finished.seconds, 3),
    )


def _describe_picture(picture: Picture) -> PaintedPicture:
    request = picture.request
    return PaintedPicture(
        id=picture.id,
        image=encode_data_url(picture),
        width=picture.size.width,
        height=picture.size.height,
        seed=None if isinstance(request, (Upscale, Grid)) else request.seed,
        params=request.without_image_data().model_dump(mode="json"),
    )
