"""Painters of sceneries with open water."""

from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas, hills, jagged, outline_of
from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.painters_land import paint_meadow_dots, paint_peak, paint_pine
from paintdiff.mini.world.scenery.sky import disc_y, paint_mist, paint_sky


def paint_water(
    canvas: Canvas, light: Light, random: Random, horizon: float, tones: tuple[str, str]
) -> None:
    """Paint water from ``horizon`` down: the sky in it, ripples, and the sun's path.

    ``tones`` are the water's own colours, far and near.
    """
    far, middle, near = light.time.water
    own = 0.5 if light.time.tint == "#ffffff" else 0.2
    stops = (
        mix(far, light.haze, 0.15 + 0.4 * light.overcast),
        mix(mix(middle, light.shade(tones[0]), own), light.haze, 0.3 * light.overcast),
        mix(near, light.shade(tones[1]), own),
    )
    canvas.rectangle(horizon, 258, canvas.linear(stops, horizon, 256))
    bright = mix(light.sky[-1], "#ffffff", 0.35)
    for index in range(15):
        y = horizon + 4 + (index / 15) ** 1.5 * (250 - horizon)
        width = 6 + (y - horizon) * 0.12
        x = random.uniform(0, SIDE)
        canvas.ellipse(x, y, width, 0.7 + (y - horizon) * 0.008, bright, 0.4)
    if light.disc and disc_y(light, horizon) > 0:
        _paint_sun_path(canvas, light, random, horizon)


def _paint_sun_path(canvas: Canvas, light: Light, random: Random, horizon: float) -> None:
    for index in range(9):
        y = horizon + 3 + index * (8 + index * 0.7)
        width = 13 - index * 0.6 + random.uniform(-3, 5)
        x = light.sun_x + random.uniform(-4, 4)
        canvas.ellipse(x, y, width, 1.3 + index * 0.12, light.disc, 0.65 - index * 0.04)


