"""Graphs of networks are made once, kept within limits, and rebuilt if they can't be read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from paintdiff.errors import ModelLoadError
from paintdiff.models.acceleration.openvino import graphs
from paintdiff.models.acceleration.openvino.graphs import Graphs

SHAPES = {"sample": (2, 4, 8, 8), "timestep": ()}
XML, CONSTANTS = b"<net/>", b"\x01\x02"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """The graphs made so far; making one takes no time here."""
    asked: list[Mapping[str, Any]] = []

    def make(one: Mapping[str, Any]) -> bytes:
        asked.append(one)
        return len(XML).to_bytes(8, "little") + XML + CONSTANTS

    monkeypatch.setattr(graphs, "_export", make)
    monkeypatch.setattr(graphs, "version", lambda name: f"{name} 1")
    return asked


def test_one_is_made_once_for_all_that_is_built_alike(
    tmp_path: Path, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"block_out_channels": (16, 32), "_name_or_path": "one"}
    for each in (config, {**config, "_name_or_path": "other"}):
        assert Graphs(tmp_path).get(each, "all", SHAPES) == (XML, CONSTANTS)
    larger = {**SHAPES, "sample": (2, 4, 16, 16)}
    assert Graphs(tmp_path).get(config, "all", larger) == (XML, CONSTANTS)
    assert len(made) == 1
    assert "_name_or_path" not in made[0]["config"]
    Graphs(tmp_path).get(config, "whole", SHAPES)
    Graphs(tmp_path).get({**config, "layers_per_block": 2}, "all", SHAPES)
    Graphs(tmp_path).get(config, "all", {**SHAPES, "time_ids": (2, 6)})
    monkeypatch.setattr(graphs, "version", lambda name: f"{name} 2")
    Graphs(tmp_path).get(config, "all", SHAPES)
    assert len(made) == 5


def test_one_that_was_changed_is_made_anew(tmp_path: Path, made: list[Any]) -> None:
    Graphs(tmp_path).get({}, "all", SHAPES)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes() + b"more")
    assert Graphs(tmp_path).get({}, "all", SHAPES) == (XML, CONSTANTS)
    assert len(made) == 2
    Graphs(tmp_path).get({}, "all", SHAPES)
    assert len(made) == 2


def test_the_oldest_go(tmp_path: Path, made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MAX_BYTES", 2 * len(b"12345678" + XML + CONSTANTS))
    for number in range(4):
        Graphs(tmp_path).get({"number": number}, "all", SHAPES)
    assert len(list(tmp_path.iterdir())) == 2
    Graphs(tmp_path).get({"number": 3}, "all", SHAPES)
    assert len(made) == 4


def test_one_that_cant_be_kept_is_used_all_the_same(
    tmp_path: Path, made: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert Graphs(tmp_path / "file").get({}, "all", SHAPES) == (XML, CONSTANTS)
    assert "can't be stored" in caplog.text
    assert len(made) == 1


def test_a_process_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text("raise SystemExit('Error: no such layer')")
    monkeypatch.setattr(graphs, "_CHILD", child)
    monkeypatch.setattr(graphs, "version", lambda name: f"{name} 1")
    with pytest.raises(ModelLoadError, match="no such layer"):
        Graphs(tmp_path / "graphs").get({}, "all", SHAPES)
    assert not (tmp_path / "graphs").exists()
