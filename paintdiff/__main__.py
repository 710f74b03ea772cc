"""The command line: `paintdiff`, or `python -m paintdiff` in a checkout."""

import sys

from paintdiff.system.process import prepare_process


def main() -> int:
    """Run the command line of this process. Returns the exit code."""
    home = prepare_process()

    from paintdiff.app import main as start  # noqa: PLC0415 (after the process is prepared)
    from paintdiff.cli.main import main as run  # noqa: PLC0415

    if home:
        sys.stderr.write(f"Note: {home}\n")
    return run(start=start)


if __name__ == "__main__":
    sys.exit(main())
