"""Sentences about Hugging Face: searching, downloading, and the cache."""

from __future__ import annotations

from collections.abc import Sequence

# Asking Hugging Face.


def not_here_and_offline(about: str) -> str:
    return (
        f"{about} isn't on this machine, and HF_HUB_OFFLINE forbids asking Hugging Face. Unset it, "
        "or put the model in a models folder."
    )


def unreachable(reason: object) -> str:
    return (
        f"Can't reach Hugging Face ({reason}). Check the internet connection, then try again. "
        "Models that are already here work offline."
    )


def connection_lost_because(reason: object) -> str:
    return f"The connection to Hugging Face was lost ({reason})."


TOOK_TOO_LONG = "it took too long"
CONNECTION_LOST = "The connection to Hugging Face was lost."


def unavailable(status: int) -> str:
    return f"Hugging Face is unavailable right now (status {status}). Try again later."


def gated(about: str, page: str) -> str:
    return (
        f"{about} is gated: accept its licence on {page}, create an access token in your account "
        "settings there, set HF_TOKEN to it, and start the app again."
    )


def gated_for_this_account(about: str, page: str) -> str:
    return (
        f"{about} is gated, and the account of your HF_TOKEN has no access yet. Accept its licence "
        f"on {page} with that account, then try again."
    )


INVALID_TOKEN = "HF_TOKEN contains invalid characters. Copy the token again, without quotes."


def not_found(about: str, status: int, *, has_token: bool) -> str:
    hint = "" if has_token else " If it is private, set HF_TOKEN to a token that may read it."
    return (
        f"Hugging Face has no {about}, or doesn't show it (status {status}). Check the "
        f"spelling.{hint}"
    )


def no_such_revision(about: str) -> str:
    return f"{about} has no such revision."


def file_gone(about: str) -> str:
    return f"{about} lists a file that no longer exists."


def access_refused(about: str, status: int) -> str:
    return f"Hugging Face refused access to {about} (status {status})."


def insecure_redirect(scheme: str, host: object) -> str:
    return f"Hugging Face redirects to {scheme}://{host}, which isn't https; not followed."


def answer_too_large(about: str, most: int) -> str:
    return f"Hugging Face's response about {about} exceeds {most:,} bytes; not read."


def answer_not_json(about: str, reason: object) -> str:
    return f"Hugging Face's response about {about} isn't JSON: {reason}"


def wrong_part(name: str) -> str:
    return f"Hugging Face sent the wrong part of {name}."


# Searching, and what a repository contains.

EMPTY_SEARCH = "Enter a word or an id like owner/name."
THE_MODELS_SOUGHT = "the models you look for"
SEARCH_NOT_A_LIST = "Can't read Hugging Face's answer to the search: it isn't a list."


def not_a_hub_id(text: str) -> str:
    return f"{text!r} isn't a Hugging Face id. An id looks like owner/name."


def not_a_revision(text: str) -> str:
    return f"{text!r} isn't a revision. Use a commit (40 hex digits), a branch or a tag."


def unreadable_listing(hub_id: str, reason: object) -> str:
    return f"Can't read Hugging Face's file list of {hub_id}: {reason}"


def wrong_commit(commit: object, hub_id: str, wanted: str) -> str:
    return f"Hugging Face returned commit {commit} of {hub_id} instead of {wanted}."


def file_outside(hub_id: str, name: str) -> str:
    return (
        f"{hub_id} contains the file {name!r}, which points outside its folder. Nothing was "
        "downloaded."
    )


def unreadable_index(index: str, about: str, reason: object) -> str:
    return f"The {index} of {about} can't be read: {reason}"


def index_without_pipeline(index: str, about: str) -> str:
    return (
        f"The {index} of {about} doesn't name a diffusers pipeline. Models that need their own "
        "code are never run."
    )


def foreign_class(about: str, name: str, library: str) -> str:
    return (
        f"{about} needs {name!r} from {library!r}. Only parts of diffusers and transformers are "
        "loaded."
    )


def part_of(part: str, about: str) -> str:
    return f"the {part} of {about}"


def many_files(about: str, names: Sequence[str]) -> str:
    listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return (
        f"{about} isn't a diffusers pipeline but a collection of {len(names)} files ({listed}). "
        "Download the one you want by hand, and put it in a models folder."
    )


def weights_of(part: str) -> str:
    return f"the weights of {part}"


