"""Independent streams of random numbers from one seed.

Each part of a picture draws from a stream of its own name, so that a change to one part (or to
the caption) never changes another.
"""

import random


def stream(seed: int, name: str) -> random.Random:
    """Return the generator called ``name`` of ``seed``; the same on every platform and run."""
    return random.Random(f"{name}:{seed}")
