"""A sheet of SVG that painters draw on, in units of 1/256 of the picture's side."""

import itertools
import math
from random import Random

SIDE = 256.0
"""Width and height of the sheet in its own units; the output size in pixels is free."""


class Canvas:
    """A collection of SVG elements in painting order, and the gradients that they use."""

    def __init__(self) -> None:
        self._definitions: list[str] = []
        self._elements: list[str] = []

    def add(self, markup: str) -> None:
        """Append ready SVG markup on top of the existing elements."""
        self._elements.append(markup)

    def linear(self, stops: tuple[str, ...], top: float, bottom: float) -> str:
        """Return a paint that runs through ``stops`` from height ``top`` to ``bottom``."""
        identity = f"g{len(self._definitions)}"
        share = 1 / max(1, len(stops) - 1)
        marks = "".join(
            f'<stop offset="{index * share:.3f}" stop-color="{colour}"/>'
            for index, colour in enumerate(stops)
        )
        self._definitions.append(
            f'<linearGradient id="{identity}" gradientUnits="userSpaceOnUse" x1="0" x2="0" '
            f'y1="{top:.1f}" y2="{bottom:.1f}">{marks}</linearGradient>'
        )
        return f"url(#{identity})"

    def fade(self, colour: str, top: float, bottom: float, opacities: tuple[float, ...]) -> str:
        """Return a paint of one ``colour`` whose opacity (0..1) changes from top to bottom."""
        identity = f"g{len(self._definitions)}"
        share = 1 / max(1, len(opacities) - 1)
        marks = "".join(
            f'<stop offset="{index * share:.3f}" stop-color="{colour}" stop-opacity="{opacity}"/>'
            for index, opacity in enumerate(opacities)
        )
        self._definitions.append(
            f'<linearGradient id="{identity}" gradientUnits="userSpaceOnUse" x1="0" x2="0" '
            f'y1="{top:.1f}" y2="{bottom:.1f}">{marks}</linearGradient>'
        )
        return f"url(#{identity})"

    def fade_each(self, colour: str, opacities: tuple[float, ...]) -> str:
        """Return a paint as ``fade``, but from top to bottom of each shape it is used on."""
        identity = f"g{len(self._definitions)}"
        share = 1 / max(1, len(opacities) - 1)
        marks = "".join(
            f'<stop offset="{index * share:.3f}" stop-color="{colour}" stop-opacity="{opacity}"/>'
            for index, opacity in enumerate(opacities)
        )
        self._definitions.append(
            f'<linearGradient id="{identity}" x1="0" x2="0" y1="0" y2="1">{marks}</linearGradient>'
        )
        return f"url(#{identity})"

    def glow(self, x: float, y: float, radius: float, colour: str, opacity: float) -> None:
        """Paint a round glow that fades from ``opacity`` (0..1) at its centre to nothing."""
        self.soft_ellipse(x, y, radius, radius, colour, opacity)

    def soft_ellipse(
        self, x: float, y: float, width: float, height: float, colour: str, opacity: float
    ) -> None:
        """Paint an ellipse of the given radii that fades from its centre to nothing."""
        identity = f"g{len(self._definitions)}"
        self._definitions.append(
            f'<radialGradient id="{identity}"><stop offset="0" stop-color="{colour}" '
            f'stop-opacity="{opacity:.2f}"/><stop offset=".45" stop-color="{colour}" '
            f'stop-opacity="{opacity * 0.45:.2f}"/><stop offset="1" stop-color="{colour}" '
            'stop-opacity="0"/></radialGradient>'
        )
        self.ellipse(x, y, width, height, f"url(#{identity})")

    def rectangle(self, top: float, bottom: float, paint: str, opacity: float = 1.0) -> None:
        """Paint the full width between two heights."""
        height = bottom - top
        self.add(
            f'<rect x="-2" y="{top:.1f}" width="260" height="{height:.1f}" fill="{paint}"'
            f"{_alpha(opacity)}/>"
        )

    def ellipse(
        self, x: float, y: float, width: float, height: float, paint: str, opacity: float = 1.0
    ) -> None:
        """Paint an ellipse; ``width`` and ``height`` are its radii."""
        self.add(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{width:.1f}" ry="{height:.1f}" '
            f'fill="{paint}"{_alpha(opacity)}/>'
        )

    def circle(self, x: float, y: float, radius: float, paint: str, opacity: float = 1.0) -> None:
        """Paint a disc."""
        self.ellipse(x, y, radius, radius, paint, opacity)

    def path(self, outline: str, paint: str, opacity: float = 1.0) -> None:
        """Fill a path given in SVG path syntax."""
        self.add(f'<path d="{outline}" fill="{paint}"{_alpha(opacity)}/>')

    def line(self, outline: str, paint: str, width: float, opacity: float = 1.0) -> None:
        """Stroke a path with round ends."""
        self.add(
            f'<path d="{outline}" fill="none" stroke="{paint}" stroke-width="{width:.2f}" '
            f'stroke-linecap="round" stroke-linejoin="round"{_alpha(opacity)}/>'
        )

    def below(self, ridge: list[tuple[float, float]], paint: str, opacity: float = 1.0) -> None:
        """Fill everything under a ridge line, down to the bottom of the sheet."""
        self.path(f"{outline_of(ridge)}L260 260L-4 260Z", paint, opacity)

    def document(self) -> str:
        """Return the whole SVG document."""
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">'
            f"<defs>{''.join(self._definitions)}</defs>{''.join(self._elements)}</svg>"
        )


def _alpha(opacity: float) -> str:
    return "" if opacity >= 1 else f' opacity="{opacity:.2f}"'


def outline_of(points: list[tuple[float, float]]) -> str:
    """Return the open SVG path through ``points``."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def hills(
    random: Random, base: float, amplitude: float, waves: float = 1.6
) -> list[tuple[float, float]]:
    """Return a smooth ridge around height ``base``: three sines with random phases.

    ``waves`` is how many crests the widest sine has across the sheet.
    """
    parts = [
        (amplitude * share, waves * factor * random.uniform(0.8, 1.2), random.uniform(0, math.tau))
        for share, factor in ((0.62, 1.0), (0.28, 2.1), (0.10, 4.3))
    ]
    return [
        (
            float(x),
            base - sum(a * math.sin(math.tau * f * x / SIDE + phase) for a, f, phase in parts),
        )
        for x in range(-4, 261, 6)
    ]


def height_at(ridge: list[tuple[float, float]], x: float) -> float:
    """Return the height of a ridge at ``x``, interpolated between its points."""
    for (left, y_left), (right, y_right) in itertools.pairwise(ridge):
        if left <= x <= right:
            return y_left + (y_right - y_left) * (x - left) / max(1e-6, right - left)
    return ridge[-1][1]


def jagged(
    random: Random, start: tuple[float, float], end: tuple[float, float], depth: int, rough: float
) -> list[tuple[float, float]]:
    """Return a broken line from ``start`` to ``end`` by midpoint displacement.

    ``depth`` halvings; ``rough`` is the displacement as a fraction of each segment's length.
    """
    points = [start, end]
    for _ in range(depth):
        finer = [points[0]]
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            shift = random.uniform(-rough, rough) * math.hypot(x2 - x1, y2 - y1)
            finer += [((x1 + x2) / 2, (y1 + y2) / 2 + shift), (x2, y2)]
        points = finer
    return points
