"""The process that reads headers of files from strangers; started by `reading`.

It gets a path in each line of its standard input, as JSON, and answers each with a line on its
standard output: what the file is. Before it looks at the first it gives up the network, the right
to write, and all memory beyond a limit. A file that stalls or ends it costs that file: its parent
starts another.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":  # isolated, so that neither a variable nor a folder chooses what we are
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from paintdiff.models.discovery.inspection import inspect_file
from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_READER_BYTES


def main(arguments: list[str]) -> int:
    """Answer until the input ends. The one argument is the widths of words by family, as JSON."""
    widths = {int(width): str(family) for width, family in json.loads(arguments[0]).items()}
    leave_network()
    codecs.lookup("cp437")  # zipfile asks for it late
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
