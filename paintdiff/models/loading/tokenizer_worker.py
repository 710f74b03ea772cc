"""The throw-away process that tries a `tokenizer.json` before we read it; started by
`tokenizer_trial`.

Some such files make the Rust library that reads them panic, and some end the process. It gets the
file as its standard input, and ends with status 0 if the file can be read and used.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # isolated, so that neither a variable nor a folder chooses what we are
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_TOKENIZER_BYTES, MAX_TOKENIZER_SECONDS

_PROMPT = "a red sailboat on a calm sea (at sunset:1.2), Ä 海 🙂"


def main() -> int:
    """Read the tokenizer, and a prompt with it."""
    leave_network()
    from tokenizers import Tokenizer  # noqa: PLC0415 (its threads come after the network is gone)

    limit_resources(MAX_TOKENIZER_BYTES, file_bytes=0, seconds=MAX_TOKENIZER_SECONDS)
    forbid_everything_else()
    try:
        Tokenizer.from_buffer(sys.stdin.buffer.read()).encode(_PROMPT)
    except BaseException as error:  # a panic is no Exception
        sys.stdout.write(str(error)[:500])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
