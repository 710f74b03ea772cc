"""Sentences about sizes and picture files."""

from __future__ import annotations

Borders = tuple[int, int, int, int]
"""Widths in pixels: left, right, top, bottom."""


# Files that can't be read as a picture.

NO_PICTURE = "Can't open this. Use PNG, JPEG or WebP."


def unreadable_file(path: object, reason: str | None) -> str:
    return f"{path} can't be read: {reason}."


def file_too_large(limit: str) -> str:
    return f"The file is larger than {limit}. Save it smaller."


def too_many_pixels(count: int, limit: int) -> str:
    return f"The picture has {count:,} pixels; at most {limit:,} are read."


def picture_too_large(reason: object) -> str:
    return f"The picture is too large: {reason}"


def damaged_picture(reason: object) -> str:
    return f"The picture is damaged or cut off: {reason}. Save it again and retry."


UNREADABLE_16_BITS = "its 16 bits can't be read"


def unreadable_16_bits(reason: str) -> str:
    return f"its 16 bits can't be read ({reason})"


def no_room_for_picture(size: object, reason: str | None) -> str:
    return (
        f"The picture, {size}, can't be kept in the folder for temporary files: {reason}. Free "
        "some space there, or set TMPDIR to another folder."
    )


# Sizes outside their limits.


def size_without_pixels(size: object) -> str:
    return f"A size needs at least one pixel each way, not {size}."


def box_without_pixels(corners: object) -> str:
    return f"A box needs at least one pixel each way, not {corners}."


def not_a_size(text: str) -> str:
    return f"{text!r} isn't a size. Write width x height, like 128x128."


def side_out_of_range(field: str, least: int, most: int, side: int) -> str:
    return f"{field} must be {least} to {most} pixels, not {side}."


def area_too_large(size: object, area: int, most: int) -> str:
    return (
        f"{size} has {area:,} pixels; at most {most:,} can be painted at once. Paint smaller and "
        "upscale."
    )


def enlarged_too_much(
    size: object, scale: float, larger: object, most_px: int, most_times: float
) -> str:
    advice = (
        f"Enlarge at most {most_times:g} times."
        if most_times >= 1
        else "Make the picture smaller first."
    )
    return (
        f"{size} enlarged {scale:g} times would be {larger}; a side can have at most "
        f"{most_px:,} pixels. {advice}"
    )


# The effect of a resize mode, in advance or afterwards (`done`).


def same_size(size: object, done: bool) -> str:
    return f"The size {'stayed' if done else 'stays'} {size}."


def resized(source: object, target: object, done: bool) -> str:
    return f"{source} {_be(done)} resized to {target}."


def stretched(source: object, target: object, done: bool) -> str:
    return f"{source} {_be(done)} stretched to {target}, which changes its proportions."


def cropped(source: object, kept: object, lost: Borders, target: object, done: bool) -> str:
    then = f", then resized to {target}" if kept != target else ""
    return f"{source} {_be(done)} cropped to {kept} ({_list_borders(lost)} cut off){then}."


def padded(source: object, inner: object, added: Borders, target: object, done: bool) -> str:
    first = f"resized to {inner}, then " if inner != source else ""
    return f"{source} {_be(done)} {first}padded to {target} ({_list_borders(added)} added)."


def _be(done: bool) -> str:
    return "was" if done else "will be"


def _list_borders(borders: Borders) -> str:
    sides = zip(borders, ("left", "right", "top", "bottom"), strict=True)
    return ", ".join(f"{width_px} px {side}" for width_px, side in sides if width_px)


# Animations.

PYAV_MISSING = (
    "WebM and MP4 need PyAV, whose wheels include GPL encoders: pip install "
    "'paintdiffusion[video]'. Animated WebP and GIF need nothing more."
)


def wrong_image_count(count: int, most: int) -> str:
    return f"An animation has 1 to {most} images, not {count}."


def wrong_fps(kind: str, fps: int, most: int) -> str:
    return f"A {kind} has 1 to {most} frames a second, not {fps}."


def animation_too_wide(side: int, most: int) -> str:
    return f"The picture is {side} pixels wide or high; an animation may have {most} at most."


def animation_too_long(seconds: float, most: float) -> str:
    return (
        f"The animation would take {seconds:.0f} seconds; {most:.0f} is the most. Show fewer steps."
    )


def animation_too_large(most: str) -> str:
    return f"The animation would be larger than {most}. Choose fewer frames a second, or WebM."


def video_failed(kind: str, reason: object) -> str:
    return f"The {kind} can't be written: {reason}."


def too_many_frames(kind: str, most: int, size: object) -> str:
    return (
        f"An animated {kind} of {size} may have {most} different frames. Choose fewer frames a "
        "second, no fades, or WebM."
    )


# Encoding.

TOO_MANY_PICTURES = "Too many pictures are requested at once. Try again in a moment."


# Sheets.


def sheet_reduced(cell: object, whole: object) -> str:
    return (
        f"On the sheet the pictures are reduced from {whole} to {cell}. Their own files have the "
        "full size."
    )


def no_font_for(characters: str) -> str:
    return f"No font on this machine has the characters {characters[:40]}, so the sheet lacks them."
