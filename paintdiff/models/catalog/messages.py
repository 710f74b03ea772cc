"""Sentences about the models that are here: finding, adding and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Looking up a name.


def none_of_that_kind(what: str, name: str, advice: str) -> str:
    return f"There is no {what} {name!r}, and none was found{advice}"


def is_missing(what: str, name: str, place: str, suggestion: str | None) -> str:
    instead = f" Did you mean {suggestion!r}?" if suggestion else ""
    return f"The {what} {name[:100]!r} is missing: it was {place!r}.{instead}"


def ambiguous_name(what: str, name: str, names: Sequence[str], most_listed: int) -> str:
    listed = ", ".join(map(repr, names[:most_listed]))
    more = f" and {len(names) - most_listed} more" if len(names) > most_listed else ""
    return f"{len(names)} {what}s are called {name[:100]!r}. Write one of: {listed}{more}."


def name_taken_twice(what: str, name: str) -> str:
    return f"Two {what}s are called {name!r}. Rename one of them."


def put_into(what: str, subfolder: str) -> str:
    return f" in your models folder. Put {what}s into its folder {subfolder!r}."


def start_with_folder(what: str, subfolder: str) -> str:
    return f". Start the app with --models-dir FOLDER and put {what}s into FOLDER/{subfolder}."


# Adding a model.


def no_model_at(source: str) -> str:
    return (
        f"There is no model at {source!r}. Name a folder, a .safetensors file or a Hugging Face id "
        "like owner/name."
    )


def family_not_supported(source: str, family: object, supported: str) -> str:
    return (
        f"{source!r} is of the family {family!r}, which isn't supported. Supported families: "
        f"{supported}."
    )


def not_a_model_to_paint_with(source: str, reason: str) -> str:
    return f"{source!r} isn't a model to paint with: {reason}."


def unreadable_folder(name: str, reason: str | None) -> str:
    return f"{name} can't be looked into: {reason}."


# Presets of models.


def unknown_family(path: Path, name: str, family: str) -> str:
    return f"{path}: models.{name}: unknown family {family!r}."


def sampler_does_not_fit(path: Path, name: str, sampler: str, family: str, fitting: str) -> str:
    return f"{path}: models.{name}: {sampler} doesn't fit {family}, which takes {fitting}."


def not_a_pattern(pattern: str, reason: object) -> str:
    return f"{pattern!r} isn't a regular expression: {reason}"


# Deleting.

SHIPPED = "It comes with the app and can't be deleted."
NOT_HERE = "It isn't on this machine."


def outside_models_folders(name: str) -> str:
    return f"{name} is outside the models folders, so the app doesn't delete it."


def has_changed(path: Path) -> str:
    return f"{path} has changed since it was shown. Check it again, then delete it."


def not_deleted(name: str, reason: str) -> str:
    return f"{name} can't be deleted: {reason}."
