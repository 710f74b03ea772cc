"""Only regular files are opened; nothing waits for a named pipe, or reads a device without end."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from paintdiff.config.preferences import Preferences
from paintdiff.errors import RequestError
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.input_images import InputImage
from paintdiff.prompts.tags import read_tags
from paintdiff.system.regular_files import open_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such files")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A link to a device. Whoever doesn't look reads an empty file."""
    (tmp_path / "device.png").symlink_to(os.devnull)
    return tmp_path / "device.png"


def test_a_regular_file_is_opened_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    with open_file(tmp_path / "link") as file:
        assert file.read() == b"content"


def test_anything_else_is_named(tmp_path: Path, device: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(tmp_path / "socket"))
        for path, what in (
            (tmp_path / "pipe", "named pipe"),
            (tmp_path / "socket", "socket"),
            (device, "device"),
            (tmp_path, "folder"),
        ):
            with pytest.raises(OSError, match=what):
                open_file(path)


def test_readers_of_peoples_files_open_nothing_else(device: Path) -> None:
    for read in (InputImage.from_file, decode_image):
        with pytest.raises(RequestError, match="It is a device, not a file"):
            read(device)
    assert "It is a device, not a file" in read_tags([device]).problems[0]
    assert "It is a device, not a file" in Preferences(device).problem
