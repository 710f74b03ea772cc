"""The sceneries of the world, as rows of data. What each looks like is in ``painters``."""

from .rows import SceneryRow, table

_ALL_TIMES = ("sunrise", "day", "sunset", "dusk", "night")
_LAND = {"land": (0.84, 0.90), "air": (0.36, 0.52)}

SCENERY = table(
    (
        SceneryRow(
            "green hills",
            ("green hills", "green hill", "hills", "meadow", "green meadow", "field"),
            ("green hills", "a green hill", "a green meadow", "hills", "a meadow", "a field"),
            {
                "land": (
                    "on a green hill",
                    "on a green hill",
                    "on a hill",
                    "in a green meadow",
                    "in a meadow",
                    "in a field",
                    "in the green hills",
                ),
                "air": ("over green hills", "above a meadow", "over a field", "over a green hill"),
            },
            _LAND,
            _ALL_TIMES,
            ("rain", "snow", "fog", "storm"),
            seasons=True,
        ),
        SceneryRow(
            "sea",
            ("sea", "calm sea", "ocean", "calm ocean"),
            ("a calm sea", "the sea", "the ocean", "the open sea"),
            {
                "water": ("on a calm sea", "on the sea", "on the ocean", "at sea", "in the sea"),
                "air": ("over the sea", "above the ocean", "over a calm sea"),
                "land": ("by the sea", "on a rock in the sea", "by the ocean"),
            },
            {"water": (0.80, 0.86), "air": (0.34, 0.46), "land": (0.83, 0.87)},
            _ALL_TIMES,
            ("rain", "fog", "storm"),
            islet=True,
        ),
        SceneryRow(
            "desert",
            ("desert", "sand dunes", "dunes", "sandy desert"),
            ("a desert", "the desert", "sand dunes", "a sandy desert"),
            {
                "land": (
                    "in the desert",
                    "in a desert",
                    "on a sand dune",
                    "on the sand",
                    "among the dunes",
                ),
                "air": ("over the desert", "above the dunes", "over a desert"),
            },
            _LAND,
            _ALL_TIMES,
        ),
        SceneryRow(
            "rainforest",
            ("rainforest", "jungle", "tropical rainforest"),
            ("a rainforest", "a jungle", "a tropical rainforest", "the jungle"),
            {
                "land": ("in the rainforest", "in the jungle", "in a jungle", "in a rainforest"),
                "air": ("in the jungle", "in the rainforest"),
            },
            _LAND,
            _ALL_TIMES,
            ("rain", "fog"),
        ),
        SceneryRow(
            "mountain lake",
            ("mountain lake", "lake", "lake and mountains"),
            ("a mountain lake", "a lake in the mountains", "a lake and mountains"),
            {
                "land": ("by a mountain lake", "by the lake", "beside a lake"),
                "water": ("on a mountain lake", "on a lake", "in a mountain lake", "in the lake"),
                "air": ("over a mountain lake", "above a lake", "over the lake"),
            },
            {"land": (0.88, 0.92), "water": (0.74, 0.79), "air": (0.34, 0.46)},
            _ALL_TIMES,
            ("rain", "snow", "fog", "storm"),
            seasons=True,
        ),
        SceneryRow(
            "snowy mountain",
            ("snowy mountain", "snowy mountains", "mountains", "snowy peaks"),
            ("a snowy mountain", "snowy mountains", "snowy peaks", "mountains"),
            {
                "land": (
                    "on a snowy mountain",
                    "in the mountains",
                    "in the snowy mountains",
                    "before snowy peaks",
                ),
                "air": ("over snowy mountains", "above the mountains", "over the snowy peaks"),
            },
            _LAND,
            _ALL_TIMES,
            ("snow", "fog"),
        ),
        SceneryRow(
            "tropical island",
            ("tropical island", "tropical beach", "beach", "beach with palm trees"),
            ("a tropical island", "a tropical beach", "a beach with palm trees"),
            {
                "land": (
                    "on a tropical island",
                    "on a beach",
                    "on the beach",
                    "on a beach with palm trees",
                    "under palm trees",
                ),
                "water": ("off a tropical island", "off the beach", "near a tropical beach"),
                "air": ("over a tropical island", "above a beach", "over a tropical beach"),
            },
            {"land": (0.88, 0.92), "water": (0.70, 0.74), "air": (0.34, 0.46)},
            _ALL_TIMES,
            ("rain", "storm"),
        ),
        SceneryRow(
            "deep sea",
            ("deep sea", "underwater", "underwater world"),
            ("the deep sea", "an underwater world", "the bottom of the sea"),
            {
                "under": ("in the deep sea", "underwater", "under the sea", "deep underwater"),
                "floor": ("at the bottom of the sea", "on the sea floor", "in the deep sea"),
            },
            {"under": (0.42, 0.56), "floor": (0.86, 0.90)},
        ),
        SceneryRow(
            "night sky",
            ("night sky", "starry sky", "starry night sky", "stars"),
            ("a night sky", "a starry sky", "a sky full of stars"),
            {
                "land": ("under the night sky", "under the stars", "under a starry sky"),
                "air": ("in the night sky", "among the stars", "in a starry sky"),
            },
            _LAND,
            ("night",),
        ),
        SceneryRow(
            "glacier",
            ("glacier", "icy glacier", "ice", "icebergs"),
            ("a glacier", "icebergs and a glacier", "an icy glacier"),
            {
                "land": ("on a glacier", "on the ice", "on an icy glacier"),
                "water": ("among icebergs", "by a glacier", "near a glacier"),
                "air": ("over a glacier", "above the ice"),
            },
            {"land": (0.88, 0.92), "water": (0.74, 0.79), "air": (0.34, 0.46)},
            _ALL_TIMES,
            ("snow", "fog"),
        ),
        SceneryRow(
            "volcano",
            ("volcano", "erupting volcano", "volcano with lava"),
            ("a volcano", "an erupting volcano", "a volcano with lava"),
            {
                "land": ("by a volcano", "near a volcano", "in front of a volcano"),
                "air": ("over a volcano", "near a volcano", "in front of a volcano"),
            },
            _LAND,
            _ALL_TIMES,
        ),
        SceneryRow(
            "aurora",
            ("aurora", "northern lights", "aurora borealis"),
            ("an aurora", "the northern lights", "an aurora borealis"),
            {
                "land": ("under the northern lights", "under the aurora", "beneath an aurora"),
                "air": ("in the northern lights", "under the aurora"),
            },
            _LAND,
            ("night",),
            untrue=("moonlight",),
        ),
        SceneryRow(
            "underwater cave",
            ("underwater cave", "underwater cavern", "sea cave"),
            ("an underwater cave", "an underwater cavern", "a sea cave"),
            {
                "under": ("in an underwater cave", "in a sea cave", "in an underwater cavern"),
                "floor": ("in an underwater cave", "in a sea cave", "in an underwater cavern"),
            },
            {"under": (0.44, 0.54), "floor": (0.87, 0.91)},
        ),
        SceneryRow(
            "savannah",
            ("savannah", "savanna", "african savannah", "dry grassland"),
            ("a savannah", "the african savannah", "a dry grassland", "the savanna"),
            {
                "land": ("in the savannah", "on the savanna", "on the african savannah"),
                "air": ("over the savannah", "above the savanna"),
            },
            _LAND,
            _ALL_TIMES,
            ("rain", "storm"),
        ),
    )
)
