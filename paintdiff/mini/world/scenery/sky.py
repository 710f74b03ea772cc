"""Skies: gradient, stars, sun or moon, clouds, and the mist between layers."""

from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas
from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.scenery.light import Light


def paint_sky(canvas: Canvas, light: Light, random: Random, horizon: float) -> None:
    """Paint the sky of ``light`` from the top of the sheet to ``horizon`` (0..256)."""
    canvas.rectangle(-2, 258, canvas.linear(light.sky, 0, horizon))
    paint_stars(canvas, random, light.stars, horizon)
    paint_disc(canvas, light, horizon)
    paint_clouds(canvas, light, random, horizon)


def paint_stars(canvas: Canvas, random: Random, count: int, horizon: float) -> None:
    """Paint ``count`` stars above ``horizon``, a few of them larger."""
    for index in range(count):
        x, y = random.uniform(0, SIDE), random.uniform(0, horizon * 0.92)
        size = random.uniform(1.3, 1.8) if index % 5 == 0 else random.uniform(0.6, 1.0)
        canvas.circle(x, y, size, "#fffbe8", random.uniform(0.55, 1.0))


def paint_disc(canvas: Canvas, light: Light, horizon: float) -> None:
    """Paint the sun or the moon with its glow, if either is visible."""
    if not light.disc:
        return
    y = disc_y(light, horizon)
    radius = light.time.disc_size * SIDE
    canvas.glow(light.sun_x, y, radius * 5.2, light.disc, 0.55)
    canvas.glow(light.sun_x, y, radius * 2.2, light.disc, 0.75)
    canvas.circle(light.sun_x, y, radius, light.disc)
    if light.stars:
        shade = mix(light.disc, light.sky[0], 0.18)
        canvas.circle(light.sun_x - radius * 0.3, y - radius * 0.2, radius * 0.24, shade)
        canvas.circle(light.sun_x + radius * 0.35, y + radius * 0.3, radius * 0.17, shade)


def disc_y(light: Light, horizon: float) -> float:
    """Return the height of the sun's centre above a ``horizon``, both in sheet units."""
    return horizon * light.time.disc_height


def paint_clouds(canvas: Canvas, light: Light, random: Random, horizon: float) -> None:
    """Paint a few flat-bottomed clouds, or a closed deck when it is overcast."""
    colour = mix(light.time.cloud, light.sky[1], 0.12 + light.overcast * 0.4)
    if light.overcast:
        deck = mix(light.sky[0], "#1a2030", light.overcast * 0.45)
        for _ in range(7):
            x, y = random.uniform(0, SIDE), random.uniform(0, 34)
            canvas.ellipse(x, y, random.uniform(40, 70), random.uniform(14, 22), deck, 0.75)
    for _ in range(random.randint(1, 3)):
        x, y = random.uniform(10, 246), random.uniform(0.12, 0.55) * horizon
        if light.disc and abs(x - light.sun_x) < 46:
            x = (x + 116) % SIDE
        paint_cloud(canvas, x, y, random.uniform(16, 27), colour, 0.88)


def paint_cloud(
    canvas: Canvas, x: float, y: float, size: float, colour: str, opacity: float
) -> None:
    """Paint one cloud whose flat bottom is at ``y``; ``size`` is half its width."""
    s = size
    canvas.path(
        f"M{x - s:.1f} {y:.1f}a{s * 0.3:.1f} {s * 0.3:.1f} 0 0 1 {s * 0.2:.1f} {-s * 0.5:.1f}"
        f"a{s * 0.45:.1f} {s * 0.45:.1f} 0 0 1 {s * 0.75:.1f} {-s * 0.25:.1f}"
        f"a{s * 0.4:.1f} {s * 0.4:.1f} 0 0 1 {s * 0.7:.1f} {s * 0.2:.1f}"
        f"a{s * 0.3:.1f} {s * 0.3:.1f} 0 0 1 {s * 0.3:.1f} {s * 0.55:.1f}Z",
        colour,
        opacity,
    )


def paint_mist(canvas: Canvas, light: Light, y: float, height: float) -> None:
    """Paint a band of mist around ``y``, as strong as the time of day requires."""
    if light.time.mist:
        paint = canvas.fade(light.haze, y - height, y + height, (0.0, light.time.mist, 0.0))
        canvas.rectangle(y - height, y + height, paint)
