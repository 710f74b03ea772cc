from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from paintdiff.engine.engine import Engine
from paintdiff.errors import EngineError, ModelLoadError, RequestError
from paintdiff.gallery.files.saving import write_png
from paintdiff.imaging import masks
from paintdiff.imaging.geometry import Box, Size
from paintdiff.imaging.masks import count_changed_outside, grow_canvas, mask_weights
from paintdiff.jobs.events import Finished, Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Outpaint
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.schedulers import make_scheduler
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks import inpaint as inpaint_task
from tests.colours import DISPLAY_P3, GREY_1_8, PRO_PHOTO, shown
from tests.tasks.pictures import (
    HEIGHT,
    WIDTH,
    difference,
    finished,
    image_to_image,
    inpaint,
    mask,
    painted,
    photo,
)
from tests.tasks.pictures import given as sent
from tests.tiny import save_tiny_pipeline

PROMISE = "0 pixels changed outside the mask"


def strokes(*corners: int, colour: tuple[int, ...] = (255, 0, 0, 255)) -> Image.Image:
    """A sketch with one rectangle in it."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle(corners or (8, 8, 30, 30), fill=colour)
    return image


@pytest.fixture(scope="module")
def nine_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine over a tiny inpainting model: its UNet takes 9 channels."""
    folder = tmp_path_factory.mktemp("nine") / "nine"
    save_tiny_pipeline(folder, sees_masks=True)
    catalog = Catalog.default().with_source(str(folder))
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        yield engine


# The promise


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    left=st.integers(0, 80),
    top=st.integers(0, 70),
    width=st.integers(6, 60),
    height=st.integers(6, 50),
    level=st.sampled_from([60, 255]),
    mask_blur_px=st.sampled_from([0.0, 1.5, 4.0, 9.0]),
    only_masked=st.booleans(),
    padding_px=st.sampled_from([0, 8, 32]),
    soft=st.booleans(),
    outpaint=st.sampled_from([Outpaint(), Outpaint(left=13), Outpaint(top=8, right=5, bottom=1)]),
    masked_content=st.sampled_from(["original", "fill", "noise", "empty"]),
)
def test_no_pixel_changes_where_the_blurred_mask_is_zero(
    tiny_engine: Engine,
    left: int,
    top: int,
    width: int,
    height: int,
    level: int,
    mask_blur_px: float,
    outpaint: Outpaint,
    **options: Any,
) -> None:
    drawn = mask(left, top, left + width, top + height, level=level)
    request = inpaint(
        mask=sent(drawn),
        mask_blur_px=mask_blur_px,
        outpaint=outpaint,
        num_inference_steps=2,
        **options,
    )
    picture = finished(tiny_engine, request).pictures[0]
    assert any(note.startswith(PROMISE) for note in picture.notes)
    # Checked here once more, without the task's own canvas.
    size = Size(WIDTH + outpaint.left + outpaint.right, HEIGHT + outpaint.top + outpaint.bottom)
    inner = Box(outpaint.left, outpaint.top, outpaint.left + WIDTH, outpaint.top + HEIGHT)
    assert picture.image.size == (size.width, size.height)
    part = picture.image.crop(inner.corners)
    added = Image.new("L", (size.width, size.height), 255)
    added.paste(0, inner.corners)
    weight = mask_weights(masks.place_mask(drawn, inner, size), mask_blur_px, added)
    assert count_changed_outside(photo(), part, weight.crop(inner.corners)) == 0
    assert (np.asarray(weight.crop(inner.corners)) == 0).any()
    assert part.tobytes() != photo().tobytes(), "something was painted"


