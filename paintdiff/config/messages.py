"""Sentences about starting the app: its flags, files and address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# What `--help` says.

ABOUT_THE_APP = "PaintDiffusion: type a prompt and watch the picture being painted."
ABOUT_THE_SERVER = "Serve PaintDiffusion's HTTP API, without the page."
PRECEDENCE_OF_FLAGS = (
    "A flag beats its environment variable (in brackets), which beats the default."
)


def default_is(value: object) -> str:
    return f"; {value} by default"


HOST_HELP = "address to listen on; 0.0.0.0 accepts other machines"
PORT_HELP = "port to listen on"
SHARE_HELP = "also open a public link through gradio.live; needs --auth"
SHARE_OPEN_HELP = "allow --share without a password: anyone with the link can paint"
AUTH_HELP = "require this user name and password"
AUTH_FILE_HELP = (
    "a file that contains user:password; unlike --auth, it doesn't appear in the process list"
)
ROOT_PATH_HELP = "the path under which a reverse proxy serves the app, like /paint"
ALLOW_HOST_HELP = "another host name of this server, such as a reverse proxy's; repeatable"
OPEN_HELP = "open the page in the browser once it is ready; without a page, the API's documentation"
MCP_HELP = "also serve tools for language models (MCP) at /mcp"
WINDOW_HELP = "show the page in a window of its own, which ends the app; needs pywebview"
ALLOW_ORIGIN_HELP = (
    "another site whose pages may use the API, like https://example.org; repeatable.\n"
    "* lets in any page that sends a key of its own"
)
ALLOW_URLS_HELP = (
    "fetch pictures that a request to the API names by URL, but never from a private network"
)
MODEL_HELP = "the model to start with: a name from the list, or a folder"
REUSE_HELP = (
    "answer a request that was painted before in the profile exact with that picture, at once"
)
PROFILE_HELP = (
    "speed of pictures that name none: exact (repeatable to the last bit), fast (the same\nexcept "
    "for rounding) or turbo (fine details differ)"
)
CONTROLNET_HELP = (
    "the default ControlNet: a name from the list, a folder, a .safetensors or .pth file, or a "
    "Hugging Face id"
)
UPSCALER_HELP = "the default upscaler: a name from the list, or a .safetensors or .pth file"
MODELS_DIR_HELP = "a folder with models, such as that of A1111, Forge or ComfyUI; repeatable"
CACHE_DIR_HELP = "folder for caches; the user's cache folder by default"
OUTPUT_DIR_HELP = "folder for finished pictures"
WATCH_DIR_HELP = "a folder whose pictures come into the gallery as they appear; repeatable"
DATABASE_URL_HELP = (
    "the gallery's database, like postgresql://USER@HOST/NAME; a file in the output folder\n"
    "by default. With a password in it, prefer the variable: it isn't in the process list"
)
DEVICE_HELP = "auto, cpu, cuda, cuda:1 or mps"
ENGINE_HELP = (
    "backend of the speeds fast and turbo on a CPU: torch, openvino or auto (the faster one, timed)"
)
MEMORY_BUDGET_HELP = "the most memory that painting may use, like 4GiB; what is free by default"
QUEUE_SIZE_HELP = "how many jobs may wait"
SHUTDOWN_TIMEOUT_HELP = "how many seconds the running job may take to finish when the app stops"
VISITOR_JOBS_HELP = "how many jobs of one visitor may wait or run; not for who may manage the app"
VISITOR_STEPS_HELP = "how many steps a visitor's picture may have"
VISITOR_SIDE_HELP = "how many pixels a side of a visitor's picture may have, before upscaling"
VISITOR_PICTURES_HELP = "how many pictures a visitor may paint in a minute"
LOG_LEVEL_HELP = "how much to log: debug, info, warning or error"


# Settings that can't be used.

CREDENTIALS_FORMAT = "write it as user:password"
ROOT_PATH_FORMAT = "write it as /path, with letters, digits and -._~ only"
SIZE_FORMAT = "write a size like 4GiB or 512MiB"


def origin_format(origin: str) -> str:
    return f"write an origin like https://example.org or http://localhost:3000, not {origin!r:.80}"


TWO_PASSWORDS = "Use --auth or --auth-file, not both."
SHARED_WITHOUT_PASSWORD = (
    "--share puts this app on the internet: add --auth user:password, make users first ('python -m "
    "paintdiff users create'), or add --share-open to let in anyone who has the link."
)


def unreadable_auth_file(file: Path, reason: str | None) -> str:
    return f"--auth-file {file} can't be read: {reason}."


NOT_UTF8 = "it isn't UTF-8 text"


def wrong_auth_file(file: Path) -> str:
    return f"--auth-file {file} must hold one line, user:password."


def unknown_settings(names: Sequence[str]) -> str:
    return f"Unknown setting {', '.join(names)}. See --help for all settings."


def wrong_flag(reason: str) -> str:
    return f"{reason}. See --help."


def wrong_setting(flag: str, variable: str, reason: str, value: str | None) -> str:
    given = "" if value is None else f", not {value!r:.100}"
    return f"{flag} (or {variable}): {reason}{given}."


# Names, presets and preferences.


def unknown_name(field: str, name: str, choices: Sequence[str], more: int) -> str:
    others = f" and {more:,} more" if more else ""
    return f"There is no {field} {name[:100]!r}. Choose one of: {', '.join(choices)}{others}."


def misspelt_name(field: str, name: str, nearest: Sequence[str], more: int) -> str:
    *first, last = nearest
    either = f"{', '.join(first)} or {last}" if first else last
    there_are = f" There {'is 1 other' if more == 1 else f'are {more:,} others'}." if more else ""
    return f"There is no {field} {name[:100]!r}. Did you mean {either}?{there_are}"


def unreadable_file(path: Path, reason: object) -> str:
    return f"{path} can't be read: {reason}"


def not_a_mapping(path: Path) -> str:
    return f"{path} should hold names and values, like 'name: value'."


def row_not_a_mapping(path: Path, name: str) -> str:
    return f"{path}: {name} should hold names and values."


def wrong_value(path: Path, place: str, reason: str) -> str:
    return f"{path}: {place}: {reason}."


def ignored_preferences(path: Path, reason: str) -> str:
    return (
        f"The preferences in {path} can't be read and are ignored: {reason}. Pin a model again, or "
        "fix or delete the file."
    )


def file_too_large(max_bytes: int) -> str:
    return f"it has more than {max_bytes:,} bytes"


def unwritable_file(path: Path, reason: object) -> str:
    return f"{path} can't be written: {reason}."


# The running app.


def mcp_address(url: str) -> str:
    return f"MCP tools are at {url}/mcp"


def page_address(url: str) -> str:
    return f"PaintDiffusion is at {url} (Ctrl-C stops it)."


def api_address(url: str) -> str:
    return f"PaintDiffusion's API is at {url}, described at {url}/docs (Ctrl-C stops it)."


def pictures_are_saved(folder: Path) -> str:
    return f"Pictures are saved to {folder}."


def share_link(url: str) -> str:
    return f"Share this link: {url}"


def no_share_link(reason: object) -> str:
    return f"The share link couldn't be opened: {reason}"


WINDOW_NEEDS_PYWEBVIEW = (
    "--window needs pywebview. Install it with: pip install pywebview (on Linux: pywebview[qt])"
)
WINDOW_NEEDS_PAGE = "--window shows the page, and serve has none. Leave one of them out."


def port_in_use(port: int, program: str, other: int) -> str:
    return (
        f"Port {port} is in use. Stop what runs there, or choose another: {program} --port {other}"
    )


def cannot_listen(host: str, port: int, reason: str | None) -> str:
    return f"Can't listen on {host}:{port}: {reason}."


# The gallery when the app starts.


def gallery_unavailable(reason: str) -> str:
    return f"{reason} Until then pictures are saved, but not added to the gallery."


def came_from_folders(imported: int, moved: int, failed: int) -> str:
    counts = {"imported": imported, "moved since": moved, "not imported": failed}
    found = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"Pictures in the watched folders: {found}."


def not_imported(path: object, reason: str) -> str:
    return f"{path} isn't imported: {reason}"


def imported_without(path: object, settings: str) -> str:
    return f"{path} was imported without these settings: {settings}."


def jobs_resumed(count: int) -> str:
    jobs = "1 job" if count == 1 else f"{count} jobs"
    return f"From before the restart, and in the queue again: {jobs}."


def queue_unavailable(reason: str) -> str:
    return f"The jobs from before the restart can't be read yet, and are tried again: {reason}"


def finishing(seconds: float) -> str:
    return (
        f"Finishing what is being painted, for at most {seconds:g} seconds. Ctrl-C again stops at "
        "once."
    )


def jobs_kept(count: int) -> str:
    jobs = "1 job goes" if count == 1 else f"{count} jobs go"
    return f"{jobs} on after the next start."


def orphans_adopted(count: int) -> str:
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    return f"Added to the gallery, because they had no record: {pictures}."
