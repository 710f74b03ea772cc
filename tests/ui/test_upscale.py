"""The Upscale tab, the setting that all tabs have, and what is shown of an enlarged picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.gallery.settings.metadata import png_info
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs.events import Finished, Picture, Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import HiresFix, Upscaling
from paintdiff.jobs.requests import ImageToImage, TextToImage, Upscale
from paintdiff.ui.common.browser_state import BrowserState, FilmPicture
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.inputs import picture_list
from paintdiff.ui.run import job_view, routes
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from paintdiff.ui.tabs.upscale import UpscaleTab
from tests.loops import inside_a_loop
from tests.pictures import pixels_of, png_of
from tests.ui.fake_engine import WORDS, FakeEngine
from tests.ui.test_tabs import opened, tab_of, values


@pytest.fixture
def tab(context: PageContext) -> UpscaleTab:
    def build() -> UpscaleTab:
        with gr.Blocks():
            return UpscaleTab.build(context)

    return inside_a_loop(build)


def uploaded(context: PageContext, *sizes: tuple[int, int]) -> dict[str, object]:
    """The list's value with pictures of those sizes."""
    return picture_list.show_pictures(
        [context.uploads.add(png_of(Image.new("L", size))) for size in sizes]
    )


def sent(tab: UpscaleTab, pictures: object, **changed: Any) -> dict[Any, Any]:
    """The page's values: the components' first ones, and those that a test changes."""
    inputs = tab.setting.inputs()
    page: dict[Any, Any] = {component: component.value for component in inputs.values()}
    page |= {tab.pictures: pictures, tab.run_panel.job: "", tab.run_panel.film: "[]"}
    return {**page, **{inputs[name]: value for name, value in changed.items()}}


def upscaled(engine: FakeEngine, *pictures: bytes) -> Any:
    """A job that has enlarged those pictures twice."""
    images = tuple(InputImage(data=data) for data in pictures)
    job = engine.submit(Upscale(images=images))
    made: list[Picture] = []
    for index, data in enumerate(pictures):
        small = Image.open(io.BytesIO(data))
        large = small.resize((small.width * 2, small.height * 2))
        made.append(Picture(large, job.request.for_image(index), notes=("Upscaled.",)))
    job.latest = Finished(tuple(made), (), 1.5, 0.0)
    return job


def test_the_page_asks_for_what_it_says(tab: UpscaleTab, context: PageContext) -> None:
    pictures = uploaded(context, (8, 6), (4, 4))
    changed = {"factor": "other", "other": 2.5, "upscaler": "large", "tile": 64}
    request = tab.request(sent(tab, pictures, **changed))
    assert isinstance(request, Upscale) and request.num_images == 2
    assert request.upscaling == Upscaling(upscaler="large", scale=2.5, tile_px=64)
    assert tab.request(sent(tab, pictures)).upscaling == Upscaling(upscaler="small", scale=2)


def test_what_will_become_of_the_sizes_is_said_before(
    tab: UpscaleTab, context: PageContext
) -> None:
    foreseen = tab.describe_sizes
    one = uploaded(context, (128, 96))
    assert "128x96 will become 512x384." in foreseen(sent(tab, one, factor="4"))
    two = uploaded(context, (8, 8), (20, 9))
    assert "2 pictures, the largest becomes 40x18." in foreseen(sent(tab, two))
    alike = uploaded(context, (8, 8), (8, 8))
    assert "2 pictures of 8x8 will become 16x16." in foreseen(sent(tab, alike))
    large = uploaded(context, (5000, 4))
    told = foreseen(sent(tab, large, factor="4"))
    assert "warning" in told and "16,384" in told
    assert foreseen(sent(tab, None)) == ""


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"pictures": []},
        {"pictures": ["../../etc/passwd"]},
        {"pictures": [7]},
        {"pictures": "x"},
        ["x"],
        7,
        {"pictures": ["x"] * 65},
    ],
)
def test_what_no_list_sends_is_refused_beside_it(
    tab: UpscaleTab, engine: FakeEngine, value: object
) -> None:
    updates = tab.start(sent(tab, value))
    assert updates[tab.notes["images"]] and not engine.jobs
    assert not updates[tab.notes["upscaling.scale"]]


