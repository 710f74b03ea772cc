"""Words that every tab shows: titles, buttons, the stage with its pictures, and common errors."""

from __future__ import annotations

# The page and its tabs.

TITLE = "PaintDiffusion"
TEXT_TO_IMAGE = "Text to image"
IMAGE_TO_IMAGE = "Image to image"
SKETCH_AND_INPAINT = "Sketch & inpaint"
DRAW_AND_CONTROL = "Draw & control"
UPSCALE = "Upscale"
SETTINGS_TO_TEXT_TO_IMAGE = "Text to image (settings only)"
OPENING = "Opening…"
TAB_NOT_LOADED = "This tab couldn't be loaded. Is the app still running?"
TRY_AGAIN = "Try again"
SIGN_OUT = "Sign out"
SWITCH_THEME = "Switch between light and dark"
LIGHT_OR_DARK = "Light or dark"
IN_USE = "in use"
STATUS = "Status"
MODEL = "Model"
DEVICE = "Device"
MEMORY = "Memory"
QUEUE = "Queue"
SPEED = "Speed"


# Pictures and what can be done with them.

GENERATE = "Generate"
CLOSE = "Close"
DOWNLOAD = "Download"
PICTURE = "Picture"
PROGRESS = "Progress"
SEND_TO = "Send to"
LIKE = "Like"
DISLIKE = "Dislike"
NO_PICTURES_YET = "Your pictures appear here."
YOUR_PICTURES = "Your pictures, newest first"
BEING_PAINTED = "The picture being painted"
CONTROL_MAP = "The control map"
MAP_OUTDATED = "Settings have changed. Show the map again."
DID_NOT_WORK = "That didn't work"
CANCELLED = "Cancelled"


REPLAY = "Replay"


def nothing_saved(verb: str) -> str:
    return f"Nothing was saved. {verb} starts over."


def more_in_queue(count: int) -> str:
    return f"{count} more in the queue"


def look_closely(number: int) -> str:
    return f"Look closely at picture {number}"


def download_picture(number: int, width: int, height: int) -> str:
    return f"Download picture {number}, {width} by {height} pixels"


def use(name: str) -> str:
    return f"Use {name}"


PAINT_WITHOUT_IT = "Paint without it"
WORDS_TO_ADD = "Words to add to the prompt"
SEND_THIS_PICTURE = "Send this picture to another tab"


def like_picture(number: int) -> str:
    return f"{LIKE} picture {number}"


def dislike_picture(number: int) -> str:
    return f"{DISLIKE} picture {number}"


def send_picture(number: int) -> str:
    return f"Send picture {number} to another tab"


def shown_reduced(shown: str, full: str) -> str:
    return f"Shown at {shown}; the download has all {full}."


WITHOUT_PROMPT = "A picture painted without a prompt"


def sheet_of(prompt: str) -> str:
    return f"Grid: {prompt}"


def upscaled_times(scale: float) -> str:
    return f"Upscaled {scale:g}x"


# Values of settings, by the names that requests have for them.

RESIZE_MODES = {"crop": "Crop", "pad": "Pad", "stretch": "Stretch"}
MASKED_CONTENTS = {
    "original": "Original",
    "fill": "Surrounding colours",
    "noise": "Noise",
    "empty": "Nothing",
}
PROMPT_LANGUAGES = {
    "original": "Weights, as in A1111",
    "no_norm": "Weights, without normalization",
    "comfy": "Weights, as in ComfyUI",
    "plain": "Plain text",
}
LATENT = "Latent"
NONE = "None"


# Errors.

FILE_MISSING = "The file of this picture is missing; only a smaller copy is left."
PICTURE_GONE = "This picture is no longer available."
TOO_MANY_UPLOADS = "You sent many pictures at once. Try again in a moment."
NO_PICTURE_SENT = "No picture was sent."
PICTURE_CUT_OFF = "The picture was cut off."


def unexpected_error(kind: str) -> str:
    return f"An unexpected error stopped this run ({kind}). The log has the details."


# Values that a page sends.

FAILED = "This failed"
A_SETTING = "A setting"


def empty_number(name: str, least: float, most: float) -> str:
    return f"{name} is empty. Enter a number from {least:g} to {most:g}."


def empty_choice(name: str) -> str:
    return f"{name} is empty. Choose a value."


def not_in_the_list(name: str, value: str) -> str:
    return (
        f"{name}: {value!r:.80} isn't in the list. The list has changed, or this page was open for "
        "too long. Reload the page."
    )


def below_the_least(name: str, value: float, least: float) -> str:
    return f"{name} is {value:g}. The least is {least:g}."


def above_the_most(name: str, value: float, most: float) -> str:
    return f"{name} is {value:g}. The most is {most:g}."
