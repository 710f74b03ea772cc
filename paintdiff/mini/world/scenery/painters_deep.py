"""Painters of night skies and of underwater sceneries."""

import itertools
import math
from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas, hills, jagged, outline_of
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.painters_land import paint_pine
from paintdiff.mini.world.scenery.sky import paint_disc, paint_stars


def paint_night_sky(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a sky full of stars with a milky way, the moon, dark hills below."""
    canvas.rectangle(-2, 258, canvas.linear(("#040720", "#121a52", "#3a3f8f", "#6a62b0"), 0, 216))
    tilt = random.choice((-1, 1)) * random.uniform(22, 38)
    canvas.add(f'<g transform="rotate({tilt:.1f} 128 90)">')
    canvas.soft_ellipse(128, 84, 190, 46, "#9d8be0", 0.6)
    canvas.soft_ellipse(128, 84, 150, 20, "#f3d9ff", 0.5)
    canvas.add("</g>")
    paint_stars(canvas, random, 105, 210)
    for _ in range(4):
        x, y, s = random.uniform(10, 246), random.uniform(10, 120), random.uniform(4, 6.5)
        k = s * 0.16
        canvas.path(
            f"M{x:.1f} {y - s:.1f}l{k:.1f} {s - k:.1f}l{s - k:.1f} {k:.1f}l{k - s:.1f} {k:.1f}"
            f"l{-k:.1f} {s - k:.1f}l{-k:.1f} {k - s:.1f}l{k - s:.1f} {-k:.1f}"
            f"l{s - k:.1f} {-k:.1f}Z",
            "#fffbe8",
        )
    paint_disc(canvas, light, 190)
    canvas.below(hills(random, 196, 9, 1.4), "#2a2f6e")
    front = hills(random, 212, 7, 0.9)
    canvas.below(front, canvas.linear(("#2f4a6e", "#14203f"), 204, 256))


def paint_aurora(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint curtains of green and violet light over a snowy forest."""
    canvas.rectangle(-2, 258, canvas.linear(("#050a2a", "#0b1f4d", "#14506a", "#2a7a80"), 0, 200))
    paint_stars(canvas, random, 55, 180)
    for colour, base in (("#b05cff", 62.0), ("#35f0a0", 92.0), ("#6dffc8", 122.0)):
        _paint_curtain(canvas, random, colour, base + random.uniform(-8, 8))
    ridge = jagged(random, (-6, 184), (262, 178), 5, 0.16)
    canvas.below(ridge, "#1d3f63")
    back = hills(random, 198, 5, 1.2)
    canvas.below(back, "#4d7ea0")
    for _ in range(16):
        x = random.uniform(0, SIDE)
        paint_pine(canvas, light, x, 203 + random.uniform(-3, 3), random.uniform(20, 40), 0.35)
    front = hills(random, 212, 6, 0.9)
    canvas.below(front, canvas.linear(("#c5e8ea", "#6f9fc0"), 204, 256))


def _paint_curtain(canvas: Canvas, random: Random, colour: str, base: float) -> None:
    lower = hills(random, base, 15, 1.1)
    height, phase = random.uniform(66, 88), random.uniform(0, 6)
    canvas.soft_ellipse(128, base - 20, 170, 52, colour, 0.4)
    paint = canvas.fade_each(colour, (0.0, 0.22, 0.5, 0.72, 0.0))
    for (x1, y1), (x2, y2) in itertools.pairwise(lower):
        rise = height * (0.8 + 0.25 * math.sin(x1 * 0.09 + phase))
        canvas.path(
            f"M{x1:.1f} {y1:.1f}L{x2 + 0.25:.1f} {y2:.1f}V{y2 - rise:.1f}"
            f"L{x1:.1f} {y1 - rise:.1f}Z",
            paint,
        )


def paint_deep_sea(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint blue depth with rays from above, coral and kelp on a sandy floor."""
    canvas.rectangle(-2, 258, canvas.linear(("#7fe0ea", "#2fa5d3", "#1668ad", "#0d3b7d"), 0, 240))
    for _ in range(4):
        x = random.uniform(10, 230)
        canvas.path(
            f"M{x:.1f} -4h{random.uniform(14, 26):.1f}L{x + 80:.1f} 220h-50Z",
            canvas.fade("#ffffff", 0, 200, (0.3, 0.0)),
        )
    canvas.below(hills(random, 190, 16, 1.6), "#1a5b9c", 0.8)
    canvas.below(hills(random, 208, 12, 2.0), "#16508c")
    for index in range(6):
        x = random.uniform(4, 66) if index % 2 else random.uniform(190, 252)
        _paint_kelp(canvas, random, x, 226, random.uniform(46, 90))
    floor = hills(random, 222, 6, 1.0)
    canvas.below(floor, canvas.linear(("#e3cf9c", "#7f9aa0", "#3d6f93"), 216, 262))
    for _ in range(6):
        _paint_coral(canvas, random, random.uniform(6, 250), random.uniform(226, 244))
    _paint_bubbles(canvas, random, 14, (4, 252))


def _paint_kelp(canvas: Canvas, random: Random, x: float, y: float, size: float) -> None:
    sway = random.choice((-1, 1)) * random.uniform(7, 12)
    colour = random.choice(("#1f8f6b", "#2aa56f", "#1a7a72"))
    canvas.line(
        f"M{x:.1f} {y:.1f}q{sway:.1f} {-size / 4:.1f} 0 {-size / 2:.1f}t0 {-size / 2:.1f}",
        colour,
        5,
    )


def _paint_coral(canvas: Canvas, random: Random, x: float, y: float) -> None:
    colour = random.choice(("#ff7d7d", "#ff9f5a", "#e06fc0", "#f7c65a"))
    s = random.uniform(8, 13)
    canvas.line(
        f"M{x:.1f} {y:.1f}v{-s:.1f}M{x:.1f} {y - s * 0.3:.1f}l{-s * 0.6:.1f} {-s * 0.7:.1f}"
        f"M{x:.1f} {y - s * 0.3:.1f}l{s * 0.6:.1f} {-s * 0.7:.1f}",
        colour,
        4.0,
    )


def _paint_bubbles(canvas: Canvas, random: Random, count: int, across: tuple[float, float]) -> None:
    for _ in range(count):
        x, y, size = random.uniform(*across), random.uniform(40, 205), random.uniform(1.4, 3.6)
        canvas.circle(x, y, size, "#d6f6ff", 0.55)
        canvas.circle(x - size * 0.3, y - size * 0.3, size * 0.35, "#ffffff", 0.9)


def paint_underwater_cave(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a rocky arch around a luminous blue opening, with glowing crystals."""
    canvas.rectangle(-2, 258, canvas.linear(("#0d3a63", "#17709a", "#0f4a75"), 0, 256))
    x = random.uniform(112, 144)
    canvas.soft_ellipse(x, 118, 135, 122, "#7ff3ee", 1.0)
    canvas.soft_ellipse(x, 104, 70, 66, "#e9fffb", 0.9)
    for fill, inset in (("#17496b", 0.0), ("#0d2b4a", 26.0)):
        _paint_arch(canvas, random, fill, inset)
    canvas.below(hills(random, 218, 8, 1.5), canvas.linear(("#1f5878", "#0a223d"), 210, 256))
    for index in range(7):
        cx = random.uniform(4, 52) if index % 2 else random.uniform(204, 252)
        _paint_crystal(canvas, random, cx, random.uniform(226, 252))
    _paint_bubbles(canvas, random, 8, (76, 180))


def _paint_arch(canvas: Canvas, random: Random, fill: str, inset: float) -> None:
    left, right, top = 62 - inset, 194 + inset, 56 - inset
    points = [
        *jagged(random, (left - 4, 262), (left + 4, 120), 3, 0.14),
        *jagged(random, (left + 4, 120), (left + 38, top), 3, 0.14),
        *_stalactites(random, left + 38, right - 38, top),
        *jagged(random, (right - 38, top), (right - 4, 120), 3, 0.14),
        *jagged(random, (right - 4, 120), (right + 4, 262), 3, 0.14),
    ]
    canvas.path(outline_of(points) + "L262 262V-6H-6V262Z", fill)


def _stalactites(
    random: Random, left: float, right: float, top: float
) -> list[tuple[float, float]]:
    count = 5
    step = (right - left) / count
    points: list[tuple[float, float]] = []
    for index in range(count):
        x = left + index * step
        points += [(x, top - 6), (x + step / 2, top + random.uniform(2, 20))]
    return points


def _paint_crystal(canvas: Canvas, random: Random, x: float, y: float) -> None:
    colour = random.choice(("#b47bff", "#5ff0e0", "#ff86d2"))
    s = random.uniform(14, 24)
    canvas.glow(x, y - s * 0.5, s * 1.3, colour, 0.5)
    canvas.path(
        f"M{x - s * 0.22:.1f} {y:.1f}l{-s * 0.05:.1f} {-s * 0.7:.1f}l{s * 0.27:.1f} {-s * 0.3:.1f}"
        f"l{s * 0.27:.1f} {s * 0.3:.1f}l{-s * 0.05:.1f} {s * 0.7:.1f}Z",
        colour,
    )
    canvas.path(
        f"M{x:.1f} {y:.1f}v{-s:.1f}l{s * 0.27:.1f} {s * 0.3:.1f}l{-s * 0.05:.1f} {s * 0.7:.1f}Z",
        "#ffffff",
        0.3,
    )
