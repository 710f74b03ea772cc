"""The scale and the upscaler of a picture.

These are all settings of the Upscale tab, and part of those of painting tabs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.jobs.request_parts import MAX_TILE_PX, MAX_UPSCALE, MIN_TILE_PX, Upscaling
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages
from paintdiff.ui.settings.face_setting import FaceSetting

if TYPE_CHECKING:
    from paintdiff.models.registry.upscaler_rows import UpscalerRow

OFF = "off"
OTHER = "other"
FIRST_OTHER = 3
_FACTORS = {"2x": "2", "4x": "4"}


class UpscaleSetting:
    """The components of a request's `upscaling`. `optional` adds the choice "Off".

    `name`, if any, prefixes their ids and the keys of their storage.
    """

    def __init__(self, context: PageContext, ids: Ids, *, optional: bool, name: str = "") -> None:
        self.context = context
        self._ids = ids
        self._optional = optional
        self._first = OFF if optional else next(iter(_FACTORS.values()))
        self._element = f"{name}-" if name else ""
        self._remembered = f"{name}_" if name else ""
        self._notes: dict[str, Note] = {}
        self._tile: gr.Number | None = None
        self._faces = FaceSetting(context, ids, self._element, self._remembered)

    # Layout

    def add(self) -> None:
        """Add scale and upscaler."""
        with gr.Column(elem_classes=["group", "upscale-setting"], scale=0):
            off = [(messages.OFF, OFF)] if self._optional else []
            self.factor = gr.Radio(
                [*off, *_FACTORS.items(), (messages.OTHER, OTHER)],
                value=self._first,
                label=messages.UPSCALE_WHEN_DONE if self._optional else messages.FACTOR,
                elem_id=self._ids(f"{self._element}factor"),
                elem_classes=["segments"],
            )
            self.other = gr.Number(
                FIRST_OTHER,
                label=messages.HOW_MANY_TIMES,
                info=messages.factor_range(MAX_UPSCALE),
                step=0.5,
                elem_id=self._ids(f"{self._element}other"),
                elem_classes=["upscale-other"],
                min_width=0,
            )
            self._notes["scale"] = add_note(self._ids, f"{self._element}factor")
            self.upscaler = gr.Dropdown(
                **self.offer(None),
                label=messages.UPSCALER,
                filterable=False,
                elem_id=self._ids(f"{self._element}upscaler"),
                elem_classes=["upscale-by"],
            )
            self._notes["upscaler"] = add_note(self._ids, f"{self._element}upscaler")
            self._faces.add()

    def add_tile(self) -> None:
        """Add the tile size."""
        self._tile = gr.Number(
            None,
            label=messages.TILE_SIZE,
            info=messages.TILE_SIZE_INFO,
            placeholder=messages.AS_MEMORY_ALLOWS,
            elem_id=self._ids(f"{self._element}tile"),
        )
        self._notes["tile_px"] = add_note(self._ids, f"{self._element}tile")

    # Part of a request

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        named = {"factor": self.factor, "other": self.other, "upscaler": self.upscaler}
        if self._tile is not None:
            named["tile"] = self._tile
        own = {f"{self._remembered}{name}": component for name, component in named.items()}
        return own | self._faces.inputs()

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        fields = self._notes | self._faces.notes()
        places = {f"upscaling.{field}": note for field, note in fields.items()}
        return {"upscaling": self._notes["scale"], **places}

    def wire(self, quick: Mapping[str, Any]) -> None:
        """Describe an upscaler when it is chosen."""
        self.upscaler.input(
            lambda chosen: gr.Dropdown(**self.offer(chosen)),
            [self.upscaler],
            [self.upscaler],
            **quick,
        )

    def read(self, values: Values) -> dict[str, object] | None:
        """Return the value of a request's `upscaling`; None if it is off."""
        scale = self.scale(values)
        if scale is None:
            return None
        tile = {} if self._tile is None else {"tile_px": values[self._tile] or None}
        faces = self._faces.read(values)
        return {"scale": scale, "upscaler": values[self.upscaler] or None, **tile, **faces}

    def enlarged_size(self, values: Values, size: Size) -> Size | None:
        """Return a picture's size after upscaling; None if it is off or unknown.

        Raises:
            SizeError: It would be too large.
        """
        scale = self.scale(values)
        if not isinstance(scale, (int, float)) or not 1 <= scale <= MAX_UPSCALE:
            return None
        return scale_size(size, scale, "upscaling.scale")

    def choose_scale(self, scale: float) -> Updates:
        """Return the updates that choose a scale."""
        chosen = f"{scale:g}"
        return {self.factor: chosen if chosen in _FACTORS.values() else OTHER, self.other: scale}

    def scale(self, values: Values) -> Any:
        """Return the chosen scale, unchecked; None if off.

        Raises:
            RequestError: It is missing.
        """
        chosen = values[self.factor]
        if chosen == OFF:
            return None
        if chosen != OTHER:
            return float(chosen)
        if values[self.other] is None:
            raise RequestError(messages.NO_FACTOR, field="upscaling.scale")
        return values[self.other]

    # Settings from elsewhere

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""

        def stored(name: str) -> str:
            return f"{self._remembered}{name}"

        offered = [*([OFF] if self._optional else []), *_FACTORS.values(), OTHER]
        updates: Updates = {
            self.factor: memory.choice(stored("factor"), offered, self._first),
            self.other: memory.number(stored("other"), FIRST_OTHER, 1, MAX_UPSCALE),
            self.upscaler: gr.Dropdown(**self.offer(memory.settings.get(stored("upscaler")))),
        }
        if self._tile is not None:
            tile = memory.number(stored("tile"), None, MIN_TILE_PX, MAX_TILE_PX)
            updates[self._tile] = tile
        return updates | self._faces.restore(memory)

    def fill(self, upscaling: Upscaling | None) -> Updates:
        """Return updates with the settings of an earlier picture.

        An unknown upscaler changes nothing.
        """
        if upscaling is None:
            return {self.factor: OFF} if self._optional else {}
        known = any(row.name == upscaling.upscaler for row in self.context.upscalers())
        updates = self.choose_scale(upscaling.scale)
        if known:
            updates[self.upscaler] = gr.Dropdown(**self.offer(upscaling.upscaler))
        if self._tile is not None:
            updates[self._tile] = upscaling.tile_px
        return updates | self._faces.fill(upscaling)

    def offer(self, chosen: object) -> dict[str, Any]:
        """Return the dropdown's properties; selects `chosen` if it exists, else the first."""
        rows = {row.name: row for row in self.context.upscalers()}
        if not rows:
            return {
                "choices": [],
                "value": None,
                "interactive": False,
                "info": messages.NO_UPSCALER,
            }
        name = chosen if isinstance(chosen, str) and chosen in rows else next(iter(rows))
        return {
            "choices": [(upscaler_title(row), row.name) for row in rows.values()],
            "value": name,
            "interactive": True,
            "info": upscaler_text(rows[name]),
        }


def upscaler_title(row: UpscalerRow) -> str:
    """Return an upscaler's title in a list, with the size of its download."""
    return f"{row.title}, {format_byte_size(row.size_bytes)}" if _needs_download(row) else row.title


def upscaler_text(row: UpscalerRow) -> str:
    """Describe an upscaler and its download."""
    if not _needs_download(row):
        return row.description
    fetched = messages.downloads_on_first_use(format_byte_size(row.size_bytes))
    return f"{row.description} {fetched}".strip()


def _needs_download(row: UpscalerRow) -> bool:
    return row.address is not None and not row.file.is_file()
