"""What each kind of request does, one file per task, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from paintdiff.requests import Request, TextToImage
from paintdiff.tasks import text_to_image
from paintdiff.tasks.steps import OnStep

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.catalog import ModelRow
    from paintdiff.models.lease import LeasedPipeline


@dataclass(frozen=True)
class Task:
    """How a kind of request is carried out.

    `name` is the pipeline's in a family's row. `settle` fills every None and returns what it had to
    change, as sentences. `remarks` says what the model will make of the words. `paint` yields the
    pictures one by one.
    """

    name: str
    settle: Callable[[Request, ModelRow], tuple[Request, tuple[str, ...]]]
    remarks: Callable[[Request, LeasedPipeline], tuple[str, ...]]
    paint: Callable[[Request, LeasedPipeline, OnStep], Iterator[Image.Image]]


TASKS: Mapping[type[Request], Task] = MappingProxyType(
    {
        TextToImage: Task(
            "text_to_image", text_to_image.settle, text_to_image.remarks, text_to_image.paint
        ),
    }
)
