"""`python -m paintdiff`."""

import io
import sys

from paintdiff.cli import main

if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name needn't be text: its bytes go out as they came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    sys.exit(main())
