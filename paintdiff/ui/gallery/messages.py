"""The Gallery tab's words."""

from __future__ import annotations

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
NEWEST_FIRST = "Newest first"
OLDEST_FIRST = "Oldest first"
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
    "unknown": "Without settings",
}
RELATIONS = {
    "image_to_image": "Changed from",
    "inpaint": "Repainted from",
    "upscale": "Enlarged from",
    "control": "Guided by",
    "variation": "Variation of",
}

# Pictures and what can be done with them.

YOUR_PICTURES = "Your pictures"
KEYS = (
    "Arrow keys move, Enter opens, Space selects. 1 dislikes, 2 clears the rating, 3 likes, "
    "F marks a favourite, Delete moves to the bin."
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
MADE_FROM_THIS = "Made from this"
ERASE = "Erase them for good"
ERASE_WARNING = "This erases all pictures in your bin, with their files. It can't be undone."

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
}
NEGATIVE_PROMPT = "Negative prompt"
SIZE = "Size"
PAINTED = "Painted"
TOOK = "Took"
DEVICE = "Device"
FILE = "File"


def seconds(amount: float) -> str:
    return f"{amount:.1f} s"


def times(width: int, height: int) -> str:
    return f"{width} × {height}"  # noqa: RUF001 (the sign itself)


def model_not_here(name: str) -> str:
    return f"The model {name} isn't installed. Its settings are used with another one."


# Errors.

FILE_MISSING = "The file of this picture is missing. It may be on a disk that isn't there now."
NO_SUCH_PICTURE = "This picture isn't in your gallery."
CHANGE_FORMAT = "A change names pictures by their ids, and one change with its value."


def too_many_ids(limit: int) -> str:
    return f"At most {limit} pictures can be changed at once. Select fewer."
