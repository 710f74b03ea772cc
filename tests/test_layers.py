"""Check who imports whom. `MAY_IMPORT` is the table, of which docs/rooms.md has a copy."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "paintdiff"
SPLIT = ("models", "ui")
"""Folders whose folders are rooms of their own."""

MAY_IMPORT: dict[str, set[str]] = {
    "byte_sizes": set(),
    "durations": set(),
    "errors": set(),
    "qr_codes": set(),
    "models.__init__": set(),
    "version": set(),
    "system": {"version"},
    "ui.__init__": set(),
    "config": {"errors", "system"},
    "error_reports": {"errors"},
    "imaging": {"byte_sizes", "errors", "system"},
    "models.acceleration": {"errors", "system"},
    "models.formats": {"errors", "system"},
    "prompts": {"errors", "config", "system"},
    "jobs": {"config", "errors", "imaging", "prompts"},
    "models.hub": {"byte_sizes", "errors", "system", "error_reports", "models.formats"},
    "gallery": {"byte_sizes", "errors", "system", "imaging", "jobs", "prompts"},
    "accounts": {"errors", "gallery"},
    "journal": {"errors", "gallery", "imaging", "jobs", "system"},
    "server": {"accounts", "errors"},
    "models.registry": {
        "byte_sizes",
        "errors",
        "config",
        "imaging",
        "models.formats",
        "models.hub",
    },
    "models.conditioning": {"errors", "prompts", "models.formats", "models.registry"},
    "models.discovery": {"errors", "system", "models.formats", "models.registry"},
    "models.tiling": {"imaging", "models.registry"},
    "models.memory": {
        "byte_sizes",
        "errors",
        "imaging",
        "models.formats",
        "models.registry",
        "models.tiling",
    },
    "models.loading": {
        "errors",
        "system",
        "config",
        "error_reports",
        "models.formats",
        "models.hub",
        "models.registry",
        "models.memory",
    },
    "models.adapters": {
        "errors",
        "models.acceleration",
        "models.formats",
        "models.hub",
        "models.registry",
        "models.conditioning",
        "models.memory",
        "models.loading",
    },
    "models.catalog": {
        "errors",
        "config",
        "models.formats",
        "models.hub",
        "models.registry",
        "models.discovery",
        "models.loading",
    },
    "models.upscaling": {
        "byte_sizes",
        "errors",
        "system",
        "imaging",
        "models.formats",
        "models.registry",
        "models.memory",
        "models.loading",
    },
    "models.inference": {
        "errors",
        "imaging",
        "prompts",
        "models.acceleration",
        "models.formats",
        "models.registry",
        "models.conditioning",
        "models.tiling",
        "models.memory",
        "models.loading",
        "models.adapters",
    },
    "models.manager": {
        "errors",
        "config",
        "models.acceleration",
        "models.formats",
        "models.hub",
        "models.registry",
        "models.conditioning",
        "models.memory",
        "models.loading",
        "models.adapters",
        "models.catalog",
        "models.upscaling",
        "models.inference",
    },
    "preprocessors": {
        "byte_sizes",
        "errors",
        "system",
        "config",
        "error_reports",
        "models.formats",
        "models.registry",
        "models.manager",
    },
    "mini": {"errors", "config", "preprocessors", "prompts"},
    "tasks": {
        "errors",
        "error_reports",
        "imaging",
        "jobs",
        "prompts",
        "models.registry",
        "models.conditioning",
        "models.tiling",
        "models.memory",
        "models.loading",
        "models.adapters",
        "models.catalog",
        "models.upscaling",
        "models.inference",
        "preprocessors",
    },
    "engine": {
        "byte_sizes",
        "errors",
        "system",
        "config",
        "error_reports",
        "imaging",
        "jobs",
        "models.acceleration",
        "models.registry",
        "models.memory",
        "models.loading",
        "models.upscaling",
        "models.inference",
        "models.manager",
        "preprocessors",
        "prompts",
        "tasks",
    },
    "client": {
        "byte_sizes",
        "durations",
        "errors",
        "version",
        "imaging",
        "jobs",
        "gallery",
    },
    "replay": {
        "errors",
        "gallery",
        "imaging",
        "jobs",
        "engine",
    },
    "__init__": {"errors", "version", "system", "imaging", "jobs", "engine"},
    "cli": {
        "accounts",
        "byte_sizes",
        "durations",
        "errors",
        "system",
        "config",
        "imaging",
        "models.acceleration",
        "jobs",
        "prompts",
        "gallery",
        "client",
        "models.registry",
        "models.catalog",
        "models.manager",
        "preprocessors",
        "tasks",
        "engine",
        "replay",
    },
    "api": {
        "accounts",
        "errors",
        "version",
        "error_reports",
        "config",
        "imaging",
        "jobs",
        "prompts",
        "gallery",
        "server",
        "models.hub",
        "models.registry",
        "models.catalog",
        "preprocessors",
        "tasks",
        "engine",
    },
    "ui.common": {
        "accounts",
        "byte_sizes",
        "errors",
        "config",
        "error_reports",
        "gallery",
        "imaging",
        "jobs",
        "models.hub",
        "models.registry",
        "models.catalog",
        "preprocessors",
        "prompts",
        "engine",
        "server",
    },
    "ui.inputs": {"errors", "imaging", "jobs", "ui.common"},
    "ui.gallery": {
        "byte_sizes",
        "errors",
        "config",
        "imaging",
        "jobs",
        "gallery",
        "server",
        "ui.common",
    },
    "ui.run": {
        "errors",
        "imaging",
        "jobs",
        "gallery",
        "engine",
        "server",
        "ui.common",
        "ui.gallery",
    },
    "ui.settings": {
        "byte_sizes",
        "durations",
        "errors",
        "imaging",
        "jobs",
        "prompts",
        "models.registry",
        "models.catalog",
        "preprocessors",
        "ui.common",
        "ui.inputs",
    },
    "ui.painting": {
        "errors",
        "imaging",
        "jobs",
        "gallery",
        "preprocessors",
        "ui.common",
        "ui.inputs",
        "ui.run",
        "ui.settings",
    },
    "ui.prompting": {
        "errors",
        "gallery",
        "jobs",
        "models.registry",
        "prompts",
        "server",
        "tasks",
        "ui.common",
    },
    "ui.replay": {
        "errors",
        "gallery",
        "imaging",
        "jobs",
        "engine",
        "replay",
        "server",
        "ui.gallery",
    },
    "ui.model_browser": {
        "byte_sizes",
        "errors",
        "config",
        "imaging",
        "jobs",
        "models.hub",
        "models.registry",
        "models.catalog",
        "ui.common",
        "ui.painting",
    },
    "ui.tabs": {
        "errors",
        "imaging",
        "jobs",
        "gallery",
        "ui.common",
        "ui.inputs",
        "ui.run",
        "ui.settings",
        "ui.painting",
    },
    "ui.page": {
        "errors",
        "jobs",
        "ui.common",
        "ui.inputs",
        "ui.run",
        "ui.painting",
        "ui.gallery",
        "ui.model_browser",
        "ui.tabs",
    },
    "ui.gradio_server": {"server", "ui.page"},
    "housekeeping": {"config", "engine", "errors", "gallery", "system"},
    "serving": {"errors", "config", "server"},
    "restarts": {"config", "engine", "errors", "system"},
    "app": {
        "accounts",
        "api",
        "config",
        "engine",
        "errors",
        "gallery",
        "housekeeping",
        "journal",
        "models.catalog",
        "models.hub",
        "models.manager",
        "models.registry",
        "preprocessors",
        "prompts",
        "qr_codes",
        "restarts",
        "server",
        "serving",
        "system",
        "ui.common",
        "ui.gallery",
        "ui.gradio_server",
        "ui.model_browser",
        "ui.page",
        "ui.prompting",
        "ui.replay",
        "ui.run",
    },
    "__main__": {"system", "cli", "app"},
}
"""Room -> the other rooms that it imports, lazily or not, from the bottom upwards. Every permission
is used.
"""

HEAVY = {"torch", "diffusers", "transformers", "gradio"}

MAY_USE: dict[str, set[str]] = {
    "app": {"gradio"},
    "mini": {"torch", "diffusers", "transformers"},
    "models.acceleration": {"torch", "diffusers"},
    "models.adapters": {"torch", "diffusers", "transformers"},
    "models.conditioning": {"torch", "transformers"},
    "models.formats": {"torch"},
    "models.inference": {"torch", "diffusers"},
    "models.loading": {"torch", "diffusers", "transformers"},
    "models.memory": {"torch", "diffusers"},
    "models.tiling": {"torch", "diffusers"},
    "models.upscaling": {"torch"},
    **{room: {"gradio"} for room in MAY_IMPORT if room.startswith("ui.") and room != "ui.__init__"},
}
"""Room -> the heavy libraries that it may import anywhere."""

MAY_USE_IN_FUNCTIONS: dict[str, set[str]] = {
    "models.manager": {"torch", "diffusers"},
    "preprocessors": {"torch"},
    "tasks": {"torch"},
}
"""Room -> the heavy libraries that it may import in functions only, so that it loads quickly."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of_name(parts: tuple[str, ...]) -> str:
    return ".".join(parts[: 2 if parts[0] in SPLIT else 1])


