"""Colours, times of day, weathers, seasons and styles of the world."""

from paintdiff.mini.world.rows import ColourRow, SeasonRow, StyleRow, TimeRow, WeatherRow, table

COLOURS = table(
    (
        ColourRow("red", ("red", "red", "crimson", "scarlet"), "#e0262c", "#97131f", "#ff8d84"),
        ColourRow("orange", ("orange",), "#fb8516", "#c25205", "#ffc58a"),
        ColourRow("yellow", ("yellow",), "#fdd92b", "#d29e0a", "#fff3ae"),
        ColourRow("green", ("green",), "#2bab3f", "#146b2b", "#98e39a"),
        ColourRow("blue", ("blue",), "#2466e0", "#143c96", "#93bdff"),
        ColourRow("purple", ("purple", "purple", "violet"), "#8a37cf", "#561b8c", "#cda1f5"),
        ColourRow("pink", ("pink",), "#ff78bd", "#d43f8d", "#ffc6e3"),
        ColourRow("brown", ("brown",), "#80502e", "#4f2e18", "#bf9069"),
        ColourRow("black", ("black",), "#2b2a35", "#131219", "#656474"),
        ColourRow("white", ("white",), "#f8f8f5", "#c3c8d6", "#ffffff"),
        ColourRow("grey", ("grey", "gray", "silver"), "#8d949e", "#5f656f", "#c6ccd4"),
        ColourRow("turquoise", ("turquoise", "teal", "cyan"), "#1cc3c4", "#0d8690", "#9bf0ec"),
    )
)

TIMES_OF_DAY = table(
    (
        TimeRow(
            "sunrise",
            ("sunrise", "sunrise", "dawn", "morning"),
            ("at sunrise", "at sunrise", "at dawn", "in the early morning", "in the morning"),
            ("#8fb4e3", "#c9c4e6", "#f9cbd3", "#ffe6c9"),
            "#ffdfd6",
            "#fbe3e0",
            "#fff3ee",
            "#fff6d8",
            0.84,
            0.055,
            0,
            "#fff0ee",
            ("#f7d3c3", "#b9c6e0", "#7fa6cf"),
            0.55,
        ),
        TimeRow(
            "day",
            ("day", "daylight", "noon"),
            ("during the day", "at noon", "in daylight", "by day"),
            ("#2f8fe6", "#6cbdf5", "#b4e2fb", "#e6f6fc"),
            "#d3ebf7",
            "#ffffff",
            "#ffffff",
            "#fff3b0",
            0.27,
            0.055,
            0,
            "#ffffff",
            ("#a5e0f4", "#45aadd", "#1765a8"),
        ),
        TimeRow(
            "sunset",
            ("sunset", "sunset", "evening"),
            ("at sunset", "at sunset", "in the evening", "in the evening light"),
            ("#5b2a6e", "#c23b4c", "#f9702c", "#ffc04a"),
            "#f0906a",
            "#f2bcaa",
            "#ffe6d4",
            "#fff0a8",
            0.80,
            0.085,
            0,
            "#ff9a6b",
            ("#ffb45c", "#d4586a", "#5d3070"),
        ),
        TimeRow(
            "dusk",
            ("dusk", "dusk", "twilight"),
            ("at dusk", "at dusk", "at twilight", "in the twilight"),
            ("#35307f", "#5c4aa8", "#9a72c4", "#d3a3d4"),
            "#8a74bd",
            "#9589d0",
            "#e6e0ff",
            "",
            0.0,
            0.0,
            14,
            "#7a62b5",
            ("#cba2d8", "#7a67ba", "#403b8e"),
            0.18,
        ),
        TimeRow(
            "night",
            ("night", "night", "midnight", "moonlight"),
            ("at night", "at night", "at night", "at midnight", "in the moonlight", "by moonlight"),
            ("#050a26", "#0b1740", "#152c66", "#28498a"),
            "#182f63",
            "#5d71ae",
            "#e8ecff",
            "#fbf6dc",
            0.24,
            0.055,
            60,
            "#2c427c",
            ("#3c5ca3", "#1e3b7a", "#0d1e4e"),
        ),
    )
)

