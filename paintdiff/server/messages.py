"""The server's sentences: why it refuses a request."""

from __future__ import annotations

# The guard, before anything of a request is read.

UNKNOWN_HOST = (
    "This server doesn't answer to that host name. To allow it, start with --allow-host NAME."
)
FROM_ANOTHER_SITE = "Requests from other sites are blocked."
LENGTH_AND_CHUNKS_TOGETHER = "A request may give its length or be sent in chunks, but not both."
SIGN_IN = (
    "Sign in: send an API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY', or a user name "
    "and password by HTTP Basic."
)
WRONG_KEY = "This API key isn't known here, was revoked, or has expired."
WRONG_PASSWORD = "The user name or the password is wrong."
TOO_MANY_WRONG_PASSWORDS = "Too many wrong passwords or keys lately. Try again in a few seconds."


def scope_missing(scopes: str) -> str:
    return f"This needs the scope {scopes}, which you don't have."


NO_RULE = "This address has no rule that says who may use it, so nobody may."


# The page to sign in.

SIGN_IN_TITLE = "Sign in to PaintDiffusion"
SIGN_OUT_TITLE = "Sign out of PaintDiffusion"
USER_LABEL = "User name"
PASSWORD_LABEL = "Password or API key"
SIGN_IN_BUTTON = "Sign in"
SIGN_OUT_BUTTON = "Sign out"
UNREADABLE_FORM = "The form can't be read. Open the page again."


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


# URLs in requests.

URLS_OFF = "This server fetches nothing from URLs: send the picture itself, as base64."
UNUSABLE_URL = "The URL can't be used. Write it like https://example.org/picture.png."
PRIVATE_ADDRESS = "The URL leads to a private network, which this server doesn't reach into."
NOT_FETCHED = "The picture can't be fetched from its URL."
FETCH_TOO_SLOW = "The picture takes too long to arrive from its URL."
TOO_MANY_FETCHES = "Too many pictures are being fetched from URLs. Try again in a moment."


def too_many_fetches_of_yours(most: int) -> str:
    return f"At most {most} of your requests may fetch pictures at once. Try again in a moment."


def too_many_urls(most: int) -> str:
    return f"A request has at most {most} URLs of pictures."


def too_many_redirects(most: int) -> str:
    return f"The URL redirects more than {most} times."


def fetched_an_error(status: int) -> str:
    return f"The server of the URL answers with status {status}."


def fetched_too_much(max_bytes: int) -> str:
    return f"There are more than {max_bytes:,} bytes at the URL."
