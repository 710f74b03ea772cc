"""Rendered scenes on disk, in shards of a few hundred.

A shard is two files: `00012.bin` holds the pictures (lossless WebP) and the masks of the subjects
(PNG) one after another, `00012.json` the scenes and where each lies. The second is written last, so
a shard that has one is complete, and an interrupted run continues at the next shard.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paintdiff.mini.world import Placement, Scene

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class RenderedScene:
    """A scene, its picture (H, W, 3) uint8 RGB, and which pixels its subjects cover (H, W)."""

    scene: Scene
    image: Pixels
    mask: NDArray[np.bool_]


def shard_path(folder: Path, number: int) -> Path:
    """Return the file whose existence means that the shard is complete."""
    return folder / f"{number:05d}.json"


def write_shard(folder: Path, number: int, rendered: Iterable[RenderedScene]) -> None:
    """Write one shard. Other processes see all of it or nothing."""
    blobs, rows = io.BytesIO(), list[dict[str, Any]]()
    for each in rendered:
        start = blobs.tell()
        Image.fromarray(each.image).save(blobs, "WEBP", lossless=True, method=0, quality=0)
        middle = blobs.tell()
        Image.fromarray(each.mask).save(blobs, "PNG")
        rows.append({"at": [start, middle, blobs.tell()], "scene": asdict(each.scene)})
    index = shard_path(folder, number)
    _write(index.with_suffix(".bin"), blobs.getvalue())
    _write(index, json.dumps(rows).encode())


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


class Shards:
    """The first `limit` scenes of a folder's shards, in order. Pictures are read on demand."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        self._rows: list[tuple[int, int, int, int]] = []
        self.scenes: list[Scene] = []
        self._files: dict[int, NDArray[np.uint8]] = {}
        number = 0
        while (limit is None or len(self.scenes) < limit) and shard_path(folder, number).exists():
            for row in json.loads(shard_path(folder, number).read_text(encoding="utf-8")):
                self._rows.append((number, *row["at"]))
                self.scenes.append(scene_of(row["scene"]))
            number += 1
        if limit is not None:
            del self._rows[limit:], self.scenes[limit:]

    def __len__(self) -> int:
        return len(self.scenes)

    def image(self, index: int) -> Pixels:
        """Return picture `index`, (H, W, 3) uint8 RGB."""
        number, start, middle, _ = self._rows[index]
        with Image.open(io.BytesIO(self._bytes(number, start, middle)), formats=("WEBP",)) as image:
            return np.asarray(image.convert("RGB"))

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return which pixels of picture `index` its subjects cover, (H, W)."""
        number, _, middle, end = self._rows[index]
        with Image.open(io.BytesIO(self._bytes(number, middle, end)), formats=("PNG",)) as image:
            return np.asarray(image.convert("1"))

    def _bytes(self, number: int, start: int, end: int) -> bytes:
        if number not in self._files:
            path = shard_path(self._folder, number).with_suffix(".bin")
            self._files[number] = np.memmap(path, np.uint8, mode="r")
        return self._files[number][start:end].tobytes()


def scene_of(values: dict[str, Any]) -> Scene:
    """Return the scene that `dataclasses.asdict` turned into these values."""
    figures = tuple(Placement(**figure) for figure in values.pop("figures", ()))
    return Scene(**values, figures=figures)


def mask_share(mask: NDArray[np.bool_], side: int) -> Pixels:
    """Return the covered share (of 255) of each cell of a `side` x `side` grid, uint8."""
    share = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return (255 * np.asarray(share)).round().astype(np.uint8)
