"""Sentences of the command line: help texts, and errors that follow a flag's name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.durations import format_duration

if TYPE_CHECKING:
    from paintdiff.engine.speed import TimeForecast

# The commands.

APP_HELP = "start the app; see its --help"
SERVE_HELP = "start the app's HTTP API, without the page; see its --help"
ABOUT = "Paints and enlarges pictures, offline, on your machine."
PAINT_HELP = "paint a picture and save it as PNG"
ABOUT_PAINT = "Paint a picture and save it as PNG, with its settings inside."


def paint_example(command: str) -> str:
    return f'Example: {command} paint "a red house" --seed 7 --output house.png'


UPSCALE_HELP = "enlarge pictures"
ABOUT_UPSCALE = (
    "Enlarge pictures with an upscaler. Transparency, 16 bits and colour profiles are kept, and no "
    "file is overwritten. From a folder, all pictures directly in it are taken, except hidden "
    "files and earlier results."
)


def upscale_example(command: str) -> str:
    return f"Example: {command} upscale holiday/ --scale 4 --output large/"


GRID_HELP = "paint a grid of pictures along axes of settings"
ABOUT_GRID = (
    "Paint a picture for each combination of values, and a labelled sheet of them all. Values are "
    "lists like red,blue or ranges like 1-10, 1-10 (+3) and 0.5-1 [5]. All flags of paint set what "
    "the pictures have in common."
)


def grid_example(command: str) -> str:
    return (
        f'Example: {command} grid "a red house" --x "steps=10-30 (+10)" '
        '--y "prompt_replace=red,blue" --seed 7 --output sheet.png'
    )


# Help for the flags of `grid`.

AXES = "what changes"


def x_help(axes: Iterable[str]) -> str:
    return f"an axis and its values, from left to right. Axes: {', '.join(axes)}"


Y_HELP = "a second axis, downwards"
Z_HELP = "a third axis, a block for each value"
LINES_HELP = "a file of prompts, one per line, as the x axis; lines may have flags such as --steps"
MATRIX_HELP = "paint all combinations of the parts of a prompt such as 'a house|in snow|at night'"
DRY_RUN_HELP = "check everything and say how many pictures there would be, without painting"
GRID_PROMPT_HELP = "what to paint; not needed with --lines"
GRID_OUTPUT_HELP = "the .png of the sheet; of sheet.png, the pictures become sheet-1.png and so on"


def pictures_to_paint(forecast: TimeForecast) -> str:
    count, seconds = forecast.pictures, forecast.seconds
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    if seconds is None:
        return f"{pictures} to paint."
    return f"{pictures} to paint, in about {format_duration(seconds)}."


NO_COUNT_IN_GRID = "each cell of a grid is one picture; use --x seed=1-4 for several."
MATRIX_ALONE = "has its own axes; it can't be used with --x, --y, --z or --lines."
LINES_ARE_X = "is the x axis; use --y and --z for others."
NEEDS_AXIS = "a grid needs an axis, such as --x steps=10,20, or --lines or --matrix."
INTERNAL = "An unexpected error; see the log."


def not_an_axis(text: str) -> str:
    return f"{text!r} isn't an axis with values. Write it like steps=10,20."


def unreadable_lines(path: Path, reason: str | None) -> str:
    return f"{path}: {reason}."


def lines_too_large(path: Path, most: int) -> str:
    return f"{path} is larger than {most} bytes."


def lines_not_utf8(path: Path) -> str:
    return f"{path} isn't a text in UTF-8."


# Help for the flags of both.

UPSCALER_HELP = "an upscaler's name or file (default: the first)"
FACES_HELP = "restore faces with a model from the folder facerestore_models"
FACE_STRENGTH_HELP = "how much of the restored face to blend in, 0 to 1 (0.8)"
MODELS_DIR_HELP = "also look for models here"
DEVICE_HELP = "auto (default), cpu or cuda"
MEMORY_BUDGET_HELP = "the most memory that painting may use, like 4GiB (default: what is free)"
JSON_HELP = "print one JSON object on stdout when done"
QUIET_HELP = "no progress bar, no warnings"


# Help for the flags of `upscale`.

PICTURES_HELP = "a PNG, JPEG or WebP, or a folder"
SCALE_HELP = "how many times each way, 1 to 8 (2)"
UPSCALE_OUTPUT_HELP = "a .png or an existing folder (default: beside the picture, as boat-2x.png)"
TILE_HELP = "tile size; smaller tiles use less memory but take longer (default: as memory allows)"


# Help for the flags of `paint`, in their order.

PROMPT_HELP = "what to paint"
OUTPUT_HELP = "the .png to save; with --count 2, boat.png becomes boat-1.png and boat-2.png"
OVERWRITE_HELP = "replace existing files (default: refuse)"
NEGATIVE_HELP = "what should not appear"
PROMPT_SYNTAX_HELP = (
    "whether (word:1.3), [cat:dog:0.5], BREAK and AND mean what they do in the A1111 web UI "
    "(default), or are plain text"
)
EMPHASIS_HELP = (
    "how weights act: as in the A1111 web UI (original), the same without normalization (no_norm), "
    "or as in ComfyUI (comfy)"
)
WILDCARDS_HELP = (
    "how {red|blue} and __colour__ in prompts are replaced: by each picture's seed (random), so "
    "that consecutive seeds give all combinations (combinatorial), or not at all (off)"
)
STYLE_HELP = "a style to put around the prompts; may be given several times"
MODEL_HELP = "a model's name, folder or file (mini)"
QUALITY_HELP = "fast, balanced (default) or high"
PROFILE_HELP = (
    "speed: exact (default here and in Python: repeatable to the last bit), fast (the app's "
    "default: the same except for rounding) or turbo (fine details differ)"
)
TIME_BUDGET_HELP = "choose steps, profile and size so that painting takes this long (loading aside)"
ENGINE_HELP = (
    "backend for fast and turbo on a CPU: torch (default: OpenVINO is ready only after a few "
    "pictures), openvino, or auto (the faster one)"
)
STEPS_HELP = "denoising steps; more takes longer and adds detail"
GUIDANCE_HELP = "how closely to follow the prompt"
SIZE_HELP = "size in pixels, like 128x128"


def one_of(names: Iterable[str]) -> str:
    return f"one of: {', '.join(names)}"


SEED_HELP = "the same seed paints the same picture"
COUNT_HELP = "how many pictures; each adds 1 to the seed"
VARIATION_HELP = "seed variation, 0 to 1. 0: same picture; higher: more different"
VARIATION_SEED_HELP = "seed of the variation; --count adds 1 to it"
PAINT_UPSCALE_HELP = "enlarge the finished pictures X times"


# Larger than the model's native size.

LARGER_THAN_NATIVE = "larger than the model's native size"
HIRES_HELP = "paint at --size, enlarge X times each way, then refine"
HIRES_STRENGTH_HELP = "how much the second pass may change, 0 to 1"
HIRES_STEPS_HELP = "denoising steps of the second pass (default: as --steps)"


def hires_upscaler_help(latent: str) -> str:
    return f"{latent}, or an upscaler's name or file (default: the first)"


TILED_HELP = "paint in overlapping windows (default: above twice the model's native area)"


# From a picture.

FROM_A_PICTURE = "from a picture"
IMAGE_HELP = "paint from this PNG, JPEG or WebP"
STRENGTH_HELP = "how much may change, 0 to 1"
RESIZE_MODE_HELP = "how to fit it to --size: stretch (default), crop or pad"
BACKGROUND_HELP = "colour behind transparent parts (white)"
LOOPBACK_HELP = "feed the result back; N passes in all"
LOOPBACK_FACTOR_HELP = "multiply the strength by X on each further pass"


# A part of the picture.

PART_OF_A_PICTURE = "a part of the picture (with --mask, --sketch or --outpaint)"
MASK_HELP = "the mask: white is repainted; same size as the picture"
SKETCH_HELP = "colour strokes on a transparent ground, as a guide"
INVERT_MASK_HELP = "repaint the black part instead"
MASK_BLUR_HELP = "pixels of soft edge (4)"
ONLY_MASKED_HELP = "paint only the masked part, enlarged to the model's size, and paste it back"
PADDING_HELP = "pixels around the masked part to include (32)"
MASKED_CONTENT_HELP = "what the masked part starts from: original (default), fill, noise or empty"
SOFT_HELP = "soft inpainting: keep more where the mask is grey"
OUTPAINT_HELP = "make the canvas larger: pixels on the left, top, right and bottom"


# With a ControlNet.

WITH_A_CONTROLNET = "with a ControlNet (each flag once for each --control)"
CONTROL_HELP = "a picture or control map to follow; repeatable"


def preprocessor_help(names: Iterable[str]) -> str:
    return f"preprocessor that makes the map: {', '.join(names)} (default: none)"


CONTROLNET_HELP = (
    "a ControlNet's name, folder, file or Hugging Face id (default: the first that fits the model)"
)
CONTROL_SCALE_HELP = "how strictly to follow the map, 0 to 2 (1)"
CONTROL_START_HELP = "control starts after this fraction of the steps, 0 to 1 (0)"
CONTROL_END_HELP = "control ends after this fraction of the steps, 0 to 1 (1)"
CONTROL_RESIZE_MODE_HELP = "how to fit it to the painted size: crop (default), stretch or pad"


# With other models and adapters.

OTHER_MODELS = "other models and adapters"
LORA_HELP = (
    "a LoRA, its weight (1) and its weight in the text encoders (the same); repeatable. Or write "
    "<lora:name:0.8> in the prompt"
)
VAE_HELP = "a VAE instead of the model's own"
CLIP_SKIP_HELP = "stop the text encoder at its N-th last layer (1: use all)"
REFINER_HELP = "a refiner model and the fraction of steps after which it takes over (0.8)"
IP_ADAPTER_HELP = "an image prompt and its strength, 0 to 1 (0.6); repeatable"
FREE_U_HELP = "FreeU and its factors (default: those for Stable Diffusion 1.x)"


# A flag's value can't be used.

NOT_ABOVE_ZERO = "must be greater than 0"
NO_PATH = "'' isn't a file or folder."


def not_utf8(path: str) -> str:
    return f"{path!r} isn't valid UTF-8. Rename the file."


def not_four_sides(text: str) -> str:
    return f"{text!r} isn't four numbers left,top,right,bottom. Write them like 64,0,64,0."


def not_four_factors(text: str, example: str) -> str:
    return f"{text!r} isn't four numbers b1,b2,s1,s2. Write them like {example}."


# A flag doesn't go with the others.

NEEDS_IMAGE = "needs --image."
NEEDS_MASK = "needs --mask, --sketch or --outpaint."
NO_EFFECT_ON_A_PART = "has no effect when only a part is repainted. Leave it out."
NEEDS_HIRES = "needs --hires."
NOT_WITH_IMAGE = "can't be used with --image."
NEEDS_UPSCALE = "needs --upscale."
NEEDS_ITS_CONTROL = "needs a --control of its own."
NEEDS_FACES = "needs --faces."


# Files.


def file_too_large(path: Path, limit: str) -> str:
    return f"{path} is larger than {limit}."


def not_a_png(path: Path) -> str:
    return f"{path} should end in .png; pictures are saved as PNG."


def taken_unless_overwriting(path: Path) -> str:
    return f"{path} already exists. Choose another name or add --overwrite."


def unwritable_file(path: Path, reason: str | None) -> str:
    return f"can't write {path}: {reason}."


def no_folder(folder: Path) -> str:
    return f"the folder {folder} doesn't exist. Create it first."


def unwritable_folder(folder: Path, reason: str) -> str:
    return f"can't write in {folder}: {reason}."


def taken_meanwhile(path: Path) -> str:
    return (
        f"{path} was created by another program while the picture was painted; it wasn't "
        "overwritten."
    )


def skipped_earlier_result(path: Path) -> str:
    return f"skipped {path}, which seems to be an earlier result."


def no_file(path: Path) -> str:
    return f"{path} isn't there."


NO_PICTURES = "no PNG, JPEG or WebP found."


def one_name_for_two(first: Path, second: Path, output: Path) -> str:
    return f"{first} and {second} would both become {output}; enlarge them into different folders."


def no_folder_or_png(path: Path) -> str:
    return f"the folder {path} doesn't exist. Create it, or name a .png."


def one_file_for_many(path: Path, pictures: int) -> str:
    return f"{path} is one file, but there are {pictures} pictures; name a folder."


def taken(path: Path) -> str:
    return f"{path} already exists. Choose another name."


def not_overwritten(path: Path) -> str:
    return f"{path} already exists and wasn't overwritten."


# While it works.


def which_of_many(number: int, count: int) -> str:
    return f" {number} of {count}"


# With --server.

ON_A_SERVER = "on a server"
SERVER_HELP = "let the app at this address do it, like http://192.168.1.5:7860"


def key_help(variable: str) -> str:
    return f"the server's API key; prefer the variable {variable}, which no process list shows"


CHOSEN_BY_SERVER = "is the server's own choice; leave it out with --server."
NOT_WITH_SERVER = "can't be used with --server."
KEY_WITHOUT_SERVER = "is for a server: give its address with --server."


def note(sentence: str) -> str:
    return f"Note: {sentence}"


INTERRUPTED = "interrupted."
PICTURE_INTERRUPTED = "It was interrupted."
PAINTING = "Painting"
DECODING = "Decoding"
RESTORING_FACES = "Restoring faces"
UPSCALING = "Upscaling"


# Verification.

VERIFY_HELP = "paint saved pictures again and report whether they are identical"
ABOUT_VERIFY = (
    "Paint saved pictures again and compare them with their files. Exit code 0: all are identical "
    "to the last bit. 1: one differs, or can't be painted now. 2: one has no request of "
    "PaintDiffusion, or can't be read."
)
VERIFIED_HELP = "a picture that PaintDiffusion saved"
INPUTS_HELP = "the output folder that has the input images (default: the app's, and the picture's)"
VERIFY_MODEL_HELP = "a model's folder or file, if it is in no models folder"
JSON_REPORTS_HELP = "print one JSON object per picture"
VERIFY_ENGINE_HELP = "auto (default: as the picture's profile allows), torch or openvino"


# The gallery.

GALLERY_HELP = "list, import, export and check the gallery's pictures"
WATCH_HELP = "import pictures as they appear in folders, until interrupted"
WATCHED_HELP = "a folder; pictures that are there already are imported, too"
WATCHING = "Watching. Press Ctrl-C to end."
CONTINUE_HELP = "paint a picture's run again up to a step, and go on with other settings"
AFTER_STEP_HELP = "the last step that stays as it was"
KEPT_HELP = "from there on (default: as before)"
BRANCH_SEED_HELP = "of the noise that some samplers add from there on (default: as before)"
CONTINUED_JSON_HELP = "print the new picture's id, file and parent as JSON"
GALLERY_FOLDER_HELP = "the gallery's folder (default: the app's output folder)"
LIST_HELP = "list pictures, the newest first"
LIMIT_HELP = "how many (50)"
JSON_LINES_HELP = "print one JSON object per line"
SHOW_HELP = "print all that is known about a picture, as JSON"
ID_HELP = "the picture's id"
IMPORT_HELP = "add the pictures of a folder and its subfolders"
IMPORT_FOLDER_HELP = "the folder"
COPY_HELP = "copy the files (default: they stay where they are)"
NO_BAR_HELP = "no progress bar"
EXPORT_HELP = "copy pictures and their records to a folder"
EXPORT_FOLDER_HELP = "created if necessary"
VIDEO_HELP = "paint a picture again and save its steps as an animation"
FPS_HELP = "frames a second (60)"
FORMAT_HELP = (
    "webm (default; VP9) and mp4 need the extra `video`, whose wheels include GPL encoders; webp "
    "and gif need nothing more"
)
VIDEO_OUTPUT_HELP = "the file to save (default: the id, in this folder)"
FADE_HELP = "fade from step to step (default: in videos)"
CHECK_HELP = "report mismatches between files and records; exit code 1 if any"
THOROUGH_HELP = "read every file"
REPAIR_HELP = "record pictures without a record, remove unfinished and unused files"
SEARCH_HELP = "words of the prompt"
KIND_HELP = "such as text_to_image"
TAG_HELP = "repeatable"
BIN_HELP = "deleted pictures instead"


def no_gallery(folder: Path) -> str:
    return f"There is no gallery in {folder}. Name its folder with --output-dir."


def limit_too_small(limit: int) -> str:
    return f"must be at least 1, not {limit}."


def imported_without(path: object, names: Iterable[str]) -> str:
    return f"{path}: without {'; '.join(names)}"


def import_summary(imported: int, moved: int, present: int, failed: int) -> str:
    renamed = f" Moved since: {moved}." if moved else ""
    return f"Imported {imported}.{renamed} Already there: {present}. Failed: {failed}."


def exported_before(folder: Path) -> str:
    return f"{folder} has an export already. Choose another folder."


def not_exported(folder: Path, reason: object) -> str:
    return f"can't write in {folder}: {reason}."


def mismatches(count: int) -> str:
    return f"Mismatches: {count}."


def repaired(recorded: int, left: int) -> str:
    pictures = "1 picture" if recorded == 1 else f"{recorded} pictures"
    return f"Recorded {pictures} that had no record. Mismatches left: {left}."


# API keys and users.

KEYS_HELP = "API keys: create, list or revoke them"
CREATE_KEY_HELP = "create a key and print it; it can't be shown again"
KEY_NAME_HELP = "a name to know it by, like my-laptop"
SCOPE_HELP = "what it may do: paint, gallery or manage; repeatable (default: paint and gallery)"
KEY_USER_HELP = "whose pictures it makes and sees (default: its own)"
DAYS_HELP = "how many days it is valid (default: until it is revoked)"
LIST_KEYS_HELP = "list all keys, without their secrets"
REVOKE_KEY_HELP = "revoke a key: a running server refuses it within seconds"
KEY_TO_REVOKE_HELP = "the key's name, or its id from the list"
USERS_HELP = "users with passwords: create, list, remove, change"
CREATE_USER_HELP = "create a user, who gets a gallery of their own"
USER_NAME_HELP = "the user's name"
MANAGE_HELP = "they see all pictures, and may download and delete models"
PASSWORD_FILE_HELP = "read the password from a file (default: ask for it, or read it from stdin)"
LIST_USERS_HELP = "list all users"
REMOVE_USER_HELP = "remove a user and revoke their keys; their pictures stay"
SET_PASSWORD_HELP = "give a user another password, and sign them out everywhere"
TYPE_PASSWORD = "Password: "
TYPE_PASSWORD_AGAIN = "Again: "
PASSWORDS_DIFFER = "The two passwords differ. Try again."
NOT_UTF8 = "it isn't UTF-8 text"


def unreadable_password(file: Path, reason: str | None) -> str:
    return f"{file} can't be read: {reason}."


def key_created(name: str, scopes: str) -> str:
    return f"The key {name!r} may: {scopes}. Keep it now, it isn't shown again:"


FIRST_KEY = (
    "From now on the server lets in visitors from other machines only with a key. On this machine "
    "the page stays open: to close it, create a user."
)


def key_revoked(name: str) -> str:
    return f"The key {name!r} is revoked."


def user_created(name: str) -> str:
    return f"The user {name!r} can sign in now."


FIRST_USER = "From now on everybody has to sign in, on this machine, too."


def user_removed(name: str, keys: int) -> str:
    revoked = "" if not keys else f" Keys revoked: {keys}."
    return f"The user {name!r} is removed; their pictures stay.{revoked}"


def password_set(name: str) -> str:
    return f"The password of {name!r} is changed. They have to sign in again everywhere."
