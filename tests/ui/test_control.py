"""The ControlNet tab and the drawers: maps before painting, what goes into a request, and where
errors are said."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.inputs import canvas
from paintdiff.ui.inputs.canvas import CanvasContent
from paintdiff.ui.painting.control_drawer import ControlDrawer
from paintdiff.ui.painting.control_panel import ControlPanel
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.painting.settings_offer import PaintingSettings, build_offer
from paintdiff.ui.painting.tab_inputs import TabInputs
from paintdiff.ui.settings.control_map import (
    find_suited_preprocessor,
    has_strokes,
    preprocessor_text,
    preprocessor_title,
)
from paintdiff.ui.tabs.control import ControlInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from tests.pictures import png_of
from tests.ui.fake_engine import FakeEngine
from tests.ui.test_tabs import opened, png, tab_of, values

DRAWERS: list[type[ImageToImageInputs] | type[InpaintInputs]] = [ImageToImageInputs, InpaintInputs]


@pytest.fixture
def tab(context: PageContext) -> PaintingTab:
    return tab_of(ControlInputs, context)


def drawing_of(tab: PaintingTab) -> ControlInputs:
    assert isinstance(tab.tab_inputs, ControlInputs)
    return tab.tab_inputs


def drawer_of(tab: PaintingTab) -> ControlDrawer:
    assert isinstance(tab.tab_inputs, (ImageToImageInputs, InpaintInputs))
    return tab.tab_inputs.control


def showing(panel: ControlPanel, tab: PaintingTab, sent: Mapping[Any, Any]) -> dict[Any, Any]:
    """The page after a click on "Show the map", wired as in the app."""
    made = next(
        function.fn
        for function in tab_functions(tab)
        if any(target == (panel.map.show._id, "click") for target in function.targets)
    )
    assert made is not None
    updates: dict[Any, Any] = {}
    for step in made(sent):
        updates |= step
    return updates


def tab_functions(tab: PaintingTab) -> list[Any]:
    page = tab.prompt.parent
    while page is not None and not isinstance(page, gr.Blocks):
        page = page.parent
    assert isinstance(page, gr.Blocks)
    return list(page.fns.values())


class Told:
    """An event's data."""

    def __init__(self, **data: object) -> None:
        self.__dict__.update(data)


def test_a_drawing_becomes_a_control(tab: PaintingTab, context: PageContext) -> None:
    changed = {
        "preprocessor": "scribble",
        "controlnet": "depths",
        "conditioning_scale": 0.5,
        "guidance_start": 0.1,
        "guidance_end": 0.8,
        "resize_mode": "pad",
    }
    request = tab.request(values(tab, opened(context), **changed))
    assert isinstance(request, TextToImage) and len(request.controls) == 1
    control = request.controls[0]
    assert {name: getattr(control, name) for name in changed} == changed
    assert control.image.data == png("RGB"), "without strokes the file itself is sent"


def test_strokes_lie_over_the_picture(context: PageContext) -> None:
    picture = Image.new("RGBA", (4, 3), (0, 0, 255, 0))
    picture.putpixel((0, 0), (0, 0, 255, 255))
    strokes = Image.new("RGBA", (4, 3))
    strokes.putpixel((2, 1), (255, 0, 0, 255))
    content = CanvasContent(png_of(picture), png_of(strokes), None, 4, 3)
    picture_with_strokes = has_strokes(content)
    assert picture_with_strokes.source_sha256 == hashlib.sha256(content.image).hexdigest()
    drawn = np.asarray(Image.open(io.BytesIO(picture_with_strokes.data or b"")))
    expected = np.full((3, 4, 3), 255)  # the ground is white where the picture is transparent
    expected[0, 0] = (0, 0, 255)
    expected[1, 2] = (255, 0, 0)
    assert np.array_equal(drawn, expected)


