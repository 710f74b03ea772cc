"""The process that tries a `tokenizer.json` before we read it, started by `tokenizer_trial`.

Some of these files make the Rust library panic, some crash the process, and some have regular
expressions that would take hours for a long prompt. The file comes on standard input; status 0
means that it is usable.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":  # isolated: no variable or folder affects imports
    sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from paintdiff.models.formats.confinement import (
    forbid_everything_else,
    leave_network,
    limit_resources,
)
from paintdiff.models.formats.limits import MAX_TOKENIZER_BYTES, MAX_TOKENIZER_SECONDS
from paintdiff.models.loading.tokenizers.patterns import check_patterns

_PROMPT = "a red sailboat on a calm sea (at sunset:1.2), Ä 海 🙂"


def main() -> int:
    """Load the tokenizer and tokenize a prompt."""
    leave_network()
    # Its threads must start after the network is gone.
    from tokenizers import Regex, Tokenizer, pre_tokenizers  # noqa: PLC0415

    limit_resources(MAX_TOKENIZER_BYTES, file_bytes=0, seconds=MAX_TOKENIZER_SECONDS)
    forbid_everything_else()
    try:
        content = sys.stdin.buffer.read()
        check_patterns(
            json.loads(content),
            lambda pattern, text: pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(
                text
            ),
        )
        Tokenizer.from_buffer(content).encode(_PROMPT)
    except BaseException as error:  # a panic isn't an Exception
        sys.stdout.write(str(error)[:500])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
