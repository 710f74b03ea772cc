"""What the tools say: to the language models that choose among them, and to people."""

from __future__ import annotations

INSTRUCTIONS = (
    "Paint, change and find pictures with PaintDiffusion. Each painted picture is kept in a "
    "gallery and has an id, which the other tools take. The same seed and settings paint the same "
    "picture."
)

PROMPT = "What to paint, in words."
NEGATIVE_PROMPT = "What should not be in the picture."
WIDTH = "Width in pixels; without it, the model's own."
HEIGHT = "Height in pixels; without it, the model's own."
SEED = "A number that fixes the noise, so that a picture can be painted again; drawn if missing."
STEPS = "Steps: more take longer and add detail; without it, the model's own number."
GUIDANCE = "How closely to follow the prompt; without it, the model's own."
MODEL = "A model's name; without it, the app's own."
COUNT = "How many pictures, each with another seed."
IMAGE = "The picture: its id in the gallery, or a PNG, JPEG or WebP file in base64."
STRENGTH = "How much changes: 0 is nothing, 1 is everything."
MASK = "A picture of the same size that is white where it is to change, as id or in base64."
AREA = (
    "The part that is to change, as left, top, right and bottom, each a fraction of the picture "
    "from 0 to 1. Give this or a mask."
)
SCALE = "How many times to enlarge each side."
SEARCH = "Words in the prompt; without any, the newest pictures."
LIMIT = "How many pictures at most."
LIKED = "Only pictures that somebody liked."

ONE_OF_MASK_AND_AREA = "Give either a mask or an area: which part of the picture is to change?"
NOT_A_PICTURE = "This is no id of a picture in the gallery, and no file in base64."
NOTHING_FOUND = "No picture was found."


def empty_area(area: object) -> str:
    return f"The area {area} is empty. Left must be less than right, and top less than bottom."


def queued(ahead: int) -> str:
    return f"Waiting, {ahead} ahead" if ahead else "Waiting"


def step(number: int, total: int) -> str:
    return f"Step {number} of {total}"
