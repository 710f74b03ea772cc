"""All routes of the web UI's dialect, and what a request to each may carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from paintdiff.api.a1111.context import A1111Context
from paintdiff.api.a1111.controlnet import controlnet_routes
from paintdiff.api.a1111.extras import extras_routes
from paintdiff.api.a1111.lists import LISTS, list_routes
from paintdiff.api.a1111.painting import painting_routes
from paintdiff.api.a1111.progress import progress_routes, stop_routes
from paintdiff.api.a1111.server import option_routes, server_routes
from paintdiff.server.routes import ENTERED, MANAGE, PAINT, Body, Route

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext

PATHS = ("/sdapi/", "/controlnet/", "/internal/")
"""The beginnings of all paths of the dialect."""
_READ = ("options", "cmd-flags", "memory")
_WITH_BODY = (
    *("txt2img", "img2img", "extra-single-image", "extra-batch-images", "png-info", "options"),
    "interrogate",
)
_WITHOUT_BODY = (
    *("interrupt", "skip"),
    *("refresh-checkpoints", "refresh-vae", "refresh-loras", "refresh-embeddings"),
)
_OF_THE_SERVER = ("unload-checkpoint", "reload-checkpoint")
_CONTROLNET_LISTS = ("version", "model_list", "module_list", "control_types", "settings")

A1111_ROUTES: tuple[Route, ...] = (
    *(Route(("GET",), f"/sdapi/v1/{each}", needs=ENTERED) for each in (*LISTS, *_READ)),
    Route(("GET",), "/sdapi/v1/progress", ("skip_current_image",), needs=PAINT),
    *(
        Route(("POST",), f"/sdapi/v1/{each}", body=Body.LARGE_JSON, needs=PAINT)
        for each in _WITH_BODY
    ),
    *(Route(("POST",), f"/sdapi/v1/{each}", needs=PAINT) for each in _WITHOUT_BODY),
    *(Route(("POST",), f"/sdapi/v1/{each}", needs=MANAGE) for each in _OF_THE_SERVER),
    *(Route(("GET",), f"/controlnet/{each}", needs=ENTERED) for each in _CONTROLNET_LISTS),
    Route(("POST",), "/controlnet/detect", body=Body.LARGE_JSON, needs=PAINT),
    Route(("GET",), "/internal/ping", needs=ENTERED),
    Route(("POST",), "/internal/progress", body=Body.LARGE_JSON, needs=PAINT),
)


def a1111_routes(api: ApiContext) -> APIRouter:
    """Return the routes."""
    context = A1111Context.make(api)
    router = APIRouter()
    for routes in (
        painting_routes,
        progress_routes,
        stop_routes,
        extras_routes,
        list_routes,
        option_routes,
        server_routes,
        controlnet_routes,
    ):
        router.include_router(routes(context))
    return router
