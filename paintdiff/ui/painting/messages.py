"""Words that all painting tabs share: the prompt, ControlNets, and settings found in a picture."""

from __future__ import annotations

from collections.abc import Sequence

# The prompt and the stage.

WHAT_TO_PAINT = "What should we paint?"
HOW_TO_START = "Describe a picture, or start with one of these."
PROMPT = "Prompt"
EMPTY_PROMPT = "Write what the picture should show."
UNKNOWN_EXAMPLE = "Unknown example."


def refined_at(size: object) -> str:
    return f"refined at {size}"


def upscaled_to(size: object) -> str:
    return f"upscaled to {size}"


def model_gone(model: object, usual: str) -> str:
    return f"The model {model} is no longer available; {usual} is selected instead."


# ControlNets.

CONTROLNET = "ControlNet"


def made_for(preprocessors: Sequence[str]) -> str:
    return f"Made for: {', '.join(preprocessors)}"


def no_controlnet(model: str) -> str:
    return (
        f"No ControlNet found for {model}. Put one in the folder “controlnet” of your models "
        "folder, or start with --controlnet."
    )


STRICTNESS = "Strictness"
STRICTNESS_INFO = "How closely the map is followed"
START = "Start"
START_INFO = "Control starts after this fraction of the steps"
END = "End"
END_INFO = "Control ends after this fraction of the steps"
IF_PROPORTIONS_DIFFER = "If proportions differ"
EDIT_MAP = "Edit it"
USE_THIS_TABS_PICTURE = "Use this tab's picture"
USE_THIS_MAP = "Use this map"


# Settings found in a picture.

PICTURE = "picture"
USE_THEM = "Use them"


def contains_settings(brought: str, program: str, prompt: str) -> str:
    origin = f" from {program}" if program else ""
    return f"This {brought} contains settings{origin}: “{prompt or 'no prompt'}”."


def contains_grid(pictures: int) -> str:
    return f"They are those of a grid of {pictures} pictures."


def model_not_installed(model: str) -> str:
    return f"Its model, {model}, isn't installed; yours stays selected."


CONTROL_PICTURE_MISSING = "It used a control picture, which isn't in the file: open that again."


def painted_at_speed(speed: str, repeating: str) -> str:
    return f"It was painted at the speed {speed}. {repeating}"


def not_used(settings: Sequence[str]) -> str:
    return f"Not used: {'; '.join(settings)}."


def steps_not_offered(steps: int, most: int) -> str:
    return f"steps {steps} (at most {most} here)"


def guidance_not_offered(guidance: float, most: float) -> str:
    return f"guidance {guidance:g} (at most {most:g} here)"


def sampler_not_offered(sampler: str, model: str) -> str:
    return f"sampler {sampler} (not for {model})"


NO_SETTINGS = "This picture contains no settings. To paint from it, open it in Image to image."
DROP_AGAIN = "This picture is no longer available. Drop it again."


def unreadable_settings(reason: object) -> str:
    return f"{reason} The picture itself can be used."
