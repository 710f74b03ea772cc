"""Tasks: one file for each kind of request, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from paintdiff.jobs.requests import ImageToImage, Inpaint, Painting, TextToImage
from paintdiff.tasks import image_to_image, inpaint, text_to_image
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.steps import OnStep, Painted
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.warnings import list_warnings

if TYPE_CHECKING:
    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline


@dataclass(frozen=True)
class Task:
    """The functions that carry out one kind of request. They get requests of that kind.

    `name` is the pipeline's in a family's row. `resolve` fills in the sampling settings, the size,
    and what only this kind of request has. `list_warnings` returns the warnings that need the
    loaded model. `paint` yields the pictures of a resolved request one by one.
    """

    name: str
    resolve: Callable[[Any, ResolveContext], Painting]
    list_warnings: Callable[[Any, LeasedPipeline], tuple[str, ...]]
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
