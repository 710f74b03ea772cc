"""The tools: paint, edit, inpaint, upscale, and search the gallery."""

# No `from __future__ import annotations`: the annotations of the tools are read while they are
# local, and make the tools' schemas.

from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from paintdiff.api import messages as api_messages
from paintdiff.api.context import ApiContext
from paintdiff.api.mcp import messages
from paintdiff.api.mcp.pictures import (
    Content,
    describe_finished,
    describe_found,
    load_picture,
    make_mask,
)
from paintdiff.api.problems import make_refusal
from paintdiff.api.submissions import follow
from paintdiff.errors import JobCancelledError, RequestError
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.events import Event, Failed, Finished, Loading, Progress, Queued
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import (
    MAX_GUIDANCE_SCALE,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    MAX_STEPS,
    MAX_UPSCALE,
)
from paintdiff.jobs.requests import parse_request
from paintdiff.server.identities import current_identity

MAX_PICTURES = 4
MAX_FOUND = 20

Prompt = Annotated[str, Field(description=messages.PROMPT, max_length=MAX_PROMPT_CHARACTERS)]
Negative = Annotated[
    str, Field(description=messages.NEGATIVE_PROMPT, max_length=MAX_PROMPT_CHARACTERS)
]
Width = Annotated[int | None, Field(description=messages.WIDTH)]
Height = Annotated[int | None, Field(description=messages.HEIGHT)]
Seed = Annotated[int | None, Field(description=messages.SEED, ge=0, le=MAX_SEED)]
Steps = Annotated[int | None, Field(description=messages.STEPS, ge=1, le=MAX_STEPS)]
Guidance = Annotated[
    float | None, Field(description=messages.GUIDANCE, ge=0, le=MAX_GUIDANCE_SCALE)
]
Model = Annotated[str | None, Field(description=messages.MODEL, max_length=200)]
Count = Annotated[int, Field(description=messages.COUNT, ge=1, le=MAX_PICTURES)]
Image = Annotated[str, Field(description=messages.IMAGE)]
Mask = Annotated[str | None, Field(description=messages.MASK)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Area = Annotated[
    list[Fraction] | None, Field(description=messages.AREA, min_length=4, max_length=4)
]
Strength = Annotated[float, Field(description=messages.STRENGTH, gt=0, le=1)]

_PAINTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def add_tools(server: MCPServer, context: ApiContext) -> None:
    """Add all tools to a server."""
    add_painting_tools(server, context)
    add_picture_tools(server, context)


def add_painting_tools(server: MCPServer, context: ApiContext) -> None:
    """Add the tools that paint from a prompt."""

    @server.tool(annotations=_PAINTS, structured_output=False)
    async def paint(  # noqa: PLR0913 (a tool's arguments)
        progress: Context,
        prompt: Prompt,
        negative_prompt: Negative = "",
        width: Width = None,
        height: Height = None,
        seed: Seed = None,
        steps: Steps = None,
        guidance: Guidance = None,
        model: Model = None,
        count: Count = 1,
    ) -> Content:
        """Paint pictures from a prompt. Returns each with its id, seed and settings."""
        values = _list_settings(context, prompt, negative_prompt, seed, steps, guidance, model)
        sized = {"width": width, "height": height, "num_images": count}
        return await _run(context, progress, {"kind": "text_to_image", **values, **sized})

    @server.tool(annotations=_PAINTS, structured_output=False)
    async def edit(  # noqa: PLR0913 (a tool's arguments)
        progress: Context,
        image: Image,
        prompt: Prompt,
        strength: Strength = 0.6,
        negative_prompt: Negative = "",
        seed: Seed = None,
        steps: Steps = None,
        guidance: Guidance = None,
        model: Model = None,
    ) -> Content:
        """Paint over a whole picture, guided by a prompt. The original stays in the gallery."""
        values = _list_settings(context, prompt, negative_prompt, seed, steps, guidance, model)
        async with _refusals(context):
            source = await run_in_threadpool(load_picture, context, image, "image")
        values |= {"kind": "image_to_image", "image": source, "strength": strength}
        return await _run(context, progress, values)

    @server.tool(annotations=_PAINTS, structured_output=False)
    async def inpaint(  # noqa: PLR0913 (a tool's arguments)
        progress: Context,
        image: Image,
        prompt: Prompt,
        area: Area = None,
        mask: Mask = None,
        strength: Strength = 0.75,
        negative_prompt: Negative = "",
        seed: Seed = None,
        steps: Steps = None,
        guidance: Guidance = None,
        model: Model = None,
    ) -> Content:
        """Repaint a part of a picture: an area, or where a mask is white. The rest is unchanged."""
        values = _list_settings(context, prompt, negative_prompt, seed, steps, guidance, model)
        async with _refusals(context):
            if (area is None) == (mask is None):
                raise RequestError(messages.ONE_OF_MASK_AND_AREA, field="area")
            source = await run_in_threadpool(load_picture, context, image, "image")
            if area is not None:
                chosen = await run_in_threadpool(make_mask, source, area)
            else:
                chosen = await run_in_threadpool(load_picture, context, mask or "", "mask")
        values |= {"kind": "inpaint", "image": source, "mask": chosen, "strength": strength}
        return await _run(context, progress, values)


def add_picture_tools(server: MCPServer, context: ApiContext) -> None:
    """Add the tools that need no prompt."""

    @server.tool(annotations=_PAINTS, structured_output=False)
    async def upscale(
        progress: Context,
        image: Image,
        scale: Annotated[float, Field(description=messages.SCALE, ge=1, le=MAX_UPSCALE)] = 2,
    ) -> Content:
        """Enlarge a picture. A large result is returned reduced; its file is in the gallery."""
        async with _refusals(context):
            source = await run_in_threadpool(load_picture, context, image, "image")
        values = {"kind": "upscale", "images": (source,), "upscaling": {"scale": scale}}
        return await _run(context, progress, values)

    @server.tool(annotations=_READS, structured_output=False)
    async def search_gallery(
        words: Annotated[str, Field(description=messages.SEARCH, max_length=500)] = "",
        limit: Annotated[int, Field(description=messages.LIMIT, ge=1, le=MAX_FOUND)] = 6,
        liked: Annotated[bool, Field(description=messages.LIKED)] = False,
    ) -> Content:
        """Find painted pictures, the newest first. Returns thumbnails with ids and settings."""
        query = PictureQuery(
            search=words, feedback=1 if liked else None, owner=current_identity.get().scope
        )

        def find() -> Content:
            page = context.gallery.store.page(query, None, limit)
            return describe_found(context, page.records)

        async with _refusals(context):
            return await run_in_threadpool(find)


def _list_settings(  # noqa: PLR0913 (one for each argument)
    context: ApiContext,
    prompt: str,
    negative_prompt: str,
    seed: int | None,
    steps: int | None,
    guidance: float | None,
    model: str | None,
) -> dict[str, object]:
    return {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "model": context.choose_default() if model is None else model,
    }


async def _run(context: ApiContext, progress: Context, values: Mapping[str, object]) -> Content:
    """Run a request and return its pictures. If the client leaves or cancels, the job ends, too.

    Raises:
        ToolError: It failed.
    """
    async with _refusals(context):
        job = await context.submissions.submit(parse_request(values))
        try:
            finished = await _follow(job, progress)
        finally:
            if not job.done:
                job.cancel()
        return await run_in_threadpool(describe_finished, finished)


async def _follow(job: Job, progress: Context) -> Finished:
    async for _number, event in follow(job):
        if isinstance(event, Finished):
            return event
        if isinstance(event, Failed):
            raise event.error
        await _report(event, progress)
    raise JobCancelledError(api_messages.JOB_CANCELLED)


def _report(event: Event, progress: Context) -> Awaitable[None]:
    match event:
        case Queued():
            return progress.report_progress(0, 1, messages.queued(event.position))
        case Loading():
            return progress.report_progress(0, 1, event.message)
        case Progress():
            done = event.image_index + event.step / max(1, event.total_steps)
            said = messages.step(event.step, event.total_steps)
            return progress.report_progress(done / max(1, event.num_images), 1, said)
        case _:
            return _do_nothing()


async def _do_nothing() -> None:
    pass


@asynccontextmanager
async def _refusals(context: ApiContext) -> AsyncGenerator[None]:
    """Raise errors as a tool's, with the page's wording."""
    try:
        yield
    except ToolError:
        raise
    except Exception as error:
        raise ToolError(make_refusal(error, context).detail) from error
