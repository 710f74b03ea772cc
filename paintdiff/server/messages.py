"""The server's sentences: why it refuses a request."""

from __future__ import annotations

# The guard, before anything of a request is read.

UNKNOWN_HOST = (
    "This server doesn't answer to that host name. To allow it, start with --allow-host NAME."
)
FROM_ANOTHER_SITE = "Requests from other sites are blocked."
LENGTH_AND_CHUNKS_TOGETHER = "A request may give its length or be sent in chunks, but not both."
PASSWORD_REQUIRED = "This app requires a user name and password."
TOO_MANY_WRONG_PASSWORDS = "Too many wrong passwords lately. Try again in a few seconds."


def body_too_large(max_bytes: int) -> str:
    return f"The request is too large: at most {max_bytes:,} bytes can be sent at once."


BODY_TOO_SLOW = "The request took too long to arrive."
TOO_MANY_BODIES = "Too much is being sent at once. Try again in a moment."


# Addresses and sessions.

NO_SUCH_ROUTE = "There is nothing at this address."


def wrong_method(allowed: str) -> str:
    return f"This address takes another method: {allowed}."


def unreadable_address(reason: object) -> str:
    return f"The address can't be read: {reason}."


def query_too_long(max_bytes: int) -> str:
    return f"the query has more than {max_bytes} bytes"


PARAMETER_TWICE = "the query gives a parameter twice"
INVALID_SESSION = "session_hash isn't valid."
TOO_MANY_PENDING = "Too many requests are pending. Wait a moment."
TOO_MANY_PENDING_OF_ALL = "The server is busy. Try again in a moment."
PAGE_OPEN_TOO_OFTEN = "This page has too many connections open. Open it again."
TOO_MANY_OF_YOUR_PAGES = "Too many pages are open. Close some of them."
TOO_MANY_PAGES = "Too many pages are open. Try again later."


# The page's events. A person sees these only if the page and the server differ in version.

NO_SUCH_EVENT = "The page has no such event. Reload it."
WRONG_NUMBER_OF_INPUTS = "The event has another number of inputs. Reload the page."


def wrong_input(shape: str) -> str:
    return f"An input isn't a {shape}."


def unknown_key(key: str) -> str:
    return f"An event has no {key!r:.40}."


TRIGGER_NOT_A_NUMBER = "trigger_id isn't a number."
FILE_IN_EVENT = "Files can't be named in an event."


def too_many_values(limit: int) -> str:
    return f"A value has more than {limit} entries."


def nested_too_deep(limit: int) -> str:
    return f"A value is nested more than {limit} levels deep."


CANCELLATION_KEYS = "A cancellation has session_hash, fn_index and event_id."
CANCELLATION_WITHOUT_EVENT = "A cancellation names an event."
UNREADABLE_BODY = "The body isn't JSON that can be read."
BODY_NOT_AN_OBJECT = "The body isn't an object."


REQUEST_CUT_OFF = "The request was cut off."


def event_too_large(max_bytes: int) -> str:
    return f"An event has at most {max_bytes:,} bytes."