WEATHERS = table(
    (
        WeatherRow(
            "rain",
            ("rain", "rainy", "rainy weather"),
            ("in the rain", "in the rain", "in rainy weather", "while it rains"),
            "#8493a3",
            0.6,
            True,
            untrue=("calm", "moonlight"),
            needs_season=(None, "spring", "summer", "autumn"),
        ),
        WeatherRow(
            "snow",
            ("snow", "snowfall", "snowy weather"),
            ("in the snow", "in falling snow", "while it snows"),
            "#c3cedb",
            0.55,
            True,
            snow_cover=0.75,
            untrue=("green", "calm", "grassy", "golden", "moonlight"),
            needs_season=(None, "winter"),
        ),
        WeatherRow(
            "fog",
            ("fog", "foggy", "misty", "mist"),
            ("in the fog", "in thick fog", "in the mist"),
            "#d5dade",
            0.35,
            True,
            untrue=("moonlight",),
        ),
        WeatherRow(
            "storm",
            ("storm", "thunderstorm", "stormy", "lightning"),
            ("in a storm", "in a thunderstorm", "during a storm"),
            "#3d4557",
            0.6,
            True,
            untrue=("calm", "moonlight", "daylight", "light"),
            needs_season=(None, "spring", "summer", "autumn"),
        ),
    )
)

SEASONS = table(
    (
        SeasonRow(
            "spring",
            ("spring", "springtime"),
            ("in spring", "in springtime"),
            ("#8fd35a", 0.5),
            ("#ff9fcb", "#ffd0e6", "#ffffff"),
        ),
        SeasonRow(
            "summer",
            ("summer", "summertime"),
            ("in summer", "in summertime"),
            ("#3f9a2b", 0.45),
            ("#ffd92e", "#ff4b3e", "#ffb02e"),
        ),
        SeasonRow(
            "autumn",
            ("autumn", "fall"),
            ("in autumn", "in autumn", "in the fall"),
            ("#d9802b", 0.8),
            ("#c8462b", "#f2b134"),
            untrue=("green", "grassy"),
        ),
        SeasonRow(
            "winter",
            ("winter", "wintertime"),
            ("in winter", "in wintertime"),
            ("#dfeaf2", 0.25),
            (),
            snow_cover=0.9,
            untrue=("green", "grassy", "meadow"),
        ),
    )
)

STYLES = table(
    (
        StyleRow(
            "watercolour",
            ("watercolour", "watercolor", "watercolour painting"),
            ("a watercolour of", "a watercolor of", "a watercolour painting of"),
        ),
        StyleRow("oil painting", ("oil painting", "oil on canvas"), ("an oil painting of",)),
        StyleRow(
            "ink drawing",
            ("ink drawing", "ink sketch", "pen and ink"),
            ("an ink drawing of", "an ink sketch of"),
        ),
        StyleRow("pixel art", ("pixel art",), ("pixel art of", "a pixel art picture of")),
        StyleRow(
            "pastel",
            ("pastel", "pastel drawing", "soft pastel"),
            ("a pastel drawing of", "a soft pastel of"),
        ),
        StyleRow(
            "woodcut",
            ("woodcut", "woodcut print", "linocut"),
            ("a woodcut of", "a linocut of", "a woodcut print of"),
        ),
        StyleRow(
            "neon",
            ("neon", "neon lights", "glowing neon"),
            ("a neon sign of", "a glowing neon picture of"),
        ),
        StyleRow(
            "paper cut",
            ("paper cut", "paper craft", "cut paper"),
            ("a paper cut of", "a cut paper picture of"),
        ),
        StyleRow(
            "comic",
            ("comic", "comic book style", "pop art"),
            ("a comic of", "a comic book picture of", "pop art of"),
        ),
        StyleRow(
            "chalk",
            ("chalk", "chalk on a blackboard", "chalkboard"),
            ("a chalk drawing of", "a chalkboard drawing of"),
        ),
        StyleRow(
            "stained glass",
            ("stained glass", "stained glass window"),
            ("a stained glass window of", "stained glass of"),
        ),
        StyleRow(
            "pencil sketch",
            ("pencil sketch", "graphite sketch", "pencil drawing"),
            ("a pencil sketch of", "a graphite sketch of"),
        ),
    )
)
