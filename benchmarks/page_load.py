"""Measures how long the page takes until it can be used: `python -m benchmarks page_load`.

Starts the app once. Then a browser with the page's files in its cache reloads it several times, and
each time types a prompt and presses Ctrl+Enter as soon as it can. Measured from the reload:
- until the prompt accepts text;
- until Ctrl+Enter started a job (target: 1.5 s, the minimum of the runs).

Prints the minimum and the median of each in seconds. Needs Chromium (Debian's, else Playwright's).
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from playwright.sync_api import Page, sync_playwright

from benchmarks.first_picture import (
    CHROMIUM,
    PROMPT,
    ROOT,
    free_port,
    wait_until_answered,
)

STARTED = "document.querySelector('#stage .stage')?.dataset.state !== 'empty'"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=8, help="warm reloads (8)")
    runs = parser.parse_args().runs
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as own, sync_playwright() as playwright:
        flags = ["--no-open", "--port", str(port), "--output-dir", f"{own}/outputs"]
        process = subprocess.Popen([sys.executable, "app.py", *flags], cwd=ROOT)
        try:
            wait_until_answered(address, process)
            # Only a browser with a profile keeps compiled scripts.
            visitor = playwright.chromium.launch_persistent_context(
                f"{own}/profile",
                executable_path=str(CHROMIUM) if CHROMIUM.exists() else None,
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = visitor.new_page()
            _load(page, address)
            figures = [_load(page, address) for _ in range(runs)]
            visitor.close()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    for name, seconds in zip(
        ("prompt takes text", "job started"), zip(*figures, strict=True), strict=True
    ):
        print(f"{name}: least {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s")
    return 0


def _load(page: Page, address: str) -> tuple[float, float]:
    asked = time.monotonic()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("body[data-ready] #prompt textarea")
    page.fill("#prompt textarea", PROMPT)
    typed = time.monotonic() - asked
    page.keyboard.press("Control+Enter")
    page.wait_for_function(STARTED)
    started = time.monotonic() - asked
    page.wait_for_selector("#stage [data-state=finished]", timeout=120_000)
    return typed, started


if __name__ == "__main__":
    sys.exit(main())
