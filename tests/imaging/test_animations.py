"""Animations: their frames, their times, and their limits."""

from __future__ import annotations

import builtins
import io
from typing import Any

import av
import pytest
from PIL import Image

from paintdiff.errors import AnimationError
from paintdiff.imaging import animations
from paintdiff.imaging.animations import AnimationFormat, Pace, write_animation

COLOURS = [(20 * number, 10, 255 - 20 * number) for number in range(10)]


def images(size: tuple[int, int] = (64, 32)) -> list[Image.Image]:
    return [Image.new("RGB", size, colour) for colour in COLOURS]


def written(format: AnimationFormat, pace: Pace, size: tuple[int, int] = (64, 32)) -> bytes:
    buffer = io.BytesIO()
    write_animation(buffer, images(size), format, pace)
    return buffer.getvalue()


def read_video(data: bytes) -> tuple[list[Image.Image], float, str]:
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        frames = [frame.to_image() for frame in container.decode(stream)]
        assert stream.average_rate is not None
        return frames, float(stream.average_rate), stream.codec_context.name


def near(colour: Any, other: Any, most: int = 12) -> bool:
    return all(abs(a - b) <= most for a, b in zip(colour, other, strict=True))


@pytest.mark.parametrize(("format", "codec"), [("webm", "vp9"), ("mp4", "h264")])
def test_a_video_has_its_rate_and_ends_with_the_picture(
    format: AnimationFormat, codec: str
) -> None:
    pace = Pace(fps=60, image_seconds=0.2, end_seconds=0.5)
    frames, rate, name = read_video(written(format, pace))
    assert (rate, len(frames)) == (60, 9 * 12 + 30)
    assert codec in name
    assert near(frames[0].getpixel((30, 16)), COLOURS[0])
    assert all(near(each.getpixel((30, 16)), COLOURS[-1]) for each in frames[-30:])


def test_held_images_fade_in_the_second_half_of_their_time() -> None:
    shots = list(animations.make_shots(images()[:2], Pace(fps=10, image_seconds=1)))
    assert [shot.frames for shot in shots] == [5, 1, 1, 1, 1, 1, 15]
    reds = [shot.image.getpixel((0, 0))[0] for shot in shots]  # pyright: ignore
    assert reds == sorted(reds)
    plain = animations.make_shots(images()[:2], Pace(fps=10, image_seconds=1, fades=False))
    assert [shot.frames for shot in plain] == [10, 15]


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_animated_pictures_have_one_frame_for_each_image(format: AnimationFormat) -> None:
    data = written(format, Pace.for_images(10, 60, fades=False))
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == format.upper()
        assert image.n_frames == 10  # pyright: ignore[reportAttributeAccessIssue]
        durations: list[int] = []
        for number in range(10):
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
            assert near(image.convert("RGB").getpixel((30, 16)), COLOURS[number])
    assert sum(durations[:9]) == pytest.approx(9 * 250, abs=20)
    assert durations[-1] == pytest.approx(1500, abs=20)


def test_twenty_steps_take_some_seconds_and_a_thousand_no_longer() -> None:
    for count in (20, 200, 1000):
        pace = Pace.for_images(count, 60)
        assert 3 <= (count - 1) * pace.image_seconds <= 17
    assert Pace.for_images(1).image_seconds <= 0.25


def test_images_of_other_sizes_and_odd_sides_fit() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (16, 8)), Image.new("RGBA", (65, 33), (255, 0, 0, 128))]
    assert write_animation(buffer, frames, "webm", Pace(fps=10)).width == 64
    found, _, _ = read_video(buffer.getvalue())
    assert found[-1].size == (64, 32)


@pytest.mark.parametrize(
    ("pace", "count", "match"),
    [
        (Pace(fps=0), 2, "1 to 120 frames a second, not 0"),
        (Pace(fps=121), 2, "1 to 120"),
        (Pace(image_seconds=60), 3, "60 is the most"),
        (Pace(), 0, "1 to 1000 images"),
    ],
)
def test_what_is_too_much_is_refused(pace: Pace, count: int, match: str) -> None:
    with pytest.raises(AnimationError, match=match):
        write_animation(io.BytesIO(), images()[:count], "webm", pace)


def test_other_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnimationError, match="1 to 50 frames a second, not 60"):
        written("gif", Pace(fps=60))
    with pytest.raises(AnimationError, match="5000 pixels"):
        written("webp", Pace(), (5000, 8))
    with monkeypatch.context() as patch:
        patch.setattr(animations, "MAX_PIXELS_IN_PICTURES", 12 * 64 * 32)
        assert written("webp", Pace(fades=False))
        with pytest.raises(AnimationError, match="64x32 may have 12 different frames"):
            written("webp", Pace())
    monkeypatch.setattr(animations, "MAX_BYTES", 300)
    for format in ("webm", "webp", "gif", "mp4"):
        with pytest.raises(AnimationError, match="larger than"):
            written(format, Pace(fps=20))


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **settings: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return original(name, *args, **settings)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(AnimationError, match=r"paintdiffusion\[video\]"):
        written("webm", Pace())
    assert written("gif", Pace(fps=20))
