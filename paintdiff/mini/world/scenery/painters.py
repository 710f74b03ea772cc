"""The table of scenery painters."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from paintdiff.mini.world.canvas import Canvas
from paintdiff.mini.world.scenery.light import Light
from paintdiff.mini.world.scenery.painters_deep import (
    paint_aurora,
    paint_deep_sea,
    paint_night_sky,
    paint_underwater_cave,
)
from paintdiff.mini.world.scenery.painters_land import (
    paint_desert,
    paint_hills,
    paint_rainforest,
    paint_savannah,
    paint_snowy_mountain,
    paint_volcano,
)
from paintdiff.mini.world.scenery.painters_space import paint_moon, paint_space
from paintdiff.mini.world.scenery.painters_town import (
    paint_city,
    paint_farm,
    paint_forest,
    paint_garden,
    paint_plain,
    paint_road,
    paint_room,
    paint_table,
    paint_village,
)
from paintdiff.mini.world.scenery.painters_water import (
    paint_glacier,
    paint_mountain_lake,
    paint_sea,
    paint_tropical_island,
)

Painter = Callable[[Canvas, Light, Random], None]

PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        "green hills": paint_hills,
        "sea": paint_sea,
        "desert": paint_desert,
        "rainforest": paint_rainforest,
        "mountain lake": paint_mountain_lake,
        "snowy mountain": paint_snowy_mountain,
        "tropical island": paint_tropical_island,
        "deep sea": paint_deep_sea,
        "night sky": paint_night_sky,
        "glacier": paint_glacier,
        "volcano": paint_volcano,
        "aurora": paint_aurora,
        "underwater cave": paint_underwater_cave,
        "savannah": paint_savannah,
        "forest": paint_forest,
        "garden": paint_garden,
        "city": paint_city,
        "village": paint_village,
        "farm": paint_farm,
        "road": paint_road,
        "room": paint_room,
        "table": paint_table,
        "space": paint_space,
        "moon": paint_moon,
        "plain background": paint_plain,
    }
)
"""The function that paints a scenery on a whole sheet, for every name in ``SCENERY``."""
