"""A procedural painter of captioned storybook scenes.

``sample_scene`` draws a scene by lot, ``render`` paints it at any size, ``describe`` captions it;
all three depend on nothing but their arguments. The embedded painter is trained on these pairs.
"""

from .captions import Caption, describe, words
from .errors import WorldError
from .render import flip, render, to_svg
from .scene import Scene, WorldConfig, sample_scene
from .scenery_table import SCENERY
from .subject_table import SUBJECTS
from .tables import COLOURS, SEASONS, STYLES, TIMES_OF_DAY, WEATHERS

__all__ = [
    "COLOURS",
    "SCENERY",
    "SEASONS",
    "STYLES",
    "SUBJECTS",
    "TIMES_OF_DAY",
    "WEATHERS",
    "Caption",
    "Scene",
    "WorldConfig",
    "WorldError",
    "describe",
    "flip",
    "render",
    "sample_scene",
    "to_svg",
    "words",
]
