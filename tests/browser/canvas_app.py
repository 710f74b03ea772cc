"""A page with canvases and nothing else: no engine, no torch. What it is sent, it keeps."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.server.guard import Guard, Hosts
from paintdiff.ui import page
from paintdiff.ui.common.uploads import Uploads, upload_routes
from paintdiff.ui.inputs.canvas import (
    CanvasContent,
    flush_js,
    paint_canvas,
    read_canvas,
    show_image,
)
from tests.pictures import png_of

START_SECONDS = 120
MAX_COUNT = 24
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "queue": False}


@dataclass
class CanvasApp:
    """The page, served from a thread. `received` is what each click on Send brought."""

    uploads: Uploads = field(default_factory=lambda: Uploads(max_count=MAX_COUNT))
    received: list[CanvasContent] = field(default_factory=list[CanvasContent])
    values: list[Any] = field(default_factory=list[Any])
    url: str = ""
    server: uvicorn.Server | None = None
    thread: threading.Thread | None = None

    def build(self) -> gr.Blocks:
        """Three tabs: the canvas, its buttons and a text field; a picture well; a canvas for
        lines."""
        with gr.Blocks(title="Canvas", analytics_enabled=False, fill_width=True) as blocks:
            with gr.Tabs():
                with gr.Tab("Paint", id="paint"):
                    canvas = paint_canvas("easel-canvas", blank=Size(256, 192))
                    with gr.Row():
                        send = gr.Button("Send", elem_id="send")
                        show = gr.Button("Show", elem_id="show")
                        empty = gr.Button("Empty", elem_id="empty")
                    prompt = gr.Textbox("", label="Prompt", elem_id="prompt")
                    said = gr.Textbox("", label="Said", elem_id="said")
                    events = gr.Textbox("", label="Events", elem_id="events")
                with gr.Tab("Well", id="well"):
                    well = paint_canvas("well-canvas", tools=False)
                    send_well = gr.Button("Send", elem_id="send-well")
                    said_well = gr.Textbox("", label="Said", elem_id="said-well")
                with gr.Tab("Lines", id="lines"):
                    lines = paint_canvas("lines-canvas", masks=False, blank=Size(256, 192))
                    send_lines = gr.Button("Send", elem_id="send-lines")
                    said_lines = gr.Textbox("", label="Said", elem_id="said-lines")
                    events_lines = gr.Textbox("", label="Events", elem_id="events-lines")
            asked: set[Any] = {prompt, canvas}
            take: dict[str, Any] = {"js": flush_js(asked, canvas), **HIDDEN}
            send.click(lambda values: self._take(values[canvas]), asked, [said], **take)
            send_well.click(self._take, [well], [said_well], js=flush_js([well], well), **HIDDEN)
            flush_lines = flush_js([lines], lines)
            send_lines.click(self._take, [lines], [said_lines], js=flush_lines, **HIDDEN)
            lines.upload(self._told, None, [events_lines], **HIDDEN)
            show.click(self._shown, None, [canvas], **HIDDEN)
            empty.click(lambda: None, None, [canvas], **HIDDEN)
            canvas.upload(self._opened, None, [events], **HIDDEN)
            canvas.clear(lambda: "clear", None, [events], **HIDDEN)
        return blocks

    def _take(self, value: Any) -> str:
        self.values.append(value)
        try:
            self.received.append(read_canvas(value, self.uploads))
        except RequestError as error:
            return f"{len(self.values)}: {error.field}: {error}"
        return f"{len(self.values)}: received"

    def _shown(self) -> dict[str, object]:
        ramp = np.zeros((96, 128, 3), np.uint8)
        ramp[..., 0] = np.arange(128)
        ramp[..., 1] = np.arange(96)[:, None]
        return show_image(self.uploads.add(png_of(Image.fromarray(ramp))))

    def _opened(self, event: gr.EventData) -> str:
        return f"upload {event.width}x{event.height}"  # pyright: ignore[reportAttributeAccessIssue]

    def _told(self, event: gr.EventData) -> str:
        told = (getattr(event, name, None) for name in ("origin", "replaced", "dark"))
        return " ".join(str(value) for value in told)

    def forget(self) -> None:
        """As after a restart: none of the ids that were given is known any more."""
        for _ in range(MAX_COUNT):
            self.uploads.add(png_of(Image.new("L", (1, 1))))

    def start(self) -> None:
        """Serve on a free port, behind the guard."""
        app = FastAPI()
        app.include_router(upload_routes(self.uploads))
        gr.mount_gradio_app(
            app,
            self.build(),
            path="/",
            theme=page.theme(),
            head=page.head(),
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
        )
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        config = uvicorn.Config(Guard(app, Hosts()), log_level="error", access_log=False)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([listening],), daemon=True)
        self.thread.start()
        until = time.monotonic() + START_SECONDS
        while not self.server.started:
            assert time.monotonic() < until, "the page doesn't answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop serving."""
        assert self.server is not None and self.thread is not None
        self.server.should_exit = True
        self.thread.join(30)


if __name__ == "__main__":
    app = CanvasApp()
    app.start()
    assert app.thread is not None
    app.thread.join()
