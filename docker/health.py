"""Ask the app in this container whether it is alive: exit code 0 if it is, 1 if not."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

PASSWORD_NEEDED = 401
"""The app's own answer to whoever has no password, so it is alive."""


def main() -> int:
    """Return the exit code."""
    port = os.environ.get("PAINTDIFF_PORT") or "7860"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/health", timeout=5):
            return 0
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code != PASSWORD_NEEDED)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
