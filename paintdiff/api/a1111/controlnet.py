"""What clients of the web UI's ControlNet extension ask for: lists, and control maps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import AliasChoices, Field
from starlette.concurrency import run_in_threadpool

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.answers import encode_image
from paintdiff.api.a1111.bodies import A1111Body, WholeNumber, give_example
from paintdiff.api.a1111.pictures import read_picture
from paintdiff.api.a1111.routing import make_a1111_router
from paintdiff.errors import RequestError
from paintdiff.gallery.a1111.controls import from_a1111_module, to_a1111_module
from paintdiff.imaging.geometry import Size, check_size
from paintdiff.imaging.images import read_header
from paintdiff.jobs.requests import MAX_CONTROLS
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.preprocessors.table import PREPROCESSORS

if TYPE_CHECKING:
    from paintdiff.api.a1111.context import A1111Context
    from paintdiff.jobs.input_images import InputImage

API_VERSION = 3
"""That of the extension whose requests are understood."""
MAX_DETECTED = 4
_MOST_AT_ONCE = 1
_IMAGES = "controlnet_input_images"


class DetectBody(A1111Body):
    """A request for control maps. The shorter side is `controlnet_processor_res`, if above 0."""

    model_config = give_example(controlnet_module="canny", controlnet_input_images=["<base64>"])

    controlnet_module: str = "none"
    controlnet_input_images: list[str] = Field(
        default_factory=list[str], validation_alias=AliasChoices(_IMAGES, "controlnet_images")
    )
    controlnet_processor_res: WholeNumber = -1


def controlnet_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router = make_a1111_router(context.api)
    turns = asyncio.Semaphore(_MOST_AT_ONCE)

    def list_models() -> list[str]:
        return [row.name for row in context.catalog.rows(ControlNetRow)]

    @router.get("/controlnet/version")
    def version() -> dict[str, int]:
        """Return the version of the extension's API."""
        return {"version": API_VERSION}

    @router.get("/controlnet/model_list")
    def model_list() -> dict[str, list[str]]:
        """List the ControlNets."""
        return {"model_list": list_models()}

    @router.get("/controlnet/module_list")
    def module_list() -> dict[str, Any]:
        """List the preprocessors."""
        names = _list_modules()
        details = {
            name: {"model_free": row.weights is None, "sliders": []} for name, row in names.items()
        }
        return {"module_list": list(names), "module_detail": details}

    @router.get("/controlnet/control_types")
    def control_types() -> dict[str, Any]:
        """Return ControlNets and preprocessors in a single group."""
        everything = {
            "module_list": list(_list_modules()),
            "model_list": ["None", *list_models()],
            "default_option": "none",
            "default_model": "None",
        }
        return {"control_types": {"All": everything}}

    @router.get("/controlnet/settings")
    def settings() -> dict[str, int]:
        """Return how many units a request may have."""
        return {"control_net_unit_count": MAX_CONTROLS}

    @router.post("/controlnet/detect")
    async def detect(body: DetectBody) -> dict[str, Any]:
        """Return the control maps of pictures."""
        images = body.controlnet_input_images
        if not 1 <= len(images) <= MAX_DETECTED:
            reason = messages.too_many_at_once(MAX_DETECTED) if images else messages.IMAGE_NEEDED
            raise RequestError(reason, field=_IMAGES)
        made: list[str] = []
        for index, text in enumerate(images):
            picture = read_picture(text, f"{_IMAGES}.{index}")
            async with turns:  # a preprocessor may take a core for seconds
                made.append(await run_in_threadpool(_make_map, context, body, picture))
        return {"images": made, "info": "Success", "warnings": list(body.list_ignored())}

    return router


def _list_modules() -> dict[str, Any]:
    return {to_a1111_module(name): row for name, row in PREPROCESSORS.items()}


def _make_map(context: A1111Context, body: DetectBody, picture: InputImage) -> str:
    assert picture.data is not None
    size = read_header(picture.data, _IMAGES).size
    shorter = body.controlnet_processor_res
    if shorter > 0:
        scale = shorter / min(size.width, size.height)
        size = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    check_size(size)
    name = from_a1111_module(body.controlnet_module)
    try:
        return encode_image(context.api.engine.control_map(picture, name, size, "stretch"))
    except RequestError as error:
        fields = {"image": _IMAGES, "preprocessor": "controlnet_module"}
        raise RequestError(str(error), field=fields.get(error.field or "", error.field)) from error
