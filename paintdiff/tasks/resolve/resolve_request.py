"""Resolve a request: the one place where everything that it leaves open is filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paintdiff.errors import RequestError
from paintdiff.jobs.grid_cells import Cell
from paintdiff.jobs.requests import Grid, Painting, Request, Upscale
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.prompts.library import PromptLibrary
from paintdiff.tasks import TASKS, upscale
from paintdiff.tasks.decoded_inputs import DecodedInputs
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.adapters import resolve_adapters
from paintdiff.tasks.resolve.branches import check_branches
from paintdiff.tasks.resolve.capabilities import check_capabilities, warn_of_whole_passes
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.controls import resolve_controls
from paintdiff.tasks.resolve.few_steps import apply_few_steps
from paintdiff.tasks.resolve.grid import resolve_grid
from paintdiff.tasks.resolve.hires import resolve_hires
from paintdiff.tasks.resolve.names import resolve_names
from paintdiff.tasks.resolve.postprocessing import resolve_postprocessing
from paintdiff.tasks.resolve.prompts import check_prompts
from paintdiff.tasks.resolve.templates import (
    expand_prompts,
    resolve_expansions,
    use_first_expansion,
)
from paintdiff.tasks.resolve.time_budget import FindTime, choose_for_budget

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.speed_profiles import Profiles


@dataclass(frozen=True)
class ResolvedRequest:
    """A request with no open values, and the warnings about what was filled in.

    `inputs` are its pictures, as far as they were decoded, for a run that starts at once. `cells`
    are a grid's, resolved, in the order in which they should be painted.
    """

    request: Request
    warnings: tuple[str, ...] = ()
    inputs: DecodedInputs = field(default_factory=DecodedInputs)
    cells: tuple[Cell, ...] = ()


def resolve_request(
    request: Request,
    catalog: Catalog,
    profiles: Profiles,
    library: PromptLibrary | None = None,
    find_time: FindTime | None = None,
) -> ResolvedRequest:
    """Fill in everything that a request leaves open, and check it. Loads nothing.

    `library` has the wildcards and styles (None: those that ship with the app). `find_time` knows
    how fast this machine is, for requests with a time budget.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`.
    """
    if isinstance(request, Upscale):
        return ResolvedRequest(upscale.resolve(request, catalog))
    inputs = DecodedInputs()

    def resolve_painting(painting: Painting) -> tuple[Painting, list[str]]:
        return _resolve_painting(painting, catalog, profiles, inputs, (library, find_time))

    if isinstance(request, Grid):
        resolved, cells, warnings = resolve_grid(request, resolve_painting)
        return ResolvedRequest(resolved, warnings, inputs, cells)
    painting, warnings = resolve_painting(request)
    return ResolvedRequest(painting, tuple(warnings), inputs)


def _resolve_painting(
    request: Painting,
    catalog: Catalog,
    profiles: Profiles,
    inputs: DecodedInputs,
    outside: tuple[PromptLibrary | None, FindTime | None],
) -> tuple[Painting, list[str]]:
    library, find_time = outside
    task = TASKS.get(type(request))
    if task is None:
        raise RequestError(messages.unknown_request(type(request).__name__), field="kind")
    model = catalog.find(ModelRow, request.model)
    check_capabilities(request, task.name, model)
    request, chosen = choose_for_budget(request, model, _list_profiles(profiles), find_time)
    context = ResolveContext(catalog, model, profiles.profile(request.profile), inputs)
    if chosen is not None:
        context.warn(chosen, "time_budget_seconds")
    names = {"model": model.name, "profile": context.profile.name}
    asked = expand_prompts(request.model_copy(update=names), library or PromptLibrary(), context)
    resolved: Painting = resolve_names(use_first_expansion(asked), context)
    resolved, few_steps_warnings = apply_few_steps(resolved, context)
    resolved = task.resolve(resolved, context)
    context.warnings += few_steps_warnings
    check_prompts(resolved, context)
    check_branches(resolved, context)
    resolved = resolve_controls(resolved, context)
    resolved = resolve_hires(resolved, context)
    resolved = resolve_adapters(resolved, context)
    warn_of_whole_passes(resolved, context)
    resolved = resolve_postprocessing(resolved, context)
    resolved = resolve_expansions(asked, resolved, context)
    return resolved, context.warnings


def _list_profiles(profiles: Profiles) -> tuple[str, ...]:
    """Return the usual profile, then the faster ones."""
    names = profiles.names()
    return names[names.index(profiles.usual) :]
