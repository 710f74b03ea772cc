"""Sentences for people stand in their room's `messages.py`, where they are proofread together."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.test_layers import PACKAGE, modules, room_of

OTHERS = {
    "durations",  # units only
    "error_reports",  # one sentence, and that is what the module is for
    "mini",  # captions that the embedded model is trained on, and a command for developers
}
"""Rooms that need no `messages.py`."""

BEGINNING = re.compile(r"\s*[A-Z][A-Za-z0-9'\u2019-]*[:,.]?\s")
TABLES = {
    "jobs/axes.py",
    "models/discovery/detection_rules.py",
    "models/registry/speed_profiles.py",
    "preprocessors/table.py",
}
"""Modules that are tables: the words of a row are proofread best beside those of the others."""

WITH_REASONS = {"models.discovery", "models.formats"}
"""Rooms whose messages also have all reasons: parts of a sentence, without a capital letter."""

REASON = re.compile(r"(it|its|is|an?|the|there|this|reading|numbers) ")
LEAST_REASON_WORDS = 3
LEAST_WORDS = 4
SQL = re.compile(r"(CREATE|PRAGMA|SET|UPDATE) ")
OTHER_PROGRAMS_WORDS = {"Diffusion in Low Bits"}
"""Names in other programs' files."""

NOT_FOR_PEOPLE = {"cast", "compile", "debug"}
"""Calls whose strings nobody reads: types, patterns, log lines for developers."""


def plain_text(node: ast.AST) -> str | None:
    """Return a literal's text with "X" for each value; None for other code."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        return "".join(str(part) for part in parts)
    return None


def callee(node: ast.Call) -> str:
    name = node.func
    return name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")


def reads_as_sentence(text: str) -> bool:
    """Return whether a text begins with a capital letter and has words enough, tags aside."""
    if SQL.match(text) or text in OTHER_PROGRAMS_WORDS:
        return False
    words = re.sub(r"<[^>]*>", " ", text)
    return bool(BEGINNING.match(words) and re.search("[a-z]{3}", words)) and (
        len(words.split()) >= LEAST_WORDS
    )


def reads_as_reason(text: str) -> bool:
    """Return whether a text is a reason, such as "it is cut off", or names a kind of file.

    Templates of log lines, with a %, aren't.
    """
    words = len(text.split())
    return bool(REASON.match(text)) and "%" not in text and words >= LEAST_REASON_WORDS


def sentences(node: ast.AST, reads: Callable[[str], bool] = reads_as_sentence) -> Iterator[str]:
    """Yield the literals that read as sentences: a capital letter, then four words or more."""
    if isinstance(node, ast.Expr) and plain_text(node.value) is not None:
        return  # a docstring
    if isinstance(node, ast.Compare):
        return  # with a text of somebody else's
    if isinstance(node, ast.Call) and callee(node) in NOT_FOR_PEOPLE:
        return
    text = plain_text(node)
    if text is not None:
        if reads(text):
            yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from sentences(child, reads)


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def found_in(path: Path, reads: Callable[[str], bool] = reads_as_sentence) -> list[str]:
    return list(sentences(ast.parse(path.read_text(encoding="utf-8")), reads))


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if room_of(path) not in OTHERS and place(path) not in TABLES],
    ids=place,
)
def test_sentences_for_people_stand_in_messages(path: Path) -> None:
    assert path.name == "messages.py" or found_in(path) == []


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if room_of(path) in WITH_REASONS and place(path) not in TABLES],
    ids=place,
)
def test_reasons_stand_in_messages(path: Path) -> None:
    found = found_in(path, reads_as_reason)
    assert bool(found) == (path.name == "messages.py"), found


def test_the_check_sees_reasons() -> None:
    source = ast.parse('raise E(f"it has {count} tensors")\nkind = "a VAE"\nword = "its"')
    assert list(sentences(source, reads_as_reason)) == ["it has X tensors"]


SCRIPTS = PACKAGE / "ui" / "assets"
SCRIPTED_TEXT = re.compile(r'//.*|"([^"\n]*)"|`([^`]*)`')


def found_in_script(source: str) -> list[str]:
    """Return the texts that read as sentences and end as one; labels of controls don't."""
    texts = (match[1] or match[2] or "" for match in SCRIPTED_TEXT.finditer(source))
    return [text for text in texts if text.endswith((".", "?")) and reads_as_sentence(text)]


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.js")), ids=place)
def test_sentences_in_scripts_stand_in_messages(path: Path) -> None:
    found = found_in_script(path.read_text(encoding="utf-8"))
    assert bool(found) == (path.name == "messages.js"), found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('say("This is no picture.");', ["This is no picture."]),
        ("say(`The file is ${size}. Save it smaller.`)", ["The file is ${size}. Save it smaller."]),
        ('// It says "This is no picture."', []),
        ("say(`Can\u2019t open this: ${reason}.`)", ["Can\u2019t open this: ${reason}."]),
        ('button("Move the picture (H)")', []),
    ],
)
def test_the_check_sees_sentences_in_scripts(source: str, found: list[str]) -> None:
    assert found_in_script(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise E("The size is too large.")', ["The size is too large."]),
        ('raise E(f"{size} is too large.")', ["X is too large."]),
        ('label = Slider(info="Smaller tiles use less memory")', ["Smaller tiles use less memory"]),
        ('def f():\n    """Return the size of it."""', []),
        ('log.debug("The size is %s now", size)', []),
        ('log.warning("The size is %s now", size)', ["The size is %s now"]),
        ("raise E(messages.too_large(size))", []),
        ('title = "Line art"', []),
        ('page = f"{head}\\n{style} {script}\\n{body}"', []),
        ('connection.execute("PRAGMA synchronous = FULL for now")', []),
        ('raise E("Set a smaller size.")', ["Set a smaller size."]),
        ("page = '<p>No model is in memory.</p>'", ["<p>No model is in memory.</p>"]),
    ],
)
def test_the_check_sees_sentences(source: str, found: list[str]) -> None:
    assert list(sentences(ast.parse(source))) == found
