"""The process that inspects untrusted files, started by `header_reader`.

Each line of its standard input is a path as JSON; it answers each with one line of JSON on its
standard output. Before it reads the first file it gives up the network, writing, and memory beyond
a limit. If a file stalls or kills it, only that file is unusable: the parent starts another
process.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":  # isolated: no variable or folder affects imports
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from paintdiff.models.discovery.inspection import inspect_file
from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_READER_BYTES


def main(arguments: list[str]) -> int:
    """Answer until the input ends. The one argument maps widths to families, as JSON."""
    widths = {int(width): str(family) for width, family in json.loads(arguments[0]).items()}
    leave_network()
    codecs.lookup("cp437")  # zipfile imports it late
    limit_resources(MAX_READER_BYTES, file_bytes=0)
    answers = os.fdopen(1, "w", encoding="ascii", closefd=False)
    forbid_everything_else()
    for line in sys.stdin.buffer:
        known = inspect_file(Path(json.loads(line)), widths)
        answers.write(json.dumps(asdict(known)) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
