"""Markup of pictures: the stage, the thumbnails, a control map, and their actions.

Every value from outside passes through `html.escape`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from PIL import Image

from paintdiff.imaging.geometry import Size, choose_grid
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import Upscale
from paintdiff.ui.common import messages
from paintdiff.ui.common.pictures import alt_text, is_enlarged, is_too_large_to_show

PREVIEW_PX = (256, 512)
"""Minimum and maximum of a preview's longer side. A preview of 16x16 latents would look blocky."""
PREVIEW_JPEG_QUALITY = 80

DESTINATIONS = (
    (messages.IMAGE_TO_IMAGE, "image_to_image"),
    (messages.SKETCH_AND_INPAINT, "inpaint"),
    (messages.DRAW_AND_CONTROL, "controlnet"),
    (messages.UPSCALE, "upscale"),
    (messages.SETTINGS_TO_TEXT_TO_IMAGE, "text_to_image"),
)
"""Tabs that a finished picture can be sent to: (title, name)."""

PictureId = tuple[str, int]
"""Job id, and the picture's index in the job, from 0."""


@dataclass(frozen=True)
class Result:
    """A finished picture.

    `before` is the size of the picture it was enlarged from, if that still exists for comparison;
    `settings` are the settings besides the prompt. If the picture was `recorded` only, the engine
    has forgotten its job, and the gallery serves it.
    """

    id: PictureId
    picture: Picture
    before: Size | None = None
    settings: str = ""
    recorded: bool = False


def picture_url(result: Result, *, suffix: Literal["png", "jpg"] = "png") -> str:
    """Return a picture's URL among the page's own routes: the whole one, or a small "jpg".

    It is relative, so it works behind a proxy's path, too.
    """
    if result.recorded:
        whole = suffix == "png"
        return f"gallery/pictures/{result.picture.id}/{'file' if whole else 'thumbnail'}"
    job_id, index = result.id
    return f"pictures/{job_id}/{index}.{suffix}"


