"""The certificate authorities that downloads trust."""

from __future__ import annotations

import ssl
from functools import cache

import certifi


@cache
def load_certificates() -> ssl.SSLContext:
    """Create a context that trusts the system's and Mozilla's certificate authorities.

    Python from python.org doesn't find the certificates of macOS: its default context trusts
    nobody.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
