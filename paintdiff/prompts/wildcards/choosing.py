"""Who chooses: a seed, or the next one of all combinations.

A seed's choices are the same on every machine and with every version of Python. Number k (from 0)
is the first 64 bits, as a big-endian integer, of the SHA-256 of "paintdiffusion choices 1", the
stream's name, the seed and k, divided by line feeds. Of a total weight of w it takes the option in
which `number * w >> 64` falls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol

SCHEME = "paintdiffusion choices 1"


Method = Literal["random", "combinatorial", "cyclic"]
"""How a choice is made."""


class Chooser(Protocol):
    """Makes choices, one after the other."""

    def choose(self, weights: Sequence[int]) -> int:
        """Return the index of one of the options, none of which has a weight of 0."""
        ...


class SeededChooser:
    """Chooses at random, by weight. `stream` separates choices of one seed from one another."""

    def __init__(self, seed: int, stream: str = "prompt") -> None:
        self._prefix = f"{SCHEME}\n{stream}\n{seed}\n"
        self._count = 0

    def choose(self, weights: Sequence[int]) -> int:
        """Return the index of one of the options."""
        place = self.draw(sum(weights))
        for index, weight in enumerate(weights):
            if place < weight:
                return index
            place -= weight
        raise ValueError("no options")

    def draw(self, below: int) -> int:
        """Return a whole number from 0 to `below - 1`."""
        digest = hashlib.sha256(f"{self._prefix}{self._count}".encode()).digest()
        self._count += 1
        return int.from_bytes(digest[:8], "big") * below >> 64


class CyclicChooser:
    """Chooses the option of a number, in turn."""

    def __init__(self, number: int) -> None:
        self._number = number

    def choose(self, weights: Sequence[int]) -> int:
        """Return the index of one of the options."""
        return self._number % len(weights)


class Combinations:
    """Chooses so that each call of `advance` leads to the next combination, the last choice first.

    What can be chosen may depend on earlier choices.
    """

    def __init__(self) -> None:
        self._chosen: list[int] = []
        self._counts: list[int] = []

    def choose(self, weights: Sequence[int]) -> int:
        """Return the index of one of the options."""
        place = len(self._counts)
        self._counts.append(len(weights))
        if place == len(self._chosen):
            self._chosen.append(0)
        return self._chosen[place]

    def advance(self) -> bool:
        """Go on to the next combination; return False after the last one."""
        while self._chosen and self._chosen[-1] + 1 >= self._counts[len(self._chosen) - 1]:
            self._chosen.pop()
        self._counts = []
        if not self._chosen:
            return False
        self._chosen[-1] += 1
        return True


class Choosers:
    """The choosers of one expansion, by method. `use_seed` says whether the seed mattered."""

    def __init__(self, seed: int, stream: str, combinations: Combinations) -> None:
        self.use_seed = False
        self._combinations = combinations
        self._by_seed = {"random": SeededChooser(seed, stream), "cyclic": CyclicChooser(seed)}

    def find(self, method: Method) -> Chooser:
        """Return the chooser of a method."""
        if method == "combinatorial":
            return self._combinations
        self.use_seed = True
        return self._by_seed[method]
