"""Measures how long a newcomer waits: `python -m benchmarks.first_picture`.

Starts `python app.py` in a process of its own, and measures, several times from a cold start:
- until the page answers (target: 4 s);
- from requesting the page until it can be used, and how long the browser's thread worked for that;
- from a click on Generate, as early as the page accepts it, until the first preview is visible
  (target: 5 s) and until the finished picture is (target: 8 s), model load included.

Prints the median and the range of each in seconds. Needs Chromium (Debian's, else Playwright's).
"""

from __future__ import annotations

import argparse
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = Path("/usr/bin/chromium")
PROMPT = "a red house on a green hill at night"
PREVIEW_SHOWN = "document.querySelector('img.preview')?.naturalWidth > 0"
PICTURE_SHOWN = "document.querySelector('img.final')?.naturalWidth > 0"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="cold starts")
    runs = parser.parse_args().runs
    names = (
        "page answers",
        "page can be used",
        "its thread worked",
        "first preview",
        "finished picture",
    )
    with sync_playwright() as playwright:
        path = str(CHROMIUM) if CHROMIUM.exists() else None
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        figures = [_cold_start(browser) for _ in range(runs)]
        browser.close()
    for name, seconds in zip(names, zip(*figures, strict=True), strict=True):
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"{name}: median {middle:.2f} s ({low:.2f} to {high:.2f}) of {runs}")
    return 0


def _cold_start(browser: Browser) -> tuple[float, ...]:
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as outputs:
        started = time.monotonic()
        flags = ["--no-open", "--port", str(port), "--output-dir", outputs]
        process = subprocess.Popen([sys.executable, "app.py", *flags], cwd=ROOT)
        try:
            answered = wait_until_answered(address, process) - started
            page = browser.new_page()
            tools = page.context.new_cdp_session(page)
            tools.send("Performance.enable", {"timeDomain": "threadTicks"})
            asked = time.monotonic()
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            usable = time.monotonic() - asked
            metrics = tools.send("Performance.getMetrics")["metrics"]
            worked = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
            page.fill("#prompt textarea", PROMPT)
            clicked = time.monotonic()
            page.click("#generate")
            page.wait_for_function(PREVIEW_SHOWN, timeout=60_000)
            preview = time.monotonic() - clicked
            page.wait_for_function(PICTURE_SHOWN, timeout=60_000)
            finished = time.monotonic() - clicked
            page.close()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    return answered, usable, worked, preview, finished


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until_answered(address: str, process: subprocess.Popen[bytes]) -> float:
    """Return when the page first answered, by the monotonic clock. Exits if the app ends before."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=30):
                return time.monotonic()
        except OSError:
            time.sleep(0.02)
    raise SystemExit("The app ended before it answered.")


if __name__ == "__main__":
    sys.exit(main())
