from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError
from paintdiff.imaging.images import MAX_PIXELS
from paintdiff.jobs.events import Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.inference.schedulers import make_scheduler
from tests.imaging.test_images import bomb, encoded
from tests.tasks.pictures import difference, finished, given, image_to_image, painted, photo


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a", "DPM++ 2M", "Heun", "LCM"])
def test_the_picture_is_the_bare_pipelines(sampler: str, tiny_engine: Engine) -> None:
    request = image_to_image(sampler=sampler, guidance_scale=5.0)
    picture = painted(tiny_engine, request)
    with tiny_engine.manager.lease("mini", "image_to_image") as leased:
        pipeline = leased.pipeline
        pipeline.scheduler = make_scheduler(sampler, dict(pipeline.scheduler.config))
        expected = pipeline(
            prompt="a red house",
            image=photo(),
            strength=0.7,
            num_inference_steps=3,
            guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(7),
        ).images[0]
    assert picture.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 0.4},
        {"prompt": "a blue sea"},
        {"image": given(photo(1))},
        {"seed": 8},
        {"num_inference_steps": 6},
        {"guidance_scale": 1.5},
        {"sampler": "Euler a"},
        {"loopback": 2},
        {"variation_strength": 0.5, "variation_seed": 3},
        {"width": 96, "height": 96, "resize_mode": "stretch"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_option_changes_the_picture(changes: dict[str, Any], tiny_engine: Engine) -> None:
    before = painted(tiny_engine, image_to_image())
    after = painted(tiny_engine, image_to_image(**changes))
    assert before.tobytes() == painted(tiny_engine, image_to_image()).tobytes()
    assert before.tobytes() != after.tobytes()


def test_a_low_strength_keeps_more_of_the_picture(mini_engine: Engine) -> None:
    request = image_to_image(num_inference_steps=8, strength=0.25)
    weak, strong = (
        painted(mini_engine, request.model_copy(update={"strength": strength}))
        for strength in (0.25, 1.0)
    )
    assert difference(weak, photo()) < difference(strong, photo()) / 1.5


def test_the_steps_shown_are_those_run(tiny_engine: Engine) -> None:
    request = image_to_image(num_inference_steps=20, strength=0.55, loopback=2)
    events = [e for e in tiny_engine.submit(request).events(120) if isinstance(e, Progress)]
    assert {event.total_steps for event in events} == {22}
    steps = [event.step for event in events]
    assert steps == sorted(steps)
    assert (events[-1].step, events[-1].stage) == (22, "decoding")


@pytest.mark.parametrize("strength", [0.01, 0.3])
def test_a_strength_that_leaves_no_step_is_refused(strength: float, tiny_engine: Engine) -> None:
    with pytest.raises(RequestError, match=r"0\.34 or more") as caught:
        tiny_engine.submit(image_to_image(strength=strength))
    assert caught.value.field == "strength"
    assert painted(tiny_engine, image_to_image(strength=0.34)).size == (112, 96)
    with pytest.raises(RequestError) as caught:
        tiny_engine.submit(image_to_image(loopback=3, loopback_strength_factor=0.5))
    assert caught.value.field == "loopback_strength_factor"


@pytest.mark.parametrize("changes", [{}, {"num_images": 2}, {"loopback": 3}, {"width": 64}])
def test_a_strength_of_0_changes_nothing(changes: dict[str, Any], tiny_engine: Engine) -> None:
    done = finished(tiny_engine, image_to_image(strength=0.0, **changes))
    assert len(done.pictures) == changes.get("num_images", 1)
    for picture in done.pictures:
        wanted = photo().resize(picture.image.size, Image.Resampling.LANCZOS)
        assert picture.image.tobytes() == wanted.tobytes()
        assert picture.notes == ("At a strength of 0 nothing is painted.",)


def test_loopback_feeds_the_result_back(tiny_engine: Engine) -> None:
    once = painted(tiny_engine, image_to_image())
    twice = painted(tiny_engine, image_to_image(image=given(once), seed=8))
    assert painted(tiny_engine, image_to_image(loopback=2)).tobytes() == twice.tobytes()
    stronger = image_to_image(loopback=2, loopback_strength_factor=2.0)
    ended = finished(tiny_engine, stronger)
    assert ended.pictures[0].image.tobytes() != twice.tobytes()
    assert any("pass 2" in warning for warning in ended.warnings)
    alone = finished(tiny_engine, image_to_image(loopback_strength_factor=2.0))
    assert any("no effect" in warning for warning in alone.warnings)


def test_alpha_lies_on_the_background(tiny_engine: Engine) -> None:
    clear = Image.new("RGBA", (112, 96), (0, 0, 0, 0))
    for colour in ("#ff0000", "#0000ff"):
        on_it = painted(tiny_engine, image_to_image(image=given(clear), background=colour))
        flat = given(Image.new("RGB", clear.size, colour))
        expected = painted(tiny_engine, image_to_image(image=flat))
        assert on_it.tobytes() == expected.tobytes()
    assert painted(tiny_engine, image_to_image(image=given(clear))).tobytes() != on_it.tobytes()


def test_the_resize_modes_give_different_pictures_and_say_so(tiny_engine: Engine) -> None:
    wide = given(photo(width=192, height=64))
    results: dict[str, bytes] = {}
    for mode, word in (("stretch", "stretched"), ("crop", "cropped"), ("pad", "padded")):
        ended = finished(
            tiny_engine, image_to_image(image=wide, width=96, height=96, resize_mode=mode)
        )
        results[mode] = ended.pictures[0].image.tobytes()
        assert any("192x64 was" in text and word in text for text in ended.warnings)
    assert len(set(results.values())) == 3
    padded = image_to_image(image=wide, width=96, height=96, resize_mode="pad")
    other = padded.model_copy(update={"background": "#00ff00"})
    assert painted(tiny_engine, other).tobytes() != results["pad"]


def test_exif_is_honoured(tiny_engine: Engine) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    photo().save(buffer, format="PNG", exif=exif)
    turned = photo().transpose(Image.Transpose.ROTATE_270)
    picture = painted(tiny_engine, image_to_image(image=InputImage(data=buffer.getvalue())))
    assert picture.size == (96, 112)
    assert picture.tobytes() == painted(tiny_engine, image_to_image(image=given(turned))).tobytes()


@pytest.mark.parametrize("kind", ["L", "P", "CMYK", "I;16", "LA", "1"])
def test_any_kind_of_pixels_goes_in(kind: str, tiny_engine: Engine) -> None:
    image = photo()
    if kind == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.quantize(16) if kind == "P" else image.convert(kind)
    data = encoded(image, "JPEG" if kind == "CMYK" else "PNG")
    picture = painted(tiny_engine, image_to_image(image=InputImage(data=data)))
    assert (picture.mode, picture.size) == ("RGB", (112, 96))


@pytest.mark.parametrize(("side", "size"), [(1, (128, 128)), (8000, (128, 128))])
def test_tiny_and_huge_pictures_go_in(
    side: int, size: tuple[int, int], tiny_engine: Engine
) -> None:
    image = given(Image.new("RGB", (side, side), "teal"))
    ended = finished(tiny_engine, image_to_image(image=image))
    assert ended.pictures[0].image.size == size
    assert any(f"{side}x{side} was resized to 128x128" in text for text in ended.warnings)


def test_files_that_cant_be_used_are_refused_at_once(tiny_engine: Engine) -> None:
    cut_off = encoded(photo(), "PNG")
    for data, complaint in (
        (cut_off[: len(cut_off) // 2], "cut off"),
        (b"hello", "Use PNG, JPEG or WebP"),
        (bomb(40_000, 40_000), f"at most {MAX_PIXELS:,}"),
    ):
        with pytest.raises(RequestError, match=complaint) as caught:
            tiny_engine.submit(image_to_image(image=InputImage(data=data)))
        assert caught.value.field == "image"
    with pytest.raises(RequestError, match="Open it again"):
        tiny_engine.submit(image_to_image().without_image_data())


def test_a_resolved_request_paints_the_same_again(tiny_engine: Engine) -> None:
    request = image_to_image(
        num_images=2, loopback=2, variation_strength=0.3, image=given(photo(width=300, height=200))
    )
    ended = finished(tiny_engine, request)
    first, second = ended.pictures
    assert first.request.seed == second.request.seed == 7, "variations of one picture"
    assert first.request.variation_seed is not None
    assert second.request.variation_seed == first.request.variation_seed + 1
    assert first.image.tobytes() != second.image.tobytes()
    for picture in ended.pictures:
        again = finished(tiny_engine, picture.request).pictures[0]
        assert again.request == picture.request
        assert again.image.tobytes() == picture.image.tobytes()


@pytest.mark.parametrize("sampler", ["DDIM", "Euler a"])
def test_a_variation_of_words_is_near_and_turns_into_the_other(
    sampler: str, tiny_engine: Engine
) -> None:
    base = TextToImage(prompt="a red house", seed=7, num_inference_steps=3, sampler=sampler)
    plain, near, far = (
        painted(
            tiny_engine,
            base.model_copy(update={"variation_strength": strength, "variation_seed": 3}),
        )
        for strength in (0.0, 0.05, 0.6)
    )
    assert 0 < difference(plain, near) < difference(plain, far)
    if sampler == "DDIM":  # all its noise is the first
        other = painted(tiny_engine, base.model_copy(update={"seed": 3}))
        whole = base.model_copy(update={"variation_strength": 1.0, "variation_seed": 3})
        assert difference(painted(tiny_engine, whole), other) < 0.5
    unused = base.model_copy(update={"variation_seed": 3})
    assert any("no effect" in text for text in finished(tiny_engine, unused).warnings)


def test_the_last_variation_seed_has_to_fit(tiny_engine: Engine) -> None:
    request = TextToImage(
        prompt="x", num_images=2, variation_strength=0.1, variation_seed=2**32 - 1
    )
    with pytest.raises(RequestError, match="variation seed") as caught:
        tiny_engine.submit(request)
    assert caught.value.field == "variation_seed"
