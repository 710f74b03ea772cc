"""Animations of a picture that comes about: animated WebP and GIF, and WebM and MP4 videos.

Pillow writes the first two. The others need PyAV, an optional dependency.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from PIL import Image

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import AnimationError
from paintdiff.imaging import messages
from paintdiff.imaging.geometry import Size, fit_within

if TYPE_CHECKING:
    from types import ModuleType

AnimationFormat = Literal["webm", "mp4", "webp", "gif"]

MAX_FPS = 120
MAX_FPS_GIF = 50
"""GIF counts hundredths of a second, and browsers slow anything faster down."""
MAX_SECONDS = 60.0
MAX_SIDE_PX = 4096
MAX_IMAGES = 1000
MAX_BYTES = 256 * 2**20
MAX_PIXELS_IN_PICTURES = 200_000_000
"""All frames of an animated WebP or GIF, which are in memory at once."""
_END_SECONDS = 1.5
_RUN_SECONDS = 4.0
_LONGEST_STEP_SECONDS = 0.25
_FADED_SHARE = 0.5
"""The part of a step's time in which it turns into the next."""

_MEDIA_TYPES: Mapping[AnimationFormat, str] = MappingProxyType(
    {"webm": "video/webm", "mp4": "video/mp4", "webp": "image/webp", "gif": "image/gif"}
)
_CODECS: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "webm": ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4", "row-mt": "1"}),
        "mp4": ("libx264", {"crf": "20"}),
    }
)


@dataclass(frozen=True)
class Pace:
    """How an animation moves: `fps` frames a second, each image for `image_seconds`.

    With `fades` each turns into the next within the second half of its time, where a format can
    afford it. The last image stays for `end_seconds`.
    """

    fps: int = 60
    image_seconds: float = 0.2
    end_seconds: float = _END_SECONDS
    fades: bool = True

    @classmethod
    def for_images(cls, count: int, fps: int = 60, *, fades: bool = True) -> Pace:
        """Return a pace at which so many images take some seconds, however many they are."""
        seconds = min(_LONGEST_STEP_SECONDS, _RUN_SECONDS / max(1, count - 1))
        return cls(fps, max(1 / max(1, fps), seconds), fades=fades)


@dataclass(frozen=True)
class Shot:
    """One frame of an animation, and how many frames it stays."""

    image: Image.Image
    frames: int


def is_video(format: AnimationFormat) -> bool:
    """Return whether a format is a video, which needs PyAV."""
    return format in _CODECS


def media_type(format: AnimationFormat) -> str:
    """Return a format's media type for HTTP."""
    return _MEDIA_TYPES[format]


