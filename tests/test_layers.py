"""The import table of docs/architecture.md, held by a machine."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "paintdiff"

CORE = {"errors", "error_reports", "geometry", "atomic_files", "byte_sizes"}
MODELS = CORE | {"settings", "images", "models", "presets"}
ROWS = {"families", "model_rows", "adapter_rows", "controlnets", "face_restorers", "upscalers"}
FRONT = {
    *CORE,
    "ingredients",
    "requests",
    "input_images",
    "events",
    "presets",
    "jobs",
    "engine",
    "gallery",
    "settings",
    "prompts.extra_networks",
    "prompts.surprise",
    "sentences",
    "models.adapter_rows",
    "models.catalog",
    "models.controlnets",
    "models.hub.downloads",
    "models.face_restorers",
    "models.few_steps",
    "models.holdings",
    "models.model_rows",
    "models.profiles",
    "models.sources",
    "models.upscalers",
    "models.samplers",
    "preprocessors.table",
    "training.launch",
}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "atomic_files": set(),
    "byte_sizes": set(),
    "error_reports": {"errors"},
    "geometry": {"errors"},
    "threads": set(),
    "settings": CORE,
    "preferences": {"errors", "atomic_files"},
    "input_images": {"errors", "colour"},
    "ingredients": {*CORE, "input_images"},
    "requests": {*CORE, "input_images", "ingredients"},
    "rasters": CORE,
    "tiles": CORE,
    "events": {*CORE, "requests", "rasters"},
    "sentences": set(),
    "presets": {*CORE, "requests"},
    "jobs": {*CORE, "requests", "events"},
    "image_files": set(),
    "colour": {"image_files"},
    "images": {*CORE, "image_files", "colour"},
    "masks": CORE,
    "models": MODELS,
    "models.files": {"errors", "presets", "models.files"},
    "models.computing": {"errors", "atomic_files", "models.computing"},
    "models.hub": {
        *("errors", "error_reports", "atomic_files", "byte_sizes"),
        *("models.sources", "models.files", "models.hub"),
    },
    "models.finding": {
        *("atomic_files", "errors", "models.sources", "models.files", "models.finding"),
        *(f"models.{row}" for row in ROWS),
    },
    "models.loading": {
        *("atomic_files", "errors", "presets", "models.files", "models.hub", "models.loading"),
        *("models.model_rows", "models.families", "models.eight_bits", "models.model_errors"),
    },
    "preprocessors": {
        *("atomic_files", "byte_sizes", "error_reports", "errors", "presets", "preprocessors"),
        *("models.files.pickles", "models.manager", "models.preprocessor_rows"),
    },
    "prompts": {"errors", "presets", "prompts", "models.manager"},
    "tasks": {
        *CORE,
        "rasters",
        "tiles",
        "ingredients",
        "requests",
        "input_images",
        "images",
        "masks",
        "models",
        "preprocessors.table",
        "prompts",
        "sentences",
        "tasks",
    },
    "pace": {"tasks.steps"},
    "descent": {*CORE, "sentences", "models"},
    "worker": {
        *CORE,
        "ingredients",
        "requests",
        "events",
        "jobs",
        "pace",
        "descent",
        "models",
        "preprocessors",
        "tasks",
    },
    "engine": {
        *CORE,
        "ingredients",
        "requests",
        "input_images",
        "events",
        "jobs",
        "presets",
        "models",
        "preprocessors",
        "tasks",
        "worker",
    },
    "gallery": {
        *CORE,
        "ingredients",
        "requests",
        "events",
        "rasters",
        "image_files",
        "images",
        "prompts.extra_networks",
        "gallery",
    },
    "training": {"errors", "settings", "images", "events", "models", "training"},
    "mini": {"errors", "settings", "images", "events", "models", "preprocessors", "mini"},
    "server": {"server"},
    # Uploads are looked at when they come.
    "ui": FRONT | {"ui", "images", "colour", "preferences", "server"},
    # The two that put everything together.
    "cli": {"*"},
    "cli_upscale": {"*"},
    "cli_adapters": {"errors", "ingredients", "requests", "input_images", "cli_files"},
    "cli_files": {
        "byte_sizes",
        "errors",
        "events",
        "requests",
        "images",
        "input_images",
        "gallery",
    },
    "cli_progress": {"events", "jobs"},
    "cli_flags": {
        *(
            "errors",
            "geometry",
            "ingredients",
            "requests",
            "cli_adapters",
            "models.computing.engines",
        ),
        *("models.samplers", "preprocessors.table", "settings"),
    },
    "process": set(),
    "__main__": {"cli", "process"},
    "__init__": {
        "threads",
        "errors",
        "geometry",
        "ingredients",
        "requests",
        "input_images",
        "events",
        "jobs",
        "engine",
    },
}
"""Room -> what of ours it may import: a room, a room inside it, or one module."""

NEVER_LIBRARIES: dict[str, set[str]] = {
    **{
        room: {"torch", "diffusers", "transformers", "gradio"}
        for room in (
            "errors",
            "atomic_files",
            "byte_sizes",
            "process",
            "error_reports",
            "geometry",
            "threads",
            "settings",
            "preferences",
            "ingredients",
            "requests",
            "input_images",
            "rasters",
            "tiles",
            "events",
            "jobs",
            "sentences",
            "pace",
            "descent",
            "presets",
            "__init__",
        )
    },
    "images": {"diffusers", "gradio"},
    "masks": {"torch", "diffusers", "gradio"},
    "models": {"gradio"},
    "preprocessors": {"diffusers", "transformers", "gradio"},
    "tasks": {"gradio"},
    "engine": {"gradio", "diffusers"},
    "worker": {"gradio", "diffusers"},
    "gallery": {"torch", "diffusers", "gradio"},
    "mini": {"gradio"},
    "ui": {"torch", "diffusers", "transformers"},
    "server": {"torch", "diffusers", "transformers", "gradio"},
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    inner = ".".join(parts[:2])
    return inner if inner in MAY_IMPORT else parts[0]


def imported_names(source: str) -> set[str]:
    """Every module named by an import anywhere in the source, lazy ones and those for types
    included.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(room: str, source: str) -> list[str]:
    """What the room imports and may not."""
    allowed, wrong = MAY_IMPORT[room], []
    for name in sorted(imported_names(source)):
        top, _, rest = name.partition(".")
        if top in NEVER_LIBRARIES.get(room.partition(".")[0], set()):
            wrong.append(name)
        if top == "paintdiff" and "*" not in allowed:
            parts = rest.split(".")
            if not {".".join(parts[:count]) for count in (1, 2, 3)} & allowed:
                wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    assert violations(room_of(path), path.read_text(encoding="utf-8")) == []


def test_nothing_imports_the_app() -> None:
    importers = [
        path for path in modules() if "app" in imported_names(path.read_text(encoding="utf-8"))
    ]
    assert importers == []


def test_the_check_sees_a_wrong_import() -> None:
    assert violations("geometry", "import torch") == ["torch"]
    assert violations("ui", "def f():\n    from paintdiff.tasks import text_to_image") == [
        "paintdiff.tasks.text_to_image"
    ]
    assert violations("prompts", "from paintdiff.models.manager import ModelManager") == []
    assert violations("models.hub", "from paintdiff.models.catalog import Catalog") == [
        "paintdiff.models.catalog.Catalog"
    ]
    assert violations("models.files", "import gradio") == ["gradio"]
