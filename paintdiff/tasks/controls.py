"""The control pictures of a request: checked when it is settled, made into maps when it is
painted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.imaging.geometry import Box, ResizeMode, Size, pad_to_aspect
from paintdiff.imaging.images import flatten_image, image_size, resize_image
from paintdiff.imaging.masks import grow_canvas, place_mask, scale_mask, spread_mask
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.messages import FieldMessage
from paintdiff.jobs.request_parts import NO_CONTROLNET, ControlInput
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest, TextToImage
from paintdiff.models.inference.denoising_run import Control, count_steps_run, is_guided
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.preprocessors.table import checked_preprocessor
from paintdiff.tasks.pictures import decode_input_picture
from paintdiff.tasks.task_context import MakeMap

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog

RequestT = TypeVar("RequestT", bound=PaintingRequest)

_BLACK, _WHITE = "#000000", "#ffffff"


def resolve_controls(request: RequestT, catalog: Catalog) -> tuple[RequestT, tuple[str, ...]]:
    """The settled request with a ControlNet for each of its controls, and what a person should know
    about them.

    The pictures are decoded to be sure of them; nothing is loaded. Raises RequestError or
    UnknownNameError, with the field in `field`, like "controls.0.controlnet".
    """
    if not request.controls:
        return request, ()
    model = catalog.find(ModelRow, request.model)
    settled: list[ControlInput] = []
    warnings: list[str] = []
    for index, control in enumerate(request.controls):
        field = f"controls.{index}"
        try:
            checked_preprocessor(control.preprocessor)
        except UnknownNameError as error:
            raise error.at(f"{field}.preprocessor") from error
        decode_input_picture(control.image, f"{field}.image")
        row = find_fitting_controlnet(control.controlnet, model, catalog, f"{field}.controlnet")
        settled.append(control.model_copy(update={"controlnet": row.name}))
        which = f"ControlNet {index + 1}" if len(request.controls) > 1 else "The ControlNet"
        warnings += _warnings(control, row, request, which)
    return request.model_copy(update={"controls": tuple(settled)}), tuple(warnings)


def find_fitting_controlnet(
    name: str | None, model: ModelRow, catalog: Catalog, field: str
) -> ControlNetRow:
    """The ControlNet of that name, None for the first that fits the model.

    Raises RequestError or UnknownNameError, for `field`.
    """
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


def _warnings(
    control: ControlInput, row: ControlNetRow, settled: PaintingRequest, which: str
) -> list[str]:
    warnings: list[str] = []
    if not control_acts(control):
        field = f"controls.{settled.controls.index(control)}.conditioning_scale"
        warnings.append(FieldMessage(f"{which} has no effect at a strictness of 0.", field))
    elif not _any_step(control, settled):
        warnings.append(
            f"{which} has no effect: no step lies between start {control.guidance_start:g} and "
            f"end {control.guidance_end:g}. Use more steps, or a wider range."
        )
    ready = control.preprocessor == "none"  # who knows what a map was made with
    if row.preprocessors and not ready and control.preprocessor not in row.preprocessors:
        warnings.append(
            f"{row.title} was made for {', '.join(row.preprocessors)}, not for "
            f"{control.preprocessor}, so it may not follow this map."
        )
    return warnings


def _any_step(control: ControlInput, settled: PaintingRequest) -> bool:
    """Whether a control acts in any of a request's passes, whatever the sampler: some ask the model
    once or nearly twice a step more.
    """
    strengths = (1.0,)
    if isinstance(settled, ImageToImage):
        strengths = settled.strengths()
    elif isinstance(settled, Inpaint):
        strengths = (settled.strength,)
    total = settled.sampling().num_inference_steps
    steps = [count_steps_run(total, strength) for strength in strengths]
    return any(
        is_guided(call, calls, control.guidance_start, control.guidance_end)
        for count in steps
        for calls in (count, count + 1, 2 * count - 1)
        for call in range(calls)
    )


def control_acts(control: ControlInput) -> bool:
    """Whether a control can have an effect; if not its ControlNet isn't even loaded."""
    return control.conditioning_scale > 0


def find_controlnets(settled: PaintingRequest) -> tuple[str, ...]:
    """The names of the ControlNets that a settled request needs."""
    names = tuple(
        control.controlnet
        for control in settled.controls
        if control_acts(control) and control.controlnet is not None
    )
    hires = settled.hires if isinstance(settled, TextToImage) else None
    if hires is None or hires.controlnet in (NO_CONTROLNET, None):
        return names
    return (*names, hires.controlnet)


def prepare_controls(
    settled: PaintingRequest, make_map: MakeMap, canvas: Size | None = None, box: Box | None = None
) -> tuple[Control, ...]:
    """What the runs of a settled request follow, each map of the run's size.

    `canvas` is the size of the picture of which `box` is painted; without them it is all painted.
    Raises what `make_map` raises, and RequestError for a picture that can't be read.
    """
    size = settled.sampling().size
    canvas = canvas or size
    box = box or Box(0, 0, canvas.width, canvas.height)
    return tuple(
        Control(
            control.controlnet,
            _map(control, f"controls.{index}.image", canvas, box, size, make_map),
            control.conditioning_scale,
            control.guidance_start,
            control.guidance_end,
        )
        for index, control in enumerate(settled.controls)
        if control_acts(control) and control.controlnet is not None
    )


def make_control_map(
    image: InputImage, preprocessor: str, size: Size, resize_mode: ResizeMode, make_map: MakeMap
) -> Image.Image:
    """The control map (RGB) that painting at `size` would use.

    Raises RequestError for "image", UnknownNameError for "preprocessor", and what `make_map`
    raises.
    """
    checked_preprocessor(preprocessor)
    control = ControlInput(image=image, preprocessor=preprocessor, resize_mode=resize_mode)
    whole = Box(0, 0, size.width, size.height)
    return _map(control, "image", size, whole, size, make_map)


def _map(
    control: ControlInput, field: str, canvas: Size, box: Box, size: Size, make_map: MakeMap
) -> Image.Image:
    """The picture is fitted to the canvas, cut to the box, brought to the size, then preprocessed,
    so that its edges are those of the painted size. What a "pad" has added is black in the map; in
    the picture it repeats the border, which would be an edge otherwise.
    """
    # A map's nothing is black, a drawing's paper is white.
    ground = _BLACK if control.preprocessor == "none" else _WHITE
    picture = flatten_image(decode_input_picture(control.image, field), ground)
    inner, mode = Box(0, 0, canvas.width, canvas.height), control.resize_mode
    if mode == "pad":
        inner, mode = pad_to_aspect(image_size(picture), canvas), "stretch"
    fitted = resize_image(picture, inner.size, mode, ground)
    made = make_map(scale_mask(grow_canvas(fitted, inner, canvas), box, size), control.preprocessor)
    if inner.size == canvas:
        return made
    shown = place_mask(Image.new("L", fitted.size, 255), inner, canvas)
    return Image.composite(made, Image.new("RGB", made.size), spread_mask(shown, box, size))
