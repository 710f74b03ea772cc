"""Painters of sceneries on land. Each draws its scenery on the whole sheet."""

from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas, height_at, hills, jagged, outline_of
from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.scenery.light import SNOW, Light
from paintdiff.mini.world.scenery.sky import paint_mist, paint_sky

Ridge = list[tuple[float, float]]


def paint_round_tree(canvas: Canvas, light: Light, x: float, y: float, size: float) -> None:
    """Paint a small round tree with its foot at (x, y); ``size`` is its height."""
    blossom = light.season.blossom if light.season is not None else ()
    crown = "#3f8f3c" if not (blossom and light.season) else mix("#3f8f3c", blossom[0], 0.35)
    canvas.line(f"M{x:.1f} {y:.1f}v{-size * 0.5:.1f}", light.shade("#5d4030", 0.2), size * 0.11)
    canvas.circle(x, y - size * 0.62, size * 0.36, light.leaf(crown, 0.15))
    canvas.circle(x - size * 0.1, y - size * 0.72, size * 0.2, light.leaf("#6db653", 0.15), 0.7)


def paint_pine(
    canvas: Canvas, light: Light, x: float, y: float, size: float, distance: float = 0.1
) -> None:
    """Paint a pine with its foot at (x, y); ``size`` is its height."""
    fill = light.shade(mix("#23553f", SNOW, light.snow_cover * 0.35), distance)
    w = size * 0.26
    outline = "".join(
        f"M{x:.1f} {y - size * top:.1f}L{x + w * wide:.1f} {y - size * low:.1f}"
        f"L{x - w * wide:.1f} {y - size * low:.1f}Z"
        for top, low, wide in ((1.0, 0.58, 0.62), (0.78, 0.32, 0.84), (0.55, 0.05, 1.0))
    )
    canvas.path(outline, fill)
    if light.snow_cover:
        cap = f"M{x:.1f} {y - size:.1f}l{w * 0.45:.1f} {size * 0.28:.1f}l{-w * 0.9:.1f} 0Z"
        canvas.path(cap, light.shade(SNOW, distance))


def paint_meadow_dots(canvas: Canvas, light: Light, random: Random, top: float) -> None:
    """Paint tufts of grass and, in season, flowers on the ground below ``top``."""
    colours = light.season.blossom if light.season is not None else ()
    blade = light.ground("#2f7d34")
    for _ in range(9):
        x, y = random.uniform(4, 252), random.uniform(top, 252)
        canvas.line(f"M{x:.1f} {y:.1f}q-1 -3 -2.500 -4M{x:.1f} {y:.1f}q1 -3 2.500 -5", blade, 1.1)
    for _ in range(18 if colours else 0):
        x, y = random.uniform(2, 254), random.uniform(top, 254)
        canvas.circle(x, y, random.uniform(1.6, 2.6), light.shade(random.choice(colours)))


