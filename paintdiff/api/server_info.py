"""GET /health and /info, and /api/models: the state of the server, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel

from paintdiff.api.routing import make_router
from paintdiff.config.presets import Presets
from paintdiff.imaging.geometry import MAX_SIDE_PX, MIN_SIDE_PX
from paintdiff.jobs import requests
from paintdiff.jobs.request_parts import MAX_STEPS
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.server.identities import current_identity
from paintdiff.version import __version__

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext


class HealthAnswer(BaseModel):
    """The server's state. It is `ready` unless the model used last couldn't be loaded."""

    alive: bool
    ready: bool
    device: str | None = None
    model: str | None = None
    model_state: str | None = None
    queue: int | None = None
    expected_wait_seconds: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


class ModelAnswer(BaseModel):
    """A model of the catalog. `present` is whether its weights are on this machine."""

    name: str
    title: str
    family: str
    native_width: int
    native_height: int
    sampler: str
    present: bool


class InfoAnswer(BaseModel):
    """What the server can do: names to use in requests, and limits."""

    name: str
    version: str
    models: list[ModelAnswer]
    samplers: list[str]
    qualities: list[str]
    profiles: list[str]
    upscalers: list[str]
    controlnets: list[str]
    controlnet_methods: list[str]
    loras: list[str]
    limits: dict[str, int]


def server_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router, engine = make_router(context, "Server"), context.engine

    @router.get("/health")
    def health() -> HealthAnswer:
        """Return the server's state. Whoever must sign in first learns only whether it is ready."""
        now = engine.status()
        ready = now.model_state != "failed"
        if not current_identity.get().scopes:
            return HealthAnswer(alive=True, ready=ready)
        jobs = now.queue_length + (now.running_job_id is not None)
        return HealthAnswer(
            alive=True,
            ready=ready,
            device=now.device,
            model=now.model,
            model_state=now.model_state,
            queue=now.queue_length,
            expected_wait_seconds=round(jobs * (now.seconds_per_job or 0.0), 1),
            memory_used_bytes=now.memory_used_bytes,
            memory_total_bytes=now.memory_total_bytes,
        )

    @router.get("/info")
    def info() -> InfoAnswer:
        """List models, samplers, presets and limits."""
        catalog = engine.manager.catalog
        return InfoAnswer(
            name="PaintDiffusion",
            version=__version__,
            models=_list_models(context),
            samplers=list(SAMPLERS),
            qualities=[each.name for each in Presets.default().qualities()],
            profiles=list(engine.profiles.names()),
            upscalers=[each.name for each in catalog.rows(UpscalerRow)],
            controlnets=[each.name for each in catalog.rows(ControlNetRow)],
            controlnet_methods=list(PREPROCESSORS),
            loras=[each.name for each in catalog.rows(LoraRow)],
            limits={
                "min_side_px": MIN_SIDE_PX,
                "max_side_px": MAX_SIDE_PX,
                "max_steps": MAX_STEPS,
                "max_images": requests.MAX_IMAGES,
                "max_seed": requests.MAX_SEED,
                "max_prompt_characters": requests.MAX_PROMPT_CHARACTERS,
            },
        )

    @router.get("/api/models")
    def models() -> list[ModelAnswer]:
        """List the models."""
        return _list_models(context)

    return router


def _list_models(context: ApiContext) -> list[ModelAnswer]:
    return [
        ModelAnswer(
            name=row.name,
            title=row.title,
            family=row.family.name,
            native_width=row.native_size.width,
            native_height=row.native_size.height,
            sampler=row.sampler,
            present=row.is_here,
        )
        for row in context.engine.manager.catalog.rows(ModelRow)
    ]
