"""What each kind of request does, one file per task, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from paintdiff.jobs.requests import ImageToImage, Inpaint, Painting, TextToImage
from paintdiff.tasks import image_to_image, inpaint, text_to_image
from paintdiff.tasks.steps import OnStep, Painted
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.warnings import list_warnings

if TYPE_CHECKING:
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline
    from paintdiff.models.registry.model_rows import ModelRow


@dataclass(frozen=True)
class Task:
    """How a kind of request is carried out. The requests its functions get are of that kind.

    `name` is the pipeline's in a family's row. `settle` fills every None and returns what it had to
    change, as sentences. `list_warnings` says what the model will make of the words. `paint` yields
    the pictures one by one; the controls' part of it is in `controls`.
    """

    name: str
    settle: Callable[[Any, ModelRow], tuple[Painting, tuple[str, ...]]]
    remarks: Callable[[Any, LeasedPipeline], tuple[str, ...]]
    paint: Callable[[Any, LeasedPipeline, TaskContext, OnStep], Iterator[Painted]]


TASKS: Mapping[type[Painting], Task] = MappingProxyType(
    {
        TextToImage: Task(
            "text_to_image", text_to_image.resolve, list_warnings, text_to_image.paint
        ),
        ImageToImage: Task(
            "image_to_image", image_to_image.resolve, list_warnings, image_to_image.paint
        ),
        Inpaint: Task("inpaint", inpaint.resolve, inpaint.list_warnings, inpaint.paint),
    }
)
