"""Sentences about painting saved pictures again."""

from __future__ import annotations

from collections.abc import Iterable

# Replays.

NO_STEPS = "This picture was only enlarged, or is a sheet of others, so there are no steps to show."

# Verification.


def not_repeatable(program: str) -> str:
    whose = f"{program}'s" if program else "another program's"
    return (
        f"This picture's settings are {whose}, so it can't be painted again bit by bit: only "
        "pictures of PaintDiffusion carry their whole request. Drop it on the page to use its "
        "settings."
    )


UNKNOWN = "unknown"
NOTHING = "none"
TORCH = "torch"
MODEL_HASH = "model hash"
DEVICE = "device"
PROCESSOR = "processor"
BACKEND = "backend"
PROFILE = "profile"
LIBRARIES = "library versions"
IDENTICAL = "identical"


def differs(share: tuple[int, int], largest: int, psnr_db: float) -> str:
    pixels, total = share
    return (
        f"different: {pixels} of {total} pixels, by {largest} levels at most, PSNR {psnr_db:.1f} dB"
    )


def other_size(saved: object, painted: object) -> str:
    return f"different: saved as {saved}, painted again as {painted}"


def changed(what: str, recorded: str, now: str) -> str:
    return f"{what}: {recorded} when it was saved, {now} now"


def not_recorded(names: Iterable[str]) -> str:
    return f"not recorded in the file: {', '.join(names)}"


NO_REASON = "Nothing that was recorded has changed. Was the file edited?"