def only_pickles(about: str, name: str) -> str:
    return (
        f"{about} has no safetensors, only {name}, a format that could run code. Look for another "
        "repository of this model."
    )


def no_weights(about: str) -> str:
    return f"{about} has no usable weights (safetensors)."


# Downloading.


def waiting_to_download(hub_id: str) -> str:
    return f"Waiting to download {hub_id}"


def contacting(hub_id: str) -> str:
    return f"Contacting Hugging Face about {hub_id}"


def waiting_for_another_download(hub_id: str) -> str:
    return f"Another download of {hub_id} is running; waiting for it"


def downloading(hub_id: str, progress: str) -> str:
    return f"Downloading {hub_id}: {progress}"


def downloaded(hub_id: str) -> str:
    return f"{hub_id} is downloaded"


def incomplete(hub_id: str, missing: object) -> str:
    return f"{hub_id} was downloaded but is incomplete: {missing} is missing."


def not_downloaded(hub_id: str) -> str:
    return f"{hub_id} couldn't be downloaded"


def download_cancelled(hub_id: str) -> str:
    return f"The download of {hub_id} was cancelled. What was downloaded so far is kept."


def cancel_first(hub_id: str) -> str:
    return f"{hub_id} is being downloaded; cancel that first."


def no_such_download(download: str) -> str:
    return f"The download {download!r} doesn't exist."


DOWNLOAD_CANCELLED = "The download was cancelled. What was downloaded so far is kept."


def index_too_large(index: str, hub_id: str) -> str:
    return f"The {index} of {hub_id} is too large to be an index."


def file_missing(hub_id: str, name: str) -> str:
    return f"{hub_id} has no file {name!r}."


def unverifiable(name: str, hub_id: str) -> str:
    return (
        f"Hugging Face gives no size or checksum for {name} of {hub_id}, so it can't be verified."
    )


def file_too_large(name: str, hub_id: str, size: str) -> str:
    return f"{name} of {hub_id} is {size}, far more than such a file needs. It isn't downloaded."


def disk_too_small(what: str, needed: str, spare: str, free: str) -> str:
    return (
        f"{what} needs {needed} more (and {spare} to spare), but only {free} is free on the disk "
        "of the Hugging Face cache. Free some space, or set HF_HOME to a folder on another disk."
    )


def wrong_checksum(name: str, hub_id: str, checksum: str) -> str:
    return (
        f"{name} of {hub_id} doesn't match the checksum from Hugging Face ({checksum}…), so it was "
        "discarded. Try again later."
    )


def size_differs(announced: int, name: str, sent: int | None) -> str:
    return (
        f"Hugging Face announced {announced:,} bytes for {name} but sends {sent:,}. The download "
        "was stopped."
    )


def connection_lost_at(done: int, size: int, name: str) -> str:
    return f"The connection was lost after {done:,} of {size:,} bytes of {name}."


def disk_full(name: str) -> str:
    return (
        f"The disk is full: {name} doesn't fit. What was downloaded so far is kept; free some "
        "space and start again."
    )


def unwritable_file(name: str, reason: str | None) -> str:
    return f"{name} can't be written: {reason}."


# Downloads from elsewhere: reasons that end a sentence.

OFFLINE = "HF_HUB_OFFLINE is set"
IT_WAS_CANCELLED = "it was cancelled"


def broke_off_after(length: int) -> str:
    return f"the connection broke off after {length:,} bytes"


def broke_off(reason: object) -> str:
    return f"the connection broke off ({reason})"


def server_answered(status: int, reason: str) -> str:
    return f"the server answered {status} {reason}"


def cannot_be_reached(reason: object) -> str:
    return f"it can't be reached ({reason})"


def host_unreachable(host: str, reason: object) -> str:
    return f"{host} can't be reached: {reason}"


def received_other_bytes(length: int, found: str, wanted_length: int, wanted: str) -> str:
    return (
        f"received {length:,} bytes with SHA-256 {found}…, but expected {wanted_length:,} bytes "
        f"with SHA-256 {wanted}…"
    )


# The cache.


def link_elsewhere(name: str) -> str:
    return f"{name} is a link to another place. Delete it by hand."


def not_cached(hub_id: str) -> str:
    return f"{hub_id} isn't in the Hugging Face cache."


def not_deleted(hub_id: str, reason: str | None) -> str:
    return f"{hub_id} can't be deleted: {reason}."
