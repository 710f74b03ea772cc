"""Measures the cost of a pointer move on the canvas: `python -m benchmarks.canvas_moves`.

Opens a page with a canvas in headless Chromium, loads a picture of 1024x1024 and draws with real
mouse events. Measures inside the page, per pointer move: the script that handles the event, and the
script that then draws the frame. Target: at most 10 ms for the two together (mean).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from paintdiff.imaging.geometry import Size
from tests.browser.canvas_app import CanvasApp

TARGET_MS = 10.0
CHROMIUM = Path("/usr/bin/chromium")
NAME = "easel-canvas"

# The first and the last listener of each pointer move take the time; so does a wrapped frame.
_MEASURE = """
window.measured = { moves: [], frames: [] };
let began = 0;
window.addEventListener("pointermove", () => { began = performance.now(); }, true);
window.addEventListener("pointermove", () => {
  window.measured.moves.push(performance.now() - began);
});
const frame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) => frame((time) => {
  const start = performance.now();
  callback(time);
  window.measured.frames.push(performance.now() - start);
});
"""

_OPEN = """async ([name, side]) => {
  const sheet = new OffscreenCanvas(side, side);
  const context = sheet.getContext("2d");
  const shade = context.createLinearGradient(0, 0, side, side);
  shade.addColorStop(0, "#204060");
  shade.addColorStop(1, "#f0c080");
  context.fillStyle = shade;
  context.fillRect(0, 0, side, side);
  const data = new DataTransfer();
  data.items.add(new File([await sheet.convertToBlob()], "it.png", { type: "image/png" }));
  document.querySelector(`#${name} .paint-view`).dispatchEvent(
    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


def main() -> int:
    """Run it. Returns 1 if --check is given and the target is missed."""
    options = _options()
    app = CanvasApp()
    app.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(CHROMIUM) if CHROMIUM.exists() else None,
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(240_000)
            page.add_init_script(_MEASURE)
            page.goto(app.url)
            page.wait_for_selector(f"#{NAME} .paint-canvas")
            page.evaluate(_OPEN, [NAME, options.size.width])
            page.wait_for_selector(f"#{NAME} .paint-canvas:not(.paint-none)")
            report = {
                f"{tool}, {width} px": _drawn(page, tool, width, options)
                for tool in ("mask", "sketch", "eraser")
                for width in options.widths
            }
            browser.close()
    finally:
        app.stop()
    print(json.dumps({"picture": str(options.size), "target_ms": TARGET_MS, **report}, indent=2))
    worst = max(row["move_and_frame_ms"] for row in report.values())
    return 1 if options.check and worst > TARGET_MS else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=Size.parse, default=Size(1024, 1024))
    parser.add_argument("--widths", type=int, nargs="+", default=[40, 120], help="brushes, in px")
    parser.add_argument("--moves", type=int, default=120, help="pointer moves a brush (120)")
    parser.add_argument("--check", action="store_true", help="exit 1 if the target is missed")
    return parser.parse_args()


def _drawn(page: Page, tool: str, width: int, options: argparse.Namespace) -> dict[str, Any]:
    """Draw a spiral with that tool; return milliseconds per move."""
    page.click(f"#{NAME} button[data-tool={tool}]")
    page.fill(f"#{NAME} [data-set=size]", str(round(200 * math.sqrt((width - 1) / 511)) / 2))
    place: dict[str, float] = page.evaluate("name => paintdiff.canvas.placement(name)", NAME)
    side = options.size.width * place["scale"]
    page.evaluate("window.measured = { moves: [], frames: [] }")
    for number in range(options.moves):
        angle, part = number / 5, 0.1 + 0.35 * number / options.moves
        page.mouse.move(
            place["left"] + side * (0.5 + part * math.cos(angle)),
            place["top"] + side * (0.5 + part * math.sin(angle)),
        )
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    measured: dict[str, list[float]] = page.evaluate("window.measured")
    moves, frames = measured["moves"][1:], measured["frames"]
    # Frames of the page's other scripts count too, but several moves can share one of ours.
    frame_ms = sum(frames) / len(moves)
    return {
        "moves": len(moves),
        "move_ms": round(statistics.median(moves), 3),
        "move_ms_p95": round(sorted(moves)[int(len(moves) * 0.95)], 3),
        "frame_ms_a_move": round(frame_ms, 3),
        "longest_frame_ms": round(max(frames, default=0.0), 3),
        "move_and_frame_ms": round(statistics.mean(moves) + frame_ms, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
