"""Visitors, as limits and shares count them: by network address.

A cookie or a session wouldn't do: a hostile client omits them, or invents new ones.
"""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

THIS_MACHINE = ""
"""The visitor on the server's machine, and everyone behind a tunnel that hides addresses."""

current_visitor: ContextVar[str] = ContextVar("current_visitor", default=THIS_MACHINE)
"""The visitor whose event is handled in this context."""


def identify_visitor(address: str) -> str:
    """Return a visitor's key: an IPv4 address, or the /64 network of an IPv6 one.

    THIS_MACHINE for a loopback address, and for text that isn't an address.
    """
    network = parse_network(address)
    return THIS_MACHINE if not network or _is_loopback(network) else network


def read_client_address(scope: Scope) -> str:
    """Return the address that a request came from, "" if the server doesn't know it."""
    client = scope.get("client")
    return client[0] if client else ""


def parse_network(address: str) -> str:
    """Return an IPv4 address unchanged, or the /64 network of an IPv6 one.

    "" for other text, such as in a forged header.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed, 64), strict=False))
    return str(parsed)


def _is_loopback(network: str) -> bool:
    return network == "::/64" or ipaddress.ip_network(network).is_loopback
