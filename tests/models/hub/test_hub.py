"""Whether the hub answers is found out quickly, and without the internet."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import huggingface_hub
import pytest

from paintdiff.models.hub import direct_download as hub
from paintdiff.models.hub.direct_download import check_reachable, fetch_from_cache_or_hub


class _Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        """Answer, if only to say no."""
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a hub that refuses everything, and may be asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_hub_that_answers_is_reachable_whatever_it_says(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    check_reachable()


def test_a_hub_that_isnt_there_or_mustnt_be_asked_is_told(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", nobody)
        with pytest.raises(OSError, match="refused"):
            check_reachable()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="HF_HUB_OFFLINE"):
        check_reachable()


def test_what_is_here_is_not_asked_for_and_the_rest_is_told_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story: list[str] = []
    monkeypatch.setattr(hub, "check_reachable", lambda: story.append("asked"))

    def fetched(local_files_only: bool) -> str:
        if local_files_only and not here:
            raise OSError("not in the cache")
        return "cache" if local_files_only else "hub"

    here = True
    assert fetch_from_cache_or_hub(fetched, lambda: story.append("told")) == "cache" and story == []
    here = False
    assert fetch_from_cache_or_hub(fetched, lambda: story.append("told")) == "hub"
    assert story == ["told", "asked"]
