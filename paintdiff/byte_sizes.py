"""Byte sizes as people read them. The page's script has the same rule (ui/assets/page.js)."""

from __future__ import annotations


def format_byte_size(count: int) -> str:
    """Return a number of bytes in binary units: `"4.0 GiB"`, `"137 MiB"`, `"12 KiB"`."""
    if count >= 2**30:
        return f"{count / 2**30:.1f} GiB"
    if count >= 2**20:
        return f"{count / 2**20:.0f} MiB"
    return f"{max(1, round(count / 2**10))} KiB" if count else "0 KiB"
