"""The choice of what restores faces: there only for who has something that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from paintdiff.jobs.events import Progress
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import TextToImage, Upscale
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.run import job_view
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.upscale import UpscaleTab
from tests.loops import inside_a_loop
from tests.pictures import png_of
from tests.ui.fake_engine import WORDS, FakeEngine
from tests.ui.test_tabs import tab_of
from tests.ui.test_upscale import sent, uploaded, upscaled

MENDER = FaceRestorerRow(name="mender", title="<i>Mender", source="/x", detector=Path("/y"))
BLIND = FaceRestorerRow(name="blind", title="Blind", source="/z")
NAMES = ("face_restorer", "face_strength")


def built(context: PageContext) -> UpscaleTab:
    def build() -> UpscaleTab:
        with gr.Blocks():
            return UpscaleTab.build(context)

    return inside_a_loop(build)


@pytest.fixture
def tab(context: PageContext, engine: FakeEngine) -> UpscaleTab:
    engine.manager.catalog.faces = (MENDER, BLIND)
    return built(context)


@pytest.mark.parametrize("rows", [(), (BLIND,)])
def test_without_anything_that_restores_faces_it_is_not_there(
    rows: tuple[FaceRestorerRow, ...], context: PageContext, engine: FakeEngine
) -> None:
    engine.manager.catalog.faces = rows
    tab = built(context)
    assert not {*NAMES} & {*tab.setting.inputs()}
    assert "upscaling.face_restorer" not in tab.setting.notes()
    request = tab.request(sent(tab, uploaded(context, (8, 6))))
    assert request.upscaling == Upscaling(upscaler="small")
    known = Upscaling(upscaler="small", face_restorer="mender")
    assert [each.elem_id for each in tab.setting.fill(known)] == [
        each.elem_id for each in tab.setting.fill(Upscaling(upscaler="small"))
    ]


def test_the_page_asks_for_what_it_says(tab: UpscaleTab, context: PageContext) -> None:
    by = tab.setting.inputs()["face_restorer"]
    assert isinstance(by, gr.Dropdown) and by.choices is not None
    assert [title for title, _value in by.choices] == ["Don't restore", "<i>Mender"]
    pictures = uploaded(context, (8, 6))
    asked = tab.request(sent(tab, pictures, face_restorer="mender", face_strength=0.3))
    assert asked.upscaling == Upscaling(upscaler="small", face_restorer="mender", face_strength=0.3)
    plain = tab.request(sent(tab, pictures, face_strength=0.3))
    assert plain.upscaling == Upscaling(upscaler="small"), "one that has no effect isn't written"
    assert {f"upscaling.{name}" for name in NAMES} <= {*tab.notes}


def values_of(updates: dict[Any, Any], tab: UpscaleTab) -> tuple[Any, ...]:
    return tuple(updates[tab.setting.inputs()[name]] for name in NAMES)


def test_it_is_remembered_and_filled_in(tab: UpscaleTab, context: PageContext) -> None:
    stored = BrowserState(settings={"face_restorer": "mender", "face_strength": 0.4})
    assert values_of(tab.restore_settings(stored), tab) == ("mender", 0.4)
    gone = BrowserState(settings={"face_restorer": "gone", "face_strength": 7})
    off = tab.setting.inputs()["face_restorer"].value
    assert values_of(tab.restore_settings(gone), tab) == (off, 0.8)
    known = Upscaling(upscaler="small", face_restorer="mender", face_strength=0.9)
    assert values_of(tab.setting.fill(known), tab) == ("mender", 0.9)
    assert values_of(tab.setting.fill(Upscaling()), tab) == (off, 0.8)
    other = tab.setting.fill(Upscaling(face_restorer="another"))
    assert tab.setting.inputs()["face_restorer"] not in other, "it leaves ours"


def test_every_tab_that_paints_may_restore_faces(context: PageContext, engine: FakeEngine) -> None:
    engine.manager.catalog.faces = (MENDER,)
    tab = tab_of(ImageToImageInputs, context)
    assert {f"enlarge_{name}" for name in NAMES} <= {*tab.stored_inputs()}


def test_faces_are_counted_and_the_bar_waits(engine: FakeEngine) -> None:
    wished = Upscaling(face_restorer="mender")
    data = png_of(Image.new("L", (8, 8)))
    job: Any = upscaled(engine, data, data)
    assert isinstance(job.request, Upscale)
    line = job_view.build_view(job, Progress(1, 3, 1, 2, stage="faces"), WORDS).progress
    assert "Picture 2 of 2 · Restoring faces, 1 of 3" in line and 'value="0.500"' in line
    job = engine.submit(TextToImage(prompt="a cat", upscaling=wished))
    events = [
        Progress(step, 4, 0, 1, stage=stage)
        for stage in ("denoising", "faces", "upscaling")
        for step in (1, 4)
    ]
    lines = [job_view.build_view(job, event, WORDS).progress for event in events]
    shown = [float(line.split('value="')[1].split('"')[0]) for line in lines]
    assert shown == sorted(shown) and shown[-1] == 1
