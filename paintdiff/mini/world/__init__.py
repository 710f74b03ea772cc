"""A procedural generator of captioned storybook pictures.

``sample_scene`` draws a random scene, ``render`` paints it at any size, ``describe`` captions it.
All three depend on nothing but their arguments. The embedded painter is trained on these pairs.
"""

from .captions import Caption
from .description import describe, words
from .errors import WorldError
from .render import flip, render, subject_mask, to_svg
from .sampling import sample_scene
from .scene import Placement, Scene, WorldConfig, subject_category, subject_names
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
    "Placement",
    "Scene",
    "WorldConfig",
    "WorldError",
    "describe",
    "flip",
    "render",
    "sample_scene",
    "subject_category",
    "subject_mask",
    "subject_names",
    "to_svg",
    "words",
]
