"""POST /api/variations: pictures like one in the gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from paintdiff.api.painting import (
    IdempotencyKey,
    LenientBody,
    PaintedAnswer,
    describe_pictures,
    rename_field,
)
from paintdiff.api.routing import make_router
from paintdiff.api.submissions import wait_until_finished
from paintdiff.errors import RequestError
from paintdiff.gallery.variations import MAX_VARIATIONS, KnownModels, Wish, make_variations
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.jobs import requests


class WishBody(LenientBody):
    """A request for variations of a picture in the gallery."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "01k8h2z6", "count": 2, "strength": 0.2}]},
        use_attribute_docstrings=True,
    )

    id: Annotated[str, Field(max_length=64)]
    of: Literal["seed", "picture"] = "seed"
    """"seed" mixes other noise into the picture's own; "picture" paints over it."""
    strength: float = Field(default=0.2, gt=0, le=1)
    """How much they differ from the picture."""
    count: int = Field(default=4, ge=1, le=MAX_VARIATIONS)


def variation_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router, gallery = make_router(context, "Gallery"), context.gallery

    def make_request(body: WishBody, scope: str | None) -> requests.Request:
        names = [row.name for row in context.engine.manager.catalog.rows(ModelRow)]
        return make_variations(
            gallery,
            gallery.find(body.id, scope),
            Wish(body.of, body.strength, body.count),
            KnownModels(names, context.choose_default()),
        )

    @router.post("/api/variations")
    async def vary(client: Request, body: WishBody, key: IdempotencyKey = None) -> PaintedAnswer:
        """Paint variations of a picture; they become its children in the gallery."""
        scope = current_identity.get().scope
        request = await run_in_threadpool(make_request, body, scope)
        try:
            job = await context.submissions.submit(request, key, varied=body.id)
        except RequestError as error:
            fields = {"num_images": "count", "variation_strength": "strength"}
            raise rename_field(error, fields) from error
        finished = await wait_until_finished(job, client, cancel=key is None)
        return await run_in_threadpool(describe_pictures, job, finished, body.list_ignored())

    return router
