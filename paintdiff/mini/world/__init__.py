"""A procedural generator of captioned storybook pictures.

``sample_scene`` draws a random scene, ``render`` paints it at any size, ``describe`` captions it.
All three depend on nothing but their arguments. The embedded painter is trained on these pairs.
"""

from paintdiff.mini.world.captions.description import describe, words
from paintdiff.mini.world.captions.sentences import Caption
from paintdiff.mini.world.errors import WorldError
from paintdiff.mini.world.render import flip, render, subject_mask, to_svg
from paintdiff.mini.world.sampling import sample_scene
from paintdiff.mini.world.scene import (
    Placement,
    Scene,
    WorldConfig,
    subject_category,
    subject_names,
)
from paintdiff.mini.world.scenery.scenery_table import SCENERY
from paintdiff.mini.world.subjects.subject_table import SUBJECTS
from paintdiff.mini.world.tables import COLOURS, SEASONS, STYLES, TIMES_OF_DAY, WEATHERS

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
