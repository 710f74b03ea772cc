"""`python -m paintdiff`."""

import sys

from paintdiff.system.process import prepare_process

if __name__ == "__main__":
    home = prepare_process()

    from paintdiff.cli.main import main

    if home:
        sys.stderr.write(f"Note: {home}\n")
    sys.exit(main())
