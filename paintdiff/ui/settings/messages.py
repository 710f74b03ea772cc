"""Words of the settings: labels, what they do, and advice."""

from __future__ import annotations

from paintdiff.durations import format_duration

# The form beside the prompt.

MODEL = "Model"
QUALITY = "Quality"


def quality_text(steps: int, guidance: float) -> str:
    return f"{steps} steps, guidance {guidance:g}"


SPEED = "Speed"


def few_steps(lora: str) -> str:
    return f"Few steps with the LoRA {lora}. Pictures differ from those without it."


SIZE = "Size"
WIDTH = "Width"
HEIGHT = "Height"
PICTURES = "Pictures"
SEED = "Seed"
KEEP_SEED = "Keep"
SEED_IS_KEPT = "Every picture uses this seed until you untick Keep."

MORE_SETTINGS = "More settings"
NEGATIVE_PROMPT = "Negative prompt"
NEGATIVE_PROMPT_INFO = "What should not appear"
STEPS = "Steps"
GUIDANCE = "Guidance"
SAMPLER = "Sampler"
VARIATION = "Variation"
VARIATION_INFO = "0: same picture. Higher: more different"
VARIATION_SEED = "Variation seed"
TIME_BUDGET = "Time budget"
TIME_BUDGET_INFO = "Seconds. Steps, speed and size are then chosen for you"
NO_TIME_BUDGET = "none"


# Advice on sizes.


def size_advice(model: str, native: object, wanted: object, *, larger: bool) -> str:
    harm = "is slow and repeats the subject" if larger else "loses shapes"
    return f"{model} was made for {native}: {wanted} {harm}."


def paint_at(size: object, scale: float, *, larger: bool) -> str:
    return f"Paint at {size}, then upscale {scale:g}x" if larger else f"Paint at {size}"


# The hires fix.

HIRES_FIX = "Hires fix"
HIRES_INFO = "Paint small, enlarge, then refine"
ENLARGE = "Enlarge"
ENLARGE_INFO = "How many times, before refining"
UPSCALER = "Upscaler"
STRENGTH = "Strength"
HIRES_STRENGTH_INFO = "0: only enlarge. Higher: repaint more"
HIRES_STEPS_INFO = "0: same as the first pass"


# Grids.

GRID = "Grid"
GRID_OFF = "Off"
GRID_AXES = "Axes"
GRID_MATRIX = "Matrix"
GRID_LINES = "Lines"
AXIS_LABELS = ("From left to right", "Downwards", "In blocks")
NO_AXIS = "Nothing"
AXIS_VALUES = "Values"
AXIS_VALUES_EXAMPLE = "Choose a setting first"
EXAMPLE_OF_KIND = {
    "whole numbers": "10, 20 or 1-10 (+3) or 1-10 [5]",
    "numbers": "0.5, 0.8 or 0-1 (+0.25) or 0-1 [5]",
    "names": "Names, with commas between them",
    "words": "Words, with commas between them",
    "lines": "One per line",
}
REPLACE_EXAMPLE = "red, blue: paints with red, then with blue instead"
APPEND_EXAMPLE = "in snow, at night"
SIZES_EXAMPLE = "128x128, 128x192"
LORA_EXAMPLE = "none, ink, ink:0.5"
PROMPT_LINES = "Prompts"
PROMPT_LINES_INFO = "One per line. A line may have flags, such as --steps 20 --seed 5"
PROMPT_LINES_EXAMPLE = "a red house\na cat in the snow --seed 5"
MATRIX_INFO = (
    "Write the prompt with bars: a house|in snow|at night. The first part is in every picture, the "
    "others in all combinations."
)
ONE_PICTURE_A_CELL = (
    "Each cell of a grid is one picture. Set this to 1; an axis of seeds has several."
)
CHOOSE_AXIS = "Choose a setting for this axis, or switch the grid off."
NO_LINES = "Write at least one prompt."


def pictures_to_paint(count: int, seconds: float | None) -> str:
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    return f"{pictures}." if seconds is None else f"{pictures}, about {format_duration(seconds)}."


# Upscaling and faces.

UPSCALE_WHEN_DONE = "Upscale when done"
FACTOR = "Factor"
OFF = "Off"
OTHER = "Other"
HOW_MANY_TIMES = "How many times"


def factor_range(most: float) -> str:
    return f"1 to {most:g}, such as 1.5"


NO_FACTOR = "Enter how many times, or choose 2x or 4x."
NO_UPSCALER = "None found."


def downloads_on_first_use(size: str) -> str:
    return f"Downloads {size} on first use."


