"""Compares a configuration with its class. Imports diffusers: import it inside functions.

diffusers checks no types: what it can't use fails while a picture is painted, or while the network
is built, with an error that names neither the file nor the value.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers


def find_wrong_value(config: Mapping[str, Any]) -> tuple[str, object, str] | None:
    """Return the first value whose type its class can't use: its name, it, and what it should be.

    Values are compared with the defaults of the class, as diffusers' annotations are often wrong.
    None if nothing is wrong, or the class is none of diffusers'.
    """
    name = config.get("_class_name")
    class_: Any = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(class_, type) or not issubclass(class_, diffusers.ConfigMixin):
        return None
    for key, parameter in inspect.signature(class_.__init__).parameters.items():
        value = config.get(key)
        if value is None or parameter.default in (None, inspect.Parameter.empty):
            continue
        wanted = _describe_type(parameter.default)
        if isinstance(parameter.default, tuple | list) and not isinstance(value, list):
            return key, value, "a list"
        if wanted is not None and any(_describe_type(leaf) != wanted for leaf in _leaves(value)):
            return key, value, wanted
    return None


def _leaves(value: object) -> Iterator[object]:
    """Yield what is in nested lists; None stands for a value that is left out."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple):
            waiting += each
        elif each is not None:
            yield each


def _describe_type(value: object) -> str | None:
    """Return what a value is; a list is what its first value is."""
    first = next(_leaves(value), None)
    if isinstance(first, int | float):  # also true and false, which count as 1 and 0
        return "a number"
    return "a text" if isinstance(first, str) else None
