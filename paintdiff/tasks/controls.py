"""The control maps of a resolved request."""

from __future__ import annotations

from PIL import Image

from paintdiff.imaging.geometry import Box, ResizeMode, Size, pad_to_aspect
from paintdiff.imaging.images import flatten_image, image_size, resize_image
from paintdiff.imaging.masks import grow_canvas, place_mask, scale_mask, spread_mask
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import NO_CONTROLNET, ControlInput
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.models.inference.denoising_run import Control
from paintdiff.preprocessors.table import find_preprocessor
from paintdiff.tasks.decoded_inputs import DecodedInputs
from paintdiff.tasks.task_context import MakeMap, TaskContext

_BLACK, _WHITE = "#000000", "#ffffff"


def has_effect(control: ControlInput) -> bool:
    """Return whether a control can have an effect; if not, its ControlNet isn't loaded."""
    return control.conditioning_scale > 0


def find_controlnets(resolved: PaintingRequest) -> tuple[str, ...]:
    """Return the names of the ControlNets that a resolved request needs."""
    names = tuple(
        control.controlnet
        for control in resolved.controls
        if has_effect(control) and control.controlnet is not None
    )
    hires = resolved.hires if isinstance(resolved, TextToImage) else None
    if hires is None or hires.controlnet in (NO_CONTROLNET, None):
        return names
    return (*names, hires.controlnet)


def prepare_controls(
    resolved: PaintingRequest,
    tools: TaskContext,
    canvas: Size | None = None,
    box: Box | None = None,
) -> tuple[Control, ...]:
    """Return the controls of a resolved request's runs, with maps of the run's size.

    `canvas` is the size, in pixels, of the picture of which `box` is painted; without them all of
    it is painted. Raises what `tools.make_map` raises, and RequestError for a picture that can't
    be read.
    """
    size = resolved.sampling().size
    canvas = canvas or size
    box = box or Box(0, 0, canvas.width, canvas.height)
    controls: list[Control] = []
    for index, control in enumerate(resolved.controls):
        if not has_effect(control) or control.controlnet is None:
            continue
        picture = tools.inputs.decode(control.image, f"controls.{index}.image")
        map_ = _make_map(picture, control, canvas, box, size, tools.make_map)
        controls.append(
            Control(
                control.controlnet,
                map_,
                control.conditioning_scale,
                control.guidance_start,
                control.guidance_end,
            )
        )
    return tuple(controls)


def make_control_map(
    image: InputImage, preprocessor: str, size: Size, resize_mode: ResizeMode, make_map: MakeMap
) -> Image.Image:
    """Return the control map (RGB) that painting at `size` would use.

    Raises RequestError for "image", UnknownNameError for "preprocessor", and what `make_map`
    raises.
    """
    find_preprocessor(preprocessor)
    control = ControlInput(image=image, preprocessor=preprocessor, resize_mode=resize_mode)
    whole = Box(0, 0, size.width, size.height)
    picture = DecodedInputs().decode(image, "image")
    return _make_map(picture, control, size, whole, size, make_map)


def _make_map(
    picture: Image.Image,
    control: ControlInput,
    canvas: Size,
    box: Box,
    size: Size,
    make_map: MakeMap,
) -> Image.Image:
    """Fit the picture to the canvas, crop it to the box, resize it, and preprocess it.

    The preprocessor comes last, so that it finds the edges at the painted size. What a "pad" adds
    is black in the map; in the picture it repeats the border, which would be an edge otherwise.
    """
    # An empty part of a map is black; a drawing's paper is white.
    ground = _BLACK if control.preprocessor == "none" else _WHITE
    picture = flatten_image(picture, ground)
    inner, mode = Box(0, 0, canvas.width, canvas.height), control.resize_mode
    if mode == "pad":
        inner, mode = pad_to_aspect(image_size(picture), canvas), "stretch"
    fitted = resize_image(picture, inner.size, mode, ground)
    made = make_map(scale_mask(grow_canvas(fitted, inner, canvas), box, size), control.preprocessor)
    if inner.size == canvas:
        return made
    shown = place_mask(Image.new("L", fitted.size, 255), inner, canvas)
    return Image.composite(made, Image.new("RGB", made.size), spread_mask(shown, box, size))
