"""Painters of places where people live. Each draws its scenery on the whole sheet."""

from random import Random

from paintdiff.mini.world.canvas import SIDE, Canvas, height_at, hills
from paintdiff.mini.world.colours import mix
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.painters_land import (
    paint_meadow_dots,
    paint_pine,
    paint_round_tree,
)
from paintdiff.mini.world.scenery.sky import paint_mist, paint_sky

_LIT_WINDOW = "#ffe08a"
_DARK_WINDOW = "#6f93b8"
_WALLS = ("#e9c9a1", "#d9a27c", "#f0e2c4", "#c9d4dc", "#e3b3a0")
_ROOFS = ("#b5483a", "#8a5a44", "#5d6b86", "#a8673d")
_HOUSE_FRONTS = ("#c96f5a", "#d9a25e", "#7f9cb8", "#b98fa8", "#8fae8b", "#d8cdb8")
_FLOWERS = ("#ff5c7a", "#ffd23e", "#ffffff", "#c77bff", "#ff944d")


def _window_colour(light: Light) -> str:
    return _LIT_WINDOW if light.time.name in ("dusk", "night") else light.shade(_DARK_WINDOW, 0.1)


def paint_forest(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint pines and trunks in rows, a mossy clearing in front."""
    paint_sky(canvas, light, random, 170)
    for base, size, distance, count in (
        (150, 92, 0.55, 15),
        (172, 112, 0.32, 12),
        (190, 128, 0.14, 9),
    ):
        canvas.below(hills(random, base - 8, 5, 1.8), light.leaf("#2f6b46", distance))
        for index in range(count):
            x = (index + random.uniform(0, 1)) * SIDE / count
            # The middle stays lighter, so that a subject stands out.
            if distance < 0.3 and 92 < x < 164:
                continue
            paint_pine(canvas, light, x, base, size * random.uniform(0.75, 1.05), distance)
        paint_mist(canvas, light, base, 16)
    for x in (random.uniform(-2, 22), random.uniform(234, 258)):
        width = random.uniform(9, 14)
        canvas.line(f"M{x:.1f} 236V-6", light.shade("#5a3f2d"), width)
        canvas.line(f"M{x - width * 0.2:.1f} 234V-6", light.shade("#7b5a40"), width * 0.25)
    front = hills(random, 204, 5, 1.0)
    tones = (light.ground("#7fae4b"), light.ground("#4b7d37"), light.slope("#2b5a2d"))
    canvas.below(front, canvas.linear(tones, 196, 256))
    paint_meadow_dots(canvas, light, random, 214)


def paint_garden(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a lawn with a hedge, a white fence and beds full of flowers."""
    paint_sky(canvas, light, random, 150)
    for _ in range(5):
        paint_round_tree(canvas, light, random.uniform(0, SIDE), 158, random.uniform(48, 76))
    hedge = hills(random, 150, 4, 3.0)
    canvas.below(hedge, canvas.linear((light.leaf("#4f9c46"), light.leaf("#2f6d35")), 146, 190))
    fence, shade = light.shade("#fdfbf4", 0.05), light.shade("#c9c6bd", 0.05)
    canvas.rectangle(168, 172, shade)
    canvas.rectangle(182, 186, shade)
    for x in range(-4, 262, 13):
        canvas.path(f"M{x} 196V163l4 -5l4 5V196Z", fence)
    lawn = (light.ground("#9bdc62"), light.ground("#57b045"), light.slope("#3a9140"))
    canvas.rectangle(194, 258, canvas.linear(lawn, 190, 256))
    _paint_flower_bed(canvas, light, random, 198, 26)
    _paint_flower_bed(canvas, light, random, 250, 20)


def _paint_flower_bed(canvas: Canvas, light: Light, random: Random, y: float, count: int) -> None:
    stem = light.leaf("#2f8a3a")
    for index in range(count):
        x = (index + random.uniform(0.1, 0.9)) * SIDE / count
        top = y - random.uniform(5, 12)
        canvas.line(f"M{x:.1f} {y:.1f}V{top:.1f}", stem, 1.4)
        canvas.circle(x, top, random.uniform(2.8, 4.2), light.shade(random.choice(_FLOWERS)))
        canvas.circle(x, top, 1.2, light.shade("#ffe9a0"))


def paint_city(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a street between house fronts, towers behind, a road with a dashed line in front."""
    paint_sky(canvas, light, random, 170)
    for distance, low, high in ((0.62, 60, 118), (0.4, 92, 150)):
        x = random.uniform(-20, 0)
        while x < SIDE:
            width = random.uniform(20, 36)
            top = random.uniform(low, high)
            _paint_tower(canvas, light, random, (x, top, width), distance)
            x += width + random.uniform(0, 5)
    x = random.uniform(-24, -6)
    while x < SIDE:
        width = random.uniform(38, 52)
        _paint_front(canvas, light, random, x, width)
        x += width + 1
    canvas.rectangle(206, 222, light.ground("#b9b4ad"))
    canvas.rectangle(218, 222, light.ground("#8d8983"))
    canvas.rectangle(
        222, 258, canvas.linear((light.ground("#5d6069"), light.ground("#43454f")), 222, 256)
    )
    for x in range(-6, 262, 44):
        canvas.path(f"M{x} 238h22l-3 4h-22Z", light.ground("#f2ead0"))


def _paint_tower(
    canvas: Canvas, light: Light, random: Random, box: tuple[float, float, float], distance: float
) -> None:
    x, top, width = box
    wall = light.shade(random.choice(("#7a8ba6", "#8f8aa0", "#6d7f94", "#a39a98")), distance)
    canvas.path(f"M{x:.1f} 212V{top:.1f}h{width:.1f}V212Z", wall)
    if random.random() < 0.35:
        middle = x + width / 2
        canvas.line(f"M{middle:.1f} {top:.1f}v-14", wall, 2)
    window = mix(_window_colour(light), light.haze, distance * 0.6)
    for row in range(int((200 - top) / 11)):
        for column in range(int(width / 8)):
            if random.random() < 0.72:
                left, upper = x + 3 + column * 8, top + 5 + row * 11
                canvas.path(f"M{left:.1f} {upper:.1f}h4v6h-4Z", window)


def _paint_front(canvas: Canvas, light: Light, random: Random, x: float, width: float) -> None:
    top = random.uniform(122, 142)
    wall = random.choice(_HOUSE_FRONTS)
    canvas.path(
        f"M{x:.1f} 210V{top:.1f}h{width:.1f}V210Z",
        canvas.linear(
            (light.shade(wall, 0.12), light.shade(mix(wall, "#3a3040", 0.2), 0.08)), top, 210
        ),
    )
    canvas.path(
        f"M{x - 2:.1f} {top:.1f}h{width + 4:.1f}v5h{-width - 4:.1f}Z", light.shade("#6b5a58", 0.1)
    )
    window, frame = _window_colour(light), light.shade("#f6f0e4", 0.1)
    for row in range(2):
        for column in range(3):
            left, upper = x + width * (0.1 + 0.29 * column), top + 12 + row * 24
            w = width * 0.2
            canvas.path(f"M{left - 1:.1f} {upper - 1:.1f}h{w + 2:.1f}v15h{-w - 2:.1f}Z", frame)
            canvas.path(f"M{left:.1f} {upper:.1f}h{w:.1f}v13h{-w:.1f}Z", window)
    door = x + width * random.choice((0.12, 0.42, 0.7))
    canvas.path(f"M{door:.1f} 210v-20h{width * 0.2:.1f}v20Z", light.shade("#5b3a2e", 0.08))


def paint_village(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint cottages with gables around a green, a church spire, hills behind."""
    paint_sky(canvas, light, random, 150)
    canvas.below(hills(random, 138, 14, 1.3), light.ground("#6fa577"), 1.0)
    paint_mist(canvas, light, 150, 16)
    middle = hills(random, 166, 6, 1.1)
    canvas.below(
        middle, canvas.linear((light.ground("#83bf5e"), light.ground("#5d9c4c")), 160, 206)
    )
    spire = random.uniform(60, 196)
    wall, roof = light.shade("#e8dcc4", 0.2), light.shade("#5d6b86", 0.15)
    canvas.path(f"M{spire - 7:.1f} 176V112h14V176Z", wall)
    canvas.path(f"M{spire - 9:.1f} 113L{spire:.1f} 78L{spire + 9:.1f} 113Z", roof)
    for index in range(6):
        x = 12 + index * 44 + random.uniform(-8, 8)
        _paint_cottage(canvas, light, random, x, 184 + (index % 2) * 6, random.uniform(26, 34))
    for _ in range(3):
        x = random.uniform(0, SIDE)
        paint_round_tree(canvas, light, x, 190, random.uniform(24, 36))
    front = hills(random, 204, 4, 0.9)
    tones = (light.ground("#92d45c"), light.ground("#54a743"), light.slope("#39913f"))
    canvas.below(front, canvas.linear(tones, 196, 256))
    way = random.uniform(80, 176)
    canvas.path(
        f"M{way - 5:.1f} {height_at(front, way):.1f}h10q6 30 44 56h-110q50 -24 56 -56Z",
        light.ground("#d8c08f"),
    )


def _paint_cottage(
    canvas: Canvas, light: Light, random: Random, x: float, y: float, size: float
) -> None:
    s = size
    canvas.path(
        f"M{x - s * 0.5:.1f} {y:.1f}v{-s * 0.55:.1f}h{s:.1f}v{s * 0.55:.1f}Z",
        light.shade(random.choice(_WALLS), 0.12),
    )
    canvas.path(
        f"M{x - s * 0.62:.1f} {y - s * 0.52:.1f}l{s * 0.62:.1f} {-s * 0.5:.1f}"
        f"l{s * 0.62:.1f} {s * 0.5:.1f}Z",
        light.ground(random.choice(_ROOFS)),
    )
    window = _window_colour(light)
    for left in (-0.34, 0.12):
        canvas.path(
            f"M{x + s * left:.1f} {y - s * 0.42:.1f}h{s * 0.2:.1f}v{s * 0.18:.1f}h{-s * 0.2:.1f}Z",
            window,
        )
    canvas.path(
        f"M{x - s * 0.1:.1f} {y:.1f}v{-s * 0.32:.1f}h{s * 0.18:.1f}v{s * 0.32:.1f}Z",
        light.shade("#6b4630"),
    )


def paint_farm(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint striped fields, a red barn with a silo, a wooden fence."""
    paint_sky(canvas, light, random, 140)
    canvas.below(hills(random, 132, 10, 1.2), light.ground("#7aa86b"))
    for index, colour in enumerate(("#d9c15a", "#8fbf4f", "#c9a84a", "#6fae48")):
        ridge = hills(random, 146 + index * 13, 4, 0.8)
        canvas.below(ridge, light.ground(colour, 0.32 - index * 0.1))
    x = random.choice((random.uniform(20, 70), random.uniform(186, 236)))
    red, dark, white = (
        light.shade("#b53a32", 0.1),
        light.shade("#7d2a2a", 0.1),
        light.shade("#f4efe4", 0.1),
    )
    canvas.path(f"M{x + 27:.1f} 190V128h17V190Z", light.shade("#b8bcc4", 0.1))
    canvas.path(f"M{x + 27:.1f} 129a8.500 9 0 0 1 17 0Z", light.shade("#8d95a3", 0.1))
    canvas.path(f"M{x - 30:.1f} 192V150l10 -20l20 -12l20 12l10 20V192Z", red)
    canvas.path(
        f"M{x - 33:.1f} 152l12 -24l21 -13l21 13l12 24l-5 1l-11 -20l-17 -10l-17 10l-11 20Z", dark
    )
    canvas.path(f"M{x - 12:.1f} 192v-26h24v26Z", white)
    canvas.line(f"M{x - 11:.1f} 167l22 24m0 -24l-22 24", red, 2.4)
    front = hills(random, 200, 4, 0.9)
    tones = (light.ground("#a5d65f"), light.ground("#63ad45"), light.slope("#3f8f3d"))
    canvas.below(front, canvas.linear(tones, 194, 256))
    wood = light.shade("#9a7048")
    for post in range(4, 262, 36):
        canvas.line(f"M{post} 216V192", wood, 4)
    canvas.line("M-4 198H260M-4 208H260", wood, 3)
    paint_meadow_dots(canvas, light, random, 222)


def paint_road(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a road that runs from the foreground to the horizon between fields."""
    paint_sky(canvas, light, random, 150)
    canvas.below(hills(random, 142, 14, 1.1), light.ground("#6c9a83", 0.3))
    paint_mist(canvas, light, 152, 16)
    canvas.rectangle(
        158, 258, canvas.linear((light.ground("#a9cf68"), light.ground("#4f9c43")), 158, 256)
    )
    for side in (-1, 1):
        for index in range(4):
            x = 128 + side * (34 + index * 26)
            paint_round_tree(canvas, light, x, 160 + index * 7, 20 + index * 11)
    end = random.uniform(108, 148)
    canvas.path(
        f"M{end - 4:.1f} 158h8L236 258H20Z",
        canvas.linear((light.ground("#8b8d94"), light.ground("#55575f")), 158, 256),
    )
    for low, high, width in ((166, 172, 1.4), (180, 192, 2.4), (204, 222, 4.0), (238, 262, 6.5)):
        far, near = (end + (128 - end) * (y - 158) / 100 for y in (low, high))
        canvas.line(
            f"M{far:.1f} {low}L{near:.1f} {high}",
            light.ground("#f6efcf"),
            width,
        )


def paint_room(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a room with a window, a picture on the wall, wooden floor and a rug."""
    wall = random.choice(("#f3d9b8", "#cfe0d2", "#d8d2ea", "#f4cfc9", "#c9dced", "#efe4b8"))
    canvas.rectangle(-2, 190, canvas.linear((mix(wall, "#ffffff", 0.25), wall), 0, 190))
    floor = random.choice(("#c08a5a", "#a9734a", "#b98f68"))
    canvas.rectangle(186, 258, canvas.linear((floor, mix(floor, "#3a2418", 0.3)), 186, 256))
    for index in range(-6, 14):
        x = 128 + (index - 4) * 26
        canvas.line(f"M{x} 190L{128 + (x - 128) * 2.1:.1f} 258", mix(floor, "#3a2418", 0.35), 1.0)
    canvas.rectangle(182, 189, mix(wall, "#ffffff", 0.7))
    window = random.choice((random.uniform(20, 40), random.uniform(160, 180)))
    _paint_window(canvas, light, random, window, 34)
    _paint_wall_picture(canvas, random, (window + 118) % 210, 52)
    rug = random.choice(("#b5485a", "#4a78b0", "#7a5aa0", "#3f8f7a"))
    canvas.ellipse(128, 228, 108, 20, mix(rug, "#ffffff", 0.35))
    canvas.ellipse(128, 228, 98, 17, rug)


def _paint_window(canvas: Canvas, light: Light, random: Random, x: float, y: float) -> None:
    canvas.path(f"M{x - 4:.1f} {y - 4:.1f}h68v84h-68Z", "#f7f3ea")
    canvas.path(f"M{x:.1f} {y:.1f}h60v76h-60Z", canvas.linear(("#6fb8f0", "#d5eefc"), y, y + 76))
    canvas.path(f"M{x:.1f} {y + 76:.1f}v-18q20 -14 34 -4t26 -4v26Z", "#79b860")
    canvas.line(f"M{x + 30:.1f} {y:.1f}v76M{x:.1f} {y + 36:.1f}h60", "#f7f3ea", 3.4)
    curtain = random.choice(("#d9667a", "#6f8fc9", "#e0b354", "#8fb98a"))
    for side in (-1, 1):
        edge = x + 30 + side * 42
        canvas.path(
            f"M{edge:.1f} {y - 8:.1f}h{-side * 20:.1f}q{side * 2:.1f} 46 {side * 12:.1f} 96"
            f"h{side * 8:.1f}Z",
            curtain,
        )


def _paint_wall_picture(canvas: Canvas, random: Random, x: float, y: float) -> None:
    canvas.path(f"M{x:.1f} {y:.1f}h38v30h-38Z", "#7a5436")
    canvas.path(
        f"M{x + 3:.1f} {y + 3:.1f}h32v24h-32Z", random.choice(("#f3e6c8", "#cfe6f2", "#f2d2cf"))
    )
    canvas.circle(x + 19, y + 15, 7, random.choice(("#e0704a", "#4a8fc0", "#6fae5a")))


def paint_table(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a wooden table top, seen from the front, before a wall with a window."""
    wall = random.choice(("#e9d3b5", "#bcd0c6", "#c9c2dc", "#e5bfb5", "#b7cbdd"))
    canvas.rectangle(
        -2, 258, canvas.linear((mix(wall, "#ffffff", 0.2), mix(wall, "#6a5a58", 0.2)), 0, 190)
    )
    _paint_window(
        canvas, light, random, random.choice((random.uniform(6, 30), random.uniform(160, 190))), 24
    )
    wood = random.choice(("#b9824f", "#9c6238", "#c79a63", "#84502f"))
    canvas.path("M-4 176H260V258H-4Z", canvas.linear((mix(wood, "#ffffff", 0.25), wood), 176, 238))
    for y in (188, 203, 221):
        canvas.line(
            f"M-4 {y + random.uniform(-2, 2):.1f}q70 {random.uniform(-3, 3):.1f} 132 0t132 0",
            mix(wood, "#3a2010", 0.3),
            0.9,
        )
    canvas.rectangle(238, 246, mix(wood, "#2a1608", 0.25))
    canvas.rectangle(246, 258, mix(wood, "#2a1608", 0.5))


def paint_plain(canvas: Canvas, light: Light, random: Random) -> None:
    """Paint a plain backdrop of one soft colour, lighter in the middle."""
    tone = random.choice(
        ("#f4f1ea", "#e3e7ec", "#f6e3d3", "#d7e6ef", "#e7def0", "#dcebd8", "#f3d9dc", "#f6edc6")
    )
    canvas.rectangle(-2, 258, mix(tone, "#8f97a5", 0.16))
    canvas.soft_ellipse(128, 118, 190, 170, mix(tone, "#ffffff", 0.6), 1.0)
    canvas.rectangle(206, 258, canvas.fade(mix(tone, "#5d6470", 0.4), 206, 262, (0.0, 0.45)))
