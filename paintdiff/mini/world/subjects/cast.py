"""The subjects of the world's first edition: their words, drawings and places, from `cast.yaml`.

The drawings of a subject are its poses; a caption may state the pose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from paintdiff.mini.world.rows import table
from paintdiff.mini.world.subjects.people import HAIRS, POSES, SKINS

NO_POSE = "-"


@dataclass(frozen=True)
class Pose:
    """One drawing of a subject.

    Attributes:
        key: as in ``drawings``.
        name: a name in ``POSE_WORDS``, or ``""`` for things that only stand there.
        media: where it can be; see ``SceneryRow.places``.
    """

    key: str
    name: str
    media: tuple[str, ...]


@dataclass(frozen=True)
class CastRow:
    """One kind of subject.

    Attributes:
        name: canonical name, as in ``Scene.subject``.
        category: ``animal``, ``mythical``, ``human`` or ``thing``.
        nouns: (singular, plural) pairs for captions, the usual one first.
        poses: its drawings.
        size: its height beside others', 1 for a horse.
        clothing: what the requested colour belongs to, for those that wear something.
        parts: names of parts that can have a colour of their own.
        submerged: the fraction of its height that is under water, in the water.
    """

    name: str
    category: str
    nouns: tuple[tuple[str, str], ...]
    poses: tuple[Pose, ...]
    size: float
    clothing: tuple[str, ...]
    parts: tuple[str, ...]
    submerged: float


POSE_WORDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "stand": (("stands", "standing"), ("waits", "waiting"), ("stands", "standing")),
    "sit": (("sits", "sitting"), ("rests", "resting"), ("sits", "sitting")),
    "run": (("runs", "running"), ("gallops", "galloping")),
    "walk": (("walks", "walking"), ("walks", "walking")),
    "wave": (("waves", "waving"), ("says hello", "saying hello")),
    "fly": (("flies", "flying"), ("soars", "soaring"), ("flies", "flying")),
    "swim": (("swims", "swimming"), ("swims", "swimming"), ("dives", "diving")),
    "float": (("floats", "floating"), ("drifts", "drifting")),
    "drive": (("drives", "driving"), ("parks", "parked")),
    "sail": (("sails", "sailing"), ("floats", "floating")),
    "rise": (("rises", "rising"), ("stands", "standing")),
    "grow": (("grows", "growing"), ("blooms", "blooming")),
    "lie": (("lies", "lying"), ("is", "")),
    "face": (("looks at you", "looking at you"),),
}
"""Pairs (third person, -ing form) for every pose."""


def plural_of(noun: str) -> str:
    """Return the regular plural of an English noun."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def _nouns(words: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (word.partition("/") for word in words)
    return tuple((singular, plural or plural_of(singular)) for singular, _, plural in pairs)


def _poses(drawings: Mapping[str, Any], media: tuple[str, ...]) -> tuple[Pose, ...]:
    poses: list[Pose] = []
    for key, value in drawings.items():
        name, own = (value["pose"], value["media"]) if isinstance(value, dict) else (value, media)
        poses.append(Pose(key, "" if name == NO_POSE else name, tuple(own)))
    return tuple(poses)


def _poses_of_person(kind: str) -> tuple[Pose, ...]:
    """Return every pose in many combinations of skin and hair; standing in all of them."""
    return tuple(
        Pose(f"person:{kind}:{pose}:{skin}:{hair}", pose, ("land",))
        for pose in POSES
        for skin in range(len(SKINS))
        for hair in range(len(HAIRS))
        if (skin + hair) % 2 == 0 or pose == "stand"
    )


def _read_cast() -> Mapping[str, CastRow]:
    source = resources.files(__name__.rpartition(".")[0]).joinpath("cast.yaml")
    categories: dict[str, dict[str, Any]] = yaml.safe_load(source.read_text("utf-8"))
    return table(
        CastRow(
            name=name,
            category=category,
            nouns=_nouns(row["words"]),
            poses=_poses(row["drawings"], tuple(row["media"]))
            if "drawings" in row
            else _poses_of_person(name),
            size=row.get("size", 1.0),
            clothing=tuple(row.get("clothing", ())),
            parts=tuple(row.get("parts", ())),
            submerged=row.get("submerged", 0.12),
        )
        for category, rows in categories.items()
        for name, row in rows.items()
    )


CAST: Mapping[str, CastRow] = _read_cast()