TILE_SIZE = "Tile size"
TILE_SIZE_INFO = "In pixels of the original. Smaller tiles use less memory but take longer"
AS_MEMORY_ALLOWS = "as memory allows"
FACES = "Faces"
FACES_OFF = "Don't restore"
FACE_STRENGTH = "Face restoration strength"


# LoRAs, embeddings, another VAE, a refiner, FreeU.

LORAS_AND_MORE = "LoRAs and more"
ADD_A_LORA = "Add a LoRA"
ADD_A_LORA_INFO = "Type its name, or pick one"
ADD_AN_EMBEDDING = "Add an embedding"
ADD_AN_EMBEDDING_INFO = "Adds its name to the prompt"


def none_found(model: str) -> str:
    return f"None found for {model} in your models folders."


VAE = "VAE"
MODELS_OWN_VAE = "The model's own"

REFINER = "Refiner"
REFINE_FROM = "Refine from"
REFINE_FROM_INFO = "Fraction of steps after which the refiner takes over"
CLIP_SKIP = "Clip skip"
CLIP_SKIP_INFO = "1 uses all layers of the text encoder, 2 skips the last one"
FREE_U = "FreeU: less noise, more detail, no extra time"
BACKBONE_1 = "Backbone 1"
BACKBONE_2 = "Backbone 2"
SKIP_1 = "Skip 1"
SKIP_2 = "Skip 2"


def for_another_family(family: str, model: str) -> str:
    return f"For {family} only; can't be used with {model}."


ADD_TO_PROMPT = "Add to the prompt"
REMOVE = "Remove"


def remove(lora: str) -> str:
    return f"Remove {lora} from the prompt"


def weight_of(lora: str) -> str:
    return f"Weight of {lora}"


def two_weights(weight: float, text_encoder_weight: float) -> str:
    return f"{weight:g}, words {text_encoder_weight:g}"


NO_EFFECT_AT_ZERO = "At 0 it has no effect."


# Brackets in prompts.

BRACKETS = "Brackets in prompts"
BRACKETS_HELP = "(red:1.3) makes red count more, (red:0.7) less"


# The image prompt.

IMAGE_PROMPT = "Image prompt"
IP_ADAPTER = "IP-Adapter"

NO_IP_ADAPTER_HERE = "No IP-Adapter found for this model. Remove the picture, or see below."


def no_ip_adapter(model: str) -> str:
    return (
        f"No IP-Adapter found for {model}. Put one in the folder “ipadapter” of your models folder."
    )


# Control maps.

PREPROCESSOR = "Preprocessor"


def preprocessor_text(text: str, size: str, repo: str) -> str:
    return f"{text} Downloads {size} from {repo} on first use."


SHOW_MAP = "Show the map"
MAKING_MAP = "Making the map…"
NOTHING_TO_MAP = "Draw or open a picture first."
MAP_GONE = "This map is no longer available. Show it again."


# Styles and wildcards.

STYLES_AND_WILDCARDS = "Styles & wildcards"
STYLES = "Styles"
STYLES_INFO = "Put around your prompt when a picture is painted"
WRITE_STYLES = "Write them into the prompt"
OWN_STYLE = "Your own style"
OWN_STYLE_INFO = 'Saves both prompts under this name. Write "{prompt}" where others go'
SAVE_STYLE = "Save"
EDIT_STYLE = "Edit"
NAME_A_STYLE = "Choose a style, or write its name here."
DELETE_STYLE = "Delete"
MAY_NOT_SAVE_STYLES = "Visitors of a shared page can't change its styles."
WILDCARDS = "Wildcards"
WILDCARD_MODES = ("At random, by the seed", "All combinations, one a seed", "Are plain text")


def wildcards_info(count: int) -> str:
    # Gradio reads it as Markdown, in which __colour__ is bold even as code.
    return f"{{red|blue}} in prompts, or one of {count} lists: type two underscores to choose it"


def files_not_usable(count: int) -> str:
    files = "One file or row" if count == 1 else f"{count} files or rows"
    return f"{files} of wildcards and styles can't be used"


# Ideas for prompts.

IDEAS = "Ideas"
SURPRISE_ME_WITH = "Surprise me with"
SURPRISE_ME = "Surprise me"
UNSEEN = "Only combinations that are new to the model"
ENHANCER = "Written by"
ENHANCER_RULES = "Rules, at once"
PROPOSE = "Richer prompts"
USE_PROPOSAL = "Use"
NOTHING_TO_ADD = "Your prompt says all that the rules would add."
