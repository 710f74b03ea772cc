"""Painters of space and of the moon."""

import math
from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas, hills
from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.sky import paint_stars

_PLANETS = ("#e0784a", "#5d8fe0", "#c95f9a", "#63b88a", "#d9b65a", "#8a6fd0")


def paint_space(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint nebulae, stars, and two or three planets, one of them with a ring."""
    canvas.rectangle(-2, 258, canvas.linear(("#0a0a2c", "#161040", "#2a1652"), 0, 256))
    for _ in range(4):
        x, y = random.uniform(0, SIDE), random.uniform(0, SIDE)
        colour = random.choice(("#7a3fd0", "#2f6fd0", "#c0408f", "#2fa0a8"))
        canvas.soft_ellipse(x, y, random.uniform(70, 120), random.uniform(40, 80), colour, 0.5)
    paint_stars(canvas, random, 90, 270)
    corners = [(44, 48), (212, 52), (40, 208), (214, 206)]
    random.shuffle(corners)
    for index, (x, y) in enumerate(corners[: random.randint(2, 3)]):
        spot = (x + random.uniform(-12, 12), y + random.uniform(-12, 12))
        paint_planet(canvas, random, spot, random.uniform(14, 30), ring=index == 0)


def paint_planet(
    canvas: Canvas, random: Random, centre: tuple[float, float], radius: float, ring: bool
) -> None:
    """Paint a planet with bands and a dark side, with a ring or without one."""
    (x, y), r = centre, radius
    colour = random.choice(_PLANETS)
    canvas.glow(x, y, r * 1.7, colour, 0.45)
    canvas.circle(x, y, r, colour)
    for shift, width in ((-0.42, 0.9), (0.12, 0.98), (0.5, 0.84)):
        canvas.ellipse(x, y + shift * r, width * r, r * 0.1, mix(colour, "#ffffff", 0.35), 0.6)
    canvas.path(
        f"M{x:.1f} {y - r:.1f}A{r:.1f} {r:.1f} 0 0 1 {x:.1f} {y + r:.1f}"
        f"A{r * 1.25:.1f} {r * 1.25:.1f} 0 0 0 {x:.1f} {y - r:.1f}Z",
        "#0a0a2c",
        0.45,
    )
    if ring:
        canvas.add(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{r * 1.7:.1f}" ry="{r * 0.42:.1f}" '
            f'transform="rotate(-18 {x:.1f} {y:.1f})" fill="none" stroke="#f1dcae" '
            f'stroke-width="{r * 0.16:.1f}" opacity="0.85"/>'
        )


def paint_moon(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint the grey ground of the moon with craters, and the earth in a black sky."""
    canvas.rectangle(-2, 258, canvas.linear(("#03040f", "#0b0e26"), 0, 200))
    paint_stars(canvas, random, 80, 200)
    x, y, r = random.choice((random.uniform(40, 80), random.uniform(176, 216))), 54.0, 25.0
    canvas.glow(x, y, r * 1.8, "#7fc0ff", 0.5)
    canvas.circle(x, y, r, "#2f7fd6")
    for turn in range(3):
        angle = turn * 2.1 + random.uniform(0, 1)
        canvas.ellipse(
            x + math.cos(angle) * r * 0.42,
            y + math.sin(angle) * r * 0.42,
            r * 0.36,
            r * 0.26,
            "#5fb35a",
        )
    canvas.ellipse(x, y - r * 0.72, r * 0.5, r * 0.16, "#f4fbff", 0.9)
    canvas.below(hills(random, 178, 12, 1.3), "#6d7079")
    canvas.below(hills(random, 198, 7, 0.9), canvas.linear(("#c9ccd3", "#82858f"), 190, 256))
    for _ in range(8):
        cx, cy = random.uniform(0, SIDE), random.uniform(208, 250)
        size = (cy - 190) * random.uniform(0.16, 0.34)
        canvas.ellipse(cx, cy, size, size * 0.34, "#6a6d77")
        canvas.ellipse(cx, cy + size * 0.1, size * 0.86, size * 0.24, "#9a9da6")
