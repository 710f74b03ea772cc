"""The command line: `python -m paintdiff paint "a red sailboat" --output boat.png`.

`python -m paintdiff grid` paints a grid of pictures, `python -m paintdiff upscale boat.png`
enlarges pictures, `python -m paintdiff gallery list` shows the gallery's, and `python -m paintdiff
verify boat.png` paints one again and compares. `keys` and `users` say who may use a server. Each
command has a module of its own, but `app` and `serve` start the app.

Exit codes: 0 done, 1 failed while running, 2 an unusable value (one line on stderr says which), 130
interrupted. Like the app, this is a composition root: it wires its own engine.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from paintdiff.cli import messages
from paintdiff.cli.accounts import keys, users
from paintdiff.cli.flag_names import find_flag
from paintdiff.cli.flags import BAD_VALUE, build_parser
from paintdiff.cli.gallery import gallery
from paintdiff.cli.grid import grid
from paintdiff.cli.paint import paint
from paintdiff.cli.upscale import upscale
from paintdiff.cli.verify import verify
from paintdiff.config.settings import APP_COMMANDS
from paintdiff.errors import (
    JobCancelledError,
    PaintError,
    RequestError,
)

FAILED, INTERRUPTED = 1, 130
_COMMANDS = {
    "paint": paint,
    "grid": grid,
    "upscale": upscale,
    "gallery": gallery,
    "verify": verify,
    "keys": keys,
    "users": users,
}


def main(
    arguments: Sequence[str] | None = None,
    start: Callable[[Sequence[str]], int] | None = None,
) -> int:
    """Run the command line (None: the process's arguments).

    `start` runs the commands that start the app; it gets all arguments, and reads the flags itself.
    Returns the exit code; `--help` and bad flags exit.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if start is not None and arguments and arguments[0] in APP_COMMANDS:
        return start(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    parser = build_parser(starts_app=start is not None)
    options = parser.parse_args(arguments)
    name = f"paintdiff {options.command}"
    try:
        return _COMMANDS[options.command](options)
    except RequestError as error:
        flag = f"{find_flag(error.field, options.command)}: " if error.field else ""
        sys.stderr.write(f"{name}: {flag}{error}\n")
        return BAD_VALUE
    except (JobCancelledError, KeyboardInterrupt):
        sys.stderr.write(f"{name}: {messages.INTERRUPTED}\n")
        return INTERRUPTED
    except PaintError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return FAILED
