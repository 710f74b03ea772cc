"""Start the app from a checkout: `python app.py --help`.

A Hugging Face Space imports this module for `demo`, the page as the environment variables set it.
Importing it opens no port, loads no model and writes nothing.
"""

from __future__ import annotations

import sys

from paintdiff.app import App, main
from paintdiff.config.settings import Settings

if __name__ == "__main__":
    sys.exit(main())
else:
    demo = App.compose(Settings.read()).page
