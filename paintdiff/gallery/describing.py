"""Makes records of pictures: from a finished picture, or from a file alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from paintdiff.gallery.files.picture_files import PictureFile
from paintdiff.gallery.records.record import Record
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import Grid, Request, TextToImage, Upscale, find_painting

UNKNOWN_KIND = "unknown"
"""The kind of a picture without settings."""


def record_of_picture(
    picture: Picture, file: str, facts: PictureFile, created_at: datetime, owner: str
) -> Record:
    """Make the record of a picture that was just painted and saved."""
    request = picture.request.without_image_data()
    return Record(
        file=file,
        kind=request.kind,
        size=facts.size,
        created_at=created_at,
        file_bytes=facts.file_bytes,
        file_sha256=facts.sha256,
        params=request.model_dump(mode="json"),
        params_version=request.version,
        model_hash=picture.model_hash,
        seconds=picture.seconds,
        device=picture.device,
        libraries=picture.libraries,
        owner=owner,
        inputs=_input_hashes(request),
        **_describe(request, request.model_dump().keys()),
    )


def record_of_file(file: str, facts: PictureFile, owner: str = "") -> Record:
    """Make the record of a picture file: what its settings say, and nothing guessed.

    Its time is that of its last change.
    """
    found = facts.settings
    if found is None:
        return _bare_record(file, facts.size, facts, owner)
    request, known = found.request, found.request.model_fields_set
    return Record(
        file=file,
        kind=request.kind,
        size=facts.size,
        created_at=facts.modified_at,
        file_bytes=facts.file_bytes,
        file_sha256=facts.sha256,
        params={**request.model_dump(mode="json", exclude_unset=True), "kind": request.kind},
        params_version=request.version,
        model_hash=found.provenance.model_hash,
        device=found.provenance.device,
        libraries=found.provenance.libraries,
        owner=owner,
        inputs=_input_hashes(request),
        **_describe(request, known),
    )


def with_parent(
    record: Record, request: Request, parent: Record, *, varied: bool = False
) -> Record:
    """Return the record of a picture that was painted from another one, or `varied` it.

    An enlarged picture gets the prompts and the seed of its parent, so that they find it.
    """
    painting = find_painting(request)
    relation = request.kind if painting is None else painting.kind
    if varied:
        relation = "variation"
    elif isinstance(painting, TextToImage) or parent.file_sha256 not in changed_hashes(request):
        relation = "control"
    child = replace(record, parent=parent.id, relation=relation)
    if not isinstance(request, Upscale):
        return child
    return replace(
        child, prompt=parent.prompt, negative_prompt=parent.negative_prompt, seed=parent.seed
    )


def changed_hashes(request: Request) -> set[str]:
    """Return the hashes of the pictures that a request changes, without those that guide it.

    A picture that was drawn on counts as the one below.
    """
    if isinstance(request, Upscale):
        return _source_hashes(request.images)
    painting = find_painting(request)
    if painting is None or isinstance(painting, TextToImage):
        return set()
    return _source_hashes((painting.image,))


def used_hashes(request: Request) -> set[str]:
    """Return the hashes of all pictures that a request uses, and of those they were made from."""
    return _source_hashes(request.input_images())


def _source_hashes(images: Iterable[InputImage]) -> set[str]:
    return {hash for each in images for hash in (each.sha256, each.source_sha256) if hash}


def _input_hashes(request: Request) -> tuple[str, ...]:
    return tuple(each.sha256 for each in request.input_images() if each.sha256)


def _bare_record(file: str, size: Size, facts: PictureFile, owner: str) -> Record:
    return Record(
        file=file,
        kind=UNKNOWN_KIND,
        size=size,
        created_at=facts.modified_at,
        file_bytes=facts.file_bytes,
        file_sha256=facts.sha256,
        owner=owner,
    )


def _describe(request: Request, known: Any) -> dict[str, Any]:
    """Return prompt, negative prompt, model and seed, as far as they are known."""
    if isinstance(request, Upscale):
        return {"model": request.upscaling.upscaler or ""}
    if isinstance(request, Grid):
        request, known = request.base, request.base.model_fields_set
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "model": request.model if "model" in known else "",
        "seed": request.seed,
    }
