"""Words of the single tabs."""

from __future__ import annotations

# Image to image.

RESULT_APPEARS_HERE = "Your result appears here"
HOW_TO_CHANGE_A_PICTURE = "Open a picture, describe how it should change, and generate."
STRENGTH = "Strength"
KEEP_OR_REPAINT_PICTURE = "0: keep the picture. 1: repaint it completely"
SIZE_OF_THE_RESULT = "Size of the result"
KEEP_PROPORTIONS = "Keep proportions"
MORE_PICTURE_SETTINGS = "More picture settings"
PASSES = "Passes"
PASSES_INFO = "Each pass starts from the previous result"
STRENGTH_FACTOR = "Strength factor"
STRENGTH_FACTOR_INFO = "Multiplies the strength on each further pass"
BACKGROUND = "Background of transparent pictures"


# Sketch & inpaint.

HOW_TO_INPAINT = (
    "Open a picture, paint a mask over what should change, and describe what should be there. Or "
    "sketch on a blank canvas."
)
KEEP_OR_REPAINT_MASKED = "0: keep the original. 1: repaint it completely"
ONLY_MASKED = "Paint only the masked part, at full size"
MORE_MASK_SETTINGS = "More mask settings"
GROW_THE_PICTURE = "Grow the picture"
MASK_BLUR = "Mask blur"
MASK_BLUR_INFO = "Soft edge, in pixels"
PADDING = "Padding"
PADDING_INFO = "Pixels around the masked part to include when only that is painted"
MASKED_CONTENT = "The masked part starts from"
SOFT = "Soft: keep more where the mask is grey"
INVERT = "Invert: repaint what isn't masked"


# Draw & control.

DRAWING_BECOMES_A_PAINTING = "Your drawing becomes a painting"
HOW_TO_CONTROL = "Draw lines on the canvas or open a picture, describe the result, and generate."
NO_DRAWING = "Draw or open a picture first."
SECOND_PICTURE = "A second picture"
MORE_CONTROL_SETTINGS = "More control settings"


# Upscale.

WHICH_PICTURES = "Which pictures should be enlarged?"
HOW_TO_UPSCALE = "Open or drop one, several or a whole folder, then upscale and compare."
QUEUE_THESE_TOO = "Queue these too"
MORE = "More"


def one_becomes(size: object, enlarged: object) -> str:
    return f"{size} will become {enlarged}."


def all_become(count: int, size: object, enlarged: object) -> str:
    return f"{count} pictures of {size} will become {enlarged}."


def largest_becomes(count: int, enlarged: object) -> str:
    return f"{count} pictures, the largest becomes {enlarged}."


def was_upscaled(scale: float, upscaler: str | None) -> str:
    by = f" with {upscaler}" if upscaler else ""
    return f"A picture here was upscaled {scale:g}x{by}."


USE_THAT = "Use that"