@pytest.mark.parametrize("scale", [0.5, 9, None])
def test_a_factor_that_cannot_be_used_is_said_beside_it(
    tab: UpscaleTab, context: PageContext, scale: float | None
) -> None:
    pictures = uploaded(context, (8, 8))
    updates = tab.start(sent(tab, pictures, factor="other", other=scale))
    assert updates[tab.notes["upscaling.scale"]] and not updates[tab.notes["images"]]


def test_settings_come_back_checked_and_from_a_picture(
    tab: UpscaleTab, context: PageContext
) -> None:
    inputs = tab.setting.inputs()
    stored = {"factor": "other", "other": 99, "upscaler": "gone", "tile": 64}
    updates = tab.restore(BrowserState(stored))
    assert (updates[inputs["factor"]], updates[inputs["other"]]) == ("other", 3)
    assert updates[inputs["upscaler"]].value == "small" and updates[inputs["tile"]] == 64
    assert set(updates) <= set(tab.restore_outputs())
    made = Upscale(
        images=(InputImage(sha256="0" * 64),), upscaling=Upscaling(upscaler="large", scale=4)
    )
    picture = Picture(Image.new("RGB", (8, 8)), made)
    file = io.BytesIO()
    picture.image.save(file, "PNG", pnginfo=png_info(picture))
    value = picture_list.show_pictures([context.uploads.add(file.getvalue())])
    assert "upscaled 4x with large" in tab.build_offer(value)
    updates = tab.use_offer(value)
    assert updates[inputs["factor"]] == "4" and updates[inputs["upscaler"]].value == "large"
    assert set(updates) <= {tab.offer, *tab.receive_outputs()}
    assert tab.build_offer(uploaded(context, (8, 8))) == ""


def test_what_would_be_fetched_says_so(tab: UpscaleTab) -> None:
    offered = tab.setting.offer("large")
    assert ("<i>Large, 64 MiB", "large") in offered["choices"]
    assert "Downloads 64 MiB" in offered["info"]
    assert tab.setting.offer("small")["info"] == "Quick."


def test_a_result_comes_with_what_it_is_compared_with(tab: UpscaleTab, engine: FakeEngine) -> None:
    job = upscaled(engine, png_of(Image.new("RGBA", (8, 6))))
    view = job_view.build_view(job, job.latest, WORDS)
    assert view.stage is not None and view.seed is None
    assert f'data-before="pictures/{job.id}/0/original"' in view.stage
    assert 'data-width="16"' in view.stage and "see-through" in view.stage
    assert "Upscaled in 1.5 s · 16x12" in view.progress
    strip = job_view.build_film(engine, [FilmPicture((job.id, 0))], WORDS)  # type: ignore[arg-type]
    assert 'alt="Upscaled 2x"' in strip


def test_one_of_several_can_be_looked_at_closely(engine: FakeEngine) -> None:
    job: Any = upscaled(engine, png_of(Image.new("L", (8, 8))), png_of(Image.new("L", (4, 8))))
    every = job_view.build_view(job, job.latest, WORDS).stage or ""
    assert every.count("<figure") == 2 and "viewer-place" not in every
    assert every.count("data-look") == 2 and f'data-before="pictures/{job.id}/1/original"' in every


def test_tiles_are_counted_over_all_pictures(engine: FakeEngine) -> None:
    job: Any = upscaled(engine, png_of(Image.new("L", (8, 8))), png_of(Image.new("L", (4, 8))))
    event = Progress(1, 4, 1, 2, stage="upscaling", preview=Image.new("RGB", (4, 8)))
    view = job_view.build_view(job, event, WORDS)
    assert "Picture 2 of 2 · Upscaling, tile 1 of 4" in view.progress
    assert 'value="0.625"' in view.progress
    assert view.stage is not None and "--aspect:0.50000" in view.stage


