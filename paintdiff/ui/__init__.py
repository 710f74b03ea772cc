"""The page in the browser."""

import os

# Read by gradio when it is imported, so it has to be set before: nothing of ours phones home.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