def test_two_pictures_are_two_controls(tab: PaintingTab, context: PageContext) -> None:
    sent = values(
        tab, opened(context, "sketch"), second_controlnet="depths", second_guidance_end=0.5
    )
    assert len(tab.request(sent).controls) == 1
    sent[drawing_of(tab).second.panel.canvas] = opened(context)
    first, second = tab.request(sent).controls
    assert (first.controlnet, second.controlnet) == ("edges", "depths")
    assert (first.guidance_end, second.guidance_end) == (1, 0.5)
    assert second.image.data == png("RGB") and first.image.data != png("RGB")


def test_without_a_drawing_the_canvas_says_so(tab: PaintingTab, engine: FakeEngine) -> None:
    updates = tab.start(values(tab, None))
    assert "Draw or open a picture first" in updates[drawing_of(tab).picture.note]
    assert not engine.jobs


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"guidance_start": 0.6, "guidance_end": 0.4}, "controls.0.guidance_end"),
        ({"conditioning_scale": 3}, "controls.0.conditioning_scale"),
        ({"second_conditioning_scale": 3}, "controls.1.conditioning_scale"),
        ({"second_guidance_end": 0}, "controls.1.guidance_end"),
    ],
)
def test_an_error_is_said_beside_its_cause(
    tab: PaintingTab, context: PageContext, changed: dict[str, Any], field: str
) -> None:
    sent = values(tab, opened(context), **changed)
    sent[drawing_of(tab).second.panel.canvas] = opened(context)
    updates = tab.start(sent)
    assert [name for name, note in tab.notes.items() if updates[note]] == [field]


@pytest.mark.parametrize("index", [0, 1])
def test_ids_the_server_never_gave_are_said_at_their_canvas(
    tab: PaintingTab, context: PageContext, index: int
) -> None:
    for image in ("../../etc/passwd", "gone", 7):
        bad = {"image": image, "sketch": None, "mask": None, "width": 96, "height": 64}
        sent = values(tab, bad if index == 0 else opened(context))
        sent[drawing_of(tab).second.panel.canvas] = bad
        with pytest.raises(RequestError) as caught:
            tab.request(sent)
        assert caught.value.field == f"controls.{index}.image" and "/etc" not in str(caught.value)


@pytest.mark.parametrize("tab_inputs", DRAWERS)
def test_a_drawer_is_off_until_it_has_a_picture(
    context: PageContext, tab_inputs: type[TabInputs]
) -> None:
    tab = tab_of(tab_inputs, context)
    sent = values(tab, opened(context, "mask"), control_preprocessor="tile")
    assert tab.request(sent).controls == ()
    panel = drawer_of(tab).panel
    sent[panel.canvas] = opened(context)
    (control,) = tab.request(sent).controls
    assert (control.preprocessor, control.controlnet) == ("tile", "edges")
    sent[panel.canvas] = {**opened(context), "image": "gone"}
    updates = tab.start(sent)
    assert "Try again" in updates[tab.notes["controls.0.image"]]
    assert not updates[tab.notes["image"]], "the tab's own picture is another matter"


@pytest.mark.parametrize("tab_inputs", DRAWERS)
def test_a_drawer_takes_the_tabs_own_picture(
    context: PageContext, tab_inputs: type[TabInputs]
) -> None:
    drawer = drawer_of(tab_of(tab_inputs, context))
    updates = drawer.take(opened(context))
    content = canvas.read_canvas(updates[drawer.panel.canvas], context.uploads)
    assert content.image == png("RGB")
    assert "Open or drop a picture first" in drawer.take(None)[drawer.panel.map.notes["image"]]


# Maps


