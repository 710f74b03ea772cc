"""The web UI's answers to txt2img and img2img."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydantic import BaseModel

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.bodies import PaintBody, echo_parameters
from paintdiff.gallery.a1111.text import write_parameters
from paintdiff.gallery.files.saving import encode_png
from paintdiff.gallery.settings.sampler_names import to_a1111
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import ImageToImage, Inpaint, Painting, check_painting
from paintdiff.version import __version__

if TYPE_CHECKING:
    from paintdiff.api.a1111.work import Result, Work

_NO_SUBSEED = -1


class PaintAnswer(BaseModel):
    """PNGs in base64, the request with its defaults, and `info`: a JSON object as a string."""

    images: list[str]
    parameters: dict[str, Any]
    info: str
    warnings: list[str]


def describe_result(
    body: PaintBody, work: Work, result: Result, warnings: tuple[str, ...]
) -> PaintAnswer:
    """Return the answer with the pictures in it; encoding them takes a moment.

    Raises:
        StorageError: A picture was saved, and its file is gone.
    """
    request = check_painting(result.request)
    pictures = list(result.pictures)
    images = [encode_picture(each) for each in pictures] if body.send_images else []
    said = dict.fromkeys([*warnings, *result.warnings])
    missing = work.total - len(pictures)
    if work.interrupted and missing:
        said[messages.INTERRUPTED] = None
        if not pictures and work.preview is not None:
            pictures = [_make_unfinished(request, work.preview)]
            images = [encode_image(pictures[0].image)] if body.send_images else []
    elif missing:
        said[messages.skipped(missing)] = None
    info = _describe_info(body, request, pictures, work.timestamp)
    info["warnings"] = list(said)
    sampling = request.sampling()
    sampler, schedule = to_a1111(sampling.sampler)
    used: Mapping[str, object] = {
        "steps": sampling.num_inference_steps,
        "cfg_scale": sampling.guidance_scale,
        "width": sampling.size.width,
        "height": sampling.size.height,
        "sampler_name": sampler,
        "scheduler": schedule,
        "save_images": body.saves,
    }
    return PaintAnswer(
        images=images,
        parameters=echo_parameters(body, used),
        info=json.dumps(info),
        warnings=list(said),
    )


def encode_picture(picture: Picture) -> str:
    """Return a picture with its settings: a PNG in base64.

    Raises:
        StorageError: It was saved, and its file is gone.
    """
    return base64.b64encode(encode_png(picture)).decode("ascii")


def encode_image(image: Image.Image) -> str:
    """Return an image without settings: a PNG in base64."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _make_unfinished(request: Painting, preview: Image.Image) -> Picture:
    """Return the picture as far as it was painted when it was interrupted."""
    size = request.sampling().size
    image = preview.resize((size.width, size.height), Image.Resampling.BICUBIC)
    return Picture(image, request.for_image(0))


def _describe_info(
    body: PaintBody, request: Painting, pictures: list[Picture], timestamp: str
) -> dict[str, Any]:
    """Return what the web UI says about its pictures."""
    requests = [check_painting(each.request) for each in pictures] or [request.for_image(0)]
    first, sampling = requests[0], request.sampling()
    sampler, _schedule = to_a1111(sampling.sampler)
    hashes = pictures[0].hashes if pictures else {}
    varied = sampling.variation_strength > 0
    subseeds = [each.variation_seed if varied else _NO_SUBSEED for each in requests]
    return {
        "prompt": first.prompt,
        "all_prompts": [each.prompt for each in requests],
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [each.negative_prompt for each in requests],
        "seed": first.seed,
        "all_seeds": [each.seed for each in requests],
        "subseed": subseeds[0],
        "all_subseeds": subseeds,
        "subseed_strength": sampling.variation_strength,
        "width": pictures[0].size.width if pictures else sampling.size.width,
        "height": pictures[0].size.height if pictures else sampling.size.height,
        "sampler_name": sampler,
        "cfg_scale": sampling.guidance_scale,
        "steps": sampling.num_inference_steps,
        "batch_size": body.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": request.model,
        "sd_model_hash": pictures[0].model_hash if pictures else "",
        "sd_vae_name": request.vae,
        "sd_vae_hash": hashes.get("VAE"),
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": _find_strength(request),
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": [write_parameters(each) for each in pictures],
        "styles": body.styles,
        "job_timestamp": timestamp,
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": isinstance(request, Inpaint),
        "version": f"PaintDiffusion {__version__}",
    }


def _find_strength(request: Painting) -> float | None:
    if isinstance(request, (ImageToImage, Inpaint)):
        return request.strength
    return request.hires.strength if request.hires is not None else None
