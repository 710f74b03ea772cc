"""What the web UI's clients can choose from: models, samplers, upscalers, styles, scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from paintdiff.api.a1111.names import list_sampler_names, list_schedules, write_title
from paintdiff.api.a1111.routing import make_a1111_router
from paintdiff.api.a1111.scripts import AVAILABLE
from paintdiff.gallery.a1111.names import to_a1111
from paintdiff.jobs.request_parts import LATENT_UPSCALER
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow, VaeRow
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow

if TYPE_CHECKING:
    from pathlib import Path

    from paintdiff.api.a1111.context import A1111Context

_SIGN_OF_CONTROLNET = "controlnet m2m"
"""The script by which `webuiapi` sees that there are ControlNets. It isn't one that can be run, but
without it that package repeats the units of its last request in all that follow."""
_Rows = list[dict[str, Any]]


def _list_sd_models(context: A1111Context) -> _Rows:
    """List the models that are on this machine, and the chosen one in any case."""
    chosen = context.find_options().checkpoint
    rows = [row for row in context.catalog.rows(ModelRow) if row.is_here or row.name == chosen]
    return [
        {
            "title": write_title(row),
            "model_name": row.name,
            "hash": row.sha256[:10] or None,
            "sha256": row.sha256 or None,
            "filename": _get_file_name(row.folder, row.name),
            "config": None,
        }
        for row in rows
    ]


def _list_sd_vae(context: A1111Context) -> _Rows:
    """List the VAEs that can replace a model's own."""
    rows = context.catalog.rows(VaeRow)
    return [{"model_name": row.name, "filename": row.file.name} for row in rows]


def _list_samplers(_context: A1111Context) -> _Rows:
    """List the samplers."""
    names = list_sampler_names().items()
    return [{"name": name, "aliases": aliases, "options": {}} for name, aliases in names]


def _list_schedulers(_context: A1111Context) -> _Rows:
    """List the schedule types."""
    return [
        {
            "name": label.casefold().replace(" ", "_"),
            "label": label,
            "aliases": None,
            "default_rho": -1.0,
            "need_inner_model": False,
        }
        for label in list_schedules()
    ]


def _list_upscalers(context: A1111Context) -> _Rows:
    """List the upscalers, after "None"."""
    names = ["None", *(to_a1111(row.name) for row in context.catalog.rows(UpscalerRow))]
    return [
        {"name": name, "model_name": name, "model_path": None, "model_url": None, "scale": None}
        for name in names
    ]


def _list_latent_upscale_modes(_context: A1111Context) -> _Rows:
    """List the ways to enlarge latents."""
    return [{"name": to_a1111(LATENT_UPSCALER)}]


def _list_realesrgan_models(context: A1111Context) -> _Rows:
    """List the Real-ESRGAN upscalers."""
    rows = [row for row in context.catalog.rows(UpscalerRow) if "esrgan" in row.name.casefold()]
    return [{"name": to_a1111(row.name), "path": None, "scale": None} for row in rows]


def _list_face_restorers(context: A1111Context) -> _Rows:
    """List the face restorers."""
    rows = context.catalog.rows(FaceRestorerRow)
    return [{"name": row.name, "cmd_dir": None} for row in rows]


def _list_loras(context: A1111Context) -> _Rows:
    """List the LoRAs."""
    return [
        {"name": row.name, "alias": row.name, "path": row.file.name, "metadata": {}}
        for row in context.catalog.rows(LoraRow)
    ]


def _list_embeddings(context: A1111Context) -> dict[str, dict[str, Any]]:
    """List the embeddings: those for the chosen model as loaded, the others as skipped."""
    row = context.find_checkpoint()
    fitting = context.catalog.fitting(EmbeddingRow, row)
    others = [each for each in context.catalog.rows(EmbeddingRow) if each not in fitting]
    return {
        "loaded": {each.name: _describe_embedding(each) for each in fitting},
        "skipped": {each.name: _describe_embedding(each) for each in others},
    }


def _list_hypernetworks(_context: A1111Context) -> _Rows:
    """List no hypernetworks: they aren't supported."""
    return []


def _list_prompt_styles(context: A1111Context) -> _Rows:
    """List the styles."""
    return [
        {
            "name": style.name,
            "prompt": style.prompt,
            "negative_prompt": style.negative_prompt,
        }
        for style in context.api.engine.library.list_styles()
    ]


def _list_scripts(_context: A1111Context) -> dict[str, list[str]]:
    """List the scripts that have an effect."""
    listed = [*AVAILABLE, _SIGN_OF_CONTROLNET]
    return {"txt2img": listed, "img2img": listed}


def _list_script_info(_context: A1111Context) -> _Rows:
    """Describe the scripts that have an effect."""
    return [
        {"name": name, "is_alwayson": True, "is_img2img": is_img2img, "args": []}
        for is_img2img in (False, True)
        for name in AVAILABLE
    ]


def _list_extensions(_context: A1111Context) -> _Rows:
    """List no extensions: what is supported of them is built in."""
    return []


def _get_file_name(path: Path | None, otherwise: str) -> str:
    return otherwise if path is None else path.name


def _describe_embedding(row: EmbeddingRow) -> dict[str, Any]:
    return {
        "step": None,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
        "shape": row.widths[0] if row.widths else 0,
        "vectors": 1,
    }


LISTS: Mapping[str, Callable[[A1111Context], object]] = {
    "sd-models": _list_sd_models,
    "sd-vae": _list_sd_vae,
    "samplers": _list_samplers,
    "schedulers": _list_schedulers,
    "upscalers": _list_upscalers,
    "latent-upscale-modes": _list_latent_upscale_modes,
    "realesrgan-models": _list_realesrgan_models,
    "face-restorers": _list_face_restorers,
    "loras": _list_loras,
    "embeddings": _list_embeddings,
    "hypernetworks": _list_hypernetworks,
    "prompt-styles": _list_prompt_styles,
    "scripts": _list_scripts,
    "script-info": _list_script_info,
    "extensions": _list_extensions,
}
"""The end of a path -> what is there. Of paths on this machine, clients see the last part only."""


def list_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router = make_a1111_router(context.api)
    for name, make in LISTS.items():
        _add_list(router, name, make, context)
    return router


def _add_list(
    router: APIRouter,
    name: str,
    make: Callable[[A1111Context], object],
    context: A1111Context,
) -> None:
    def answer() -> object:
        return make(context)

    path = f"/sdapi/v1/{name}"
    router.add_api_route(
        path, answer, methods=["GET"], name=name, description=make.__doc__, response_model=None
    )
