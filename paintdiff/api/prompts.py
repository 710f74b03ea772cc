"""POST /prompt-variations and /encode_text: what can be done with a prompt without painting."""

from __future__ import annotations

import base64
import secrets
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from paintdiff.api.painting import LenientBody
from paintdiff.api.routing import make_router
from paintdiff.engine.prompt_enhancer import RULES
from paintdiff.errors import UnknownNameError
from paintdiff.jobs.request_parts import MAX_PROMPT_CHARACTERS, MAX_SEED, Prompt
from paintdiff.models.registry.language_model_rows import LanguageModelRow
from paintdiff.prompts.enhancer import MAX_VARIATIONS

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext


class PromptBody(LenientBody):
    """A prompt to enrich. The same `seed` gives the same variations; without one it is drawn."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "a red house", "count": 3}]},
        use_attribute_docstrings=True,
    )

    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)]
    count: int = Field(default=4, ge=1, le=MAX_VARIATIONS)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    model: str | None = None
    """The model that they are for: one that knows few words gets only these."""
    enhancer: str = RULES
    """"rules", or the name of a language model in the catalog."""


class PromptAnswer(BaseModel):
    """The richer prompts. There may be fewer than asked for, and none for a complete prompt."""

    prompt: str
    variations: list[str]
    seed: int
    model: str
    warnings: list[str]


class TextBody(LenientBody):
    """A text to encode as it is: brackets are text, and LoRAs aren't applied."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "a red house"}]}, use_attribute_docstrings=True
    )

    text: Prompt
    model: str | None = None
    """A name in the catalog; without one, the model that the app starts with."""


class TensorAnswer(BaseModel):
    """A tensor in the file."""

    shape: list[int]
    dtype: str


class TextAnswer(BaseModel):
    """The embeddings: `embeddings` is a safetensors file in base64.

    Its `tensors` have the names of the arguments of diffusers' pipelines, `prompt_embeds` among
    them, so that `pipeline(**safetensors.torch.load(base64.b64decode(embeddings)))` paints with
    them.
    """

    model: str
    format: Literal["safetensors"]
    embeddings: str
    tensors: dict[str, TensorAnswer]
    warnings: list[str]


def prompt_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router, engine = make_router(context, "Prompts"), context.engine

    def propose(body: PromptBody, seed: int) -> bytes:
        model = context.find_model(body.model).name
        if body.enhancer != RULES:  # a name of the catalog: no path, nor an id on Hugging Face
            _check_enhancer(context, body.enhancer)
        proposed = engine.propose_prompts(body.prompt, model, body.count, seed, body.enhancer)
        answer = PromptAnswer(
            prompt=body.prompt,
            variations=list(proposed),
            seed=seed,
            model=model,
            warnings=list(body.list_ignored()),
        )
        return answer.model_dump_json().encode()

    def encode(body: TextBody) -> bytes:
        model = context.find_model(body.model).name
        encoded = engine.encode_text(body.text, model)
        answer = TextAnswer(
            model=model,
            format="safetensors",
            embeddings=base64.b64encode(encoded.data).decode(),
            tensors={
                name: TensorAnswer(shape=list(shape), dtype=encoded.dtypes[name])
                for name, shape in encoded.shapes.items()
            },
            warnings=list(body.list_ignored()),
        )
        return answer.model_dump_json().encode()

    @router.post("/prompt-variations", response_model=PromptAnswer)
    async def propose_prompts(body: PromptBody) -> Response:
        """Propose richer prompts."""
        seed = secrets.randbelow(MAX_SEED) if body.seed is None else body.seed
        key = ("prompts", seed, body.model_dump_json())
        return _answer(await context.texts.get(key, partial(propose, body, seed)))

    @router.post("/encode_text", response_model=TextAnswer)
    async def encode_text(body: TextBody) -> Response:
        """Encode a text as a model reads it."""
        row = await run_in_threadpool(context.find_model, body.model)
        key = ("text", *row.identity, body.model_dump_json())
        return _answer(await context.texts.get(key, partial(encode, body)))

    return router


def _check_enhancer(context: ApiContext, name: str) -> None:
    try:
        context.engine.manager.catalog.find(LanguageModelRow, name)
    except UnknownNameError as error:
        raise error.at("enhancer") from error


def _answer(data: bytes) -> Response:
    return Response(data, media_type="application/json")
