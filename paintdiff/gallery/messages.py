"""Sentences about the gallery: its database, its files, and the settings in pictures."""

from __future__ import annotations

from paintdiff.imaging.geometry import Size

# The database.

DATABASE_BUSY = (
    "The gallery's database is in use by another program, or its server doesn't answer. Try again."
)
DATABASE_UNUSABLE = (
    "The gallery's database can't be read or written. Is its disk there? Then try again."
)
DATABASE_DISK_FULL = "The disk of the gallery's database is full. Make room, then try again."
DATABASE_READ_ONLY = (
    "The gallery's database can't be created or written. Check its folder's permissions."
)
DATABASE_DAMAGED = (
    "The gallery's database is damaged, or isn't a gallery. It wasn't changed: move it away, or "
    "put a backup in its place."
)
DATABASE_FAILED = "The gallery's database failed. The log says why."


def made_by_newer_version(version: str | None, known: str | None) -> str:
    return (
        f"A newer version of PaintDiffusion made the gallery (its version {version}, known up to "
        f"{known}). Update PaintDiffusion to open it."
    )


WRONG_DATABASE_URL = (  # without the URL, which may contain a password
    "The gallery's database URL can't be used. Use postgresql://USER@HOST/DATABASE or "
    "sqlite:///FILE."
)
POSTGRESQL_DRIVER_MISSING = (
    "A gallery in PostgreSQL needs its driver: pip install 'paintdiffusion[postgres]'."
)


# Pictures and their properties.


def already_recorded(file: str) -> str:
    return f"The picture {file} is in the gallery already."


def picture_not_found(id: str) -> str:
    return f"The gallery has no picture {id!r}."


def wrong_page_size(most: int, limit: int) -> str:
    return f"A page has 1 to {most} pictures, not {limit}."


WRONG_CURSOR = "The cursor isn't one that a page returned."


def search_too_long(length: int, most: int) -> str:
    return f"The search has {length} characters; {most} is the limit. Search for fewer words."


def path_not_storable(path: str, most_bytes: int) -> str:
    return (
        f"The path {path!r} can't be stored: it isn't UTF-8 text of at most {most_bytes} bytes. "
        "Rename the file."
    )


def value_too_long(field: str, length: int, most: int) -> str:
    return f"{field} has {length} characters; {most} is the limit."


def time_without_zone(field: str, time: object) -> str:
    return f"The time {time} in {field} needs a time zone, such as 2026-11-30T12:00:00Z."


def not_storable(field: str, value: object) -> str:
    return (
        f"{field} can't be stored: {ascii(value)[:60]}. A text has no NUL and no unpaired "
        "surrogates, a number has at most 64 bits (a width or height 32), and a time has a time "
        "zone and lies in the years 1 to 9999 in UTC."
    )


def unknown_relation(relation: str, relations: str) -> str:
    return f"Unknown relation {relation!r}. Use one of: {relations}."


def wrong_feedback(feedback: int) -> str:
    return f"Feedback is -1, 0 or 1, not {feedback}."


def too_many_tags(most: int, count: int) -> str:
    return f"A picture has up to {most} tags, not {count}. Remove some."


def wrong_tag_length(most: int, length: int) -> str:
    return f"A tag has 1 to {most} characters, not {length}."


CONTROL_CHARACTERS_IN_TAG = "A tag can't have control characters."


# Recording a picture that was painted.


def not_in_gallery(reason: object) -> str:
    return f"The picture isn't in the gallery: {reason}"


def not_in_gallery_yet(reason: object) -> str:
    return f"The picture is saved, but isn't in the gallery yet: {reason}"


KEPT_IN_MEMORY = "The picture is kept in memory and saved as soon as possible."
NO_ROOM_FOR_UNSAVED = "There is no room to keep more unsaved pictures. Download this one now."


def input_not_written(reason: object) -> str:
    return f"Can't write the input image: {reason}."


# Files.


def file_not_written(reason: object) -> str:
    return f"Can't write the file: {reason}."


def file_not_read(reason: object) -> str:
    return f"Can't read the picture's file: {reason}."


NO_FREE_FILE_NAME = "Can't write the file: no free file name was found."