def test_the_map_is_shown_as_painting_would_use_it(
    tab: PaintingTab, context: PageContext, engine: FakeEngine
) -> None:
    panel = drawing_of(tab).control
    sent = values(tab, opened(context), preprocessor="scribble", width=150, resize_mode="pad")
    updates = showing(panel, tab, sent)
    assert engine.mapped == [("scribble", Size(152, 128), "pad")]
    shown = str(updates[panel.map.place])
    assert "152" in shown and "padded" in shown
    found = re.search(r'src="uploads/([\w-]+)"', shown)
    assert found and context.uploads.get(found[1]) is not None
    assert updates[panel.map.show].interactive is True

    kept = panel.map.use_map(Told(keep=found[1]))  # type: ignore[arg-type]
    assert kept[panel.map.preprocessor] == "none" and kept[panel.map.place] == ""
    content = canvas.read_canvas(kept[panel.canvas], context.uploads)
    assert (content.width, content.height) == (152, 128)
    source = hashlib.sha256(png("RGB")).hexdigest()
    assert InputImage(data=content.image).source_sha256 == source, "the map's parent is known"
    for nonsense in ("gone", "", "../../etc/passwd"):
        with pytest.raises(gr.Error):
            panel.map.use_map(Told(keep=nonsense))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"preprocessor": "hed"}, "preprocessor"),
        ({"preprocessor": "hed", "picture": None}, "image"),
        ({"width": 7}, "preprocessor"),
    ],
)
def test_why_there_is_no_map_is_said_beside_it(
    tab: PaintingTab, context: PageContext, changed: dict[str, Any], place: str
) -> None:
    panel = drawing_of(tab).control
    sent = values(tab, opened(context), **changed)
    updates = showing(panel, tab, sent)
    notes = panel.map.notes
    said = json.loads(updates[notes[place].board])["notes"]
    assert {name for name, note in notes.items() if said[note.elem_id][1]} == {place}
    assert updates[panel.map.place] == "" and updates[panel.map.show].interactive is True


def test_a_map_that_breaks_leaves_the_button_alive(
    tab: PaintingTab, context: PageContext, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Image.Image:
        raise ZeroDivisionError

    monkeypatch.setattr(engine, "control_map", broken)
    panel = drawing_of(tab).control
    steps = panel.map.make(values(tab, opened(context)), "crop", lambda _: Size(64, 64))
    assert next(steps)[panel.map.show].interactive is False
    assert next(steps)[panel.map.show].interactive is True
    with pytest.raises(ZeroDivisionError):
        next(steps)


@pytest.mark.parametrize(
    ("tab_inputs", "changed", "size"),
    [
        (ImageToImageInputs, {}, Size(160, 104)),
        (ImageToImageInputs, {"resize": "crop", "width": 64, "height": 96}, Size(64, 96)),
        (InpaintInputs, {}, Size(160, 104)),
        (InpaintInputs, {"left": 32, "top": 64}, Size(128, 128)),
    ],
)
def test_a_drawers_map_has_the_size_that_is_painted(
    context: PageContext,
    engine: FakeEngine,
    tab_inputs: type[TabInputs],
    changed: dict[str, Any],
    size: Size,
) -> None:
    tab = tab_of(tab_inputs, context)
    panel = drawer_of(tab).panel
    sent = {**values(tab, opened(context), **changed), panel.canvas: opened(context)}
    showing(panel, tab, sent)
    assert engine.mapped == [("canny", size, "crop")]


def test_what_needs_weights_says_so_before_they_are_fetched() -> None:
    for name, row in PREPROCESSORS.items():
        said = row.weights is not None
        assert ("Downloads" in preprocessor_text(name)) is said
        assert (re.search(r"\d [MG]iB", preprocessor_title(name)) is not None) is said
    hed = PREPROCESSORS["hed"].weights
    assert hed is not None and hed.size_text in preprocessor_text("hed")


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"origin": "blank", "dark": False}, "invert"),
        ({"origin": "blank", "dark": True}, "none"),
        ({"origin": "file", "replaced": "blank"}, "canny"),
        ({"origin": "file", "replaced": "file"}, None),
        ({"origin": "app", "replaced": "blank"}, None),
        ({}, None),  # it only came back
    ],
)
def test_a_blank_canvas_is_for_drawings(told: dict[str, Any], name: str | None) -> None:
    found = find_suited_preprocessor(Told(**told))  # type: ignore[arg-type]
    assert found == (name if name is not None else gr.skip())


# ControlNets, and what comes from elsewhere


