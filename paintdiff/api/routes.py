"""All routes of the API, and what a request to each may carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter

from paintdiff.api.a1111.routes import A1111_ROUTES, PATHS, a1111_routes
from paintdiff.api.a1111.routing import shape_for_a1111
from paintdiff.api.documentation import documentation_routes
from paintdiff.api.downloads import download_routes
from paintdiff.api.images import image_routes
from paintdiff.api.jobs import job_routes
from paintdiff.api.openai.errors import shape_for_openai
from paintdiff.api.openai.images import FILE_QUERY, openai_image_routes
from paintdiff.api.openai.models import openai_model_routes
from paintdiff.api.painting import painting_routes
from paintdiff.api.prompts import prompt_routes
from paintdiff.api.server_info import server_routes
from paintdiff.api.training import training_routes
from paintdiff.api.variations import variation_routes
from paintdiff.server.problems import ErrorShape
from paintdiff.server.routes import BOTH, ENTERED, GALLERY, MANAGE, PAINT, Body, Route

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext

_READ = ("GET", "HEAD")
_FILTERS = ("q", "model", "kind", "tag", "feedback", "favourite", "since", "until")

API_ROUTES: tuple[Route, ...] = (
    Route(("POST",), "/generate", body=Body.LARGE_JSON, needs=PAINT),
    Route(("POST",), "/upscale", body=Body.LARGE_JSON, needs=PAINT),
    Route(("POST",), "/encode_text", body=Body.LARGE_JSON, needs=PAINT),
    Route(("POST",), "/prompt-variations", body=Body.LARGE_JSON, needs=PAINT),
    Route(("GET",), "/health", needs=ENTERED, is_open=True),
    Route(("GET",), "/info", needs=ENTERED),
    Route(("POST",), "/api/generate", body=Body.LARGE_JSON, needs=PAINT),
    Route(("POST",), "/api/jobs", body=Body.LARGE_JSON, needs=PAINT),
    Route(("GET", "DELETE"), "/api/jobs/{job_id}", needs=PAINT),
    Route(("GET",), "/api/jobs/{job_id}/events", needs=PAINT),
    Route(("GET",), "/api/jobs/{job_id}/pictures/{index}", needs=PAINT),
    Route(("GET",), "/api/images", (*_FILTERS, "limit", "cursor"), needs=GALLERY),
    Route(("GET", "DELETE"), "/api/images/{image_id}", needs=GALLERY),
    Route(("GET",), "/api/images/{image_id}/file", needs=GALLERY),
    Route(("GET",), "/api/images/{image_id}/thumbnail", needs=GALLERY),
    Route(("POST",), "/api/feedback", body=Body.JSON, needs=GALLERY),
    Route(("POST",), "/api/variations", body=Body.JSON, needs=BOTH),
    Route(("POST",), "/api/retrain", body=Body.JSON, needs=MANAGE),
    Route(("GET",), "/api/retrain/status", needs=ENTERED),
    Route(("GET",), "/api/models", needs=ENTERED),
    Route(("POST",), "/api/models/download", body=Body.JSON, needs=MANAGE),
    Route(("GET",), "/api/models/downloads", needs=ENTERED),
    Route(("GET",), "/api/models/downloads/{download_id}", needs=ENTERED),
    Route(("DELETE",), "/api/models/downloads/{download_id}", needs=MANAGE),
    Route(("POST",), "/v1/images/generations", body=Body.LARGE_JSON, needs=PAINT),
    Route(("POST",), "/v1/images/edits", body=Body.FORM, needs=PAINT),
    Route(("GET",), "/v1/images/files/{job_id}/{name}", FILE_QUERY, needs=PAINT),
    Route(("GET",), "/v1/models", needs=ENTERED),
    Route(("GET",), "/v1/models/{model_id:path}", needs=ENTERED),
    Route(("GET",), "/api/openapi.json", needs=ENTERED),
    Route(("GET",), "/docs", needs=ENTERED),
    Route(("GET",), "/docs/{name}", needs=ENTERED),
    *A1111_ROUTES,
)


ERROR_SHAPES: Mapping[str, ErrorShape] = {
    "/v1/": shape_for_openai,
    **dict.fromkeys(PATHS, shape_for_a1111),
}
"""Beginnings of paths whose clients expect errors in a form of their own: see `ErrorShapes`."""

_GROUPS = (
    painting_routes,
    prompt_routes,
    job_routes,
    image_routes,
    variation_routes,
    training_routes,
    server_routes,
    download_routes,
    openai_image_routes,
    openai_model_routes,
    a1111_routes,
)
"""The groups of routes, in the order of the documentation."""


def api_routes(context: ApiContext) -> APIRouter:
    """Return the routes of all dialects, and of their documentation."""
    documented = APIRouter()
    for routes in _GROUPS:
        documented.include_router(routes(context))
    router = APIRouter()
    router.include_router(documented)
    router.include_router(documentation_routes(documented))
    return router
