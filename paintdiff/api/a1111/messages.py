"""Sentences of the web UI's dialect."""

from __future__ import annotations

ERROR_DESCRIPTION = "An error, in the web UI's form."

# What a request says that has no effect, or another one than in the web UI.


def not_used(note: str) -> str:
    return f"Not used: {note}."


def scripts_ignored(names: str) -> str:
    return f"These scripts have no effect here: {names}."


def settings_ignored(names: str) -> str:
    return f"These settings can't be overridden here: {names}."


def mask_blur_differs(used: float) -> str:
    return f"The mask is blurred alike in both directions: mask_blur {used:g} is used."


def mask_resized(mask: object, picture: object) -> str:
    return f"The mask was resized from {mask} to {picture}, the picture's size."


LATENT_RESIZE = (
    "Resize mode 3 (latent upscale) isn't available here; the picture is stretched, as by 0."
)
HIRES_NEEDS_UPSCALER = (
    'hr_upscaler "None" isn\'t available here; the first upscaler of the list is used.'
)


def one_latent_upscaler(name: str) -> str:
    return f"hr_upscaler {name!r} is the same as 'Latent' here."


def hires_keeps_shape(asked: str) -> str:
    return (
        f"The enlarged picture keeps the shape of the first pass, so it covers {asked} and isn't "
        "cropped to it."
    )


def control_fields_ignored(number: int, names: str) -> str:
    return f"ControlNet unit {number}: these fields have no effect here: {names}."


INTERRUPTED = "The job was interrupted: these are the pictures as far as they were painted."


def skipped(count: int) -> str:
    return f"{count} of the pictures were skipped."


# What can't be used.


def wrong_number_of_images(count: int) -> str:
    return f"init_images needs exactly one picture, not {count}. Send a request for each picture."


ADDRESS_NOT_ALLOWED = (
    "Pictures aren't fetched from addresses. Send the file itself, as base64 or a data: URL."
)
IMAGE_NEEDED = "A picture is needed. Send a PNG, JPEG or WebP file as base64 or a data: URL."


def script_not_available(name: str) -> str:
    return (
        f"The script {name!r} isn't available here. For grids of settings use POST /api/jobs with "
        '"kind": "grid".'
    )


def args_unreadable(script: str) -> str:
    return f"The args of the script {script!r} should be a list."


CONTROL_NEEDS_IMAGE = "A ControlNet unit needs a picture. Send it as image."


def unreadable_unit(name: str, reason: str) -> str:
    return f"{name}: {reason}."


def unknown_resize_mode(value: object) -> str:
    return (
        f"There is no resize mode {value!r}. Use 0 (just resize), 1 (crop and resize) or 2 (resize "
        "and fill)."
    )


def too_many_pictures(count: int, most: int) -> str:
    return f"At most {most} pictures can be enlarged at once, not {count}."


def result_too_large(size: object, most: int) -> str:
    return f"A result of {size} pixels would be too large: at most {most:,} pixels are possible."


def no_face_restorer(name: str) -> str:
    return f"No {name} model was found. Put its file into the folder for face restorers."


def too_many_at_once(most: int) -> str:
    return f"At most {most} pictures can be preprocessed at once."


NO_INTERROGATOR = "There is no model here that describes pictures in words."


def wrong_option(name: str, value: object, reason: str) -> str:
    return f"The option {name} can't be {value!r:.60}: {reason}"


CLIP_SKIP_RANGE = "it should be a whole number from 1 to 12."
NAME_EXPECTED = "it should be a name."


def options_ignored(names: str) -> str:
    return f"These options can't be changed here: {names}."


MANAGED_ELSEWHERE = "Only the person who runs this server can unload or load models."
