"""Eviction: what leaves the device, what is offloaded to main memory, and what is dropped.

The functions change the entries that they are given; call them with the cache's lock held. The
least recently used entry comes first. Importable without torch.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping, Sequence
from typing import Any

from paintdiff.models.manager.cache_entry import Entry, count_held_bytes, is_idle
from paintdiff.models.memory import usage

_WAITING_SHARE = 0.5
"""The part of free main memory that a model may take that is offloaded to it."""

logger = logging.getLogger(__name__)

Entries = MutableMapping[str, Entry[Any]]


def evict_entries(
    entries: Entries, evicted: Sequence[Entry[Any]], *, may_wait: bool
) -> list[Entry[Any]]:
    """Forget what has to leave the device, and return those that wait in main memory instead.

    The weights of those returned still have to be moved there.
    """
    waiting: list[Entry[Any]] = []
    for entry in evicted:
        if may_wait and _can_wait(entries, entry, waiting):
            logger.info("offloading %s to RAM", entry.key)
            waiting.append(entry)
        else:
            logger.info("dropping %s to make room", entry.key)
            del entries[entry.key]
    for entry in waiting:
        entry.waits, entry.device_bytes = True, None
    return waiting


def drop_waiting(entries: Entries, lacking_bytes: int) -> None:
    """Drop idle entries from main memory until so many bytes are free."""
    for entry in _list_waiting(entries):
        if lacking_bytes <= 0:
            break
        lacking_bytes -= count_held_bytes(entry)
        logger.info("dropping %s, which is offloaded to RAM", entry.key)
        del entries[entry.key]


def _can_wait(entries: Entries, entry: Entry[Any], before: Sequence[Entry[Any]]) -> bool:
    """Return whether a model can be offloaded, after those `before` it.

    It may take half of the free main memory; those that have waited longest make room.
    """
    if entry.adapting is None:
        return False
    moved: list[Any] = [each.loaded for each in before]
    lacking = sum(each.weights_bytes for each in moved) - usage.count_free_bytes()
    loaded: Any = entry.loaded
    lacking += int(loaded.weights_bytes / _WAITING_SHARE)
    if lacking > sum(count_held_bytes(each) for each in _list_waiting(entries)):
        return False
    drop_waiting(entries, lacking)
    return True


def _list_waiting(entries: Entries) -> list[Entry[Any]]:
    return [each for each in entries.values() if each.waits and is_idle(each)]