def test_the_bar_never_goes_back_where_a_painting_is_enlarged(engine: FakeEngine) -> None:
    job: Any = engine.submit(TextToImage(prompt="a cat", num_images=2, upscaling=Upscaling()))
    events = [
        Progress(step, 4, index, 2, stage=stage)
        for index in (0, 1)
        for stage, steps in (("denoising", (1, 4)), ("decoding", (4,)), ("upscaling", (1, 4)))
        for step in steps
    ]
    lines = [job_view.build_view(job, event, WORDS).progress for event in events]
    shown = [float(line.split('value="')[1].split('"')[0]) for line in lines]
    assert shown == sorted(shown) and shown[-1] == 1


def test_every_tab_that_paints_may_enlarge(context: PageContext) -> None:
    tab = tab_of(ImageToImageInputs, context)
    inputs = tab.upscaling.inputs()
    plain = tab.request(values(tab, opened(context)))
    assert isinstance(plain, ImageToImage) and plain.upscaling is None
    page = values(tab, opened(context))
    page |= {inputs["enlarge_factor"]: "4", inputs["enlarge_upscaler"]: "large"}
    request = tab.request(page)
    assert request.upscaling == Upscaling(upscaler="large", scale=4)
    size_of = tab.tab_inputs.sizing(tab.form).size
    assert "160x104, upscaled to 640x416." in tab.describe_final_size(page, size_of)
    assert tab.describe_final_size(values(tab, opened(context)), size_of) == ""
    painted = TextToImage(prompt="a cat", upscaling=Upscaling(upscaler="large", scale=3))
    updates = tab.fill(painted)
    assert updates[inputs["enlarge_factor"]] == "other" and updates[inputs["enlarge_other"]] == 3
    assert tab.fill(TextToImage(prompt="a cat"))[inputs["enlarge_factor"]] == "off"
    assert set(inputs.values()) <= set(tab.receive_outputs()) & set(tab.restore_outputs())


def test_the_hires_fix_is_asked_for_remembered_and_filled(context: PageContext) -> None:
    tab = tab_of(TextToImageInputs, context)
    own = tab.tab_inputs.inputs()
    page: dict[Any, Any] = {
        each: each.value for each in tab.request_inputs() if hasattr(each, "value")
    }
    page |= {tab.prompt: "a cat"}
    request = tab.request(page)
    assert isinstance(request, TextToImage) and request.hires is None
    left_open = tab.request(page | {own["hires_on"]: True})
    assert isinstance(left_open, TextToImage) and left_open.hires is not None
    assert left_open.hires.strength is None  # of few steps the model's own might leave none
    changed = {"on": True, "scale": 1.5, "upscaler": "latent", "strength": 0.6, "steps": 0}
    page |= {own[f"hires_{name}"]: value for name, value in changed.items()}
    request = tab.request(page)
    hires = HiresFix(scale=1.5, upscaler="latent", strength=0.6)
    assert isinstance(request, TextToImage) and request.hires == hires
    size_of = tab.tab_inputs.sizing(tab.form).size
    assert "128x128, refined at 192x192." in tab.describe_final_size(page, size_of)
    updates = tab.fill(TextToImage(prompt="a cat", hires=hires))
    assert updates[own["hires_on"]] is True and updates[own["hires_strength"]] == 0.6
    assert tab.fill(TextToImage(prompt="a cat"))[own["hires_on"]] is False
    first = context.model("mini").family.hires_strength
    restored = tab.restore(BrowserState({"hires_on": True, "hires_strength": 7}))
    assert restored[own["hires_on"]] is True and restored[own["hires_strength"]] == first


