"""The light of a scene: sky, haze, and how ground colours look in it."""

from dataclasses import dataclass

from paintdiff.mini.world.colours import mix, multiply
from paintdiff.mini.world.rows import SeasonRow, TimeRow
from paintdiff.mini.world.scene import Scene
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.tables import SEASONS, TIMES_OF_DAY, WEATHERS

SNOW = "#f3f8fd"
_UNDERWATER_TIME = "day"


@dataclass(frozen=True)
class Light:
    """The light of a scene: all that painters need to know about time, weather and season.

    Attributes:
        time: the row of the time of day.
        season: the row of the season, or None.
        sky: gradient stops from zenith to horizon, including the weather.
        haze: the colour of distance.
        tint: the light on the ground.
        disc: fill of sun or moon, ``""`` when neither is visible.
        sun_x: its position across the picture, 0..256.
        snow_cover: how white the ground is, 0..1.
        overcast: 0 for an open sky, 1 for a closed one.
    """

    time: TimeRow
    season: SeasonRow | None
    sky: tuple[str, ...]
    haze: str
    tint: str
    disc: str
    sun_x: float
    snow_cover: float
    overcast: float

    @property
    def stars(self) -> int:
        """Return the number of visible stars."""
        return self.time.stars if self.overcast == 0 else 0

    def shade(self, colour: str, distance: float = 0.0) -> str:
        """Return a ground colour in this light; ``distance`` 0 is here, 1 is lost in haze."""
        return mix(multiply(colour, self.tint), self.haze, distance)

    def leaf(self, colour: str, distance: float = 0.0) -> str:
        """Return a vegetation colour in this season and light."""
        if self.season is not None:
            colour = mix(colour, *self.season.leaf)
        return self.shade(mix(colour, SNOW, self.snow_cover * 0.4), distance)

    def slope(self, colour: str, distance: float = 0.0) -> str:
        """Return the shaded lower part of ground: as ``ground``, but snow lies blue in it."""
        shadow = self.shade("#9db9e2", distance * 0.6)
        return mix(self.ground(colour, distance), shadow, self.snow_cover * 0.6)

    def ground(self, colour: str, distance: float = 0.0) -> str:
        """Return a ground colour that snow may cover."""
        if self.season is not None:
            colour = mix(colour, self.season.leaf[0], self.season.leaf[1] * 0.8)
        return self.shade(mix(colour, SNOW, self.snow_cover), distance)


def light_of(scene: Scene) -> Light:
    """Return the light of ``scene``; the sun stands on the side where the subject is not."""
    time = TIMES_OF_DAY[scene.time_of_day or _UNDERWATER_TIME]
    season = None if scene.season is None else SEASONS[scene.season]
    sky, haze, tint, disc = time.sky, time.haze, time.tint, time.disc
    snow = 0.0 if season is None else season.snow_cover
    overcast = 0.0
    if scene.weather is not None:
        weather = WEATHERS[scene.weather]
        overcast = weather.grey_amount
        grey = multiply(weather.grey, mix(time.tint, "#ffffff", 0.25))
        sky = tuple(mix(stop, grey, overcast) for stop in sky)
        haze = mix(haze, grey, overcast)
        tint = mix(tint, multiply(grey, "#e6ebf2"), overcast * 0.6)
        disc = "" if weather.hides_disc else disc
        snow = max(snow, weather.snow_cover)
    random = stream(scene.seed, "sun")
    right = random.random() < 0.5 if scene.side in (None, "centre") else scene.side == "left"
    sun_x = random.uniform(164, 226) if right else random.uniform(30, 92)
    return Light(time, season, sky, haze, tint, disc, sun_x, snow, overcast)
