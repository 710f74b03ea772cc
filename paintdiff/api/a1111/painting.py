"""POST /sdapi/v1/txt2img and img2img."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from paintdiff.api.a1111.answers import PaintAnswer, describe_result
from paintdiff.api.a1111.bodies import ImageToImageBody, TextToImageBody
from paintdiff.api.a1111.conversion import convert
from paintdiff.api.a1111.routing import make_a1111_router
from paintdiff.api.painting import rename_field
from paintdiff.errors import RequestError
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.a1111.context import A1111Context


def painting_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router = make_a1111_router(context.api)

    @router.post("/sdapi/v1/txt2img")
    async def txt2img(body: TextToImageBody, client: Request) -> PaintAnswer:
        """Paint pictures from a prompt."""
        return await _paint(context, body, client, "txt2img")

    @router.post("/sdapi/v1/img2img")
    async def img2img(body: ImageToImageBody, client: Request) -> PaintAnswer:
        """Paint pictures from a prompt and a picture, or repaint a part of it."""
        return await _paint(context, body, client, "img2img")

    return router


async def _paint(
    context: A1111Context, body: TextToImageBody | ImageToImageBody, client: Request, kind: str
) -> PaintAnswer:
    owner = current_identity.get().owner
    options = context.find_options()
    converted = await run_in_threadpool(convert, body, options, context.catalog)
    with context.works.begin(kind, owner, body.force_task_id, body.num_images) as work:
        try:
            result = await work.run(
                converted.request, context.api.submissions, client, saves=body.saves
            )
        except RequestError as error:
            raise rename_field(error, converted.names) from error
        return await run_in_threadpool(describe_result, body, work, result, converted.warnings)
