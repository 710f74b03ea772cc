# ruff: noqa: E501  (outlines are one line each)
"""Clothes and held things, and the body they are drawn on."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

CLOTH, CLOTH_SHADE = "#2f7fc5", "#22619d"
HAT, HAT_SHADE = "#7a4fc1", "#5a3795"
"""Fills that a requested colour replaces: those of the garment, and of the hat."""


class Body:
    """The SVG elements of one person, in painting order, and the positions of its parts.

    Units: the ground is at y 150, the middle at x 50. ``head`` is the y of the head's centre,
    ``radius`` its radius, ``shoulder`` and ``hip`` are heights, ``width`` is half the torso's.
    """

    def __init__(self, skin: str, child: bool) -> None:
        self.skin = skin
        self.head, self.radius = (46.0, 25.0) if child else (30.0, 19.0)
        self.shoulder = 72.0 if child else 51.0
        self.hip = 108.0 if child else 96.0
        self.width = 17.0 if child else 19.0
        self.parts: list[str] = []

    def path(self, outline: str, fill: str, opacity: float = 1.0) -> None:
        """Fill a path given in SVG path syntax."""
        alpha = "" if opacity >= 1 else f' opacity="{opacity}"'
        self.parts.append(f'<path fill="{fill}" d="{outline}"{alpha}/>')

    def line(self, outline: str, colour: str, width: float) -> None:
        """Stroke a path with round ends."""
        self.parts.append(
            f'<path fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round" '
            f'stroke-linejoin="round" d="{outline}"/>'
        )

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str) -> None:
        """Paint an ellipse with radii ``rx`` and ``ry``."""
        self.parts.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}"/>'
        )


Part = Callable[[Body], None]


def _crown(body: Body) -> None:
    y, r = body.head - body.radius * 0.72, body.radius
    body.path(
        f"M{50 - r * 0.85} {y}L{50 - r} {y - r * 0.95}L{50 - r * 0.45} {y - r * 0.5}L50 {y - r * 1.15}L{50 + r * 0.45} {y - r * 0.5}L{50 + r} {y - r * 0.95}L{50 + r * 0.85} {y}Z",
        HAT,
    )
    body.path(f"M{50 - r * 0.87} {y - r * 0.2}h{r * 1.74}v{r * 0.22}h{-r * 1.74}Z", HAT_SHADE)
    for x in (-0.5, 0.0, 0.5):
        body.oval(50 + x * r, y - r * 0.1, r * 0.09, r * 0.09, "#d8343a")


def _tiara(body: Body) -> None:
    y, r = body.head - body.radius * 0.72, body.radius
    body.path(
        f"M{50 - r * 0.7} {y}Q50 {y - r * 0.35} {50 + r * 0.7} {y}L{50 + r * 0.42} {y - r * 0.5}L50 {y - r * 0.78}L{50 - r * 0.42} {y - r * 0.5}Z",
        HAT,
    )
    body.oval(50, y - r * 0.38, r * 0.12, r * 0.14, "#ff5ba8")


def _helmet(body: Body) -> None:
    y, r = body.head, body.radius
    body.path(
        f"M{50 - r * 1.16} {y + r * 0.95}V{y - r * 0.2}Q{50 - r * 1.1} {y - r * 1.3} 50 {y - r * 1.32}Q{50 + r * 1.1} {y - r * 1.3} {50 + r * 1.16} {y - r * 0.2}V{y + r * 0.95}H{50 + r * 0.62}V{y - r * 0.26}H{50 - r * 0.62}V{y + r * 0.95}Z",
        HAT,
    )
    body.path(f"M{50 - r * 1.16} {y - r * 0.34}h{r * 2.32}v{r * 0.16}h{-r * 2.32}Z", HAT_SHADE)
    body.path(f"M48 {y - r * 1.3}q4 {-r * 0.9} 20 {-r * 0.4}q-8 2-12 {r * 0.5}Z", "#d8343a")


def _pointed_hat(body: Body) -> None:
    y, r = body.head - body.radius * 0.55, body.radius
    body.path(
        f"M{50 - r * 0.86} {y}Q{50 - r * 0.3} {y - r * 1.1} {50 + r * 0.25} {y - r * 2.2}Q{50 + r * 0.55} {y - r} {50 + r * 0.86} {y}Z",
        HAT,
    )
    body.path(
        f"M{50 - r * 1.7} {y + r * 0.08}Q50 {y - r * 0.5} {50 + r * 1.7} {y + r * 0.08}Q50 {y + r * 0.4} {50 - r * 1.7} {y + r * 0.08}Z",
        HAT,
    )
    body.path(
        f"M{50 - r * 0.86} {y - r * 0.08}Q50 {y - r * 0.42} {50 + r * 0.86} {y - r * 0.08}l{-r * 0.08} {-r * 0.24}Q50 {y - r * 0.62} {50 - r * 0.78} {y - r * 0.34}Z",
        HAT_SHADE,
    )


def _pirate_hat(body: Body) -> None:
    y, r = body.head - body.radius * 0.5, body.radius
    body.path(
        f"M{50 - r * 1.55} {y - r * 0.5}Q{50 - r * 0.8} {y - r * 0.3} {50 - r * 0.7} {y - r * 0.85}Q50 {y - r * 1.5} {50 + r * 0.7} {y - r * 0.85}Q{50 + r * 0.8} {y - r * 0.3} {50 + r * 1.55} {y - r * 0.5}Q{50 + r} {y + r * 0.24} 50 {y + r * 0.12}Q{50 - r} {y + r * 0.24} {50 - r * 1.55} {y - r * 0.5}Z",
        HAT,
    )
    body.oval(50, y - r * 0.5, r * 0.22, r * 0.2, "#f8f5ee")
    body.line(
        f"M{50 - r * 0.28} {y - r * 0.2}l{r * 0.56} {-r * 0.16}m0 {r * 0.16}l{-r * 0.56} {-r * 0.16}",
        "#f8f5ee",
        r * 0.09,
    )


def _space_helmet(body: Body) -> None:
    y, r = body.head, body.radius
    body.parts.append(f'<circle cx="50" cy="{y}" r="{r * 1.32}" fill="#bfe2ff" opacity=".3"/>')
    body.line(
        f"M{50 - r * 0.9} {y + r * 0.98}A{r * 1.32} {r * 1.32} 0 1 1 {50 + r * 0.9} {y + r * 0.98}Z",
        HAT,
        r * 0.24,
    )
    body.line(
        f"M{50 - r * 0.86} {y - r * 0.5}q{r * 0.2} {-r * 0.4} {r * 0.5} {-r * 0.5}",
        "#ffffff",
        r * 0.12,
    )


def _chef_hat(body: Body) -> None:
    y, r = body.head - body.radius * 0.62, body.radius
    for x, size in ((-0.62, 0.5), (0.62, 0.5), (0.0, 0.66)):
        body.oval(50 + x * r, y - r * 0.85, r * size, r * size, HAT)
    body.path(
        f"M{50 - r * 0.78} {y}L{50 - r * 0.9} {y - r * 0.9}H{50 + r * 0.9}L{50 + r * 0.78} {y}Z",
        HAT,
    )
    body.path(f"M{50 - r * 0.8} {y - r * 0.24}h{r * 1.6}v{r * 0.26}h{-r * 1.6}Z", HAT_SHADE)


def _straw_hat(body: Body) -> None:
    y, r = body.head - body.radius * 0.55, body.radius
    body.path(
        f"M{50 - r * 0.8} {y}Q{50 - r * 0.85} {y - r * 0.95} 50 {y - r}Q{50 + r * 0.85} {y - r * 0.95} {50 + r * 0.8} {y}Z",
        HAT,
    )
    body.oval(50, y, r * 1.62, r * 0.27, HAT)
    body.path(
        f"M{50 - r * 0.8} {y - r * 0.08}Q50 {y - r * 0.3} {50 + r * 0.8} {y - r * 0.08}v{-r * 0.2}Q50 {y - r * 0.5} {50 - r * 0.8} {y - r * 0.28}Z",
        HAT_SHADE,
    )


def _cone_hat(body: Body) -> None:
    y, r = body.head - body.radius * 0.8, body.radius
    body.path(
        f"M{50 - r * 0.55} {y}L50 {y - r * 1.5}L{50 + r * 0.55} {y}Q50 {y + r * 0.22} {50 - r * 0.55} {y}Z",
        HAT,
    )
    body.oval(50, y - r * 1.5, r * 0.2, r * 0.2, "#ffffff")
    body.oval(50, y - r * 0.5, r * 0.13, r * 0.13, "#ffffff")


def _hood(body: Body) -> None:
    y, r = body.head, body.radius
    body.path(
        f"M{50 - r * 1.08} {y - r * 0.22}Q{50 - r * 1.1} {y - r * 1.2} 50 {y - r * 1.2}Q{50 + r * 1.1} {y - r * 1.2} {50 + r * 1.08} {y - r * 0.22}Z",
        HAT,
    )
    body.path(
        f"M{50 - r * 1.08} {y + r * 0.26}H{50 + r * 1.08}Q{50 + r} {y + r * 1.2} 50 {y + r * 1.25}Q{50 - r} {y + r * 1.2} {50 - r * 1.08} {y + r * 0.26}Z",
        HAT,
    )
    body.path(f"M{50 - r * 1.1} {y - r * 0.62}h{r * 2.2}v{r * 0.26}h{-r * 2.2}Z", "#c83a3a")


HATS: Mapping[str, Part] = MappingProxyType(
    {
        "crown": _crown, "tiara": _tiara, "helmet": _helmet, "pointed hat": _pointed_hat,
        "pirate hat": _pirate_hat, "space helmet": _space_helmet, "chef hat": _chef_hat,
        "straw hat": _straw_hat, "cone hat": _cone_hat, "hood": _hood,
    }
)  # fmt: skip


def _stick(
    body: Body, hand: tuple[float, float], top: float, low: float, colour: str, width: float = 3.6
) -> None:
    body.line(f"M{hand[0] - 2} {top}L{hand[0]} {low}", colour, width)


def _staff(body: Body, hand: tuple[float, float]) -> None:
    _stick(body, hand, 24, 148, "#7a5436", 4.2)
    body.parts.append(f'<circle cx="{hand[0] - 2}" cy="20" r="12" fill="#8ff3ff" opacity=".4"/>')
    body.oval(hand[0] - 2, 20, 7.5, 7.5, "#5fd8f0")


def _sceptre(body: Body, hand: tuple[float, float]) -> None:
    _stick(body, hand, hand[1] - 28, hand[1] + 12, "#e3b03a", 3.4)
    body.oval(hand[0] - 2, hand[1] - 31, 5.5, 5.5, "#d8343a")


def _sword(body: Body, hand: tuple[float, float]) -> None:
    x, y = hand
    body.path(f"M{x - 4} {y - 4}L{x - 7} {y - 50}l4-7l4 7L{x + 3} {y - 4}Z", "#e3e9f0")
    body.line(f"M{x - 10} {y - 5}h19M{x} {y - 4}v10", "#8a6a3a", 3.4)


def _cutlass(body: Body, hand: tuple[float, float]) -> None:
    x, y = hand
    body.path(
        f"M{x - 2} {y - 4}Q{x - 6} {y - 34} {x - 20} {y - 46}Q{x + 4} {y - 36} {x + 4} {y - 4}Z",
        "#dfe6ee",
    )
    body.line(f"M{x - 8} {y - 3}h16", "#e3b03a", 3.4)


def _cane(body: Body, hand: tuple[float, float]) -> None:
    body.line(f"M{hand[0] + 5} {hand[1] + 2}q-1-8-7-6V148", "#7a5436", 3.6)


def _broom(body: Body, hand: tuple[float, float]) -> None:
    _stick(body, hand, 46, 124, "#8a6238", 3.6)
    body.path(f"M{hand[0] - 4} 120h8l7 28h-22Z", "#e0b84e")


def _spoon(body: Body, hand: tuple[float, float]) -> None:
    _stick(body, hand, hand[1] - 24, hand[1] + 8, "#b07a45", 3)
    body.oval(hand[0] - 3, hand[1] - 28, 5, 7, "#b07a45")


def _fork(body: Body, hand: tuple[float, float]) -> None:
    _stick(body, hand, 40, 148, "#9a7048", 3.4)
    x = hand[0] - 2
    body.line(f"M{x} 44v-18M{x - 8} 26v12q0 6 8 6t8-6V26", "#8390a4", 2.6)


HELD: Mapping[str, Callable[[Body, tuple[float, float]], None]] = MappingProxyType(
    {
        "staff": _staff, "sceptre": _sceptre, "sword": _sword, "cutlass": _cutlass, "cane": _cane,
        "broom": _broom, "spoon": _spoon, "fork": _fork,
    }
)  # fmt: skip


def _cape_of(colour: str) -> Part:
    def cape(body: Body) -> None:
        body.path(
            f"M{50 - body.width} {body.shoulder}Q50 {body.shoulder - 6} {50 + body.width} {body.shoulder}L{50 + body.width + 16} 134Q50 144 {50 - body.width - 16} 134Z",
            colour,
        )

    return cape


def _pack(body: Body) -> None:
    body.path(
        f"M{50 - body.width - 7} {body.shoulder - 2}h{2 * body.width + 14}v44h{-2 * body.width - 14}Z",
        "#b9c4d2",
    )


BEHIND: Mapping[str, Part] = MappingProxyType(
    {"cape": _cape_of("#f7f3ea"), "red cape": _cape_of("#d8343a"), "pack": _pack}
)


def _glasses(body: Body) -> None:
    y, r = body.head + body.radius * 0.06, body.radius
    for side in (-1, 1):
        body.parts.append(
            f'<circle cx="{50 + side * r * 0.4}" cy="{y}" r="{r * 0.27}" fill="none" stroke="#4a4450" stroke-width="{r * 0.07}"/>'
        )
    body.line(f"M{50 - r * 0.13} {y}h{r * 0.26}", "#4a4450", r * 0.07)


def _apron(body: Body) -> None:
    body.path(f"M38 {body.hip - 22}H62L68 122Q50 127 32 122Z", "#f7f3ea")


def _stars(body: Body) -> None:
    for x, y in ((34, 118), (66, 108), (60, 136), (36, 80), (64, 76)):
        body.path(f"M{x} {y - 4}l1 3l3 1l-3 1l-1 3l-1-3l-3-1l3-1Z", "#ffe27a")


def _eyepatch(body: Body) -> None:
    y, r = body.head, body.radius
    body.line(f"M{50 - r} {y - r * 0.34}L{50 + r} {y + r * 0.2}", "#2b2730", r * 0.08)
    body.oval(50 - r * 0.4, y + r * 0.03, r * 0.24, r * 0.25, "#2b2730")


def _belt(body: Body) -> None:
    body.path(f"M{50 - body.width} {body.hip - 8}h{2 * body.width}v7h{-2 * body.width}Z", "#5b3a26")
    body.path(f"M45 {body.hip - 9}h10v9h-10Z", "#f2c94c")


def _panel(body: Body) -> None:
    body.path(f"M40 {body.shoulder + 16}h20v13h-20Z", "#8390a4")
    for x, colour in ((44, "#ff5b4a"), (50, "#ffd23e"), (56, "#5fd86a")):
        body.oval(x, body.shoulder + 22.5, 2.2, 2.2, colour)


def _buttons(body: Body) -> None:
    for y in (12, 22, 32):
        for x in (45.5, 54.5):
            body.oval(x, body.shoulder + y, 1.7, 1.7, "#4a4450")
    body.path(f"M42 {body.shoulder - 2}L50 {body.shoulder + 8}L58 {body.shoulder - 2}Z", "#d8343a")


def _dungarees(body: Body) -> None:
    top, w = body.shoulder, body.width
    body.path(
        f"M{50 - w} {body.hip - 14}h8V{top + 16}h{2 * w - 16}V{body.hip - 14}h8V{body.hip + 5}H{50 - w}Z",
        "#3f63a8",
    )
    body.line(
        f"M{50 - w + 10} {top + 18}L{50 - w + 7} {top + 1}M{50 + w - 10} {top + 18}L{50 + w - 7} {top + 1}",
        "#3f63a8",
        4.5,
    )


def _red_nose(body: Body) -> None:
    body.oval(50, body.head + body.radius * 0.24, body.radius * 0.22, body.radius * 0.22, "#f0352f")


def _dots(body: Body) -> None:
    for x, y in ((41, 12), (58, 18), (44, 30), (60, 36)):
        body.oval(x, body.shoulder + y, 3.4, 3.4, "#d8343a")
    body.path(
        f"M{50 - body.width} {body.shoulder - 1}q{body.width / 2} 8 {body.width} 4q{body.width / 2} 4 {body.width} -4q{-body.width / 2} -8 {-body.width} -5q{-body.width / 2} -3 {-body.width} 5Z",
        "#ffffff",
    )


def _mask(body: Body) -> None:
    y, r = body.head + body.radius * 0.05, body.radius
    for side in (-1, 1):
        x = 50 + side * r * 0.4
        body.parts.append(
            f'<ellipse cx="{x}" cy="{y}" rx="{r * 0.24}" ry="{r * 0.22}" fill="none" stroke="#d8343a" stroke-width="{r * 0.16}"/>'
        )
    body.path(f"M50 {body.shoulder + 8}l9 5l-3 10l-6 6l-6-6l-3-10Z", "#ffd23e")


IN_FRONT: Mapping[str, Part] = MappingProxyType(
    {
        "glasses": _glasses, "apron": _apron, "stars": _stars, "eyepatch": _eyepatch, "belt": _belt,
        "panel": _panel, "buttons": _buttons, "dungarees": _dungarees, "red nose": _red_nose,
        "dots": _dots, "mask": _mask,
    }
)  # fmt: skip
