"""Ids of Hugging Face repositories."""

from __future__ import annotations

import re

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
"""An owner and a name, such as "stabilityai/sdxl-turbo"."""
