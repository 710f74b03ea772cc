from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats import hashes
from paintdiff.models.formats.hashes import Hashes


@pytest.fixture
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hashes:
    monkeypatch.setattr(hashes, "WORTH_REMEMBERING_BYTES", 3)
    return Hashes(tmp_path / "cache")


def count_hashing(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    done: list[Path] = []
    compute = hashes._hash_file

    def counted(path: Path, wanted: object) -> str:
        done.append(path)
        return compute(path, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(hashes, "_hash_file", counted)
    return done


def test_a_file_is_hashed_once_until_it_changes(
    tmp_path: Path, remembering: Hashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = count_hashing(monkeypatch)
    path = tmp_path / "x.safetensors"
    for content in (b"one", b"three"):
        path.write_bytes(content)
        for _ in range(3):
            assert remembering.sha256(path) == hashlib.sha256(content).hexdigest()
    assert len(done) == 2
    assert Hashes(tmp_path / "cache").sha256(path) == hashlib.sha256(b"three").hexdigest()
    assert len(done) == 2, "the next process knows it, too"


def test_small_files_leave_no_notes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    Hashes(tmp_path / "cache").sha256(path)
    assert not (tmp_path / "cache").exists()


def test_broken_notes_and_a_cache_that_cannot_be_written_do_no_harm(
    tmp_path: Path, remembering: Hashes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    wanted = remembering.sha256(path)
    for note in (tmp_path / "cache").iterdir():
        note.write_text('{"sha256": "no hash"}')
    assert remembering.sha256(path) == wanted
    (tmp_path / "file").write_text("")
    assert Hashes(tmp_path / "file").sha256(path) == wanted
    assert "can't cache the hash" in caplog.text


def test_it_is_given_up_when_nobody_waits(tmp_path: Path, remembering: Hashes) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises(ModelLoadError, match="was cancelled"):
        remembering.sha256(tmp_path / "x", lambda: False)
    assert not (tmp_path / "cache").exists()