def write_animation(
    file: BinaryIO, images: Sequence[Image.Image], format: AnimationFormat, pace: Pace
) -> Size:
    """Write images, in order, as an animation, and return its size in pixels.

    They may have different sizes: all are enlarged to the last one's. A side that is odd loses a
    pixel in a video. WebP and GIF start again at the end.

    Raises:
        AnimationError: It would be too long or too large, or PyAV is missing.
    """
    _check(images, format, pace)
    last = images[-1]
    size = Size(last.width, last.height)
    if format in _CODECS:
        size = Size(max(2, size.width // 2 * 2), max(2, size.height // 2 * 2))
    shots = make_shots([_fit(each, size) for each in images], pace)
    if format in _CODECS:
        _write_video(file, shots, size, format, pace.fps)
    else:
        _write_images(file, shots, size, format, pace.fps)
    return size


def reduce_images(images: Sequence[Image.Image], longest_px: int) -> list[Image.Image]:
    """Return the images, reduced to a longest side where they are larger."""
    sizes = [fit_within(Size(each.width, each.height), longest_px) for each in images]
    return [_fit(each, size) for each, size in zip(images, sizes, strict=True)]


def check_fps(format: AnimationFormat, fps: int, *, fades: bool) -> None:
    """Check a number of frames a second.

    Raises:
        AnimationError: The format can't have so many, or it is less than 1.
    """
    most = MAX_FPS_GIF if format == "gif" and fades else MAX_FPS
    if not 1 <= fps <= most:
        raise AnimationError(messages.wrong_fps(format, fps, most))


def import_pyav() -> ModuleType:
    """Return PyAV.

    Raises:
        AnimationError: It isn't installed.
    """
    try:
        import av  # noqa: PLC0415 (an optional dependency)
    except ImportError as error:
        raise AnimationError(messages.PYAV_MISSING) from error
    return av


def _check(images: Sequence[Image.Image], format: AnimationFormat, pace: Pace) -> None:
    if not 1 <= len(images) <= MAX_IMAGES:
        raise AnimationError(messages.wrong_image_count(len(images), MAX_IMAGES))
    check_fps(format, pace.fps, fades=pace.fades)
    longest = max(images[-1].size)
    if longest > MAX_SIDE_PX:
        raise AnimationError(messages.animation_too_wide(longest, MAX_SIDE_PX))
    seconds = (len(images) - 1) * pace.image_seconds + pace.end_seconds
    if seconds > MAX_SECONDS:
        raise AnimationError(messages.animation_too_long(seconds, MAX_SECONDS))


def _fit(image: Image.Image, size: Size) -> Image.Image:
    plain = image if image.mode == "RGB" else _flatten(image)
    if plain.size == (size.width, size.height):
        return plain
    return plain.resize((size.width, size.height), Image.Resampling.LANCZOS)


def _flatten(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    whole = Image.new("RGBA", image.size, "white")
    whole.alpha_composite(image.convert("RGBA"))
    return whole.convert("RGB")


def make_shots(images: Sequence[Image.Image], pace: Pace) -> Iterator[Shot]:
    """Yield the frames: each image is held, and then fades into the next.

    Times are rounded so that they add up: image i begins at frame round(i * seconds * fps).
    """
    for number, (image, following) in enumerate(pairwise(images)):
        begin, end = (round(each * pace.image_seconds * pace.fps) for each in (number, number + 1))
        frames = max(1, end - begin)
        faded = round(frames * _FADED_SHARE) if pace.fades else 0
        if frames > faded:
            yield Shot(image, frames - faded)
        for step in range(1, faded + 1):
            yield Shot(Image.blend(image, following, step / (faded + 1)), 1)
    yield Shot(images[-1], max(1, round(pace.end_seconds * pace.fps)))


def _write_images(
    file: BinaryIO, shots: Iterator[Shot], size: Size, format: AnimationFormat, fps: int
) -> None:
    found = list(islice(shots, MAX_PIXELS_IN_PICTURES // size.area))
    if next(shots, None) is not None:  # both formats need all frames at once
        raise AnimationError(messages.too_many_frames(format, len(found), size))
    durations = _make_durations([shot.frames for shot in found], fps, 10 if format == "gif" else 1)
    settings: dict[str, Any] = {"quality": 85, "method": 4} if format == "webp" else {}
    pictures = [shot.image for shot in found]
    if format == "gif":
        pictures = [each.quantize(255, dither=Image.Dither.FLOYDSTEINBERG) for each in pictures]
    encoded = io.BytesIO()
    pictures[0].save(
        encoded,
        format=format.upper(),
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        **settings,
    )
    _check_bytes(encoded)
    file.write(encoded.getbuffer())


def _check_bytes(file: BinaryIO) -> None:
    if file.tell() > MAX_BYTES:
        raise AnimationError(messages.animation_too_large(format_byte_size(MAX_BYTES)))


def _make_durations(frames: Sequence[int], fps: int, unit_ms: int) -> list[int]:
    """Return durations in milliseconds, in whole units, whose rounding doesn't add up."""
    durations: list[int] = []
    passed = told = 0
    for count in frames:
        passed += count
        until = round(passed * 1000 / fps / unit_ms) * unit_ms
        durations.append(max(unit_ms, until - told))
        told += durations[-1]
    return durations


def _write_video(file: BinaryIO, shots: Iterator[Shot], size: Size, format: str, fps: int) -> None:
    av = import_pyav()
    codec, options = _CODECS[format]
    try:
        with av.open(file, "w", format=format) as container:
            stream = container.add_stream(codec, rate=fps, options=dict(options))
            stream.width, stream.height = size.width, size.height
            stream.pix_fmt = "yuv420p"
            number, tick = 0, Fraction(1, fps)  # the muxer changes the stream's
            for shot in shots:
                frame = av.VideoFrame.from_image(shot.image)
                for _ in range(shot.frames):
                    frame.pts, frame.time_base = number, tick
                    container.mux(stream.encode(frame))
                    _check_bytes(file)
                    number += 1
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise AnimationError(messages.video_failed(format, error)) from error
