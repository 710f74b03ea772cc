"""Encoded prompts as files, for programs that use them elsewhere.

Imports torch: import it in a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import safetensors.torch
import torch

from paintdiff.models.conditioning.prompt_plan import ALONE, PLAIN_READING
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline

_SECOND = ("pooled_prompt_embeds", "prompt_attention_mask", "prompt_embeds_mask")
"""The second result of a pipeline's `encode_prompt`: the first of these that the pipeline takes."""


@dataclass(frozen=True)
class TextEmbeddings:
    """A text as a model encodes it.

    `data` is a safetensors file. Its tensors have the names of the arguments of diffusers'
    pipelines: `prompt_embeds` (1, tokens, width), and for some models `pooled_prompt_embeds` (1,
    width) or a mask. `shapes` and `dtypes` describe them by name.
    """

    data: bytes
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]


@torch.inference_mode()
def encode_text(leased: LeasedPipeline, text: str) -> TextEmbeddings:
    """Encode a text as it is: brackets are text, and adapters aren't applied."""
    if leased.row.family.takes_weights:
        tensors = _encode_here(leased, text)
    else:
        tensors = _encode_in_pipeline(leased.pipeline, text)
    tensors = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    return TextEmbeddings(
        safetensors.torch.save(tensors),
        {name: tuple(each.shape) for name, each in tensors.items()},
        {name: str(each.dtype).removeprefix("torch.") for name, each in tensors.items()},
    )


def _encode_here(leased: LeasedPipeline, text: str) -> dict[str, torch.Tensor]:
    prompts = leased.prompts
    plan = prompts.plan(text, "", "plain", 1)
    with prompts.encode_prompts(1, cached=True) as remember:
        conditioning = prompts.condition(plan, PLAIN_READING, ALONE, 1, remember, guided=False)
    return conditioning.build_settings()


def _encode_in_pipeline(pipeline: Any, text: str) -> dict[str, torch.Tensor]:
    takes = inspect.signature(pipeline.encode_prompt).parameters
    settings = {"device": pipeline._execution_device, "do_classifier_free_guidance": False}
    given = {name: value for name, value in settings.items() if name in takes}
    if "prompt_2" in takes:
        given["prompt_2"] = None
    results = pipeline.encode_prompt(text, **given)
    found = cast("Sequence[Any]", results if isinstance(results, tuple) else (results,))
    named = {"prompt_embeds": found[0]}
    call = inspect.signature(pipeline.__call__).parameters
    second = next((name for name in _SECOND if name in call), None)
    if second is not None and len(found) > 1 and found[1] is not None:
        named[second] = found[1]
    return {name: _first(each) for name, each in named.items()}


def _first(value: Any) -> torch.Tensor:
    """Return a tensor, or the one for the only text of a list."""
    return value[0] if isinstance(value, list) else value
