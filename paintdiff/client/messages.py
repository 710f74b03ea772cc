"""Sentences about a server: how it can't be reached, and what it refuses."""

from __future__ import annotations

from pathlib import Path

from paintdiff.byte_sizes import format_byte_size
from paintdiff.durations import format_duration

# Addresses.


def not_a_url(url: str) -> str:
    return f"{url!r:.200} isn't an address like http://127.0.0.1:7860."


def unusable_key() -> str:
    return "the key has characters that no key has; copy it again."


# Waiting.


def trying_again(reason: str, seconds: float) -> str:
    return f"{reason} Trying again in {format_duration(seconds)}."


def unreachable(url: str, reason: object) -> str:
    return f"{url} can't be reached: {_end(str(reason) or type(reason).__name__)}"


def busy(url: str, reason: str) -> str:
    return f"{url} is busy: {_end(reason)}"


SUBMITTED_AGAIN = "The server has forgotten the job, perhaps after a restart. Submitting it again."
INTERRUPTED = "The job was cancelled before the server took it, or while it couldn't be reached."


STREAM_ENDED = "the connection ended before the job"
CANCELLED = "The job was cancelled."


def forgets_jobs(url: str) -> str:
    return f"{url} has forgotten the job again and again. See the server's log."


# Answers.


def redirected(url: str, target: str) -> str:
    return f"{url} redirects to {target:.200}. Use the address where the app itself answers."


def not_paintdiffusion(url: str, status: int) -> str:
    return f"{url} doesn't answer as PaintDiffusion does (status {status}). Check the address."


def key_needed(url: str, detail: str) -> str:
    return f"{url} refuses: {_end(detail)} Give a key with --key or PAINTDIFF_KEY."


def refused(url: str, detail: str) -> str:
    return f"{url} refuses: {_end(detail)}"


def answer_too_large(url: str, most: int) -> str:
    return f"{url} sends more than {format_byte_size(most)}, which no answer of its kind has."


def event_too_large(most: int) -> str:
    return f"The server sends an event of more than {format_byte_size(most)}, which none has."


def unreadable_answer(url: str) -> str:
    return f"{url} sends an answer that can't be read. Its version may be another than this one."


def unreadable_picture(path: Path, reason: object) -> str:
    return f"{path} came from the server and isn't a picture that can be read: {_end(str(reason))}"


# A gallery.

NO_BIN = "the bin can be seen only where the pictures are; leave it out with --server."
ONE_TAG = "a server finds pictures by one tag; give one with --server."


def not_an_id(text: str) -> str:
    return f"{text!r:.100} isn't the id of a picture."


def _end(sentence: str) -> str:
    text = " ".join(sentence.split())[:500]
    return text if text.endswith((".", "!", "?")) else f"{text}."