def unwritable(path: object, reason: object) -> str:
    return f"{path} can't be written: {reason}."


def no_such_folder(folder: object) -> str:
    return f"The folder {folder} doesn't exist."


def folder_unreadable(reason: str | None) -> str:
    return f"The folder can't be read: {reason}."


def not_a_file(what: str) -> str:
    return f"It is {what}, not a file."


def own_folder_watched(folder: object) -> str:
    return (
        f"The folder {folder} lies in the gallery's own folder, whose pictures are in the gallery "
        "anyway. Watch another one."
    )


def watching_later(reason: object) -> str:
    return f"The watched folders are looked through again later: {reason}"


def too_many_files(most: int) -> str:
    return f"The watched folders have more than {most:,} pictures; the others aren't looked at."


def folder_too_deep(most: int) -> str:
    return f"The folder lies deeper than {most} folders, and isn't read."


NAME_NOT_STORABLE = "Its name has characters that can't be stored. Rename it."
LINK_OUT_OF_FOLDER = (
    "It is a link to a file elsewhere, which isn't followed. Import the folder where that lies."
)
BROKEN_LINK = "It is a link to a file that doesn't exist."
CHANGED_SINCE_IMPORTED = (
    "It was changed since it was imported. Delete it from the gallery and empty the bin, then "
    "import it again."
)


def not_copied(path: object, reason: object) -> str:
    return f"{path} can't be copied: {reason}."


def input_missing(sha256: str) -> str:
    return f"The input image {sha256}… isn't in the gallery, or was changed. Supply it again."


def unreadable(name: str, reason: str | None) -> str:
    return f"{name} can't be read: {reason}."


def file_too_large(name: str, limit: str) -> str:
    return f"{name} is larger than {limit}."


def cut_off(name: str) -> str:
    return f"{name} is cut off: the end of the PNG is missing."


def fewer_pixels_than_it_says(size: Size) -> str:
    return f"The picture is damaged: it says {size}, and its file is too small for that."


PICTURE_WITHOUT_SIZE = "The picture is damaged: it has no size."


# Variations.

NO_SEED_TO_VARY = "The seed of this picture isn't known. Vary the picture itself instead."
FILE_OF_PICTURE_MISSING = (
    "The file of this picture is missing. It may be on a disk that isn't there now."
)


# Settings in pictures.

NO_SETTINGS = "This picture contains no settings."


def text_too_long(key: str, length: int, most: int) -> str:
    return f"The picture's {key} text has {length:,} characters; at most {most:,} are read."


def settings_damaged(reason: object) -> str:
    return f"The picture's settings are damaged: {reason}"


SETTINGS_WITHOUT_REQUEST = "The picture's settings are damaged: the request is missing."


def picture_settings_unusable(reason: object) -> str:
    return f"The picture's settings can't be used: {reason}"


SETTINGS_NOT_JSON = "This picture's settings are damaged (invalid JSON)."
UNKNOWN_JSON_SETTINGS = "This picture has settings in JSON that can't be read here."
SETTINGS_UNUSABLE = "The settings can't be used."


def settings_unusable(reason: object) -> str:
    return f"The settings can't be used: {reason}."


# ComfyUI's graphs.


def too_many_nodes(most: int) -> str:
    return f"This ComfyUI graph has more than {most:,} nodes."


NO_SAMPLING_NODE = "This ComfyUI graph has no sampling node that can be read here."
NO_PROMPT_IN_GRAPH = "The prompt in this ComfyUI graph can't be found."


# What the check finds: it follows the file's name.

WITHOUT_RECORD = "it has no record"
ERASED_BUT_THERE = "it was erased from the bin, but is still there"
NEEDED_BY_NO_RECORD = "no record needs this input image"
INPUT_CHANGED = "this input image was changed"
FILE_MISSING = "its file is missing"


def other_length(size_bytes: int, recorded: int) -> str:
    return f"its file has {size_bytes} bytes, not {recorded}"


FILE_CHANGED = "its file was changed"
THUMBNAIL_MISSING = "its thumbnail is missing"


def input_image_missing(sha256: str) -> str:
    return f"its input image {sha256}… is missing"
