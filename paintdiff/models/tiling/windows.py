"""Choice of the overlapping windows that cover a picture too large for a network at once.

Importable without torch.
"""

from __future__ import annotations

import math

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.registry.model_rows import ModelRow

LARGEST_SEEN_AT_ONCE = 2
"""A model sees up to this many times its native area at once, unless a request says otherwise."""

LARGEST_WHOLE_PX = 1280
"""A VAE takes pictures of up to this number squared at once, and larger ones by windows of that
side. Stable Diffusion's VAE needs about 4 KiB a pixel (in float32) to decode, so 6.5 GiB here, and
16 GiB for 2048x2048."""

MODEL_OVERLAP = 1 / 2


def sees_through_windows(asked: bool | None, size: Size, model: ModelRow) -> bool:
    """Return whether a model paints a picture of that size through windows.

    `asked` decides; None means yes if the picture is too large to be seen at once. Never if the
    model's family doesn't support windows.
    """
    if not model.family.supports_windows:
        return False
    if asked is not None:
        return asked
    return size.area > LARGEST_SEEN_AT_ONCE * model.native_size.area


def choose_windows(size: Size, model: ModelRow) -> tuple[Box, ...]:
    """Return the windows, of its native size, through which a model sees a picture of that size."""
    return cover_with_windows(size, model.native_size, model.family.size_multiple, MODEL_OVERLAP)


def cover_with_windows(size: Size, window: Size, multiple: int, overlap: float) -> tuple[Box, ...]:
    """Return boxes in pixels that cover `size`, row by row, all of one size.

    Their size is that of the window, or of the picture where that is narrower. One box if
    everything fits.

    Neighbours share `overlap` (a fraction of the window, below 1) of their side or more. As few
    windows as that allows are spread evenly, so the last one ends at the edge, whatever the size.
    Every corner lies on a multiple of `multiple` if the picture's own corners do.
    """
    columns = _starts(size.width, window.width, multiple, overlap)
    rows = _starts(size.height, window.height, multiple, overlap)
    width, height = (
        min(length, _whole(side, multiple))
        for length, side in ((size.width, window.width), (size.height, window.height))
    )
    return tuple(Box(left, top, left + width, top + height) for top in rows for left in columns)


def _starts(length: int, side: int, multiple: int, overlap: float) -> tuple[int, ...]:
    side = _whole(side, multiple)
    last = length - side
    if last <= 0:
        return (0,)
    stride = max(multiple, int(side * (1 - overlap)) // multiple * multiple)
    steps = math.ceil(last / stride)
    # Rounding makes no stride longer: `stride` is whole multiples, and the mean is below it.
    starts = (last // multiple * number // steps * multiple for number in range(steps))
    return (*starts, last)


def _whole(side: int, multiple: int) -> int:
    return max(multiple, side // multiple * multiple)
