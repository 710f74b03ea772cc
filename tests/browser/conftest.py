"""The real app in a process of its own, and a real browser."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.driver import WAIT_MS, Studio

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 2.7 * WAIT_MS / 1000


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app answers, with the embedded painter."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outputs = str(tmp_path_factory.mktemp("outputs"))
    flags = ["--port", str(port), "--output-dir", outputs, "--device", "cpu"]
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    # The browser needs a core; threads of torch that wait for each other would starve it.
    environment["OMP_NUM_THREADS"] = "1"
    environment["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    process = subprocess.Popen([sys.executable, "app.py", *flags], cwd=ROOT, env=environment)
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the app answers and its model is warm."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "the app ended before it answered"
        try:
            with urllib.request.urlopen(f"{address}status", timeout=10) as answer:
                if json.load(answer)["model_state"] == "ready":
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready within {START_SECONDS} s")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests: Debian's if it is there, else Playwright's own."""
    with sync_playwright() as playwright:
        path = str(CHROMIUM) if CHROMIUM.exists() else None
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor with an empty memory, on a desktop."""
    visitor = browser.new_context(viewport={"width": 1280, "height": 800})
    yield visitor
    visitor.close()


@pytest.fixture
def opened(url: str) -> Callable[[BrowserContext], Studio]:
    """Opens the page in a new tab, and fails the test on an error in the page's script."""

    def open_in(visitor: BrowserContext) -> Studio:
        page: Page = visitor.new_page()
        studio = Studio(page)
        page.goto(url)
        studio.wait_until_ready()
        return studio

    return open_in


@pytest.fixture
def studio(context: BrowserContext, opened: Callable[[BrowserContext], Studio]) -> Iterator[Studio]:
    """The page, ready to be used; afterwards nothing of it runs on."""
    page = opened(context)
    yield page
    page.stop()
    assert page.script_errors == []
