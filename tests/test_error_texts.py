"""Messages never contain the text of an untyped error, or a folder of the server."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import paintdiff

PACKAGE = Path(paintdiff.__file__).parent
ROOMS = ("engine", "imaging/rasters.py", "jobs", "models", "preprocessors", "tasks")
READERS = ("models/formats",)
"""Their reasons are for the list of unusable files, which says where these lie."""
PLACES = {"path", "file", "folder", "source", "place", "target"}
OTHERS = {
    "models/catalog/catalog.py": {"source"},  # as typed on the command line
    "models/registry/controlnet_rows.py": {"source"},
    "models/registry/upscaler_rows.py": {"source"},
    "models/adapters/lora.py": {"path"},  # of a layer
    "tasks/canvas.py": {"source"},  # a size
}
UNTYPED = {"Exception", "BaseException"}


def modules() -> Iterator[Path]:
    for room in ROOMS:
        place = PACKAGE / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if not any(part in path.as_posix() for part in READERS):
                yield path


def shown(node: ast.AST) -> set[str]:
    """Return the plain names that what is raised shows: in f-strings, or handed to messages.

    Those in a call of `str` count; those in any other one, or with an attribute, don't.
    """
    values: list[ast.AST] = []
    for each in ast.walk(node):
        if isinstance(each, ast.JoinedStr):
            values += [part.value for part in each.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(each, ast.Call) and ast.unparse(each.func).startswith("messages."):
            values += [*each.args, *(keyword.value for keyword in each.keywords)]
    values += [
        each.args[0]
        for each in values
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "str" and each.args
    ]
    return {value.id for value in values if isinstance(value, ast.Name)}


def kind(node: ast.Raise | ast.Return) -> str:
    """Return the name of what is called to make what is raised or returned, "" if nothing is."""
    call = node.exc if isinstance(node, ast.Raise) else node.value
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def is_error(node: ast.AST) -> bool:
    """Return whether a statement raises an error that people see, or returns it to be raised."""
    if isinstance(node, ast.Return):
        return kind(node).endswith("Error")
    return isinstance(node, ast.Raise) and kind(node) != "PresetError"


def caught(handler: ast.ExceptHandler) -> str:
    return handler.type.id if isinstance(handler.type, ast.Name) else ""


def faults(source: str) -> list[str]:
    """Return what messages of raised errors show and must not."""
    tree, found = ast.parse(source), list[str]()
    for node in ast.walk(tree):
        if is_error(node):
            found += [f"line {node.lineno}: {name}" for name in shown(node) & PLACES]
        elif isinstance(node, ast.ExceptHandler) and caught(node) in UNTYPED:
            raised = (each for each in ast.walk(node) if isinstance(each, ast.Raise))
            names = {name for each in raised for name in shown(each)}
            found += [f"line {node.lineno}: {name}" for name in names & {node.name}]
    return found


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_messages_name_neither_folders_nor_untyped_errors(path: Path) -> None:
    known = OTHERS.get(path.relative_to(PACKAGE).as_posix(), set())
    found = faults(path.read_text(encoding="utf-8"))
    assert [each for each in found if each.split(": ")[1] not in known] == []


def test_the_check_sees_both() -> None:
    assert faults('raise ModelLoadError(f"{path} is damaged")') == ["line 1: path"]
    assert faults('raise ModelLoadError(f"{path.name} is damaged")') == []
    assert faults("raise ModelLoadError(messages.damaged(path))") == ["line 1: path"]
    assert faults("raise ModelLoadError(messages.damaged(at=path))") == ["line 1: path"]
    assert faults("raise ModelLoadError(messages.damaged(path.name))") == []
    assert faults("raise ModelLoadError(messages.damaged(str(path)))") == ["line 1: path"]
    assert faults("def f():\n return ModelLoadError(messages.gone(place))") == ["line 2: place"]
    text = "try:\n    x()\nexcept Exception as error:\n    raise ModelLoadError(f'bad: {error}')"
    assert faults(text) == ["line 3: error"]
