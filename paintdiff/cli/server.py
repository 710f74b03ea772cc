"""The flags `--server` and `--key`: a running app does the work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tqdm import tqdm

from paintdiff.cli import messages
from paintdiff.client.connection import Connection
from paintdiff.config.settings import KEY_VARIABLE
from paintdiff.errors import RequestError

_CHOSEN_THERE = {"models_dir": [], "device": "auto", "memory_budget": None, "engine": "torch"}
"""Flags about this machine, and their defaults."""


def add_server_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = command.add_argument_group(messages.ON_A_SERVER)
    group.add_argument("--server", metavar="URL", help=messages.SERVER_HELP)
    group.add_argument("--key", metavar="KEY", help=messages.key_help(KEY_VARIABLE))


def connect(options: argparse.Namespace) -> Connection:
    """Return a connection to the server that the flags name.

    Raises:
        RequestError: A flag can't be used with a server.
    """
    for name, default in _CHOSEN_THERE.items():
        if getattr(options, name, default) != default:
            raise RequestError(messages.CHOSEN_BY_SERVER, field=name)
    quiet = getattr(options, "quiet", False)

    def notify(sentence: str) -> None:
        if not quiet:
            tqdm.write(messages.note(sentence), file=sys.stderr)

    return Connection(options.server, options.key or os.environ.get(KEY_VARIABLE) or None, notify)


def refuse_with_server(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Check that flags are left out which have no effect on a server.

    Raises:
        RequestError: One is given.
    """
    for name in names:
        if getattr(options, name):
            raise RequestError(messages.NOT_WITH_SERVER, field=name)
