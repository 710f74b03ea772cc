"""The options, and the state of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body
from pydantic import JsonValue
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.options import change_options, describe_options
from paintdiff.api.a1111.routing import make_a1111_router
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.a1111.context import A1111Context
    from paintdiff.engine.engine import EngineStatus

_FLAGS: dict[str, Any] = {
    "api": True,
    "api_log": False,
    "api_server_stop": False,
    "enable_insecure_extension_access": False,
    "medvram": False,
    "lowvram": False,
    "nowebui": False,
    "theme": None,
}
_OptionsBody = Annotated[dict[str, JsonValue], Body(examples=[{"sd_model_checkpoint": "mini"}])]
_REFRESHED = ("checkpoints", "vae", "loras", "embeddings")


def option_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router = make_a1111_router(context.api)

    @router.get("/sdapi/v1/options")
    def get_options() -> dict[str, Any]:
        """Return the options."""
        return describe_options(context.find_options(), context.catalog)

    @router.post("/sdapi/v1/options")
    async def set_options(body: _OptionsBody) -> dict[str, list[str]] | None:
        """Choose options; those that can't be chosen are named in a warning."""
        options = context.find_options()
        changed, said = await run_in_threadpool(change_options, body, options, context.catalog)
        if changed != options:
            owner = current_identity.get().owner
            context.options.set(changed, owner, for_all=context.may_manage())
        return {"warnings": list(said)} if said else None

    return router


def server_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router = make_a1111_router(context.api)
    engine = context.api.engine

    @router.get("/sdapi/v1/cmd-flags")
    def cmd_flags() -> dict[str, Any]:
        """Return some of the web UI's flags, as far as they mean something here."""
        return _FLAGS

    @router.get("/sdapi/v1/memory")
    def memory() -> dict[str, dict[str, Any]]:
        """Return how much memory there is for models, and how much of it is used."""
        return _describe_memory(engine.status())

    @router.post("/sdapi/v1/unload-checkpoint")
    def unload_checkpoint() -> dict[str, Any]:
        """Drop all models from memory that aren't in use."""
        _check_may_manage(context)
        engine.manager.cache.unload()
        return {}

    @router.post("/sdapi/v1/reload-checkpoint")
    def reload_checkpoint() -> dict[str, Any]:
        """Begin to load the chosen model."""
        _check_may_manage(context)
        engine.manager.warm(context.find_checkpoint().name)
        return {}

    def refresh() -> None:
        """Look for new files in the models folders. They are found without this, a little later."""
        if context.may_manage() and context.api.rescan is not None:
            context.api.rescan()

    for what in _REFRESHED:
        router.post(f"/sdapi/v1/refresh-{what}")(refresh)
    return router


def _describe_memory(now: EngineStatus) -> dict[str, dict[str, Any]]:
    used, total = now.memory_used_bytes, now.memory_total_bytes
    block = {"free": max(0, total - used), "used": used, "total": total}
    unknown = {"error": "unavailable"}
    if now.device.startswith("cuda"):
        return {"ram": unknown, "cuda": {"system": block}}
    return {"ram": block, "cuda": unknown}


def _check_may_manage(context: A1111Context) -> None:
    if not context.may_manage():
        raise HTTPException(403, messages.MANAGED_ELSEWHERE)
