"""Advice about sizes that a model wasn't trained for: paint at its own size, then upscale."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from paintdiff.imaging.geometry import Size, is_near_area, size_for_area
from paintdiff.jobs.request_parts import MAX_UPSCALE
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.ui.common import message_markup
from paintdiff.ui.settings import messages


@dataclass(frozen=True)
class SizeAdvice:
    """A better size: paint at `size`, in pixels, then upscale `scale` times (1: not at all)."""

    model: str
    native: Size
    wanted: Size
    size: Size
    scale: float

    @classmethod
    def about(cls, wanted: Size, row: ModelRow, scale: float = 1.0) -> SizeAdvice | None:
        """Return the advice for a picture of that size, upscaled `scale` times afterwards.

        None if the size suits the model.
        """
        native = row.native_size
        if is_near_area(wanted, native):
            return None
        size = size_for_area(wanted, native.area, row.family.size_multiple)
        if wanted.area < native.area:
            return cls(row.title, native, wanted, size, scale)
        times = scale * max(wanted.width / size.width, wanted.height / size.height)
        return cls(row.title, native, wanted, size, min(round(times, 2), MAX_UPSCALE))

    @property
    def markup(self) -> str:
        """Return the advice with a button to follow it."""
        larger = self.wanted.area > self.native.area
        said = messages.size_advice(self.model, self.native, self.wanted, larger=larger)
        advice = messages.paint_at(self.size, self.scale, larger=larger)
        return (
            f'{message_markup.note([said], "warning")}<div class="note-choices">'
            f'<button type="button" data-native>{escape(advice)}</button>'
            "</div>"
        )
