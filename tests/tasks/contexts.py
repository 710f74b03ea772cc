"""Contexts for the tests of the tasks."""

from __future__ import annotations

from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.steps import OnStep
from paintdiff.tasks.task_context import MakeMap, TaskContext


def resolve_context(
    catalog: Catalog, model: ModelRow | None = None, profile: str = "exact"
) -> ResolveContext:
    """Return the context of a request to `mini`, or to the model of that row."""
    return ResolveContext(
        catalog, model or catalog.find(ModelRow, "mini"), Profiles.default().profile(profile)
    )


def task_context(make_map: MakeMap = lambda picture, _name: picture) -> TaskContext:
    """Return a context that makes maps by `make_map` and leaves pictures at their size."""

    def enlarge(
        picture: Image.Image, _upscaler: str, _size: Size, _on_step: OnStep, _index: int
    ) -> Image.Image:
        return picture

    return TaskContext(make_map, enlarge)
