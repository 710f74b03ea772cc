"""Verification: paint a saved picture again, compare it with the file, and say why they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paintdiff.gallery.files.input_files import InputFiles
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Finished, Picture
from paintdiff.jobs.job import Job
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import Grid, Upscale, find_painting
from paintdiff.replay import messages
from paintdiff.replay.saved_pictures import (
    SavedPicture,
    pixels_of,
    read_pixels,
    read_saved_picture,
)

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine


@dataclass(frozen=True)
class Difference:
    """A fact that isn't as it was when the picture was saved, such as "LoRA ink" or "torch"."""

    what: str
    recorded: str
    now: str


@dataclass(frozen=True)
class Comparison:
    """How far two pictures of one size differ.

    `largest` is the largest difference of a channel, in levels (255 or 65535 at most); `psnr_db`
    the peak signal-to-noise ratio in decibels, infinite for identical ones; `pixels` is how many
    differ.
    """

    largest: int
    psnr_db: float
    pixels: int
    total_pixels: int


@dataclass(frozen=True)
class Verification:
    """A saved picture, painted again.

    `comparison` is None if the sizes differ. `differences` are the facts that changed meanwhile,
    `unknown` those that the file doesn't say; they may explain a difference. `may_differ` says what
    the profile doesn't promise, "" for *exact*. `picture` is the one painted now, and `warnings`
    came with it.
    """

    identical: bool
    comparison: Comparison | None
    saved_size: Size
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]
    may_differ: str
    picture: Picture
    warnings: tuple[str, ...]


def verify_file(
    engine: Engine,
    path: Path,
    inputs: Sequence[InputFiles] = (),
    watch: Callable[[Job], Finished] = Job.result,
) -> Verification:
    """Paint a saved picture again and compare it with its file. Nothing is saved.

    `inputs` is as for `read_saved_picture`. `watch` waits for the job.

    Raises:
        MetadataError: The file has no request of ours: see `read_saved_picture`.
        InputMissingError: An input image is nowhere.
        PaintError: It can't be painted now; a model is missing, for example.
    """
    saved = read_saved_picture(path, inputs)
    pixels = read_pixels(path)
    job = engine.submit(saved.request, saves=False)
    finished = watch(job)
    return compare_with_saved(engine, saved, pixels, finished)


def compare_with_saved(
    engine: Engine, saved: SavedPicture, pixels: NDArray[Any], finished: Finished
) -> Verification:
    """Compare a picture that was painted again with the saved one.

    `pixels` are the file's, as from `read_pixels`.
    """
    picture = finished.pictures[-1]  # the sheet, if it is a grid's
    comparison = compare_pixels(pixels, pixels_of(picture))
    known, unknown = _compare_facts(saved, picture)
    request = picture.request
    profile = None if isinstance(request, (Upscale, Grid)) else request.profile
    return Verification(
        identical=comparison is not None and comparison.pixels == 0,
        comparison=comparison,
        saved_size=Size(pixels.shape[1], pixels.shape[0]),
        differences=tuple(known),
        unknown=tuple(unknown),
        may_differ="" if profile is None else engine.profiles.profile(profile).repeating,
        picture=picture,
        warnings=finished.warnings,
    )


def describe_verification(found: Verification) -> list[str]:
    """Describe the result in lines: first how far the pictures differ, then what may be why."""
    if found.identical:
        return [messages.IDENTICAL]
    compared = found.comparison
    if compared is None:
        lines = [messages.other_size(found.saved_size, found.picture.size)]
    else:
        share = compared.pixels, compared.total_pixels
        lines = [messages.differs(share, compared.largest, compared.psnr_db)]
    lines += [messages.changed(each.what, each.recorded, each.now) for each in found.differences]
    if found.unknown:
        lines.append(messages.not_recorded(found.unknown))
    if not found.differences and not found.unknown and not found.may_differ:
        lines.append(messages.NO_REASON)
    return [*lines, found.may_differ] if found.may_differ else lines


def compare_pixels(saved: NDArray[Any], painted: NDArray[Any]) -> Comparison | None:
    """Compare two pictures (height, width, channels), uint8 or uint16; None if they don't match."""
    if saved.shape != painted.shape or saved.dtype != painted.dtype:
        return None
    largest, pixels, squares = 0, 0, 0.0
    for old, new in zip(saved, painted, strict=True):  # by rows: large pictures aren't copied
        distance = np.abs(old.astype(np.int32) - new.astype(np.int32))
        largest = max(largest, int(distance.max()))
        pixels += int(distance.any(axis=1).sum())
        squares += float((distance.astype(np.float64) ** 2).sum())
    peak = float(np.iinfo(saved.dtype).max)
    mean = squares / saved.size
    psnr = math.inf if mean == 0 else 10 * math.log10(peak * peak / mean)
    return Comparison(largest, psnr, pixels, saved.shape[0] * saved.shape[1])


def _compare_facts(saved: SavedPicture, picture: Picture) -> tuple[list[Difference], list[str]]:
    """Return the facts that differ, and the names of those that the file doesn't say."""
    differing: list[Difference] = []
    unknown: list[str] = []
    says_all = bool(saved.provenance.libraries)
    for what, recorded, now in _list_facts(saved.provenance, picture.provenance, says_all):
        if recorded == messages.UNKNOWN:
            unknown.append(what)
        elif recorded != now:
            differing.append(Difference(what, recorded, now))
    old, new = saved.request, picture.request
    was, now_painted = find_painting(old), find_painting(new)
    if was is not None and now_painted is not None and was.profile != now_painted.profile:
        recorded, profile = was.profile or messages.UNKNOWN, now_painted.profile
        differing.append(Difference(messages.PROFILE, recorded, profile or messages.UNKNOWN))
    return differing, unknown


def _list_facts(
    saved: Provenance, now: Provenance, says_all: bool
) -> Iterator[tuple[str, str, str]]:
    """Yield each fact's name, what the file says, and what is the case now.

    Files from before `says_all` have neither hashes of adapters nor libraries.
    """
    absent = messages.NOTHING if says_all else messages.UNKNOWN
    yield messages.MODEL_HASH, saved.model_hash or messages.UNKNOWN, now.model_hash
    yield from _list_texts(saved.hashes, now.hashes, absent)
    yield messages.DEVICE, saved.device or messages.UNKNOWN, now.device
    yield messages.PROCESSOR, saved.processor or messages.UNKNOWN, now.processor
    engine = saved.engine or (messages.TORCH if says_all else messages.UNKNOWN)
    yield messages.BACKEND, engine, now.engine or messages.TORCH
    if says_all:
        yield from _list_texts(saved.libraries, now.libraries, absent)
    else:
        yield messages.LIBRARIES, messages.UNKNOWN, ""


def _list_texts(
    saved: Mapping[str, str], now: Mapping[str, str], absent: str
) -> Iterator[tuple[str, str, str]]:
    for name in sorted(saved.keys() | now.keys()):
        yield name, saved.get(name, absent), now.get(name, messages.NOTHING)
