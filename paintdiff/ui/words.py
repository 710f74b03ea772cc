"""Amounts as the page says them."""

from __future__ import annotations


def amount(count_bytes: int) -> str:
    """A number of bytes in the units of people who buy disks: `"4.3 GB"`, `"144 MB"`."""
    if count_bytes >= 10**9:
        return f"{count_bytes / 10**9:.1f} GB"
    if count_bytes >= 10**6:
        return f"{count_bytes / 10**6:.0f} MB"
    return f"{max(1, round(count_bytes / 1000))} kB" if count_bytes else "0 kB"
