"""Words of the Models tab: cards, downloads, what a click did, and why it can't be done."""

from __future__ import annotations

from collections.abc import Sequence

# The tab.

MODELS = "Models"
FILTER = "Filter"
FILTER_HINT = "Name, family or trigger word"
SHOW = "Show"
ALL = "All"
RESCAN = "Rescan"
NOTHING_MATCHES = "Nothing matches the filter."
NO_LORA = "No LoRA found. Put some in the folder “loras” of a models folder, and rescan."
NO_EMBEDDING = "No embedding found. Put some in the folder “embeddings” of a models folder."
NO_VAE = "No other VAE found. Put some in the folder “vae” of a models folder."
IN_MEMORY = "In memory"
FIND_ON_HUGGING_FACE = "Find on Hugging Face"
HUB_WORDS = "Name, or owner/name"
SEARCH = "Search"
UNUSABLE_FILES = "Unusable files"
ALL_USABLE = "All files in the models folders are usable."


def more_files(count: int) -> str:
    return f"… and {count} more."


def shown_of(shown: int, count: int) -> str:
    return f"{shown} of {count} shown"


SHOW_MORE = "Show more"
MODELS_AND_ADAPTERS = "Models and adapters"
GO_THERE = "Go there"
CLOSE = "Close"
SEARCHING = "Searching…"


def nothing_found(words: str) -> str:
    return f"Nothing found on Hugging Face for “{words}”."


def found_on_hub(words: str) -> str:
    return f"On Hugging Face: “{words}”"


# Cards: where it is, what it needs, why it can't be used.

WHERE = "Where"
NEEDS = "Needs"
LICENCE = "Licence"
SOURCE = "Source"
GATED = (
    "This model is gated: accept its licence on Hugging Face, then start the app with your token "
    "in HF_TOKEN."
)


def no_longer_exists(path: str) -> str:
    return f"{path} no longer exists."


NO_IMAGE_ENCODER = "Its image encoder is missing. Put it beside the file."


def needs_more_memory(needed: str, available: str) -> str:
    return f"Needs {needed} of memory; {available} is available here."


COMES_WITH_THE_APP = "comes with the app"


ON_HUGGING_FACE = "On Hugging Face"


def on_hugging_face(size: str) -> str:
    return f"on Hugging Face, {size} to download" if size else "on Hugging Face"


def on_the_internet(size: str) -> str:
    download = f", {size} to download" if size else ""
    return f"on the internet{download} on first use"


def missing_from(path: str) -> str:
    return f"missing from {path}"


def of_memory(size: str) -> str:
    return f"{size} of memory"


def of_memory_or_more(size: str) -> str:
    return f"{size} of memory or more"


def at_commit(source: str, revision: str) -> str:
    return f"{source}, commit {revision[:8]}" if revision else source


TRIGGER_WORDS = "Trigger words"


def more_words(count: int) -> str:
    return f"and {count} more"


OFFLOADED = "offloaded to RAM"
LOADED = "in memory"
IN_USE = "in use"


NOT_LOADED = "No model is in memory. Models load on first use."
DEFAULT = "default"
PINNED = "pinned"


def downloaded_times(count: int) -> str:
    return f"{count:,} downloads"


# Buttons.


def download_button(size: str) -> str:
    return f"Download {size}"


EVERYTHING = "everything"


USE = "Use"
INSERT = "Insert"
INSERT_AS_NEGATIVE = "Insert as negative"
UNPIN = "Unpin"
PIN = "Pin as default"
UNLOAD = "Unload"
DELETE_IT = "Delete it"
CANCEL = "Cancel"
DISMISS = "Dismiss"
RETRY = "Retry"
DOWNLOAD = "Download"
DELETE = "Delete"


def delete(title: str) -> str:
    return f"Delete: {title}"


def what_is_deleted(path: str, size: str, *, folder: bool, shared: bool) -> str:
    what = "the folder and its contents" if folder else "the file"
    others = " Other programs that share the Hugging Face cache lose it too." if shared else ""
    return f"This deletes {what} {path} ({size}) for good.{others}"


DOWNLOADS = "Downloads"
WAITING = "waiting"
DOWNLOADING = "downloading"
DONE = "done"
FAILED = "failed"
CANCELLED = "cancelled"


def downloaded(state: str, done: str, total: str) -> str:
    return f"{state}, {done} of {total}" if total else f"{state}, {done}"


# What a click did.


def rescanned(counts: Sequence[str], unusable: int) -> str:
    rest = f" {unusable} unusable, see “Unusable files”." if unusable else ""
    return f"Rescanned: {', '.join(counts)}.{rest}"


def selected(model: str) -> str:
    return f"{model} is selected in all painting tabs."


def inserted(text: str, where: str) -> str:
    return f"Added {text} to the {where}."


def already_there(text: str, where: str) -> str:
    return f"{text} is already in the {where}."


def prompt_of(tab: str, *, negative: bool) -> str:
    return f"{'negative prompt' if negative else 'prompt'} of “{tab}”"


def for_another_family(families: str, model: str) -> str:
    return f" It is for {families} and doesn't fit “{model}”."


def unpinned(model: str) -> str:
    return f"{model} is no longer pinned."


def pinned(model: str, *, model_flag: bool) -> str:
    apart = (
        " This time the app was started with --model, which takes precedence." if model_flag else ""
    )
    return f"New pages and the next start of the app use {model}.{apart}"


def unloaded(name: str) -> str:
    return f"{name} was removed from memory."


def deleted(path: object, size: str) -> str:
    return f"Deleted {path} ({size})."


def download_started(model: str) -> str:
    return f"Started downloading {model}."


def download_cancelled(model: str) -> str:
    return f"The download of {model} was cancelled."


# Why it can't be done.

UNKNOWN_BUTTON = "Unknown button. Reload the page."


def name_not_insertable(name: str) -> str:
    return (
        f"{name!r} can't be used in a prompt, because its name contains <, > or :. Rename its file."
    )


def not_insertable(title: str) -> str:
    return f"{title} is neither a LoRA nor an embedding, so it can't go into a prompt."


def no_trigger_word(title: str) -> str:
    return f"{title} doesn't have this trigger word. Rescan."


def prompt_too_long(where: str, most: int) -> str:
    return f"The {where} would exceed {most:,} characters. Shorten it first."


NOT_IN_MEMORY = "That is no longer in memory."


def cancel_download_first(title: str) -> str:
    return f"{title} is being downloaded. Cancel that first."


def in_use(title: str) -> str:
    return f"{title} is in use. Wait for the job to finish or cancel it, then delete it."


def not_from_hub(title: str) -> str:
    return f"{title} isn't from Hugging Face."


SEARCH_EXPIRED = "This search has expired. Search again."
DOWNLOAD_GONE = "This download no longer exists."
DOWNLOADS_OFF = "Downloads are turned off in this app."
PUBLIC_PAGE = (
    "Models can be changed only on this app's own machine, or by a user who may manage it."
)


# Preview pictures.

NO_SUCH_PREVIEW = "This preview doesn't exist."
NO_PREVIEW = "This model has no preview."


def not_a_file(name: str) -> str:
    return f"{name} isn't a file."


def preview_too_large(name: str, most: int) -> str:
    return f"{name} has more than {most:,} pixels."
