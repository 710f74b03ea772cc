"""The running server: its socket, its loop, and the desktop window that may show its page."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from paintdiff.config import messages
from paintdiff.errors import PaintError, SettingsError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

SHUTDOWN_SECONDS = 1


def bind_socket(host: str, port: int, program: str) -> socket.socket:
    """Bind a socket to the address.

    Raises:
        PaintError: The address is taken or not this machine's.
    """
    bare = host.strip("[]")
    listening = socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET)
    if os.name == "posix":  # on Windows it would let two programs listen on one port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((bare, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PaintError(
                messages.port_in_use(port, program, port + 1 if port < 65535 else port - 1)
            ) from error
        raise PaintError(messages.cannot_listen(host, port, error.strerror)) from error
    return listening


@dataclass(frozen=True)
class Hooks:
    """Functions that a server calls when it starts and stops.

    `started` is called once it listens, and `stopping`, in a thread, before it stops: until that
    returns, answers that are under way go on. `hurry` is called by a second signal.
    """

    started: Callable[[], None]
    stopping: Callable[[], None]
    hurry: Callable[[], None]


def make_server(app: ASGIApp, log_level: str, hooks: Hooks) -> uvicorn.Server:
    """Return the server of an app."""
    import uvicorn  # noqa: PLC0415 (the command line must start fast)

    from paintdiff.server.connections import TimedProtocol  # noqa: PLC0415

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                hooks.started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await asyncio.to_thread(hooks.stopping)
            await super().shutdown(sockets)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # Uvicorn would interrupt the shutdown at a second Ctrl-C; then it takes a second.
            if self.should_exit:
                hooks.hurry()
            else:
                super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_level=log_level,
        http=TimedProtocol,
        ws="none",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return Server(config)


def serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """Serve until interrupted."""
    try:
        with _survive_termination():
            server.run([listening])
    except KeyboardInterrupt:
        sys.stdout.write("\n")


@contextmanager
def _survive_termination() -> Generator[None]:
    """Let SIGTERM end the server, but not the process: uvicorn sends itself the signal once more.

    The app has things to close then.
    """
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def import_webview() -> Any:
    """Import pywebview, which is optional.

    Raises:
        SettingsError: It isn't installed.
    """
    try:
        return importlib.import_module("webview")
    except ImportError as error:
        raise SettingsError(messages.WINDOW_NEEDS_PYWEBVIEW) from error


def serve_in_window(server: uvicorn.Server, listening: socket.socket, url: str) -> None:
    """Serve until the desktop window is closed, which must belong to the main thread."""
    webview = import_webview()
    serving = threading.Thread(target=serve, args=(server, listening), name="server")
    serving.start()
    try:
        while serving.is_alive() and not server.started:
            serving.join(0.05)
        if server.started:
            webview.create_window("PaintDiffusion", url, width=1440, height=900)
            webview.start()
    finally:
        server.should_exit = True
        serving.join()