def paint_sea(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint open sea, now and then with a far coast."""
    horizon = random.uniform(132, 144)
    paint_sky(canvas, light, random, horizon)
    if random.random() < 0.5:
        coast = hills(random, horizon - 4, 9, 1.5)
        fill = light.shade("#6f8fa8", 0.55)
        canvas.path(outline_of(coast) + f"L260 {horizon}L-4 {horizon}Z", fill)
    paint_water(canvas, light, random, horizon, ("#3fa3cf", "#145f9e"))
    paint_mist(canvas, light, horizon + 2, 14)
    crest = mix(light.shade("#ffffff"), light.sky[-1], 0.2)
    for _ in range(7):
        x, y = random.uniform(0, SIDE), random.uniform(horizon + 26, 250)
        w = 8 + (y - horizon) * 0.09
        canvas.line(f"M{x - w:.1f} {y:.1f}q{w / 2:.1f} -4 {w:.1f} 0t{w:.1f} 0", crest, 1.5, 0.55)


def paint_mountain_lake(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a lake under mountains, pines on the far shore, grass on the near one."""
    shore = 150.0
    paint_sky(canvas, light, random, shore)
    for x in (random.uniform(-6, 60), random.uniform(196, 262), random.uniform(96, 160)):
        paint_peak(canvas, light, random, x, random.uniform(52, 86), 0.32)
    paint_mist(canvas, light, 138, 18)
    wood = hills(random, shore - 10, 5, 1.5)
    fill = light.ground("#3f7f52", 0.2)
    canvas.path(outline_of(wood) + f"L260 {shore + 2}L-4 {shore + 2}Z", fill)
    for _ in range(18):
        x = random.uniform(0, SIDE)
        paint_pine(canvas, light, x, shore + 1, random.uniform(13, 26), 0.2)
    paint_water(canvas, light, random, shore, ("#4ba6bb", "#1f6a94"))
    dark = light.shade("#2d6b5f", 0.15)
    canvas.rectangle(shore, shore + 16, canvas.fade(dark, shore, shore + 16, (0.65, 0.0)))
    bank = hills(random, 222, 6, 0.7)
    canvas.below(bank, canvas.linear((light.ground("#8fd05a"), light.slope("#2f8a3a")), 214, 256))
    paint_meadow_dots(canvas, light, random, 230)


def paint_tropical_island(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a sandy beach with palms, turquoise water, an islet far out."""
    horizon = 136.0
    paint_sky(canvas, light, random, horizon)
    x = random.uniform(40, 216)
    canvas.path(
        f"M{x - 46:.1f} {horizon}Q{x - 10:.1f} {horizon - 30} {x + 12:.1f} {horizon - 14}"
        f"Q{x + 30:.1f} {horizon - 12} {x + 46:.1f} {horizon}Z",
        light.shade("#4d9a63", 0.35),
    )
    paint_water(canvas, light, random, horizon, ("#2fc3cf", "#35d0c4"))
    beach = hills(random, 208, 6, 0.8)
    foam = [(px, py - 4) for px, py in beach]
    canvas.below(foam, mix(light.shade("#ffffff"), light.haze, 0.15), 0.8)
    canvas.below(beach, canvas.linear((light.shade("#fbe4ae"), light.shade("#e0b26e")), 202, 256))
    on_left = light.sun_x > SIDE / 2
    for _ in range(random.randint(1, 2)):
        px = random.uniform(236, 252) if not on_left else random.uniform(4, 20)
        if random.random() < 0.5:
            px = SIDE - px
        _paint_palm(canvas, light, px, random.uniform(208, 222), random.uniform(112, 150))


def _paint_palm(canvas: Canvas, light: Light, x: float, y: float, size: float) -> None:
    lean = (1 if x < SIDE / 2 else -1) * size * 0.16
    top_x, top_y = x + lean, y - size
    canvas.line(
        f"M{x:.1f} {y:.1f}Q{x - lean * 0.5:.1f} {y - size * 0.5:.1f} {top_x:.1f} {top_y:.1f}",
        light.shade("#8a5f3c"),
        size * 0.06,
    )
    s = size * 0.42
    for dx, dy, bend in (
        (-1.0, 0.42, -0.45), (1.0, 0.42, -0.45), (-0.85, -0.12, -0.5),
        (0.85, -0.12, -0.5), (-0.45, 0.8, -0.1), (0.5, 0.8, -0.1),
    ):  # fmt: skip
        tip_x, tip_y = top_x + dx * s, top_y + dy * s
        mid_x, mid_y = top_x + dx * s * 0.55, top_y + (dy * 0.4 + bend) * s
        canvas.path(
            f"M{top_x:.1f} {top_y:.1f}Q{mid_x:.1f} {mid_y:.1f} {tip_x:.1f} {tip_y:.1f}"
            f"Q{mid_x:.1f} {mid_y + s * 0.34:.1f} {top_x:.1f} {top_y:.1f}Z",
            light.shade("#2f9a52" if dy < 0.5 else "#23803f"),
        )
    canvas.circle(top_x - 3, top_y + 4, size * 0.03, light.shade("#6b4426"))
    canvas.circle(top_x + 3, top_y + 5, size * 0.03, light.shade("#6b4426"))


def paint_glacier(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a wall of blue ice, icebergs in dark water, a floe in front."""
    shore = 152.0
    paint_sky(canvas, light, random, shore)
    for x in (random.uniform(20, 80), random.uniform(170, 240)):
        paint_peak(canvas, light, random, x, random.uniform(70, 92), 0.5)
    _paint_ice_wall(canvas, light, random, shore)
    paint_water(canvas, light, random, shore, ("#5fb4c9", "#1d5f86"))
    for _ in range(random.randint(2, 3)):
        x, y = random.uniform(16, 240), random.uniform(164, 196)
        _paint_iceberg(canvas, light, random, x, y)
    paint_mist(canvas, light, shore, 16)
    floe = [(x, round((y - 224) * 0.6) + 224.0) for x, y in hills(random, 224, 5, 1.2)]
    canvas.below([(x, y + 5) for x, y in floe], light.shade("#7cc3e4"))
    canvas.below(floe, canvas.linear((light.shade("#f7fcff"), light.shade("#bfe0f2")), 218, 256))


def _paint_ice_wall(canvas: Canvas, light: Light, random: Random, shore: float) -> None:
    x = -6.0
    while x < SIDE:
        width = random.uniform(20, 36)
        top = random.uniform(104, 126)
        fill = light.shade(random.choice(("#d3effb", "#b5e0f4", "#e9f8ff")), 0.12)
        left, right = top + random.uniform(-5, 5), top + random.uniform(-5, 5)
        canvas.path(
            f"M{x:.1f} {left:.1f}L{x + width * 0.45:.1f} {top - 5:.1f}"
            f"L{x + width + 1:.1f} {right:.1f}V{shore + 1}H{x:.1f}Z",
            fill,
        )
        canvas.path(
            f"M{x + width * 0.6:.1f} {top:.1f}L{x + width + 1:.1f} {right:.1f}V{shore + 1}"
            f"H{x + width * 0.72:.1f}Z",
            light.shade("#7fc4e6", 0.12),
            0.75,
        )
        x += width


def _paint_iceberg(canvas: Canvas, light: Light, random: Random, x: float, y: float) -> None:
    s = random.uniform(14, 24)
    h = s * random.uniform(0.8, 1.2)
    left = jagged(random, (x - s, y), (x, y - h), 2, 0.15)
    right = jagged(random, (x, y - h), (x + s, y), 2, 0.15)
    canvas.ellipse(x, y, s * 1.1, 2.4, light.shade("#a8dcf0"), 0.7)
    canvas.path(outline_of(left + right[1:]) + "Z", light.shade("#f2fbff"))
    canvas.path(outline_of([*right, (x + s * 0.2, y)]) + "Z", light.shade("#93cde8"))
