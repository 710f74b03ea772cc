# ruff: noqa: E501  (outlines are one line each)
"""Drawings of people from parts: body, clothes, hair, face, hat and held things.

Units: a person of any age stands between y 0 and 150, about the middle x 50. Colours that a
requested colour replaces are constants of ``wardrobe``; skin and hair are random.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.subjects.wardrobe import (
    BEHIND,
    CLOTH,
    CLOTH_SHADE,
    HAT,
    HATS,
    HELD,
    IN_FRONT,
    Body,
)

_TROUSERS, _SHOES, _METAL, _METAL_SHADE = "#3b4763", "#2c2733", "#b9c4d2", "#8390a4"
SKINS = ("#ffd8b8", "#f0bd92", "#c98b5e", "#8a5637")
HAIRS = ("#4a2c1a", "#1f1a1c", "#c98a35", "#a8442a")
_GREY_HAIR = "#d9dade"
POSES = ("stand", "wave", "walk")


@dataclass(frozen=True)
class Look:
    """The appearance of one kind of person.

    Attributes:
        garment: ``shirt``, ``dress``, ``robe``, ``suit`` (one piece) or ``armour``.
        hair: ``short``, ``long``, ``bun``, ``pigtails`` or ``none``.
        hat: a name in ``HATS``, or ``""``.
        held: a name in ``HELD``, or ``""``.
        child: whether of a child's proportions.
        beard: whether with a beard.
        old: whether hair and beard are grey.
        cloth: the usual colour of the garment.
        hat_colour: the usual colour of the hat.
        extras: further names in ``_EXTRAS``.
    """

    garment: str = "shirt"
    hair: str = "short"
    hat: str = ""
    held: str = ""
    child: bool = False
    beard: bool = False
    old: bool = False
    cloth: str = CLOTH
    hat_colour: str = HAT
    extras: tuple[str, ...] = ()


LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "man": Look(),
        "woman": Look("dress", "long", cloth="#d8343a"),
        "boy": Look(child=True, cloth="#2fa36b"),
        "girl": Look("dress", "pigtails", child=True, cloth="#f2b52c"),
        "grandfather": Look(beard=True, old=True, held="cane", cloth="#7d6a4f", extras=("glasses",)),
        "grandmother": Look("dress", "bun", old=True, cloth="#8a6fb0", extras=("glasses", "apron")),
        "king": Look("robe", "short", "crown", "sceptre", beard=True, cloth="#b3262e",
                     hat_colour="#f2b52c", extras=("cape",)),
        "queen": Look("dress", "long", "crown", "sceptre", cloth="#7d3fae", hat_colour="#f2b52c",
                      extras=("cape",)),
        "princess": Look("dress", "long", "tiara", cloth="#ff86bd", hat_colour="#f7d154"),
        "knight": Look("armour", "none", "helmet", "sword", cloth="#b9c4d2", hat_colour="#b9c4d2",
                       extras=("shield",)),
        "wizard": Look("robe", "long", "pointed hat", "staff", beard=True, old=True,
                       cloth="#3c4fb8", hat_colour="#3c4fb8", extras=("stars",)),
        "witch": Look("dress", "long", "pointed hat", "broom", cloth="#4a2f6b", hat_colour="#33254a"),
        "pirate": Look("shirt", "short", "pirate hat", "cutlass", beard=True, cloth="#b3392f",
                       hat_colour="#2b2730", extras=("eyepatch", "belt")),
        "astronaut": Look("suit", "short", "space helmet", cloth="#eef1f5", hat_colour="#dfe5ec",
                          extras=("pack", "panel")),
        "chef": Look("shirt", "short", "chef hat", "spoon", cloth="#f4f5f7", hat_colour="#fbfbfb",
                     extras=("buttons",)),
        "farmer": Look("shirt", "short", "straw hat", "fork", cloth="#c8503c", hat_colour="#e3c067",
                       extras=("dungarees",)),
        "clown": Look("suit", "curls", "cone hat", "", cloth="#f2b52c", hat_colour="#d8343a",
                      extras=("red nose", "dots")),
        "superhero": Look("suit", "short", "", "", cloth="#2457c9", extras=("red cape", "mask", "belt")),
        "ninja": Look("suit", "none", "hood", "sword", cloth="#2f3140", hat_colour="#2f3140",
                      extras=("belt",)),
    }
)  # fmt: skip
"""The look of every kind of person."""


def draw_person(kind: str, pose: str, skin: str, hair: str) -> str:
    """Return the SVG markup of a person.

    Args:
        kind: a name in ``LOOKS``.
        pose: one of ``POSES``.
        skin: a colour, as in ``SKINS``.
        hair: a colour, as in ``HAIRS``; old people's is always grey.

    Raises:
        WorldError: the kind or pose is unknown.
    """
    if kind not in LOOKS:
        raise WorldError(f"unknown kind of person {kind!r}; there are {', '.join(LOOKS)}")
    if pose not in POSES:
        raise WorldError(f"unknown pose {pose!r}; people have {', '.join(POSES)}")
    return _Person(LOOKS[kind], pose, skin, hair).markup()


class _Person:
    """One drawing in progress: the layers behind the body, the body, the head, the layers in front."""

    def __init__(self, look: Look, pose: str, skin: str, hair: str) -> None:
        self.look, self.pose = look, pose
        self.body = Body(skin, look.child)
        self.shade = mix(skin, "#7a3b28", 0.22)
        self.hair = _GREY_HAIR if look.old else hair

    def markup(self) -> str:
        self._behind()
        self._legs()
        self._far_arm()
        self._garment()
        self._near_arm()
        self._head()
        for name in self.look.extras:
            if name in IN_FRONT:
                IN_FRONT[name](self.body)
        if self.look.hat:
            HATS[self.look.hat](self.body)
        return "".join(self.body.parts)

    def _behind(self) -> None:
        y, r = self.body.head, self.body.radius
        for name in self.look.extras:
            if name in BEHIND:
                BEHIND[name](self.body)
        if self.look.hair == "long":
            reach = y + r * 1.9
            self.body.path(
                f"M{50 - r * 1.16} {reach}Q{50 - r * 1.3} {y - r * 1.3} 50 {y - r * 1.14}"
                f"Q{50 + r * 1.3} {y - r * 1.3} {50 + r * 1.16} {reach}Q50 {reach + 7} {50 - r * 1.16} {reach}Z",
                self.hair,
            )
        if self.look.hair == "pigtails":
            for side in (-1, 1):
                self.body.oval(50 + side * r * 1.2, y + r * 0.35, r * 0.36, r * 0.62, self.hair)

    def _legs(self) -> None:
        stride = 9 if self.pose == "walk" else 0
        bare = self.look.garment == "dress"
        colour = {"suit": CLOTH, "armour": _METAL_SHADE, "dress": self.body.skin}.get(
            self.look.garment, _TROUSERS
        )
        width = 7.5 if bare else 11.5
        for side in (-1, 1):
            foot = 50 + side * (9 + stride)
            self.body.line(f"M{50 + side * 8} {self.body.hip - 2}L{foot} 142", colour, width)
            shoe = {"suit": CLOTH_SHADE, "armour": _METAL}.get(self.look.garment, _SHOES)
            self.body.path(f"M{foot - 7} 149q-1-9 6-9q8 0 9 9Z", shoe)

    def _sleeve(self) -> str:
        return {"armour": _METAL}.get(self.look.garment, CLOTH)

    def _arm(self, side: int, hand: tuple[float, float], elbow: tuple[float, float]) -> None:
        shoulder = (50 + side * (self.body.width - 2), self.body.shoulder + 8)
        outline = f"M{shoulder[0]} {shoulder[1]}Q{elbow[0]} {elbow[1]} {hand[0]} {hand[1]}"
        self.body.line(
            outline, CLOTH_SHADE if self.look.garment != "armour" else _METAL_SHADE, 10.5
        )
        self.body.line(outline, self._sleeve(), 8)
        self.body.oval(hand[0], hand[1], 5.6, 5.6, self.body.skin)

    def _far_arm(self) -> None:
        hip = self.body.hip
        if self.pose == "wave":
            hand = (50 + 37.0, self.body.head - 4)
            self._arm(1, hand, (50 + 38, self.body.shoulder + 14))
        elif self.pose == "walk":
            self._arm(1, (50 + 33, hip - 10), (50 + 30, self.body.shoulder + 20))
        else:
            self._arm(1, (50 + 27, hip - 2), (50 + 29, self.body.shoulder + 22))

    def _near_arm(self) -> None:
        held = self.look.held
        hand = (50 - 30.0, self.body.hip - (14 if held else 3))
        if held:
            HELD[held](self.body, hand)
        self._arm(-1, hand, (50 - 31, self.body.shoulder + 20))
        if self.look.extras and "shield" in self.look.extras and self.pose != "wave":
            x, y = 50 + 27.0, self.body.hip - 6
            self.body.path(f"M{x - 14} {y - 20}q14-6 28 0q2 26-14 36q-16-10-14-36Z", "#f4f5f7")
            self.body.path(f"M{x - 11} {y - 17}q11-4 22 0q2 20-11 29q-13-9-11-29Z", "#c83a3a")
            self.body.path(f"M{x - 2} {y - 18}h4v28h-4ZM{x - 11} {y - 8}h22v4h-22Z", "#f7e3a0")

    def _garment(self) -> None:
        top, hip, w = self.body.shoulder, self.body.hip, self.body.width
        kind = self.look.garment
        torso = f"M{50 - w} {top + 8}Q{50 - w} {top} {50 - w + 8} {top - 1}H{50 + w - 8}Q{50 + w} {top} {50 + w} {top + 8}"
        if kind == "dress":
            hem = 128 if self.look.child else 126
            flare = w + 13
            self.body.path(
                f"{torso}L{50 + w - 4} {hip - 22}L{50 + flare} {hem}Q50 {hem + 8} {50 - flare} {hem}L{50 - w + 4} {hip - 22}Z",
                CLOTH,
            )
            self.body.path(f"M{50 - w + 4} {hip - 24}h{2 * w - 8}v5h{8 - 2 * w}Z", CLOTH_SHADE)
            self.body.line(
                f"M{50 - flare + 3} {hem - 3}Q50 {hem + 4} {50 + flare - 3} {hem - 3}",
                CLOTH_SHADE,
                4,
            )
        elif kind == "robe":
            self.body.path(f"{torso}L{50 + w + 11} 146H{50 - w - 11}Z", CLOTH)
            self.body.path(f"M50 {top}L44 146H56Z", CLOTH_SHADE)
            self.body.path(f"M{50 - w - 1} {hip - 12}h{2 * w + 2}v6h{-2 * w - 2}Z", "#e3c067")
        else:
            fill = _METAL if kind == "armour" else CLOTH
            shade = _METAL_SHADE if kind == "armour" else CLOTH_SHADE
            self.body.path(f"{torso}V{hip + 3}H{50 - w}Z", CLOTH if kind == "armour" else fill)
            self.body.path(
                f"M{50 - w} {hip - 3}h{2 * w}v6h{-2 * w}Z",
                shade if kind != "shirt" else CLOTH_SHADE,
            )
            if kind == "armour":
                self.body.line(f"M50 {top + 3}V{hip - 4}", CLOTH_SHADE, 2)
                for side in (-1, 1):
                    self.body.oval(50 + side * (w - 1), top + 5, 8, 7, _METAL)
            if kind == "shirt":
                self.body.path(f"M44 {top - 1}L50 {top + 8}L56 {top - 1}Z", self.body.skin)

    def _head(self) -> None:
        y, r, look = self.body.head, self.body.radius, self.look
        self.body.path(f"M45 {y + r - 4}h10v9q-5 4-10 0Z", self.shade)
        for side in (-1, 1):
            self.body.oval(50 + side * r * 0.97, y + 2, r * 0.17, r * 0.22, self.body.skin)
        self.body.oval(50, y, r, r * 1.04, self.body.skin)
        self._hair_in_front()
        if look.beard:
            self.body.path(
                f"M{50 - r * 0.93} {y + r * 0.2}Q50 {y + r * 0.62} {50 + r * 0.93} {y + r * 0.2}"
                f"Q{50 + r * 0.8} {y + r * (1.75 if look.old else 1.3)} 50 {y + r * (1.95 if look.old else 1.36)}"
                f"Q{50 - r * 0.8} {y + r * (1.75 if look.old else 1.3)} {50 - r * 0.93} {y + r * 0.2}Z",
                self.hair,
            )
        self._face()

    def _hair_in_front(self) -> None:
        y, r, hair = self.body.head, self.body.radius, self.hair
        style = self.look.hair
        if style == "none":
            return
        if style == "curls":
            for side in (-1, 1):
                for dx, dy in ((0.95, -0.45), (1.12, -0.05), (0.75, -0.85)):
                    self.body.oval(50 + side * r * dx, y + r * dy, r * 0.34, r * 0.34, "#e0552f")
            return
        self.body.path(
            f"M{50 - r * 1.03} {y - r * 0.02}Q{50 - r * 1.12} {y - r * 1.2} 50 {y - r * 1.16}"
            f"Q{50 + r * 1.12} {y - r * 1.2} {50 + r * 1.03} {y - r * 0.02}"
            f"Q{50 + r * 0.86} {y - r * 0.5} {50 + r * 0.3} {y - r * 0.58}Q{50 - r * 0.5} {y - r * 0.5} {50 - r * 1.03} {y - r * 0.02}Z",
            hair,
        )
        if style == "bun":
            self.body.oval(50, y - r * 1.3, r * 0.42, r * 0.36, hair)

    def _face(self) -> None:
        y, r, dark = self.body.head, self.body.radius, "#2b2026"
        eye = y + r * 0.06
        for side in (-1, 1):
            x = 50 + side * r * 0.4
            self.body.oval(x, eye, r * 0.115, r * 0.15, dark)
            self.body.oval(x + r * 0.04, eye - r * 0.05, r * 0.04, r * 0.05, "#ffffff")
            self.body.line(
                f"M{x - r * 0.16} {eye - r * 0.29}q{r * 0.16} {-r * 0.1} {r * 0.32} 0",
                self.hair if self.look.hair != "none" else dark,
                r * 0.08,
            )
            self.body.oval(
                50 + side * r * 0.6,
                y + r * 0.42,
                r * 0.17,
                r * 0.11,
                mix(self.body.skin, "#ff5b5b", 0.3),
            )
        self.body.line(
            f"M50 {y + r * 0.14}q{r * 0.1} {r * 0.16} {-r * 0.04} {r * 0.18}", self.shade, r * 0.08
        )
        mouth = y + r * 0.52
        self.body.path(
            f"M{50 - r * 0.27} {mouth}q{r * 0.27} {r * 0.12} {r * 0.54} 0q{-r * 0.1} {r * 0.34} {-r * 0.27} {r * 0.34}q{-r * 0.17} 0 {-r * 0.27} {-r * 0.34}Z",
            "#a8323a",
        )
        self.body.path(
            f"M{50 - r * 0.23} {mouth + r * 0.02}q{r * 0.23} {r * 0.1} {r * 0.46} 0l{-r * 0.04} {r * 0.08}q{-r * 0.19} {r * 0.06} {-r * 0.38} 0Z",
            "#ffffff",
        )
