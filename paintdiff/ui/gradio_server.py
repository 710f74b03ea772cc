"""Mounts the page on a server: restores what Gradio leaves out there, and bounds its memory.

Gradio is made for apps that it launches itself. When mounted, it skips a check of file paths,
copies the whole page for each visitor, and keeps answers that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder
from starlette.routing import Mount

from paintdiff.server.page_events import EventRule, PageEvents, Shape
from paintdiff.server.sessions import MAX_EVENTS
from paintdiff.ui import page as pages

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio.blocks import BlockFunction, Blocks
    from gradio.queueing import Queue

MAX_SESSIONS = 120
"""How many visitors' pages are remembered: the changes to each since it was opened."""

POLL_SECONDS = 0.02
"""How often Gradio's queue looks for events. Its own thousand times a second keep an idle computer
awake, and take a twentieth of a core."""

PUBLIC_PATHS = ("/assets/", "/static/")
"""Paths of Gradio's own scripts and fonts, the same for everyone."""

SHAPES: Mapping[type[Any], Shape] = MappingProxyType(
    {
        gr.Textbox: Shape.TEXT,
        gr.ColorPicker: Shape.TEXT,
        gr.Number: Shape.NUMBER,
        gr.Slider: Shape.NUMBER,
        gr.Checkbox: Shape.FLAG,
        gr.Radio: Shape.CHOICE,
        gr.Dropdown: Shape.CHOICE,
        gr.CheckboxGroup: Shape.CHOICES,
        gr.HTML: Shape.RECORD,
    }
)
"""Allowed values of each kind of component.

Mounting a page with any other kind, above all one for files, fails until someone adds its shape.
"""


class QueueAnswers:
    """Events and answers in Gradio's queue, by session, for `paintdiff.server.sessions`."""

    def __init__(self, page: Blocks) -> None:
        self._queue: Queue = page._queue  # pyright: ignore[reportPrivateUsage]
        # The queue's slots: Gradio's 40 would let one visitor's events hold up everyone's.
        self._queue.max_thread_count = MAX_EVENTS
        self._queue.sleep_when_free = POLL_SECONDS
        self._queue.progress_update_sleep_when_free = 1  # nothing of ours reports progress to it

    def unfinished(self, session: str) -> int:
        """Return how many of the session's events aren't fully answered."""
        return len(self._queue.pending_event_ids_session.get(session, ()))

    async def forget(self, session: str) -> None:
        """Drop the session's events, and the answers it hasn't read."""
        queue = self._queue
        for event_id in queue.pending_event_ids_session.get(session, set()).copy():
            await queue.clean_events(event_id=event_id)
            queue.event_ids_to_events.pop(event_id, None)
        queue.pending_event_ids_session.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)


def mount_page(server: FastAPI, page: Blocks, host: str, port: int, root_path: str) -> None:
    """Serve the page at "/" of the server. Routes added before take precedence.

    `root_path` is the path that a reverse proxy puts in front, or "".
    """
    gr.mount_gradio_app(
        server,
        page,
        path="/",
        server_name=host,
        server_port=port,
        root_path=root_path or None,
        footer_links=[],
        run_history=False,
        show_error=False,
        favicon_path=str(pages.FAVICON),
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=pages.theme(),
        head=pages.head(),
    )
    mounted = (route.app for route in server.routes if isinstance(route, Mount))
    app = next(each for each in mounted if isinstance(each, App))
    page.has_launched = True  # else Gradio opens any file that an event names
    holder = _Sessions()
    holder.set_blocks(page)
    holder.capacity = MAX_SESSIONS
    app.state_holder = holder


def page_events(page: Blocks) -> PageEvents:
    """Return the rules for the page's events.

    Raises:
        KeyError: A component has no shape.
    """
    return PageEvents(
        {
            number: EventRule(_shapes(function), function.queue)
            for number, function in page.fns.items()
            if function.fn is not None
        }
    )


def _shapes(function: BlockFunction) -> tuple[Shape, ...]:
    return tuple(find_shape(component) for component in function.inputs)


def find_shape(component: Any) -> Shape:
    """Return the allowed values of a component.

    Raises:
        KeyError: The kind of component has no shape.
    """
    if isinstance(component, gr.Dropdown) and component.multiselect:
        return Shape.CHOICES
    return SHAPES[type(component)]


class _Sessions(StateHolder):
    """Gradio's table of sessions, without a copy of the whole page in each.

    The copies serve Gradio's deep links, which the page doesn't have.
    """

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _Session(self.blocks)
        return super().__getitem__(session_id)


class _Components(dict[int, Any]):
    """The components of a page, by id. They may change, but none may be added.

    Gradio makes a new component for each update of one, and keeps it under a new id once it is
    read. A visitor could add any number of them.
    """

    def __setitem__(self, key: int, value: Any) -> None:
        if key in self:
            super().__setitem__(key, value)


class _Session(SessionState):
    def __init__(self, blocks: Blocks) -> None:
        # SessionState's own attributes; its __init__ would make the copies.
        self.blocks_config = copy(blocks.default_config)
        self.blocks_config.blocks = _Components(self.blocks_config.blocks)
        self.config_values: dict[int, dict[str, Any]] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def __setitem__(self, key: int, value: Any) -> None:
        self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Keep nothing: see `_Sessions`."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep nothing: see `_Sessions`."""