def test_a_result_goes_on_to_the_other_tabs(
    tab: UpscaleTab, context: PageContext, engine: FakeEngine
) -> None:
    job = upscaled(engine, png_of(Image.new("RGBA", (8, 6), (10, 20, 30, 40))))
    result = job.latest.pictures[0]
    shown = tab.receive(result)[tab.pictures]
    (again,) = picture_list.read_pictures(shown, context.uploads)
    assert pixels_of(again.data).tolist() == np.asarray(result.image).tolist()
    tab = tab_of(ImageToImageInputs, context)
    updates = tab.receive(result)
    assert set(updates) == {tab.tab_inputs.inputs()["picture"]}, "it has no words to bring"


def test_of_a_large_picture_the_file_is_sent_on(
    tab: UpscaleTab, context: PageContext, tmp_path: Path
) -> None:
    request = Upscale(images=(InputImage(sha256="0" * 64),))
    path = tmp_path / "whole.png"
    path.write_bytes(png_of(Image.new("L", (40, 30))))
    reduced = Image.new("L", (4, 3))
    large = Picture(reduced, request, path=path, whole_size=Size(40, 30))
    (taken,) = picture_list.read_pictures(tab.receive(large)[tab.pictures], context.uploads)
    assert (taken.width, taken.height) == (40, 30)
    path.unlink()
    with pytest.raises(RequestError, match="is missing; only a smaller copy is left"):
        tab.receive(large)
    raster = Raster.of(np.zeros((30, 40, 1), np.uint8))
    kept = Picture(reduced, request, path=path, raster=raster, whole_size=Size(40, 30))
    (taken,) = picture_list.read_pictures(tab.receive(kept)[tab.pictures], context.uploads)
    assert (taken.width, taken.height) == (40, 30)


@pytest.fixture
def client(engine: Any) -> TestClient:
    app = FastAPI()
    app.include_router(routes.picture_routes(engine))
    return TestClient(app)


def test_the_original_is_served_as_it_came(client: TestClient, engine: FakeEngine) -> None:
    data = png_of(Image.new("RGBA", (8, 6), (10, 20, 30, 40)))
    job = upscaled(engine, data)
    answer = client.get(f"/pictures/{job.id}/0/original")
    assert answer.content == data and answer.headers["content-type"] == "image/png"
    assert client.get(f"/pictures/{job.id}/1/original").status_code == 404
    painted = engine.submit(TextToImage(prompt="a cat"))
    assert client.get(f"/pictures/{painted.id}/0/original").status_code == 404
    whole = client.get(f"/pictures/{job.id}/0.png?download=1")
    assert 'filename="paintdiffusion-upscaled-1.png"' in whole.headers["content-disposition"]
    made = job.latest.pictures[0].image
    assert pixels_of(whole.content).tolist() == np.asarray(made).tolist()
    small = Image.open(io.BytesIO(client.get(f"/pictures/{job.id}/0.jpg").content))
    assert small.mode == "RGB" and min(small.getpixel((2, 2))) > 200, "it lies on white"


def test_a_very_large_picture_is_shown_reduced(client: TestClient, engine: FakeEngine) -> None:
    job = upscaled(engine, png_of(Image.new("L", (8, 6))))
    made = job.latest.pictures[0]
    large = Picture(made.image, made.request, whole_size=Size(8192, 6144))
    job.latest = Finished((large,), (), 1.0, 0.0)
    stage = job_view.build_view(job, job.latest, WORDS).stage
    assert stage is not None and f'data-after="pictures/{job.id}/0.png?reduced=1"' in stage
    assert "Shown at 16x12; the download has all 8192x6144." in stage
    answer = client.get(f"/pictures/{job.id}/0.png?reduced=1")
    assert Image.open(io.BytesIO(answer.content)).size == (16, 12)
    assert client.get(f"/pictures/{job.id}/0.png?download=1").status_code == 404
