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
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    BrowserType,
    Page,
    ViewportSize,
    sync_playwright,
)

from tests.browser.driver import WAIT_MS, Studio

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
EXECUTABLE = str(CHROMIUM) if CHROMIUM.exists() else None
"""Debian's Chromium if it is there, else Playwright's own."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
REFUSED = "\ngradio.exceptions.Error: "
"""A page sent what it may not, such as a model that has just gone; Gradio logs that as an error."""
TORCH = ("--engine", "torch")
"""Flags of an app that needn't prepare OpenVINO: one app with it is enough."""
START_SECONDS = 2.7 * WAIT_MS / 1000


@pytest.fixture(scope="package")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app answers, with the embedded painter."""
    with running_app(tmp_path_factory.mktemp("app")) as address:
        yield address


@contextmanager
def running_app(own: Path, *more: str) -> Iterator[str]:
    """Where an app answers that keeps its pictures and preferences in a folder of its own; `more`
    are further flags. Fails if the app met with an error that it has no words for.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--port", str(port), "--output-dir", str(own / "outputs"), "--device", "cpu", *more]
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    # The browser needs a core; threads of torch that wait for each other would starve it.
    environment["OMP_NUM_THREADS"] = "1"
    environment["XDG_CONFIG_HOME"] = str(own / "config")
    said = own / "said.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "app.py", *flags], cwd=ROOT, env=environment, stderr=file
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        errors = said.read_text()
        assert errors.count("Traceback") == errors.count(REFUSED), errors


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


@pytest.fixture(scope="package")
def chromium() -> Iterator[BrowserType]:
    """The browser type that starts browsers.

    Until it ends, an event loop runs in this thread: a test outside of this package couldn't run
    one of its own.
    """
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="package")
def browser(chromium: BrowserType) -> Iterator[Browser]:
    """One browser for all visitors that come for the first time."""
    launched = chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
    yield launched
    launched.close()


@pytest.fixture
def stranger(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor who comes for the first time, on a desktop."""
    visitor = browser.new_context(viewport=DESKTOP)
    yield visitor
    visitor.close()


@pytest.fixture(scope="package")
def regular(
    chromium: BrowserType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A visitor, on a desktop, whose browser has kept the page's compiled scripts: it opens the
    page in about two thirds of the time.
    """
    folder = tmp_path_factory.mktemp("profile")
    visitor = chromium.launch_persistent_context(
        folder, executable_path=EXECUTABLE, args=ARGUMENTS, viewport=DESKTOP
    )
    yield visitor
    visitor.close()


@pytest.fixture
def context(regular: BrowserContext) -> Iterator[BrowserContext]:
    """The regular visitor, with an empty memory. What can't be undone, such as a script that is
    put into every page, is for a `stranger`.
    """
    tab = regular.pages[0]  # stays: the browser would end with its last page
    pages = [tab]

    def came(page: Page) -> None:
        pages.append(page)

    regular.on("page", came)
    yield regular
    regular.remove_listener("page", came)
    addresses = {urlsplit(page.url) for page in pages}
    for page in regular.pages[1:]:
        page.close()
    tab.unroute_all()
    session = regular.new_cdp_session(tab)
    for origin in {f"{each.scheme}://{each.netloc}" for each in addresses if each.netloc}:
        tab.goto(f"{origin}/theme.css")  # no script that would go on storing
        tab.evaluate("sessionStorage.clear()")
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    session.detach()


@pytest.fixture
def kept_tab(context: BrowserContext) -> Page:
    """The regular visitor's own tab, as good as new. It keeps its process from test to test, and
    opens the page in two thirds of the time that a new one takes.
    """
    page = context.pages[0]
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.mouse.move(0, 0)
    return page


@pytest.fixture
def opened(url: str) -> Callable[[BrowserContext], Studio]:
    """Opens the page in a new tab, and fails the test on an error in the page's script."""

    def open_in(visitor: BrowserContext) -> Studio:
        return open_page(visitor.new_page(), url)

    return open_in


def open_page(page: Page, url: str) -> Studio:
    """Open the page of an app, and wait until it is ready."""
    studio = Studio(page)
    page.goto(url)
    studio.wait_until_ready()
    return studio


@pytest.fixture
def studio(kept_tab: Page, url: str) -> Iterator[Studio]:
    """The page, ready to be used; afterwards nothing of it runs on."""
    studio = open_page(kept_tab, url)
    yield studio
    studio.stop()
    assert studio.script_errors == []
