"""Random scenes of the first edition: subjects, places, sizes and light."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from random import Random

from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.rows import SceneryRow
from paintdiff.mini.world.scene import HORIZON_PIVOT, Placement, Scene, WorldConfig
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.streams import stream
from paintdiff.mini.world.subjects.cast import CAST, CastRow, Pose
from paintdiff.mini.world.subjects.drawings import PART_OF_DRAWING, drawing_of
from paintdiff.mini.world.tables import WEATHERS

SHEET = 256.0
_FLOATS_IN_SPACE = ("animal", "mythical", "human")
_PROFILE = ("run", "walk", "drive", "swim")
_TILT_DEGREES = {"fly": 7.0, "swim": 6.0, "float": 4.0, "lie": 5.0}
_HEIGHTS = {
    "small": (0.19, 0.27),
    None: (0.40, 0.54),
    "big": (0.64, 0.80),
    "portrait": (0.62, 0.78),
}
_GROUP_HEIGHTS = {2: (0.32, 0.42), 3: (0.26, 0.34)}
_PAIR_HEIGHTS = (0.33, 0.46)
_WIDEST = {1: 0.64, 2: 0.44, 3: 0.31}
_CENTRES = {2: (0.28, 0.72), 3: (0.18, 0.5, 0.82)}
_SIDE_X = {"left": 0.27, "centre": 0.5, "right": 0.73}


def stage_scene(seed: int, config: WorldConfig) -> Scene:
    """Draw one scene of the first edition; the same seed and config give the same scene.

    Raises:
        WorldError: none of the allowed subjects can be in any allowed scenery.
    """
    random = stream(seed, "scene")
    row, pose, medium = None, None, None
    if config.subjects and random.random() < config.subject_probability:
        row, pose, scenery, medium = _draw_subject(random, config)
    else:
        scenery = SCENERY[random.choice(config.scenery)]
    season = _draw(random, config.season_probability, config.seasons if scenery.seasons else ())
    weather = _draw(random, config.weather_probability, _weathers(scenery, season, config))
    style = _draw(random, config.style_probability, config.styles)
    scene = Scene(
        seed=seed,
        scenery=scenery.name,
        subject=None,
        category="scenery",
        colour=None,
        count=0,
        side=None,
        time_of_day=_draw_time(random, scenery, config),
        weather=weather,
        season=season,
        style=style,
        edition=1,
        zoom=random.uniform(1.0, 1.22),
        pivot=random.uniform(88, 168),
    )
    if row is None or pose is None or medium is None:
        return scene
    return _Stage(random, config, scene, scenery).fill(row, pose, medium)


def _weathers(scenery: SceneryRow, season: str | None, config: WorldConfig) -> list[str]:
    return [
        name
        for name in scenery.weathers
        if name in config.weathers and season in WEATHERS[name].needs_season
    ]


def _draw_time(random: Random, scenery: SceneryRow, config: WorldConfig) -> str | None:
    """Draw a time of day; a scenery with only one time always has that one."""
    times = [name for name in scenery.times_of_day if name in config.times_of_day]
    if len(scenery.times_of_day) == 1:
        times = list(scenery.times_of_day)
    return random.choice(times) if times else None


def _draw(random: Random, probability: float, names: Iterable[str]) -> str | None:
    names = tuple(names)
    lot, which = random.random(), random.random()
    return names[int(which * len(names))] if names and lot < probability else None


def media_of(row: CastRow, pose: Pose, scenery: SceneryRow) -> tuple[str, ...]:
    """Return where a pose can be in a scenery, best first."""
    media = tuple(medium for medium in pose.media if medium in scenery.places)
    if not media and "space" in scenery.places and row.category in _FLOATS_IN_SPACE:
        return ("space",) if "land" in pose.media else ()
    return media


@lru_cache(maxsize=8)
def _castings(config: WorldConfig) -> dict[str, list[tuple[Pose, list[str]]]]:
    """Return for every subject its poses, each with the sceneries where it can be."""
    castings: dict[str, list[tuple[Pose, list[str]]]] = {}
    for name in config.subjects:
        row = CAST[name]
        places = [
            (pose, [each for each in config.scenery if media_of(row, pose, SCENERY[each])])
            for pose in row.poses
        ]
        fitting = [(pose, sceneries) for pose, sceneries in places if sceneries]
        if fitting:
            castings[name] = fitting
    if not castings:
        raise WorldError(
            f"none of the subjects {', '.join(config.subjects)} "
            f"can be in any of {', '.join(config.scenery)}; add a scenery or a subject"
        )
    return castings


def _draw_subject(random: Random, config: WorldConfig) -> tuple[CastRow, Pose, SceneryRow, str]:
    castings = _castings(config)
    row = CAST[random.choice(list(castings))]
    # By the name of the pose first: poses with many drawings aren't more frequent.
    named = sorted({pose.name for pose, _ in castings[row.name]})
    name = random.choice(named)
    pose, sceneries = random.choice([pair for pair in castings[row.name] if pair[0].name == name])
    scenery = SCENERY[random.choice(sceneries)]
    return row, pose, scenery, random.choice(media_of(row, pose, scenery))


class _Stage:
    """A builder that puts figures into one scene."""

    def __init__(
        self, random: Random, config: WorldConfig, scene: Scene, scenery: SceneryRow
    ) -> None:
        self.random, self.config, self.scene, self.scenery = random, config, scene, scenery

    def fill(self, row: CastRow, pose: Pose, medium: str) -> Scene:
        """Return the scene with its subject, alone, in a group or with a companion."""
        random, config = self.random, self.config
        several = config.max_count > 1 and random.random() < config.several_probability
        accompanied = random.random() < config.companion_probability
        portrait = pose.name == "face"
        colour = _draw(random, config.colour_probability, config.colours)
        changes: dict[str, object] = {
            "subject": row.name,
            "category": row.category,
            "colour": colour,
            "count": 1,
            "medium": medium,
            "pose": pose.name or None,
            **self._part(row, pose, colour),
        }
        lead = Placement(
            row.name, pose.key, 0, 0, 0, colour=colour,
            part=_text(changes["part"]), part_colour=_text(changes["part_colour"]),
        )  # fmt: skip
        if several and not portrait:
            changes |= self._group(row, lead, medium)
        elif accompanied and not portrait and (second := self._companion(row, medium)):
            changes |= self._pair(row, lead, medium, second)
        else:
            changes |= self._single(row, lead, pose, medium)
        return replace(self.scene, **changes)  # pyright: ignore[reportArgumentType]

    def _part(self, row: CastRow, pose: Pose, colour: str | None) -> dict[str, object]:
        drawn = drawing_of(pose.key).parts
        parts = [part for part in row.parts if PART_OF_DRAWING.get(part, part) in drawn]
        part = _draw(self.random, self.config.part_probability, parts)
        others = [name for name in self.config.colours if name != colour]
        if part is None or not others:
            return {"part": None, "part_colour": None}
        return {"part": part, "part_colour": self.random.choice(others)}

    def _single(self, row: CastRow, lead: Placement, pose: Pose, medium: str) -> dict[str, object]:
        random = self.random
        if pose.name == "face":
            size, side = "portrait", "centre"
        else:
            size = random.choices((None, "small", "big"), (0.56, 0.2, 0.24))[0]
            side = random.choices(("left", "centre", "right"), (0.29, 0.42, 0.29))[0]
            side = "centre" if size == "big" else side
        height = random.uniform(*_HEIGHTS[size]) * SHEET
        height *= 1.0 if size == "portrait" else row.size**0.55
        widest = 0.9 if size in ("big", "portrait") else _WIDEST[1]
        figure = self._placed(lead, _SIDE_X[side], min(height, 0.9 * SHEET), widest, medium, size)
        profile = pose.name in _PROFILE and row.category != "human"
        facing = ("right" if figure.mirrored else "left") if profile else None
        return {"figures": (figure,), "side": side, "size": size, "facing": facing}

    def _group(self, row: CastRow, lead: Placement, medium: str) -> dict[str, object]:
        count = self.random.randint(2, self.config.max_count)
        height = self.random.uniform(*_GROUP_HEIGHTS[count]) * SHEET * row.size**0.4
        figures = [
            self._placed(
                lead, centre, height * self.random.uniform(0.92, 1.08), _WIDEST[count], medium, None
            )
            for centre in _CENTRES[count]
        ]
        return {"figures": tuple(figures), "count": count, "side": "centre"}

    def _companion(self, row: CastRow, medium: str) -> tuple[CastRow, Pose, str] | None:
        """Return another subject that can be in this scenery, or None after a few failed draws."""
        castings = _castings(self.config)
        for _ in range(6):
            other = CAST[self.random.choice(list(castings))]
            poses = [
                pose
                for pose, sceneries in castings[other.name]
                if self.scene.scenery in sceneries and pose.name != "face"
            ]
            if other.name == row.name or not poses:
                continue
            pose = self.random.choice(poses)
            own = self.random.choice(media_of(other, pose, self.scenery))
            if own == medium or (medium == "air" and own == "land"):
                return other, pose, own
        return None

    def _pair(
        self, row: CastRow, lead: Placement, medium: str, second: tuple[CastRow, Pose, str]
    ) -> dict[str, object]:
        random = self.random
        other, pose, own = second
        relations = ["beside", "beside", "left of", "right of"]
        if medium == own == "land":
            relations += ["in front of", "behind"]
        relation = "above" if own != medium else random.choice(relations)
        colour = _draw(random, self.config.colour_probability, self.config.colours)
        companion = Placement(other.name, pose.key, 0, 0, 0, colour=colour)
        height, its = (
            random.uniform(*_PAIR_HEIGHTS) * SHEET * each.size**0.6 for each in (row, other)
        )
        if relation == "above":
            x = random.uniform(0.35, 0.65)
            above = self._placed(lead, x, height * 0.9, 0.5, medium, None)
            above = _moved(above, foot=min(above.foot, 0.20 * SHEET + above.height))
            below = self._placed(companion, x, its * 0.85, 0.5, own, None)
            if above.foot > below.foot - below.height + 6:
                below = self._placed(companion, x, below.foot - above.foot - 4, 0.5, own, None)
            pair = (below, above)
        elif relation in ("in front of", "behind"):
            near, far = (lead, companion) if relation == "in front of" else (companion, lead)
            x = random.uniform(0.4, 0.6)
            shift = random.choice((-1, 1)) * random.uniform(0.10, 0.16)
            back = self._placed(far, x + shift, max(height, its) * 1.3, 0.6, "land", None)
            front = self._placed(near, x - shift * 0.8, min(height, its) * 0.95, 0.45, "land", None)
            pair = (
                _moved(back, foot=front.foot - random.uniform(12, 20)),
                _moved(front, foot=min(front.foot + 8, 248)),
            )
        else:
            left = relation == "left of" or (relation == "beside" and random.random() < 0.5)
            centres = (0.28, 0.72) if left else (0.72, 0.28)
            pair = (
                self._placed(lead, centres[0], height, 0.44, medium, None),
                self._placed(companion, centres[1], its, 0.44, own, None),
            )
        return {
            "figures": pair,
            "side": "centre",
            "companion": other.name,
            "companion_colour": colour,
            "relation": relation,
        }

    def _placed(
        self,
        figure: Placement,
        centre: float,
        height: float,
        widest: float,
        medium: str,
        size: str | None,
    ) -> Placement:
        random = self.random
        drawing = drawing_of(figure.drawing)
        height = min(height, widest * SHEET / drawing.aspect)
        width = height * drawing.aspect
        x = (centre + random.uniform(-0.05, 0.05)) * SHEET
        x = min(max(x, width / 2 + 3), SHEET - width / 2 - 3) if width < SHEET - 6 else SHEET / 2
        mirrored = x < SHEET / 2 if abs(centre - 0.5) > 0.08 else random.random() < 0.5
        tilt = _TILT_DEGREES.get(self._pose_name(figure), 0.0) if medium != "space" else 24.0
        return Placement(
            figure.subject, figure.drawing, round(x, 1),
            round(self._foot(medium, height, size), 1), round(height, 1),
            mirrored, round(random.uniform(-tilt, tilt), 1),
            figure.colour, figure.part, figure.part_colour,
        )  # fmt: skip

    @staticmethod
    def _pose_name(figure: Placement) -> str:
        return next(pose.name for pose in CAST[figure.subject].poses if pose.key == figure.drawing)

    def _foot(self, medium: str, height: float, size: str | None) -> float:
        random = self.random
        if size == "portrait":
            return random.uniform(0.94, 1.03) * SHEET
        low, high = self.scenery.span[medium]
        y = random.uniform(low, high) * SHEET
        if medium in ("land", "floor", "table"):
            # Small figures stand farther away, large ones near.
            y += {"small": -6.0, "big": 14.0}.get(size or "", 0.0) + random.uniform(-3, 8)
            return min(y, 250.0)
        if medium == "water":
            return HORIZON_PIVOT + (y - HORIZON_PIVOT) * self.scene.zoom + 0.12 * height
        return min(max(y + height / 2, height + 6), 246.0)


def _moved(figure: Placement, foot: float) -> Placement:
    return replace(figure, foot=round(foot, 1))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