def room_of(path: Path) -> str:
    return room_of_name(path.relative_to(PACKAGE).with_suffix("").parts)


def imported_names(nodes: list[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_rooms(room: str, source: str) -> set[str]:
    """Return the other rooms that the source imports, in functions and for types, too."""
    rooms: set[str] = set()
    for name in imported_names(list(ast.walk(ast.parse(source)))):
        top, *parts = name.split(".")
        if top == "paintdiff":
            rooms.add(room_of_name(tuple(parts)))
    return rooms - {room}


def wrong_libraries(room: str, source: str) -> set[str]:
    """Return the heavy libraries that the source imports although its room may not."""
    tree = ast.parse(source)
    anywhere = {name.partition(".")[0] for name in imported_names(list(ast.walk(tree)))}
    at_once = {name.partition(".")[0] for name in imported_names(list(tree.body))}
    allowed = MAY_USE.get(room, set())
    in_functions = MAY_USE_IN_FUNCTIONS.get(room, set())
    return HEAVY & ((anywhere - allowed - in_functions) | (at_once - allowed))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    source, room = path.read_text(encoding="utf-8"), room_of(path)
    assert imported_rooms(room, source) - MAY_IMPORT[room] == set()
    assert wrong_libraries(room, source) == set()


def test_every_permission_is_used() -> None:
    used: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for path in modules():
        used[room_of(path)] |= imported_rooms(room_of(path), path.read_text(encoding="utf-8"))
    assert used == MAY_IMPORT


def test_the_table_has_no_cycle_and_runs_upwards() -> None:
    list(TopologicalSorter(MAY_IMPORT).static_order())  # raises CycleError
    above: set[str] = set()
    for room, imported in MAY_IMPORT.items():
        assert imported <= above, f"{room} stands below a room that it imports"
        above.add(room)


def test_models_has_no_loose_modules() -> None:
    assert [path.name for path in (PACKAGE / "models").glob("*.py")] == ["__init__.py"]


def test_sql_is_written_by_those_who_own_tables() -> None:
    databases = {"sqlalchemy", "alembic", "sqlite3", "psycopg"}
    users = {
        room_of(path)
        for path in modules()
        for name in imported_names(list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
        if name.partition(".")[0] in databases
    }
    assert users == {"gallery", "accounts", "journal"}


def test_one_module_connects_to_the_database() -> None:
    connects = {"create_engine", "connect(", "make_url("}
    room = PACKAGE / "gallery"
    users = {
        path.name
        for path in room.rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in connects)
    }
    assert users == {"database.py"}


def test_only_the_command_imports_the_app() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in modules()}
    importers = [
        path
        for path, source in sources.items()
        for name in imported_names(list(ast.walk(ast.parse(source))))
        if name.split(".")[0] == "app" or name.split(".")[:2] == ["paintdiff", "app"]
    ]
    assert importers == [PACKAGE / "__main__.py"]


def test_the_check_sees_a_wrong_import() -> None:
    lazy = "def f():\n    from paintdiff.tasks import text_to_image"
    assert imported_rooms("ui.run", lazy) == {"tasks"}
    assert imported_rooms("models.hub", "from paintdiff.models.catalog.catalog import Catalog") == {
        "models.catalog"
    }
    assert wrong_libraries("imaging", "import torch") == {"torch"}
    assert wrong_libraries("models.manager", "import torch.nn") == {"torch"}
    assert wrong_libraries("models.manager", "def f():\n    import torch") == set()
    assert wrong_libraries("models.formats", "import gradio") == {"gradio"}
