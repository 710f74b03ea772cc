"""Who sends a request, as far as limits and shares are concerned: a network address.

A cookie or a session would not do: a hostile client leaves them out, or invents a new one each
time.
"""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

THIS_MACHINE = ""
"""The visitor on the machine of the server, and everyone behind a tunnel that hides addresses."""

current_visitor: ContextVar[str] = ContextVar("current_visitor", default=THIS_MACHINE)
"""The visitor whose event is handled in this context."""


def visitor_of(address: str) -> str:
    """Return what a visitor is counted by: an IPv4 address, or the /64 network of an IPv6 one.

    THIS_MACHINE for a loopback address, and for text that is no address.
    """
    network = network_of(address)
    return THIS_MACHINE if not network or _is_loopback(network) else network


def client_address(scope: Scope) -> str:
    """Return the address that a request came from, "" if the server doesn't know it."""
    client = scope.get("client")
    return client[0] if client else ""


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, or the /64 network of an IPv6 one; "" for other text, such
    as a forged header has.
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
