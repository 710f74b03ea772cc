"""Confines a process before it reads untrusted files: no network, no writes, bounded resources.

Importable without torch.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from paintdiff.errors import UnsafeWeightsError
from paintdiff.models.formats import messages

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_DIE_WITH_PARENT, _NO_NEW_RIGHTS, _KILL = 1, 38, 9
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORBIDDEN = ("socket.", "subprocess.", "ctypes.", "shutil.", "ftplib.", "urllib.", "http.")
_FORBIDDEN_OS = frozenset(
    {"system", "exec", "fork", "forkpty", "posix_spawn", "spawn", "startfile", "remove", "rename"}
    | {"rmdir", "mkdir", "link", "symlink", "truncate", "chmod", "chown", "kill", "unshare"}
)


def leave_network() -> bool:
    """Cut this process off from the network. Return True if that worked.

    Only Linux supports it, and may forbid it. Call this while the process has a single thread.
    """
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 (Linux only)

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DIE_WITH_PARENT, _KILL, 0, 0, 0)
    libc.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0)
    return libc.unshare(_NEW_NETWORK) == 0 or libc.unshare(_NEW_USER | _NEW_NETWORK) == 0


def limit_resources(memory_bytes: int, file_bytes: int, seconds: int | None = None) -> None:
    """Limit memory, the size of written files and CPU time, each where the system supports it.

    macOS refuses memory limits with a ValueError; Windows has no `resource` module.
    """
    try:
        import resource  # noqa: PLC0415 (missing on Windows)
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    if seconds is not None:
        limits[resource.RLIMIT_CPU] = seconds
    for kind, wanted in limits.items():
        try:
            hard = resource.getrlimit(kind)[1]
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):
            continue  # the size limits in `limits.py` still hold


def forbid_everything_else() -> None:
    """Forbid sockets, processes, and opening files for writing, in this interpreter.

    An audit hook raises UnsafeWeightsError on each attempt. This can't be undone.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        group, _, name = event.partition(".")
        forbidden = event.startswith(_FORBIDDEN) or (group == "os" and name in _FORBIDDEN_OS)
        if event == "open":
            flags = arguments[2]
            forbidden = not isinstance(flags, int) or bool(flags & _WRITES)
        if forbidden:
            raise UnsafeWeightsError(messages.blocked_attempt(event))

    sys.addaudithook(hook)
