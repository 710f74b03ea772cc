"""Weather that falls or hangs: behind the subject and in front of it."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from paintdiff.mini.world.canvas import SIDE, Canvas
from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.scenery.light import Light

WeatherPainter = Callable[[Canvas, Light, Random], None]


def paint_rain(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint slanting streaks."""
    colour = mix(light.haze, "#ffffff", 0.55)
    for _ in range(38):
        x, y, length = random.uniform(0, 280), random.uniform(-10, 250), random.uniform(9, 17)
        canvas.line(f"M{x:.1f} {y:.1f}l{-length * 0.3:.1f} {length:.1f}", colour, 1.3, 0.62)


def paint_snowfall(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint flakes of several sizes."""
    colour = mix(light.haze, "#ffffff", 0.9)
    for _ in range(60):
        x, y = random.uniform(0, SIDE), random.uniform(0, SIDE)
        canvas.circle(x, y, random.uniform(1.2, 2.9), colour, random.uniform(0.7, 1.0))


def paint_fog_banks(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint thick fog over everything far away."""
    veil = mix(light.haze, "#ffffff", 0.25)
    canvas.rectangle(-2, 258, canvas.fade(veil, 20, 235, (0.25, 0.85, 0.75, 0.25)))
    for _ in range(5):
        x, y = random.uniform(0, SIDE), random.uniform(110, 200)
        canvas.soft_ellipse(x, y, random.uniform(60, 110), random.uniform(12, 20), veil, 0.8)


def paint_fog_veil(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a thin veil at the feet of near things."""
    veil = mix(light.haze, "#ffffff", 0.25)
    canvas.rectangle(150, 258, canvas.fade(veil, 160, 256, (0.0, 0.42, 0.3)))
    for _ in range(3):
        x, y = random.uniform(0, SIDE), random.uniform(215, 245)
        canvas.soft_ellipse(x, y, random.uniform(60, 110), random.uniform(9, 15), veil, 0.7)


def paint_lightning(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint one bolt from the clouds, on the side where the sun would be."""
    x, y = light.sun_x, 22.0
    points = [(x, y)]
    while y < 118:
        y += random.uniform(16, 24)
        x += random.choice((-1, 1)) * random.uniform(5, 13)
        points.append((x, y))
    bolt = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    canvas.glow(light.sun_x, 62, 78, "#cfd6ff", 0.6)
    canvas.line(bolt, "#aab6ff", 5.5, 0.6)
    canvas.line(bolt, "#fffdf0", 2.6)


BEHIND: Mapping[str, WeatherPainter] = MappingProxyType(
    {"fog": paint_fog_banks, "storm": paint_lightning}
)
"""Painters of weather between scenery and subject, for names in ``WEATHERS``."""

IN_FRONT: Mapping[str, WeatherPainter] = MappingProxyType(
    {
        "rain": paint_rain,
        "snow": paint_snowfall,
        "fog": paint_fog_veil,
        "storm": paint_rain,
    }
)
"""Painters of weather over the subject, for names in ``WEATHERS``."""