def preview_url(image: Image.Image) -> str:
    """Encode a small 8-bit RGB picture as a JPEG data URL: 20 times faster than a PNG."""
    least, most = PREVIEW_PX
    scale = min(max(max(image.size), least), most) / max(image.size)
    if scale != 1:
        sides = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(sides, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=PREVIEW_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def empty_stage(examples: Sequence[str], title: str, text: str) -> str:
    """Return the stage before anything is painted: an invitation and prompts to start with."""
    chips = "".join(
        f'<button type="button" class="chip" data-example="{index}">{escape(prompt)}</button>'
        for index, prompt in enumerate(examples)
    )
    return (
        '<div class="stage" data-state="empty"><div class="invitation">'
        f"{_EASEL}<h2>{escape(title)}</h2><p>{escape(text)}</p>"
        f'<div class="chips">{chips}</div></div></div>'
    )


def blank_stage(size: Size, state: str) -> str:
    """Return the stage while there is no preview yet."""
    return _stage(state, f'<div class="sheet blank" style="{_aspect(size)}"></div>')


def preview_stage(image: Image.Image, size: Size) -> str:
    """Return the stage with a preview. `size` is the finished picture's."""
    return _stage("painting", _preview_sheet(image, size))


def batch_stage(results: Sequence[Result], preview: Image.Image, size: Size, count: int) -> str:
    """Return the stage of a running batch: finished pictures first, then the preview.

    `size` is the finished size of the picture in the preview. Clicking a finished one enlarges it.
    """
    columns, rows = choose_grid(count)
    cells = "".join(_frame(result, acts="") for result in results)
    cells += (
        f'<figure class="frame"><div class="mount">{_preview_sheet(preview, size)}</div></figure>'
    )
    shape = f"--columns:{columns};--rows:{rows};{_aspect(results[0].picture.size)}"
    return f'<div class="stage many" data-state="painting" style="{shape}">{cells}</div>'


def finished_stage(results: Sequence[Result], state: str = "finished") -> str:
    """Return the stage with finished pictures (at least one), each with its actions below.

    Clicking one enlarges it. A single picture that was enlarged is shown in the viewer.
    """
    alone = len(results) == 1
    if alone and is_enlarged(results[0].picture.request):
        frames = _viewer(results[0])
    else:
        frames = "".join(
            _frame(result, alone=alone, acts=_actions(result, alone=alone)) for result in results
        )
    many = "" if alone else " many"
    columns, rows = choose_grid(len(results))
    shape = f"--columns:{columns};--rows:{rows};{_aspect(results[0].picture.size)}"
    return f'<div class="stage{many}" data-state="{escape(state)}" style="{shape}">{frames}</div>'


def failed_stage(message: str) -> str:
    """Return the stage with an error message in place of the picture."""
    return (
        '<div class="stage" data-state="failed"><div class="invitation" role="alert">'
        f"<h2>{escape(messages.DID_NOT_WORK)}</h2><p>{escape(message)}</p></div></div>"
    )


def cancelled_stage(verb: str = messages.GENERATE) -> str:
    """Return the stage of a run that was stopped before its first picture.

    `verb` is the label of the button that starts a run.
    """
    return (
        '<div class="stage" data-state="cancelled"><div class="invitation">'
        f"<h2>{escape(messages.CANCELLED)}</h2><p>{escape(messages.nothing_saved(verb))}</p>"
        "</div></div>"
    )


def control_map(upload_id: str, size: Size, words: str, keep: str, *, made_of: str) -> str:
    """Return a control map with its description `words`, and a button labelled `keep` to use it.

    Pages fetch the map by its upload's id. The page compares `made_of` with its current settings.
    """
    url = escape(f"uploads/{upload_id}")
    return (
        f'<figure class="map" data-made-of="{escape(made_of)}">'
        f'<img src="{url}" width="{size.width}" height="{size.height}" '
        f'alt="{escape(messages.CONTROL_MAP)}" style="{_aspect(size)}">'
        f"<figcaption><p>{escape(words)}</p>"
        f'<p class="outdated-words" role="status">{escape(messages.MAP_OUTDATED)}</p>'
        f'<div><button type="button" data-keep="{escape(upload_id)}">{escape(keep)}</button>'
        f'<a href="{url}" download="control-map.png">{escape(messages.DOWNLOAD)}</a></div>'
        "</figcaption></figure>"
    )


def filmstrip(results: Sequence[Result]) -> str:
    """Return pictures as thumbnails, newest first. Clicking one enlarges it with its settings."""
    if not results:
        return f'<div class="strip empty"><p>{escape(messages.NO_PICTURES_YET)}</p></div>'
    items = "".join(map(_thumbnail, results))
    return f'<ul class="strip" aria-label="{escape(messages.YOUR_PICTURES)}">{items}</ul>'


def look_dialog() -> str:
    """Return the dialog that shows a picture large; assets/look.js fills it."""
    return (
        f'<dialog id="look-dialog" aria-label="{escape(messages.PICTURE)}">'
        '<div class="look-place"></div>'
        '<div class="look-about"><div><p class="look-words" dir="auto"></p>'
        '<p class="look-settings"></p></div>'
        f'<div class="acts">{send_menu()}'
        f'<a class="save" href="" download>{_ARROW}<span>{escape(messages.DOWNLOAD)}</span></a>'
        f'<button type="button" class="act" data-close-look>{escape(messages.CLOSE)}</button>'
        "</div></div></dialog>"
    )


def _thumbnail(result: Result) -> str:
    words = escape(alt_text(result.picture.request))
    return (
        f'<li><button type="button" {look_attributes(result)} title="{words}">'
        f'<img src="{escape(picture_url(result, suffix="jpg"))}" alt="{words}" '
        'loading="lazy" decoding="async"></button></li>'
    )


def _stage(state: str, inside: str) -> str:
    return (
        f'<div class="stage" data-state="{escape(state)}">'
        f'<figure class="frame"><div class="mount">{inside}</div></figure></div>'
    )


def _preview_sheet(image: Image.Image, size: Size) -> str:
    return (
        f'<div class="sheet" style="{_aspect(size)}"><img class="canvas preview" '
        f'src="{preview_url(image)}" alt="{escape(messages.BEING_PAINTED)}"></div>'
    )


def _frame(result: Result, *, alone: bool = False, acts: str) -> str:
    size = result.picture.size
    words = escape(alt_text(result.picture.request))
    return (
        f'<figure class="frame"><div class="mount"><div class="sheet{_backdrop_class(result)}" '
        f'style="{_aspect(size)}"><button type="button" class="open" {look_attributes(result)} '
        f'aria-label="{escape(messages.look_closely(result.id[1] + 1))}">'
        f'<img class="canvas final" src="{_display_url(result, alone=alone)}" width="{size.width}" '
        f'height="{size.height}" alt="{words}" decoding="sync"></button></div></div>{acts}</figure>'
    )


def _viewer(result: Result) -> str:
    """Return a place that assets/viewer.js fills."""
    place = (
        f'<div class="viewer-place{_backdrop_class(result)}" {_viewer_attributes(result)}></div>'
    )
    return f'<figure class="viewer-frame">{place}{_actions(result)}</figure>'


def look_attributes(result: Result) -> str:
    """Return the data attributes that assets/look.js reads from a picture's button."""
    download = f"{escape(picture_url(result))}?download=1"
    return (
        f'data-look data-picture="{_name(result)}" data-settings="{escape(result.settings)}" '
        f'data-download="{download}" {_viewer_attributes(result)}'
    )


def _viewer_attributes(result: Result) -> str:
    """Return the data attributes that assets/viewer.js reads."""
    picture, size = result.picture, result.picture.size
    attributes = {
        "after": _display_url(result, alone=True),
        "alt": escape(alt_text(picture.request)),
        "width": size.width,
        "height": size.height,
        "after-size": str(size),
        "said": ("" if result.recorded else _reduced_text(picture))
        or (str(size) if result.before is None else ""),
    }
    if result.before is not None:
        attributes["before"] = escape(f"{picture_url(result).removesuffix('.png')}/original")
        attributes["before-size"] = str(result.before)
    return " ".join(f'data-{name}="{value}"' for name, value in attributes.items())


def _reduced_text(picture: Picture) -> str:
    if not is_too_large_to_show(picture):
        return ""
    shown = Size(*picture.image.size)
    return messages.shown_reduced(str(shown), str(picture.size))


def _display_url(result: Result, *, alone: bool) -> str:
    """Return the URL a browser displays: reduced if the picture is very large, or one of many."""
    picture = result.picture
    reduced = is_too_large_to_show(picture) if alone else picture.is_reduced
    return f"{escape(picture_url(result))}{'?reduced=1' if reduced else ''}"


def _actions(result: Result, *, alone: bool = True) -> str:
    """Return a result's actions: send to another tab, upscale, download the full size."""
    size, number, name = result.picture.size, result.id[1] + 1, _name(result)
    larger = (
        f'<button type="button" class="act" data-send="upscale" data-picture="{name}">'
        f"{_GROW}<span>{escape(messages.UPSCALE)}</span></button>"
    )
    return (
        f'<div class="acts">{send_menu(name, messages.send_picture(number))}'
        f"{larger if alone and not is_enlarged(result.picture.request) else ''}"
        f"{_replay_button(result.picture)}{_rate(result)}"
        f'<a class="save" href="{escape(picture_url(result))}?download=1" download '
        f'aria-label="{escape(messages.download_picture(number, size.width, size.height))}">'
        f"{_ARROW}<span>{escape(messages.DOWNLOAD)}</span></a></div>"
    )


def _replay_button(picture: Picture) -> str:
    """Return the button that assets/replay.js listens to, "" where there is nothing to replay."""
    if not picture.id or isinstance(picture.request, Upscale):
        return ""
    return (
        f'<button type="button" class="act" data-replay="{escape(picture.id)}">'
        f"{_PLAY}<span>{escape(messages.REPLAY)}</span></button>"
    )


def _rate(result: Result) -> str:
    """Return the buttons that like and dislike a picture; "" if the gallery hasn't got it."""
    if not result.picture.id:
        return ""
    number = result.id[1] + 1
    buttons = "".join(
        f'<button type="button" data-rate="{rate}" aria-pressed="false" title="{escape(title)}" '
        f'aria-label="{escape(label)}">{icon}</button>'
        for rate, title, label, icon in (
            (1, messages.LIKE, messages.like_picture(number), LIKE_ICON),
            (-1, messages.DISLIKE, messages.dislike_picture(number), DISLIKE_ICON),
        )
    )
    return (
        f'<span class="rate" data-rated="{escape(result.picture.id)}">{buttons}'
        '<span class="rate-problem" role="alert"></span></span>'
    )


def _name(result: Result) -> str:
    if result.recorded:
        return escape(result.picture.id)
    return f"{escape(result.id[0])}/{result.id[1]}"


def _backdrop_class(result: Result) -> str:
    """Return the CSS class of the backdrop behind a picture that may be transparent."""
    return " see-through" if "A" in result.picture.image.mode else ""


def send_menu(name: str = "", label: str = messages.SEND_THIS_PICTURE) -> str:
    """Return a menu that sends a picture to another tab. `name` may be filled in by a script."""
    entries = "".join(
        f'<button type="button" data-send="{tab}" data-picture="{name}">{escape(title)}</button>'
        for title, tab in DESTINATIONS
    )
    return (
        f'<details class="send"><summary aria-label="{escape(label)}">'
        f"<span>{escape(messages.SEND_TO)}</span>{_FORTH}</summary>"
        f'<div class="send-menu">{entries}</div></details>'
    )


def _aspect(size: Size) -> str:
    return f"--aspect:{size.width / size.height:.5f}"


_EASEL = (
    '<svg class="easel" viewBox="0 0 64 64" aria-hidden="true">'
    '<rect x="12" y="10" width="40" height="32" rx="3"/>'
    '<path d="M12 36l12-12 9 9 6-5 13 12"/><circle cx="41" cy="20" r="3.5"/>'
    '<path d="M22 42l-6 14M42 42l6 14M32 42v10"/></svg>'
)
_FORTH = '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 10h11m-4-4l4 4-4 4"/></svg>'
_GROW = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M11 4h5v5M16 4l-5.5 5.5M9 16H4v-5'
    'M4 16l5.5-5.5"/></svg>'
)
LIKE_ICON = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M6.5 9l3-6c1.4 0 2.2 1 2 2.4L11.1 8H15'
    'a1.6 1.6 0 0 1 1.6 1.9l-1 5A1.6 1.6 0 0 1 14 16.2H6.5zM6.5 9h-3v7.2h3"/></svg>'
)
DISLIKE_ICON = LIKE_ICON.replace("<path", '<path transform="rotate(180 10 10)"')
_PLAY = '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M6 4l10 6-10 6z"/></svg>'
_ARROW = (
    '<svg viewBox="0 0 20 20" aria-hidden="true">'
    '<path d="M10 3v9m0 0l-3.5-3.5M10 12l3.5-3.5M4 16h12"/></svg>'
)
