"""Replays: every step is seen, and the last frame is the picture itself."""

from __future__ import annotations

import numpy as np
import pytest

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError
from paintdiff.jobs.events import Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import HiresFix
from paintdiff.jobs.requests import Inpaint, Request, TextToImage, Upscale
from paintdiff.replay import replaying
from paintdiff.replay.replaying import replay
from tests.job_helpers import Folder, pixels

REQUEST = TextToImage(
    prompt="a red house", width=64, height=96, num_inference_steps=4, seed=7, guidance_scale=3
)


def paint(engine: Engine, request: Request) -> tuple[Request, bytes]:
    picture = engine.generate(request).pictures[0]
    return picture.request, pixels(picture)


@pytest.mark.parametrize("sampler", ["ddim", "Euler a", "Heun", "DPM++ 2M Karras"])
def test_the_last_frame_is_the_picture_to_the_last_bit(tiny_engine: Engine, sampler: str) -> None:
    request, painted = paint(tiny_engine, REQUEST.model_copy(update={"sampler": sampler}))
    made = replay(tiny_engine, request)
    assert [frame.step for frame in made.frames] == [1, 2, 3, 4]
    assert made.frames[-1].image.tobytes() == painted == pixels(made.picture)
    assert {frame.image.size for frame in made.frames} == {(64, 96)}


def test_the_steps_approach_the_picture(mini_engine: Engine) -> None:
    """With the embedded painter: what is predicted first is farther away than what follows."""
    request, _ = paint(mini_engine, REQUEST.model_copy(update={"num_inference_steps": 8}))
    images = [np.asarray(frame.image, np.float32) for frame in replay(mini_engine, request).frames]
    distances = [float(np.abs(each - images[-1]).mean()) for each in images]
    assert distances[0] > distances[3] > distances[-2] > distances[-1] == 0


def test_both_passes_of_a_hires_fix_are_seen(tiny_engine: Engine) -> None:
    hires = HiresFix(scale=2, upscaler="latent", strength=0.5)
    request, painted = paint(tiny_engine, REQUEST.model_copy(update={"hires": hires}))
    made = replay(tiny_engine, request)
    assert [frame.step for frame in made.frames] == [1, 2, 3, 4, 5, 6]
    assert [frame.image.size for frame in made.frames] == [(64, 96)] * 4 + [(128, 192)] * 2
    assert made.frames[-1].image.tobytes() == painted


def test_frames_of_inpainting_show_the_whole_canvas(tiny_engine: Engine) -> None:
    picture = tiny_engine.generate(REQUEST).pictures[0].image
    mask = picture.convert("L").point(lambda _: 0)
    mask.paste(255, (16, 16, 48, 48))
    request, painted = paint(
        tiny_engine,
        Inpaint(
            prompt="a boat",
            image=InputImage.from_image(picture),
            mask=InputImage.from_image(mask),
            only_masked=True,
            padding_px=0,
            mask_blur_px=0,
            num_inference_steps=4,
            seed=1,
        ),
    )
    made = replay(tiny_engine, request)
    assert made.frames[-1].image.tobytes() == painted
    assert len(made.frames) > 1
    for frame in made.frames:
        assert frame.image.size == picture.size
        assert frame.image.crop((0, 0, 64, 16)).tobytes() == picture.crop((0, 0, 64, 16)).tobytes()


def test_nothing_is_saved(tiny_engine: Engine) -> None:
    store = Folder()
    with Engine(tiny_engine.manager, store=store) as engine:
        request, _ = paint(engine, REQUEST.model_copy(update={"width": 512, "height": 512}))
        assert len(store.saved) == 1
        seen: list[Progress] = []
        engine.submit(request, saves=False, on_step=seen.append).result()
        assert len(store.saved) == 1
    previews = [each.preview for each in seen if each.preview is not None]
    assert len(previews) == 4
    assert {each.size for each in previews} == {(512, 512)}


def test_long_runs_and_large_frames_are_limited(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "MAX_FRAMES", 3)
    monkeypatch.setattr(replaying, "MAX_HELD_BYTES", 3 * 3 * 32 * 48)
    request, painted = paint(tiny_engine, REQUEST.model_copy(update={"num_inference_steps": 9}))
    made = replay(tiny_engine, request)
    assert [frame.step for frame in made.frames] == [3, 6, 9]
    assert made.frames[0].image.size == (32, 48)
    assert made.frames[-1].image.tobytes() == painted


def test_an_enlarged_picture_has_no_steps(tiny_engine: Engine) -> None:
    picture = tiny_engine.generate(REQUEST).pictures[0].image
    with pytest.raises(RequestError, match="no steps"):
        replay(tiny_engine, Upscale(images=(InputImage.from_image(picture),)))
