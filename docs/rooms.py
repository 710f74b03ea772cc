"""Write the rooms of the package into docs/rooms.md: `python -m docs.rooms`.

Everything comes from `tests/test_layers.py`, whose import table is exactly what the code imports.
The diagrams are Mermaid, which GitHub shows as pictures.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from tests.test_layers import MAY_IMPORT, MAY_USE, MAY_USE_IN_FUNCTIONS, PACKAGE, SPLIT

PAGE = Path(__file__).with_name("rooms.md")

Edges = dict[str, set[str]]
"""Room -> the rooms that it imports."""


def written(page: str) -> str:
    """Return the page with everything between its markers replaced by what holds now."""
    for name, content in (("table", import_table()), ("diagrams", diagrams())):
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        page, count = pattern.subn(lambda _, new=f"{begin}{content}{end}": new, page)
        if count != 1:
            raise ValueError(f"{PAGE.name} needs the markers of {name!r} once, not {count} times.")
    return page


def import_table() -> str:
    """Return the import table in Markdown, from the bottom upwards, with each room's contents."""
    lines = ["| room | contents | may import | heavy libraries |", "|---|---|---|---|"]
    for room, imported in MAY_IMPORT.items():
        heavy = sorted(MAY_USE.get(room, ()))
        heavy += [f"{each} in functions" for each in sorted(MAY_USE_IN_FUNCTIONS.get(room, ()))]
        path = _path_of(room)
        cells = (_name(path), _summary(path), _listed(imported), ", ".join(heavy))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def diagrams() -> str:
    """Return a diagram of the whole package, and one of each folder that has rooms inside."""
    parts = [_mermaid(grouped(MAY_IMPORT))]
    for folder in SPLIT:
        inside = {
            _short(room): {_short(each) for each in imported if _is_in(each, folder)}
            for room, imported in MAY_IMPORT.items()
            if _is_in(room, folder)
        }
        parts.append(f"Inside `{folder}/`:\n\n{_mermaid(inside)}")
    return "\n".join(parts)


def grouped(edges: Edges) -> Edges:
    """Return the edges between the top-level folders and modules of the package."""
    tops: Edges = {}
    for room, imported in edges.items():
        top = room.partition(".")[0]
        targets = tops.setdefault(top, set())
        targets |= {each.partition(".")[0] for each in imported} - {top}
    return tops


def reduced(edges: Edges) -> Edges:
    """Return the edges without those that a longer path implies."""
    kept = {room: set(targets) for room, targets in edges.items()}
    for room in sorted(kept):
        for target in sorted(kept[room]):
            kept[room].remove(target)
            if not _reaches(kept, room, target):
                kept[room].add(target)
    return kept


def _reaches(edges: Edges, start: str, end: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target == end:
                return True
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return False


def _mermaid(edges: Edges) -> str:
    lines = ["```mermaid", "graph TD"]
    for room, targets in sorted(reduced(edges).items()):
        if room.startswith("__"):
            continue
        lines.append(f"    {room}_[{room}]")  # "end" and the like are words of Mermaid's own
        lines += [f"    {room}_ --> {target}_" for target in sorted(targets)]
    return "\n".join([*lines, "```"]) + "\n"


def _is_in(room: str, folder: str) -> bool:
    return room.startswith(f"{folder}.")


def _short(room: str) -> str:
    return room.rpartition(".")[2]


def _path_of(room: str) -> Path:
    path = PACKAGE.joinpath(*room.split("."))
    module = path.with_suffix(".py")
    return module if module.is_file() else path


def _name(path: Path) -> str:
    name = path.relative_to(PACKAGE).as_posix()
    return f"`{name}/`" if path.is_dir() else f"`{name}`"


def _summary(path: Path) -> str:
    """Return the first sentence of a room's docstring."""
    source = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)[0].rstrip(".").replace("|", r"\|")


def _listed(rooms: Iterable[str]) -> str:
    return ", ".join(sorted(rooms)) or "nothing"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