def paint_hills(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint green hills with round trees."""
    paint_sky(canvas, light, random, 150)
    for base, amplitude, colour, distance in (
        (142, 12, "#5fa06b", 0.62),
        (160, 12, "#5aa95a", 0.36),
        (180, 10, "#55ad4c", 0.14),
    ):
        ridge = hills(random, base, amplitude)
        top = light.ground(mix(colour, "#d4e87a", 0.25), distance)
        low = light.slope(colour, distance)
        canvas.below(ridge, canvas.linear((top, low), base - 10, base + 34))
        if distance < 0.5:
            for _ in range(random.randint(2, 4)):
                x = random.uniform(6, 250)
                size = random.uniform(13, 20) * (1.25 - distance)
                paint_round_tree(canvas, light, x, height_at(ridge, x) + 1, size)
        paint_mist(canvas, light, base + 8, 14)
    front = hills(random, 207, 8, 0.8)
    tones = (light.ground("#8fd255"), light.ground("#4fa83f"), light.slope("#2f8a35"))
    canvas.below(front, canvas.linear(tones, 198, 256))
    paint_meadow_dots(canvas, light, random, 216)


def paint_desert(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint sand dunes with a lit and a shaded side."""
    paint_sky(canvas, light, random, 150)
    far = hills(random, 146, 7, 1.4)
    canvas.below(far, light.shade("#dfae78", 0.5))
    for base, distance in ((166, 0.25), (190, 0.1), (214, 0.0)):
        _paint_dune(canvas, light, random, base, distance)
        paint_mist(canvas, light, base, 12)
    for _ in range(random.randint(1, 3)):
        _paint_cactus(canvas, light, random.uniform(10, 246), random.uniform(176, 192))


def _paint_dune(canvas: Canvas, light: Light, random: Random, base: float, distance: float) -> None:
    crest = hills(random, base, 13, 0.9)
    lit, deep = light.shade("#fbd794", distance), light.shade("#e0a05c", distance)
    canvas.below(crest, canvas.linear((lit, deep), base - 14, base + 60))
    x, y = min(crest, key=lambda point: point[1])
    lean = 1 if light.sun_x < x else -1
    shade = light.shade("#b8743f", distance)
    canvas.path(
        f"M{x:.1f} {y:.1f}Q{x + lean * 12:.1f} {y + 22:.1f} {x - lean * 14:.1f} {y + 58:.1f}"
        f"Q{x + lean * 50:.1f} {y + 46:.1f} {x + lean * 92:.1f} {y + 50:.1f}"
        f"Q{x + lean * 46:.1f} {y + 16:.1f} {x:.1f} {y:.1f}Z",
        shade,
        0.38,
    )


def _paint_cactus(canvas: Canvas, light: Light, x: float, y: float) -> None:
    fill = light.shade("#3f8a55", 0.12)
    canvas.line(f"M{x:.1f} {y:.1f}v-22", fill, 5)
    canvas.line(f"M{x:.1f} {y - 9:.1f}h-6v-6M{x:.1f} {y - 6:.1f}h6v-8", fill, 3.4)


def paint_rainforest(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a jungle clearing: misty light in the middle, trunks and leaves around it."""
    paint_sky(canvas, light, random, 190)
    for base, distance in ((96, 0.72), (124, 0.5), (150, 0.3)):
        _paint_canopy(canvas, light, random, base, distance)
    for _ in range(3):
        x = random.choice((random.uniform(0, 80), random.uniform(176, 256)))
        _paint_trunk(canvas, light, x, random.uniform(6, 10), 0.22)
    for x in (random.uniform(-4, 14), random.uniform(242, 260)):
        _paint_trunk(canvas, light, x, random.uniform(14, 20), 0.0)
    canvas.below(
        hills(random, 204, 6),
        canvas.linear((light.shade("#6fb348"), light.shade("#1f6a35")), 196, 256),
    )
    for _ in range(13):
        x = random.uniform(0, SIDE)
        _paint_leaf(canvas, light, x, random.uniform(-8, 10), random.uniform(24, 42), down=True)
    for index in range(8):
        x = random.uniform(-6, 62) if index % 2 else random.uniform(194, 262)
        _paint_leaf(canvas, light, x, random.uniform(228, 258), random.uniform(20, 34), down=False)


def _paint_canopy(
    canvas: Canvas, light: Light, random: Random, base: float, distance: float
) -> None:
    fill = light.shade("#1f7a3d", distance)
    ridge = hills(random, base + 12, 10, 2.2)
    canvas.below(ridge, canvas.linear((fill, light.shade("#2f8f48", distance)), base, base + 70))
    for x in range(-6, 264, 26):
        y = height_at(ridge, float(x))
        canvas.circle(x + random.uniform(-6, 6), y + 2, random.uniform(11, 18), fill)


def _paint_trunk(canvas: Canvas, light: Light, x: float, width: float, distance: float) -> None:
    w = width / 2
    fill = light.shade("#5b4030", distance)
    canvas.path(
        f"M{x - w:.1f} -4H{x + w:.1f}Q{x + w:.1f} 170 {x + w * 2.2:.1f} 222H{x - w * 2.2:.1f}"
        f"Q{x - w:.1f} 170 {x - w:.1f} -4Z",
        fill,
    )


def _paint_leaf(
    canvas: Canvas, light: Light, x: float, y: float, length: float, down: bool
) -> None:
    way = 1 if down else -1
    lean = 14 if x < SIDE / 2 else -14
    fill = light.shade("#2f9a45" if int(x) % 2 else "#1c7a3a")
    tip_x, tip_y = x + lean, y + way * length
    canvas.path(
        f"M{x:.1f} {y:.1f}Q{x - 15:.1f} {y + way * length * 0.5:.1f} {tip_x:.1f} {tip_y:.1f}"
        f"Q{x + 17:.1f} {y + way * length * 0.5:.1f} {x:.1f} {y:.1f}Z",
        fill,
    )
    canvas.line(f"M{x:.1f} {y:.1f}L{tip_x:.1f} {tip_y:.1f}", light.shade("#86cf62"), 1.0, 0.6)


def paint_peak(
    canvas: Canvas, light: Light, random: Random, x: float, top: float, distance: float
) -> None:
    """Paint one snow-capped mountain with its summit at (x, top)."""
    foot = 262.0
    half = (foot - top) * random.uniform(0.66, 0.86)
    left = jagged(random, (x - half, foot), (x, top), 4, 0.12)
    right = jagged(random, (x, top), (x + half, foot), 4, 0.12)
    rock, shadow = light.shade("#8292b5", distance), light.shade("#596a93", distance)
    canvas.path(outline_of(left + right[1:]) + "Z", rock)
    spine = jagged(random, (x, top), (x + half * 0.1, foot), 3, 0.2)
    lit_left = light.sun_x < x
    edge = right[1:] if lit_left else left[::-1][1:]
    canvas.path(outline_of(spine[::-1] + edge) + "Z", shadow)
    _paint_snow_cap(canvas, light, random, (left, right), distance)


def _paint_snow_cap(
    canvas: Canvas, light: Light, random: Random, slopes: tuple[Ridge, Ridge], distance: float
) -> None:
    left, right = slopes
    top = left[-1][1]
    line = top + (262 - top) * random.uniform(0.24, 0.32)
    upper_left = [point for point in left if point[1] < line]
    upper_right = [point for point in right if point[1] < line]
    (x1, y1), (x2, y2) = upper_left[0], upper_right[-1]
    count = 5
    teeth = [
        (x2 + (x1 - x2) * i / count, y2 + (y1 - y2) * i / count + (9 if i % 2 else -5))
        for i in range(1, count)
    ]
    lit, dim = light.shade("#ffffff", distance), light.shade("#cddcf0", distance)
    canvas.path(outline_of([*upper_left, *upper_right[1:], *teeth]) + "Z", lit)
    half = upper_right[1:] if light.sun_x < left[-1][0] else upper_left[:-1]
    if len(half) > 1:
        canvas.path(outline_of([left[-1], *half, (left[-1][0], (y1 + y2) / 2)]) + "Z", dim, 0.7)


def paint_snowy_mountain(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint high peaks behind a snow field with pines."""
    paint_sky(canvas, light, random, 170)
    for x in (random.uniform(-10, 60), random.uniform(190, 266)):
        paint_peak(canvas, light, random, x, random.uniform(74, 100), 0.48)
    paint_peak(canvas, light, random, random.uniform(90, 166), random.uniform(38, 62), 0.2)
    paint_mist(canvas, light, 168, 26)
    back = hills(random, 184, 9, 1.2)
    tones = (light.shade("#e3edf8", 0.1), light.shade("#b9cce4"))
    canvas.below(back, canvas.linear(tones, 176, 230))
    for _ in range(9):
        x = random.uniform(0, SIDE)
        paint_pine(canvas, light, x, height_at(back, x) + 5, random.uniform(20, 34), 0.15)
    front = hills(random, 210, 7, 0.8)
    canvas.below(front, canvas.linear((light.shade("#ffffff"), light.shade("#c3d5ea")), 202, 256))


def paint_savannah(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint golden grass, flat-topped acacias, blue hills far away."""
    paint_sky(canvas, light, random, 160)
    canvas.below(hills(random, 154, 9, 1.3), light.shade("#8f8a8c", 0.55))
    plain = hills(random, 170, 3, 1.0)
    canvas.below(
        plain, canvas.linear((light.shade("#e6c46c", 0.25), light.shade("#d9a945")), 166, 216)
    )
    for _ in range(random.randint(3, 4)):
        size = random.uniform(34, 58)
        _paint_acacia(canvas, light, random.uniform(8, 248), 168 + size * 0.3, size)
    paint_mist(canvas, light, 172, 16)
    front = hills(random, 208, 5, 0.9)
    canvas.below(front, canvas.linear((light.shade("#f0cf73"), light.shade("#b9822f")), 202, 256))
    blade = light.shade("#96682a")
    for _ in range(16):
        x, y = random.uniform(2, 254), random.uniform(214, 254)
        canvas.line(f"M{x:.1f} {y:.1f}q-1 -5 -3 -7M{x:.1f} {y:.1f}q1 -5 3 -8", blade, 1.2)


def _paint_acacia(canvas: Canvas, light: Light, x: float, y: float, size: float) -> None:
    bark, crown = light.shade("#5a3d28", 0.12), light.shade("#5f7d34", 0.12)
    top = y - size * 0.72
    canvas.line(
        f"M{x:.1f} {y:.1f}Q{x:.1f} {y - size * 0.35:.1f} {x - size * 0.22:.1f} {top:.1f}"
        f"M{x:.1f} {y - size * 0.25:.1f}Q{x + 2:.1f} {y - size * 0.45:.1f} "
        f"{x + size * 0.24:.1f} {top:.1f}",
        bark,
        size * 0.07,
    )
    canvas.ellipse(x, top, size * 0.55, size * 0.13, crown)
    canvas.ellipse(x - size * 0.1, top - size * 0.08, size * 0.34, size * 0.1, crown)
    canvas.ellipse(
        x - size * 0.08, top - size * 0.06, size * 0.3, size * 0.06, light.shade("#86a045", 0.12)
    )


def paint_volcano(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint an erupting cone with lava streams and a column of smoke."""
    paint_sky(canvas, light, random, 170)
    x, top = random.uniform(96, 160), random.uniform(70, 84)
    _paint_smoke(canvas, light, random, x, top)
    canvas.glow(x, top, 62, "#ff7a2a", 0.75)
    canvas.below(hills(random, 168, 8, 1.6), light.shade("#5b5566", 0.5))
    left = jagged(random, (x - 116, 214), (x - 17, top), 4, 0.05)
    right = jagged(random, (x + 17, top), (x + 116, 214), 4, 0.05)
    rock, dark = light.shade("#5e4c55", 0.1), light.shade("#3c3039", 0.1)
    canvas.path(outline_of(left + right) + "Z", canvas.linear((rock, dark), top, 214))
    canvas.ellipse(x, top, 17, 4.5, "#ffb23e")
    for offset, length, width in ((-7, 96, 7), (3, 124, 9), (11, 72, 5)):
        start, drift = x + offset, offset * 3.4 + random.uniform(-8, 8)
        stream = (
            f"M{start:.1f} {top:.1f}q{drift * 0.1:.1f} {length * 0.4:.1f} {drift * 0.5:.1f} "
            f"{length * 0.55:.1f}t{drift * 0.5:.1f} {length * 0.45:.1f}"
        )
        canvas.line(stream, "#f2541b", width)
        canvas.line(stream, "#ffc445", width * 0.4)
    _paint_lava_bombs(canvas, random, x, top)
    ground = hills(random, 202, 6, 1.1)
    canvas.below(ground, canvas.linear((light.shade("#6e5a60"), light.shade("#3d3238")), 196, 256))


def _paint_lava_bombs(canvas: Canvas, random: Random, x: float, top: float) -> None:
    for _ in range(9):
        dx = random.uniform(-30, 30)
        canvas.circle(
            x + dx, top - random.uniform(6, 40) + abs(dx) * 0.4, random.uniform(1.3, 2.8), "#ffb23e"
        )
    canvas.path(
        f"M{x - 11:.1f} {top:.1f}Q{x - 6:.1f} {top - 30:.1f} {x:.1f} {top - 34:.1f}"
        f"Q{x + 6:.1f} {top - 28:.1f} {x + 11:.1f} {top:.1f}Z",
        "#ff8a2b",
    )
    canvas.path(
        f"M{x - 6:.1f} {top:.1f}Q{x - 2:.1f} {top - 18:.1f} {x + 1:.1f} {top - 20:.1f}"
        f"Q{x + 4:.1f} {top - 14:.1f} {x + 6:.1f} {top:.1f}Z",
        "#ffd768",
    )


def _paint_smoke(canvas: Canvas, light: Light, random: Random, x: float, top: float) -> None:
    drift = random.choice((-1, 1)) * random.uniform(6, 14)
    for index in range(6):
        fill = mix(light.shade("#8a7f88", 0.2), light.sky[1], 0.1 * index)
        size = 14 + index * 4.5
        canvas.circle(x + drift * index * 0.6, top - 14 - index * 15, size, fill, 0.8)
