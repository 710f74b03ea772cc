"""The page in the browser, built with Gradio."""

import os

# Gradio reads this when it is imported, so set it before: nothing here phones home.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
