"""The Gallery tab's words."""

from __future__ import annotations

from collections.abc import Sequence

GALLERY = "Gallery"

# Filters.

SEARCH = "Search"
SEARCH_HINT = "Words of the prompt, or a model"
MODEL = "Model"
KIND = "Made with"
FEEDBACK = "Rating"
TAG = "Tag"
SHOW = "Show"
ORDER = "Order"
EVERY = "All"
ORDERS = (
    ("", "Newest first"),
    ("oldest", "Oldest first"),
    ("rating", "Best rated first"),
    ("pixels", "Largest first"),
)
SINCE = "From day"
UNTIL = "To day"
MORE_FILTERS = "More filters"
LIKED = "Liked"
DISLIKED = "Disliked"
NOT_RATED = "Not rated"
PICTURES = "Pictures"
FAVOURITES = "Favourites"
BIN = "Bin"
CLEAR_FILTERS = "Clear filters"

KINDS = {
    "text_to_image": "Text to image",
    "image_to_image": "Image to image",
    "inpaint": "Sketch & inpaint",
    "upscale": "Upscale",
    "grid": "Grid",
    "unknown": "Without settings",
}
RELATIONS = {
    "image_to_image": "Changed from",
    "inpaint": "Repainted from",
    "upscale": "Enlarged from",
    "control": "Guided by",
    "variation": "Variation of",
    "grid": "Cell of",
}

# Pictures and what can be done with them.

YOUR_PICTURES = "Your pictures"
KEYS = (
    "Arrow keys move, Enter opens, Space selects. 1 dislikes, 2 clears the rating, 3 likes, "
    "F marks a favourite, Delete moves to the bin, Control and A select all."
)
FAVOURITE = "Favourite"
ADD_TAG = "Add a tag"
TAGS = "Tags"
DELETE = "Delete"
RESTORE = "Restore"
EMPTY_BIN = "Empty the bin"
CANCEL = "Cancel"
PREVIOUS = "Previous picture"
NEXT = "Next picture"
USE_SETTINGS = "Use settings"
CLEAR_SELECTION = "Clear selection"
SELECTED_PICTURES = "Selected pictures"
SELECT_ALL = "Select all"
ZIP = "Download ZIP"
LINEAGE = "Lineage"
ERASE_BY_ITSELF = "Erase by itself"
NEVER = "Never"


def after_days(days: int) -> str:
    return "After 1 day" if days == 1 else f"After {days} days"


ERASE = "Erase them for good"
ERASE_WARNING = "This erases all pictures in your bin, with their files. It can't be undone."

# Comparing pictures.

COMPARE = "Compare"
COMPARE_KEYS = "Pictures side by side: + and − zoom, 0 fits them in, arrow keys move them"  # noqa: RUF001
DIFFERENCES = "Settings that differ"
ZOOM_IN = "Zoom in (+)"
ZOOM_OUT = "Zoom out (-)"
FIT = "Fit"


# If there is nothing to show.

NO_PICTURES = "No pictures yet"
NO_PICTURES_HELP = "Paint one on another tab. Every finished picture is kept here."
NOTHING_FOUND = "Nothing found"
NOTHING_FOUND_HELP = "Try fewer words, or clear the filters."
BIN_EMPTY = "The bin is empty"
BIN_EMPTY_HELP = "Pictures that you delete wait here until you empty the bin."
UNREACHABLE = "The gallery can't be read"
TRY_AGAIN = "Try again"

# A picture's settings.

SETTINGS = {
    "model": "Model",
    "width": "Width",
    "height": "Height",
    "seed": "Seed",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "sampler": "Sampler",
    "profile": "Speed",
    "quality": "Quality",
    "strength": "Strength",
    "clip_skip": "Clip skip",
    "vae": "VAE",
    "variation_strength": "Variation",
    "variation_seed": "Variation seed",
    "prompt_syntax": "Brackets in prompts",
    "emphasis": "Brackets in prompts",
    "template": "Written as",
    "styles": "Styles",
    "loopback": "Passes",
    "loopback_strength_factor": "Strength factor",
    "mask_blur_px": "Mask blur",
    "padding_px": "Padding",
    "masked_content": "Started from",
    "only_masked": "Only the masked part",
    "resize_mode": "If proportions differ",
    "outpaint": "Grown by",
    "refiner": "Refiner",
    "branches": "Continued",
    "loras": "LoRAs",
    "controls": "ControlNets",
    "ip_adapters": "Image prompts",
    "hires": "Hires fix",
    "upscaling": "Upscaling",
    "free_u": "FreeU",
}
PART_SETTINGS = {
    "scale": "{}x",
    "weight": "weight {}",
    "conditioning_scale": "strictness {}",
    "guidance_start": "start {}",
    "guidance_end": "end {}",
    "resize_mode": "{} if proportions differ",
    "num_inference_steps": "{} steps",
    "tile_px": "tiles of {} pixels",
    "switch_at": "from {}",
    "after_step": "after step {}",
    "guidance_scale": "guidance {}",
}
"""Settings within a part, such as a ControlNet's."""
AXES = ("From left to right", "Downwards", "In blocks")
ON = "on"
UPSCALER = "Upscaler"
NEGATIVE_PROMPT = "Negative prompt"
SIZE = "Size"
PAINTED = "Painted"
TOOK = "Took"
DEVICE = "Device"
FILE = "File"


def seconds(amount: float) -> str:
    return f"{amount:.1f} s"


def model_not_here(name: str) -> str:
    return f"The model {name} isn't installed. Its settings are used with another one."


# Errors.

FILE_MISSING = "The file of this picture is missing. It may be on a disk that isn't there now."
NO_SUCH_PICTURE = "This picture isn't in your gallery."
CHANGE_FORMAT = "A change names pictures by their ids, and one change with its value."


def too_many_ids(limit: int) -> str:
    return f"At most {limit} pictures can be changed at once. Select fewer."


BIN_DAYS_OF_OWNER = "Only a person on the app's own machine can change when the bin is emptied."


# A ZIP file of pictures.

ZIP_GONE = "This selection is no longer there. Download it again from the gallery."


def too_many_to_zip(limit: int, count: int) -> str:
    return f"A ZIP file holds at most {limit} pictures, not {count}. Select fewer."


def zip_too_large(limit: str, size: str) -> str:
    return f"These pictures take {size}; a ZIP file holds at most {limit}. Select fewer."


def not_included(ids: Sequence[str]) -> str:
    lines = "\n".join(ids)
    return f"The files of these pictures couldn't be read and are missing or cut off:\n{lines}\n"


# Variations.

VARIATIONS = "Variations"
VARY_WHAT = "What to vary"
NEARBY_SEEDS = "Nearby seeds"
NEARBY_SEEDS_HELP = "The same settings, with noise a little away from this picture's."
PICTURE_ITSELF = "Image to image"
PICTURE_ITSELF_HELP = "Paint over the picture as it is."
STRENGTH = "Strength"
STRENGTH_HELP = "Low stays close to this picture, high changes more."
HOW_MANY = "How many"
PAINT_THEM = "Paint them"
RUN_GONE = "This run is no longer known: the app was restarted, or it ended long ago."


def variations_wait(ahead: int) -> str:
    return f"Variations are queued, {ahead} ahead." if ahead else "Variations are queued, next."


def variations_running(done: int, total: int) -> str:
    return f"Painting variation {min(done + 1, total)} of {total}…"


def variations_done(count: int) -> str:
    return "One variation is finished." if count == 1 else f"{count} variations are finished."


def variations_cancelled(count: int) -> str:
    return f"Cancelled. {variations_done(count)}" if count else "Cancelled. Nothing was painted."
