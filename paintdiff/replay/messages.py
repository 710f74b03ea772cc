"""Sentences about painting saved pictures again."""

from __future__ import annotations

# Replays.

NO_STEPS = "This picture was only enlarged, so there are no steps to show."

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
