"""The control inputs of a request: their pictures, preprocessors and ControlNets. Loads nothing."""

from __future__ import annotations

from typing import TypeVar

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest
from paintdiff.models.inference.denoising_run import count_steps_run, is_guided
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.preprocessors.table import find_preprocessor
from paintdiff.tasks.controls import has_effect
from paintdiff.tasks.resolve.context import ResolveContext

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_controls(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Choose a ControlNet for each control of a request whose sampling is resolved.

    The pictures are decoded to check them. Raises RequestError or UnknownNameError, with the field
    in `field`, such as "controls.0.controlnet".
    """
    if not request.controls:
        return request
    resolved: list[ControlInput] = []
    for index, control in enumerate(request.controls):
        field = f"controls.{index}"
        try:
            find_preprocessor(control.preprocessor)
        except UnknownNameError as error:
            raise error.at(f"{field}.preprocessor") from error
        context.inputs.decode(control.image, f"{field}.image")
        row = find_fitting_controlnet(control.controlnet, context, f"{field}.controlnet")
        resolved.append(control.model_copy(update={"controlnet": row.name}))
        _warn_of_control(index, row, request, context)
    return request.model_copy(update={"controls": tuple(resolved)})


def find_fitting_controlnet(name: str | None, context: ResolveContext, field: str) -> ControlNetRow:
    """Return the ControlNet of that name; for None the first that fits the model.

    Raises RequestError or UnknownNameError, for `field`.
    """
    model, catalog = context.model, context.catalog
    fitting = catalog.fitting(ControlNetRow, model)
    if name is None:
        if not fitting:
            raise RequestError(
                f"No ControlNet found for {model.title} ({model.family.title}). Put one in the "
                "folder controlnet of a models folder, or start with --controlnet.",
                field=field,
            )
        return fitting[0]
    try:
        row = catalog.find(ControlNetRow, name)
    except UnknownNameError as error:
        raise error.at(field) from error
    if row not in fitting:
        names = ", ".join(each.name for each in fitting)
        instead = f"Choose one of: {names}." if names else "None fits this model."
        raise RequestError(
            f"The ControlNet {row.title} is for {row.family.title}, but {model.title} is of the "
            f"family {model.family.title}. {instead}",
            field=field,
        )
    return row


def _warn_of_control(
    index: int, row: ControlNetRow, request: PaintingRequest, context: ResolveContext
) -> None:
    control = request.controls[index]
    which = f"ControlNet {index + 1}" if len(request.controls) > 1 else "The ControlNet"
    if not has_effect(control):
        context.warn(
            f"{which} has no effect at a strictness of 0.", f"controls.{index}.conditioning_scale"
        )
    elif not _acts_in_any_step(control, request):
        context.warn(
            f"{which} has no effect: no step lies between start {control.guidance_start:g} and "
            f"end {control.guidance_end:g}. Use more steps, or a wider range."
        )
    ready = control.preprocessor == "none"  # nobody knows how a finished map was made
    if row.preprocessors and not ready and control.preprocessor not in row.preprocessors:
        context.warn(
            f"{row.title} was made for {', '.join(row.preprocessors)}, not for "
            f"{control.preprocessor}, so it may not follow this map."
        )


def _acts_in_any_step(control: ControlInput, request: PaintingRequest) -> bool:
    """Return whether a control acts in any pass of a request, whatever the sampler.

    Some samplers call the model once more than there are steps, or nearly twice a step.
    """
    strengths = (1.0,)
    if isinstance(request, ImageToImage):
        strengths = request.strengths()
    elif isinstance(request, Inpaint):
        strengths = (request.strength,)
    total = request.sampling().num_inference_steps
    steps = [count_steps_run(total, strength) for strength in strengths]
    return any(
        is_guided(call, calls, control.guidance_start, control.guidance_end)
        for count in steps
        for calls in (count, count + 1, 2 * count - 1)
        for call in range(calls)
    )
