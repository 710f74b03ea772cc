"""The subjects of the world, as rows of data. The drawings are in ``glyphs/``."""

from paintdiff.mini.world.rows import SubjectRow, table

_STAND = (
    ("stand", "stands", "standing"),
    ("wait", "waits", "waiting"),
    ("stand", "stands", "standing"),
)
_FLY = (("fly", "flies", "flying"), ("soar", "soars", "soaring"))
_SWIM = (("swim", "swims", "swimming"), ("float", "floats", "floating"))
_ANIMAL = {"land": (*_STAND, ("pause", "pauses", "pausing")), "air": _FLY}
_SWIMMER = {"under": _SWIM, "water": _SWIM}
_HUMAN = {"land": (*_STAND, ("smile", "smiles", "smiling"))}
_BUILDING = {
    "land": (("stand", "stands", "standing"), ("rise", "rises", "rising")),
    "floor": (("stand", "stands", "standing"),),
}
_CUTE = ("little", "small", "big", "cute", "lovely", "beautiful", "pretty")
_OLD = ("little", "small", "big", "large", "old", "beautiful", "lovely")
_WILD = ("big", "large", "beautiful", "wild", "lovely")
_CHILD = ("little", "lovely", "cute")

SUBJECTS = table(
    (
        SubjectRow(
            "dog", "animal", (("dog", "dogs"), ("dog", "dogs"), ("puppy", "puppies")), "dog",
            (2, 5, 29.75, 29.75), ("#f3ad61", "#d3883e", "#ffdea7"), ("land",), _ANIMAL, _CUTE,
        ),
        SubjectRow(
            "cat", "animal", (("cat", "cats"), ("cat", "cats"), ("kitten", "kittens")), "cat",
            (2, 3, 29.75, 29.75), ("#f3ad61", "#d3883e"), ("land",), _ANIMAL, _CUTE,
        ),
        SubjectRow(
            "fish", "animal", (("fish", "fish"),), "fish",
            (2, 6, 29.5, 29.75), ("#00a6ed", "#0074ba"), ("under", "water"),
            {
                "under": _SWIM,
                "water": (("leap", "leaps", "leaping"), ("jump", "jumps", "jumping")),
            },
            _CUTE, size=0.9,
        ),
        SubjectRow(
            "bird", "animal", (("bird", "birds"),), "bird",
            (0.7, 5.2, 31.6, 29.4), ("#ca0b4a", "#9e0839"), ("land",), _ANIMAL, _CUTE, size=0.92,
        ),
        SubjectRow(
            "horse", "animal", (("horse", "horses"), ("horse", "horses"), ("pony", "ponies")),
            "horse", (2, 2, 29.75, 29.75), ("#a56953", "#6d4534", "#e39d89"), ("land",),
            {
                "land": (
                    ("rear", "rears", "rearing"),
                    ("prance", "prances", "prancing"),
                    ("gallop", "gallops", "galloping"),
                ),
            },
            _WILD,
        ),
        SubjectRow(
            "tiger", "animal", (("tiger", "tigers"),), "tiger",
            (2, 8, 29.75, 29.75), ("#ff822d", "#ff6723"), ("land",), _ANIMAL, _WILD,
        ),
        SubjectRow(
            "wolf", "animal", (("wolf", "wolves"),), "wolf",
            (1, 2.3, 31, 29.3), ("#858a96", "#5f636e"), ("land",), _ANIMAL, _WILD,
        ),
        SubjectRow(
            "panda", "animal", (("panda", "pandas"), ("panda bear", "panda bears")), "panda",
            (4.2, 2.2, 27.8, 31), ("#f4f4f4",), ("land",),
            {"land": (("sit", "sits", "sitting"), ("rest", "rests", "resting"))}, _CUTE,
        ),
        SubjectRow(
            "rhino", "animal", (("rhino", "rhinos"), ("rhinoceros", "rhinoceroses")), "rhino",
            (2, 9, 29.75, 29.75), ("#9b9b9b", "#636363", "#d3d3d3"), ("land",), _ANIMAL, _WILD,
        ),
        SubjectRow(
            "whale", "animal", (("whale", "whales"),), "whale",
            (1.5, 4.2, 30.7, 28.1), ("#00a6ed", "#0074ba"), ("under", "water"), _SWIMMER,
            ("big", "beautiful", "huge", "lovely"), submerged=0.16,
        ),
        SubjectRow(
            "dragon", "mythical", (("dragon", "dragons"),), "dragon",
            (3, 2.25, 29.75, 29.75), ("#00d26a", "#008463"), ("land", "air"), _ANIMAL, _WILD,
        ),
        SubjectRow(
            "fairy", "mythical", (("fairy", "fairies"), ("pixie", "pixies")), "fairy",
            (1.3, 2.5, 30.7, 30), ("#9a5fd6", "#aee9ff", "#e6f9ff"), ("air", "land"),
            {
                "air": (
                    ("fly", "flies", "flying"),
                    ("hover", "hovers", "hovering"),
                    ("float", "floats", "floating"),
                ),
            },
            _CUTE,
        ),
        SubjectRow(
            "phoenix", "mythical", (("phoenix", "phoenixes"), ("firebird", "firebirds")),
            "phoenix", (1, 0.75, 30.75, 30.75), ("#f8312f", "#ff6723", "#ffb02e"), ("air",),
            {"air": _FLY}, _WILD,
        ),
        SubjectRow(
            "mermaid", "mythical", (("mermaid", "mermaids"),), "mermaid",
            (6, 2, 26.25, 29.75), ("#00d26a", "#8b62bf"), ("under", "water"), _SWIMMER,
            ("little", "beautiful", "lovely"), submerged=0.1,
        ),
        SubjectRow(
            "qilin", "mythical", (("qilin", "qilins"), ("kirin", "kirins")), "qilin",
            (2, 2, 31, 30), ("#2fb5a3", "#1d8577", "#8fe3d0"), ("land",), _ANIMAL, _WILD,
        ),
        SubjectRow(
            "leviathan", "mythical",
            (("leviathan", "leviathans"), ("sea serpent", "sea serpents")), "leviathan",
            (1.6, 2, 31.2, 29.5), ("#1f8a94", "#8ed6c4"), ("floor", "water"),
            {
                "floor": (("rise", "rises", "rising"),),
                "water": (("rise", "rises", "rising"), ("swim", "swims", "swimming")),
            },
            ("big", "huge", "beautiful"), submerged=0.14,
        ),
        SubjectRow(
            "man", "human", (("man", "men"),), "man",
            (7, 1, 25, 30.1), ("#2f7fc4", "#22619c"), ("land",), _HUMAN, ("friendly",),
            clothing=("shirt", "jumper", "sweater"),
        ),
        SubjectRow(
            "woman", "human", (("woman", "women"), ("lady", "ladies")), "woman",
            (6.8, 1, 25.2, 30), ("#d8343a", "#a8222b"), ("land",), _HUMAN,
            ("beautiful", "lovely", "friendly"), clothing=("dress",),
        ),
        SubjectRow(
            "boy", "human", (("boy", "boys"),), "boy",
            (7, 1.5, 25, 30.1), ("#2fa36b", "#1f7d50"), ("land",), _HUMAN, _CHILD,
            clothing=("shirt", "jumper", "sweater"),
        ),
        SubjectRow(
            "girl", "human", (("girl", "girls"),), "girl",
            (4, 2, 28, 30.1), ("#f2b52c", "#c98a10"), ("land",), _HUMAN, _CHILD,
            clothing=("dress",),
        ),
        SubjectRow(
            "house", "thing",
            (("house", "houses"), ("house", "houses"), ("cottage", "cottages")), "house",
            (2, 2, 29.75, 28), ("#f3c07b", "#b8503a"), ("land",), _BUILDING, _OLD,
        ),
        SubjectRow(
            "castle", "thing", (("castle", "castles"),), "castle",
            (2, 2, 29.9, 29.75), ("#b4acbc", "#998ea4", "#f8312f"), ("land", "floor"),
            _BUILDING, _OLD, size=1.08, never_in=("underwater cave",),
        ),
        SubjectRow(
            "boat", "thing",
            (("sailboat", "sailboats"), ("boat", "boats"), ("sailing boat", "sailing boats")),
            "boat", (2.5, 1.5, 29.5, 30.5), ("#e8483f", "#f5776c"), ("water",),
            {
                "water": (
                    ("sail", "sails", "sailing"),
                    ("float", "floats", "floating"),
                    ("drift", "drifts", "drifting"),
                ),
            },
            _OLD,
            submerged=0.1,
        ),
        SubjectRow(
            "tree", "thing", (("tree", "trees"),), "tree",
            (3, 2, 29, 30), ("#44911b", "#5fb032"), ("land",),
            {
                "land": (("stand", "stands", "standing"), ("grow", "grows", "growing")),
            },
            _OLD, size=1.08,
            never_in=("sea",),
        ),
        SubjectRow(
            "flower", "thing", (("flower", "flowers"), ("blossom", "blossoms")), "flower",
            (5, 2, 27, 29.75), ("#f79ccb",), ("land",),
            {
                "land": (("bloom", "blooms", "blooming"), ("grow", "grows", "growing")),
            },
            _CUTE, never_in=("sea",),
        ),
        SubjectRow(
            "balloon", "thing",
            (("hot air balloon", "hot air balloons"), ("balloon", "balloons")), "balloon",
            (5.8, 0.8, 26.2, 31.2), ("#f0563f", "#ff8f74", "#c63a28"), ("air",),
            {
                "air": (
                    ("float", "floats", "floating"),
                    ("drift", "drifts", "drifting"),
                    ("fly", "flies", "flying"),
                ),
            },
            ("little", "big", "beautiful", "lovely"), never_in=("rainforest",),
        ),
    )
)  # fmt: skip
