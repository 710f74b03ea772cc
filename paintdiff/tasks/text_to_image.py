"""From words to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import shorten
from typing import TYPE_CHECKING

from PIL import Image

from paintdiff.models.denoising import Denoising
from paintdiff.prompts.words import cut_words, quoted, unknown_words
from paintdiff.requests import TextToImage
from paintdiff.tasks.settling import settled_sampler, settled_seed, settled_size, settled_steps
from paintdiff.tasks.steps import OnStep, Step

if TYPE_CHECKING:
    from paintdiff.models.catalog import ModelRow
    from paintdiff.models.lease import LeasedPipeline


def settle(request: TextToImage, row: ModelRow) -> tuple[TextToImage, tuple[str, ...]]:
    """Fill every None. Returns the settled request and what a person should know about it.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`.
    """
    figures = row.figures(request.quality)
    sampler = settled_sampler(request.sampler, row)
    size, size_warnings = settled_size(request.width, request.height, row)
    steps, step_warnings = settled_steps(request.num_inference_steps, request.quality, sampler, row)
    guidance = figures.guidance_scale if request.guidance_scale is None else request.guidance_scale
    warnings = size_warnings + step_warnings
    if request.negative_prompt.strip() and guidance <= 1:
        warnings += (
            f"The negative prompt has no effect at a guidance scale of {guidance:g}; "
            "it needs more than 1.",
        )
    settled = request.model_copy(
        update={
            "width": size.width,
            "height": size.height,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "sampler": sampler,
            "seed": settled_seed(request.seed, request.num_images),
        }
    )
    return settled, warnings


def remarks(request: TextToImage, leased: LeasedPipeline) -> tuple[str, ...]:
    """What the model can't make of the words, as sentences for people."""
    sentences: list[str] = []
    title = leased.row.title.split(",")[0]
    if leased.known_words is not None:
        unknown = unknown_words(f"{request.prompt}\n{request.negative_prompt}", leased.known_words)
        if unknown:
            them = "it" if len(unknown) == 1 else "them"
            sentences.append(
                f"{title} doesn't know {quoted(unknown)}, so the picture may leave {them} out."
            )
    for which, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
        cut = cut_words(text, leased.tokenizer)
        if cut:
            sentences.append(
                f"The {which} is too long for {title}; "
                f"it was painted without its end: \u201c{shorten(cut, 80, placeholder=' …')}\u201d."
            )
    return tuple(sentences)


def paint(request: TextToImage, leased: LeasedPipeline, on_step: OnStep) -> Iterator[Image.Image]:
    """Yield the pictures one by one: RGB, 8 bits. Picture i is that of the seed + i alone.

    A loop, not a batch: a batch on the device would change the pictures' last bits. What `on_step`
    raises comes out unchanged.
    """
    sampling = request.sampling()
    total = sampling.num_inference_steps
    for index in range(request.num_images):

        def ended(step: int, preview: Image.Image | None, index: int = index) -> None:
            on_step(Step(step, total, index, preview=preview))

        latents = leased.denoised(
            Denoising(
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                size=sampling.size,
                num_inference_steps=total,
                guidance_scale=sampling.guidance_scale,
                sampler=sampling.sampler,
                seed=sampling.seed + index,
            ),
            ended,
        )
        on_step(Step(total, total, index, stage="decoding"))
        yield leased.decoded(latents)