def test_a_broken_promise_is_an_error_and_no_picture(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: without the compositing the check has to find something."""
    monkeypatch.setattr(
        inpaint_task, "composite", lambda _original, painted, _weight: painted.copy()
    )
    with pytest.raises(EngineError, match="outside the mask would have changed"):
        finished(tiny_engine, inpaint())


def test_the_promise_is_about_the_turned_and_flattened_picture(tiny_engine: Engine) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    clear = photo().convert("RGBA")
    clear.putalpha(128)
    clear.save(buffer, format="PNG", exif=exif)
    request = inpaint(image=InputImage(data=buffer.getvalue()), background="#00ff00")
    result = painted(tiny_engine, request)
    ground = Image.new("RGBA", clear.size, "#00ff00")
    expected = Image.alpha_composite(ground, clear.rotate(180)).convert("RGB")
    assert count_changed_outside(expected, result, mask_weights(mask(), 4)) == 0


@pytest.mark.parametrize("profile", [DISPLAY_P3, PRO_PHOTO, GREY_1_8, b"broken"])
def test_what_is_kept_looks_as_it_did(profile: bytes, tiny_engine: Engine, tmp_path: Path) -> None:
    """To a person, whose programs convert colour profiles: in the request's file and in ours."""
    buffer = io.BytesIO()
    source = photo().convert("L") if profile == GREY_1_8 else photo()
    source.save(buffer, format="PNG", icc_profile=profile)
    request = inpaint(image=InputImage(data=buffer.getvalue()), outpaint=Outpaint(left=8))
    picture = finished(tiny_engine, request).pictures[0]
    path = write_png(tmp_path / "a.png", picture)
    seen = shown(path.read_bytes()).crop((8, 0, 8 + WIDTH, HEIGHT))
    before = shown(buffer.getvalue()) if profile != b"broken" else source
    unchanged = np.asarray(mask_weights(mask(), 4)) == 0
    unchanged[:, :32] = False  # the seam's
    assert unchanged.any()
    difference = np.abs(np.asarray(seen).astype(int) - np.asarray(before))
    assert difference[unchanged].max() <= 1
    if profile != b"broken":
        plain = np.asarray(source.convert("RGB")).astype(int)
        assert np.abs(np.asarray(seen) - plain)[unchanged].max() > 5, "the control"


def test_a_strength_of_0_changes_nothing(tiny_engine: Engine) -> None:
    assert painted(tiny_engine, inpaint(strength=0.0)).tobytes() == photo().tobytes()
    strokes = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    strokes.paste((255, 0, 0, 255), (40, 40, 60, 60))
    drawn = painted(tiny_engine, inpaint(strength=0.0, sketch=sent(strokes), mask=None))
    assert drawn.getpixel((50, 50))[0] > 250, "a sketch is drawn"
    grown = painted(tiny_engine, inpaint(strength=0.0, mask=None, outpaint=Outpaint(left=16)))
    assert grown.size == (WIDTH + 16, HEIGHT)
    kept = np.asarray(grown)[:, 16 + 24 :]
    assert np.array_equal(kept, np.asarray(photo())[:, 24:])


# It is what diffusers paints, in its place


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DPM++ 2M", "PNDM"])
def test_within_the_mask_it_is_the_bare_pipelines(sampler: str, tiny_engine: Engine) -> None:
    request = inpaint(sampler=sampler, guidance_scale=5.0, mask_blur_px=0)
    result = painted(tiny_engine, request)
    with tiny_engine.manager.lease("mini", "inpaint") as leased:
        pipeline = leased.pipeline
        pipeline.scheduler = make_scheduler(sampler, dict(pipeline.scheduler.config))
        expected = pipeline(
            prompt="a red house",
            image=photo(),
            mask_image=mask(),
            width=WIDTH,
            height=HEIGHT,
            strength=0.7,
            num_inference_steps=3,
            guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(7),
        ).images[0]
    box = (40, 32, 80, 64)
    assert result.crop(box).tobytes() == expected.crop(box).tobytes()


# Every option does something


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a blue sea"},
        {"seed": 8},
        {"strength": 0.4},
        {"num_inference_steps": 6},
        {"guidance_scale": 1.5},
        {"sampler": "Euler a"},
        {"mask": sent(mask(20, 20, 60, 60))},
        {"mask": sent(mask(level=128))},
        {"sketch": sent(strokes())},
        {"invert_mask": True},
        {"mask_blur_px": 0.0},
        {"only_masked": True},
        {"only_masked": True, "padding_px": 4},
        {"masked_content": "fill"},
        {"masked_content": "noise"},
        {"masked_content": "empty"},
        {"variation_strength": 0.5, "variation_seed": 3},
        {"width": 64, "height": 64},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_option_changes_the_picture(changes: dict[str, Any], tiny_engine: Engine) -> None:
    before = painted(tiny_engine, inpaint())
    assert before.tobytes() == painted(tiny_engine, inpaint()).tobytes()
    after = painted(tiny_engine, inpaint(**changes))
    assert after.size == before.size == (WIDTH, HEIGHT)
    assert before.tobytes() != after.tobytes()


def test_the_contents_of_the_mask_are_four_different_ones(tiny_engine: Engine) -> None:
    results = {
        content: painted(tiny_engine, inpaint(masked_content=content)).tobytes()
        for content in ("original", "fill", "noise", "empty")
    }
    assert len(set(results.values())) == 4
    padding = {
        padding_px: painted(tiny_engine, inpaint(only_masked=True, padding_px=padding_px)).tobytes()
        for padding_px in (0, 16)
    }
    assert padding[0] != padding[16]


def test_a_variation_at_full_strength_is_near(tiny_engine: Engine) -> None:
    request = inpaint(strength=1.0, sampler="Euler a")
    plain, near, far = (
        painted(
            tiny_engine,
            request.model_copy(update={"variation_strength": strength, "variation_seed": 3}),
        )
        for strength in (0.0, 0.05, 0.6)
    )
    assert 0 < difference(plain, near) < difference(plain, far)


def test_soft_inpainting_keeps_more_where_the_mask_is_grey(tiny_engine: Engine) -> None:
    grey = mask(level=100)
    request = inpaint(mask=sent(grey), mask_blur_px=0, num_inference_steps=10, strength=1.0)
    box = (40, 32, 80, 64)
    hard, soft = (
        painted(tiny_engine, request.model_copy(update={"soft": on})).crop(box)
        for on in (False, True)
    )
    assert difference(soft, photo().crop(box)) < difference(hard, photo().crop(box))
    white = request.model_copy(update={"mask": sent(mask())})
    hard, soft = (
        painted(tiny_engine, white.model_copy(update={"soft": on})) for on in (False, True)
    )
    assert hard.tobytes() == soft.tobytes(), "white is white"


def test_a_sketch_is_content_and_mask(tiny_engine: Engine) -> None:
    red, blue = (
        painted(tiny_engine, inpaint(mask=None, sketch=sent(strokes(colour=colour))))
        for colour in ((255, 0, 0, 255), (0, 0, 255, 255))
    )
    assert red.tobytes() != blue.tobytes()
    weight = mask_weights(strokes().getchannel("A"), 4)
    assert count_changed_outside(photo(), red, weight) == 0
    assert red.crop((12, 12, 28, 28)).tobytes() != photo().crop((12, 12, 28, 28)).tobytes()
    filled = painted(
        tiny_engine, inpaint(mask=None, sketch=sent(strokes()), masked_content="empty")
    )
    assert filled.tobytes() == red.tobytes(), "strokes stay, whatever the rest starts from"


def test_a_sketch_on_a_blank_canvas_guides_the_whole_picture(tiny_engine: Engine) -> None:
    blank = Image.new("RGB", (WIDTH, HEIGHT), "white")
    sketched = inpaint(image=sent(blank), mask=None, sketch=sent(strokes()))
    done = finished(tiny_engine, sketched)
    assert "canvas is blank" in done.warnings[0]
    assert "mask" not in " ".join(done.pictures[0].notes), "there is nothing outside it"
    result = np.asarray(done.pictures[0].image)
    assert (result[60:, 60:] != 255).any(axis=-1).mean() > 0.9, "far from the strokes, too"
    other = strokes(60, 60, 90, 90, colour=(0, 0, 255, 255))
    assert (
        np.asarray(painted(tiny_engine, sketched.model_copy(update={"sketch": sent(other)})))
        != result
    ).any()

    masked = finished(tiny_engine, inpaint(image=sent(blank), sketch=sent(strokes())))
    assert "canvas is blank" not in " ".join(masked.warnings), "a mask says where to paint"
    assert "outside the mask" in masked.pictures[0].notes[0]


def test_inverting_is_the_same_as_an_inverted_mask(tiny_engine: Engine) -> None:
    inverted = Image.eval(mask(), lambda level: 255 - level)
    one = painted(tiny_engine, inpaint(invert_mask=True))
    assert one.tobytes() == painted(tiny_engine, inpaint(mask=sent(inverted))).tobytes()
    alpha = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    alpha.putalpha(mask())
    drawn = painted(tiny_engine, inpaint(mask=sent(alpha)))
    assert drawn.tobytes() == painted(tiny_engine, inpaint()).tobytes(), "an alpha-only mask"


def test_outpainting_grows_the_canvas_and_nothing_else(tiny_engine: Engine) -> None:
    request = inpaint(mask=None, outpaint=Outpaint(left=16, bottom=8))
    result = painted(tiny_engine, request)
    assert result.size == (WIDTH + 16, HEIGHT + 8)
    weight = np.asarray(result.crop((16 + 20, 0, 16 + WIDTH, HEIGHT - 20)))
    assert (weight == np.asarray(photo().crop((20, 0, WIDTH, HEIGHT - 20)))).all()
    repeated = grow_canvas(photo(), Box(16, 0, 16 + WIDTH, HEIGHT), Size(WIDTH + 16, HEIGHT + 8))
    new = (0, 0, 16, HEIGHT)
    assert result.crop(new).tobytes() != repeated.crop(new).tobytes(), "it was painted"
    assert difference(result.crop((0, 0, 8, 40)), Image.new("RGB", (8, 40))) > 10


def test_only_masked_paints_finer_than_the_whole(tiny_engine: Engine) -> None:
    large = photo(width=600, height=400)
    small = Image.new("L", large.size, 0)
    small.paste(255, (300, 200, 340, 230))
    request = inpaint(image=sent(large), mask=sent(small))
    whole, part = (
        finished(tiny_engine, request.model_copy(update={"only_masked": on}))
        for on in (False, True)
    )
    assert any(
        "less sharp" in text and "paint only the masked part" in text for text in whole.warnings
    )
    assert part.warnings == ()
    for ended in (whole, part):
        assert ended.pictures[0].image.size == large.size
    assert part.pictures[0].image.tobytes() != whole.pictures[0].image.tobytes()


# Masks that can't be meant


def refused(engine: Engine, match: str, **changes: Any) -> str | None:
    with pytest.raises(RequestError, match=match) as caught:
        engine.submit(inpaint(**changes))
    return caught.value.field


def test_masks_that_cant_be_meant_are_refused(tiny_engine: Engine) -> None:
    empty = sent(mask(level=0))
    other = sent(Image.new("L", (50, 60), 255))
    spot = sent(mask(50, 50, 51, 51))
    assert refused(tiny_engine, "mask is empty", mask=empty) == "mask"
    assert refused(tiny_engine, "mask is empty", mask=None) == "mask"
    assert (
        refused(
            tiny_engine, "mask is empty", mask=sent(mask(0, 0, WIDTH, HEIGHT)), invert_mask=True
        )
        == "mask"
    )
    assert refused(tiny_engine, "mask is 50x60, but the picture is 112x96", mask=other) == "mask"
    assert refused(tiny_engine, "sketch is 50x60, but the picture is", sketch=other) == "sketch"
    assert refused(tiny_engine, "blur less", mask=spot, mask_blur_px=40) == "mask_blur_px"
    assert refused(tiny_engine, "Nothing to invert", mask=None, invert_mask=True) == "invert_mask"
    assert refused(tiny_engine, "Use PNG", mask=InputImage(data=b"x")) == "mask"
    assert refused(tiny_engine, "leaves none of the", strength=0.1) == "strength"
    bare = inpaint().without_image_data()
    assert refused(tiny_engine, "picture isn't stored in the file", image=bare.image) == "image"
    assert refused(tiny_engine, "mask isn't stored in the file", mask=bare.mask) == "mask"


def test_a_canvas_too_large_is_refused(tiny_engine: Engine) -> None:
    image = sent(Image.new("L", (8000, 8000)))
    field = refused(tiny_engine, "at most", image=image, mask=None, outpaint=Outpaint(left=1))
    assert field == "outpaint"


def test_a_mask_over_everything_is_told(tiny_engine: Engine) -> None:
    everything = finished(tiny_engine, inpaint(mask=sent(mask(0, 0, WIDTH, HEIGHT))))
    assert any("whole picture is repainted" in text for text in everything.warnings)
    assert finished(tiny_engine, inpaint()).warnings == ()


def test_what_full_strength_makes_pointless_is_told(tiny_engine: Engine) -> None:
    ended = finished(
        tiny_engine, inpaint(strength=1.0, masked_content="fill", sketch=sent(strokes()))
    )
    assert sum("had no effect" in text for text in ended.warnings) == 2


@pytest.mark.parametrize("side", [1, 8000])
def test_tiny_and_huge_pictures_go_in(side: int, tiny_engine: Engine) -> None:
    image = Image.new("RGB", (side, side), "teal")
    drawn = Image.new("L", (side, side), 0)
    drawn.paste(255, (0, 0, max(1, side // 80), max(1, side // 80)))
    request = inpaint(image=sent(image), mask=sent(drawn), mask_blur_px=0, only_masked=True)
    picture = finished(tiny_engine, request).pictures[0]
    assert picture.image.size == (side, side)
    assert picture.notes[0].startswith(PROMISE) == (side > 1), "of one pixel nothing is outside"


# Again, and in batches


def test_a_batch_is_its_single_pictures(tiny_engine: Engine) -> None:
    request = inpaint(num_images=2, only_masked=True, outpaint=Outpaint(top=8))
    ended = finished(tiny_engine, request)
    assert len({picture.image.tobytes() for picture in ended.pictures}) == 2
    for picture in ended.pictures:
        again = finished(tiny_engine, picture.request).pictures[0]
        assert again.request == picture.request
        assert again.image.tobytes() == picture.image.tobytes()


def test_previews_come_and_a_cancel_acts_within_a_step(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(inpaint(num_inference_steps=900))
    seen: list[Progress] = []
    for event in job.events(120):
        if isinstance(event, Progress):
            seen.append(event)
        if any(event.preview is not None for event in seen):
            job.cancel()
    assert any(event.preview is not None for event in seen)
    assert {event.total_steps for event in seen} == {630}
    assert seen[-1].step < 630
    assert not isinstance(job.latest, Finished)
    assert painted(tiny_engine, inpaint()).size == (WIDTH, HEIGHT)


# Models that see masks


def test_both_kinds_of_model_say_which_they_are(tiny_engine: Engine, nine_engine: Engine) -> None:
    four = finished(tiny_engine, inpaint()).pictures[0]
    assert "4 channels" in four.notes[1]
    for strength in (0.7, 1.0):
        nine = finished(nine_engine, inpaint(model="nine", strength=strength)).pictures[0]
        assert "9 channels" in nine.notes[1]
        assert nine.notes[0].startswith(PROMISE)
        assert count_changed_outside(photo(), nine.image, mask_weights(mask(), 4)) == 0
        other = finished(nine_engine, inpaint(model="nine", strength=strength, seed=8))
        assert nine.image.tobytes() != other.pictures[0].image.tobytes()


def test_a_model_that_sees_masks_says_what_it_cant_do(nine_engine: Engine) -> None:
    soft = finished(nine_engine, inpaint(model="nine", soft=True))
    assert any("soft inpainting had no effect" in text for text in soft.warnings)
    for request in (
        TextToImage(prompt="a house", model="nine"),
        image_to_image(model="nine"),
    ):
        with pytest.raises(ModelLoadError, match="can only inpaint"):
            finished(nine_engine, request)


def test_an_inpainting_folder_is_of_its_family(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}')
    catalog = Catalog.default().with_source(str(tmp_path))
    assert catalog.rows(ModelRow)[-1].family.name == "sd1"
