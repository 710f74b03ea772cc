"""`python -m paintdiff`."""

import sys

from paintdiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
