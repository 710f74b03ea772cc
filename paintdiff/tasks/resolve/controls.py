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
from paintdiff.tasks.resolve import messages
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
    model = context.model
    fitting = context.catalog.fitting(ControlNetRow, model)
    if name is None:
        if not fitting:
            raise RequestError(
                messages.no_controlnet(model.title, model.family.title),
                field=field,
            )
        return fitting[0]
    row = context.find(ControlNetRow, name, field)
    if row not in fitting:
        names = ", ".join(each.name for each in fitting)
        raise RequestError(
            messages.controlnet_for_another_family(
                row.title, row.family.title, model.title, model.family.title, names
            ),
            field=field,
        )
    return row


def _warn_of_control(
    index: int, row: ControlNetRow, request: PaintingRequest, context: ResolveContext
) -> None:
    control = request.controls[index]
    which = messages.the_control(index + 1, len(request.controls))
    if not has_effect(control):
        context.warn(
            messages.control_without_strictness(which), f"controls.{index}.conditioning_scale"
        )
    elif not _acts_in_any_step(control, request):
        context.warn(
            messages.control_without_steps(which, control.guidance_start, control.guidance_end)
        )
    ready = control.preprocessor == "none"  # nobody knows how a finished map was made
    if row.preprocessors and not ready and control.preprocessor not in row.preprocessors:
        context.warn(
            messages.other_preprocessor(
                row.title, ", ".join(row.preprocessors), control.preprocessor
            )
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