def test_only_what_fits_the_model_is_offered(
    tab: PaintingTab, context: PageContext, engine: FakeEngine
) -> None:
    panel = drawing_of(tab).control
    offered = panel.offer("mini", "depths")
    assert (offered["value"], offered["interactive"]) == ("depths", True)
    assert [name for _, name in offered["choices"]] == ["edges", "depths"]
    assert panel.offer("mini", "gone")["value"] == "edges", "the first is the default"
    assert panel.offer("mini", "edges")["info"] == "Made for: Edges (Canny), Scribble"
    engine.manager.catalog.names.clear()
    offered = panel.offer("mini", "edges")
    assert (offered["value"], offered["interactive"]) == (None, False)
    assert context.model("mini").title in offered["info"] and "--controlnet" in offered["info"]
    sent = values(tab, opened(context), controlnet=None)
    assert tab.request(sent).controls[0].controlnet is None, "the engine says what is missing"


def test_another_model_brings_its_controlnets(tab: PaintingTab) -> None:
    panel = drawing_of(tab).control
    model, dropdown = tab.form.model, panel.controlnet
    handlers = [
        function.fn
        for function in tab_functions(tab)
        if (model._id, "change") in function.targets and dropdown in function.outputs
    ]
    assert len(handlers) == 1
    assert handlers[0]("mini", "depths").value == "depths"
    assert handlers[0]("mini", "gone").value == "edges"


def test_every_preprocessor_that_a_controlnet_names_is_there() -> None:
    for row in Catalog.default().rows(ControlNetRow):
        assert set(row.preprocessors) <= set(PREPROCESSORS)


def test_settings_come_back_checked(tab: PaintingTab) -> None:
    drawing = drawing_of(tab)
    stored = {
        "preprocessor": "scribble",
        "controlnet": "depths",
        "conditioning_scale": 9,
        "guidance_end": 0.5,
        "resize_mode": "bend",
        "second_preprocessor": "gone",
        "second_controlnet": "gone",
    }
    updates = tab.restore(BrowserState(stored))
    first, second = drawing.control, drawing.second.panel
    assert updates[first.map.preprocessor].value == "scribble"
    assert updates[first.map.preprocessor].info == preprocessor_text("scribble")
    assert updates[first.controlnet].value == "depths"
    assert updates[first.inputs()["conditioning_scale"]] == 1
    assert updates[first.inputs()["guidance_end"]] == 0.5
    assert updates[first.mode] == "crop"
    assert updates[second.map.preprocessor].value == "canny"
    assert updates[second.controlnet].value == "edges"
    assert set(updates) <= set(tab.restore_outputs())
    kept = tab.stored_inputs()
    assert not {first.canvas, second.canvas} & set(kept.values())
    assert {"preprocessor", "second_preprocessor"} <= set(kept)


def test_a_finished_picture_is_received_for_its_edges(
    tab: PaintingTab, context: PageContext
) -> None:
    drawing = drawing_of(tab)
    control = ControlInput.model_validate(
        {"image": {"data": png("RGB")}, "preprocessor": "invert", "controlnet": "depths"}
    ).model_copy(update={"conditioning_scale": 0.7})
    request = TextToImage(prompt="a cat", seed=3, width=64, height=64, controls=(control,))
    updates = tab.receive(Picture(Image.new("RGB", (64, 64), "red"), request))
    assert canvas.read_canvas(updates[drawing.picture.canvas], context.uploads).width == 64
    assert updates[drawing.control.map.preprocessor] == "canny"
    assert updates[drawing.control.controlnet].value == "depths"
    assert updates[drawing.control.inputs()["conditioning_scale"]] == 0.7
    assert drawing.second.panel.controlnet not in updates
    assert set(updates) <= set(tab.receive_outputs())


def test_an_offer_says_that_the_controls_picture_is_missing(context: PageContext) -> None:
    control = ControlInput.model_validate({"image": {"sha256": "0" * 64}})

    def told(request: TextToImage) -> str:
        return build_offer(PaintingSettings(request, (), ""), context, "mini")

    assert "isn't in the file" in told(TextToImage(prompt="a cat", controls=(control,)))
    assert "isn't in the file" not in told(TextToImage(prompt="a cat"))
