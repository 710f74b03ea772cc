"""The certificate authorities that downloads trust."""

from __future__ import annotations

import ssl
from functools import cache

import certifi


@cache
def load_certificates() -> ssl.SSLContext:
    """Return a context that trusts what the system trusts, and what Mozilla trusts.

    Python from python.org doesn't find the certificates of macOS, so its own context trusts nobody.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
