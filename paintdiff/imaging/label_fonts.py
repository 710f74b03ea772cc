"""Fonts for labels in pictures: Pillow's own, and the system's for characters that it lacks."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont

SYSTEM_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf"),
    *("segoeui.ttf", "arial.ttf", "Arial Unicode.ttf", "arialuni.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf"),
    *("wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc"),
    *("AppleSDGothicNeo.ttc", "NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf"),
)
"""Files of fonts that systems often have, in the order in which they are tried."""

_IN_NO_FONT = "\u0378"  # not assigned


class LabelFonts:
    """Fonts of one size, in pixels. Those of the system are looked for when they are needed."""

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px
        self._found: list[Font] = []
        self._rest = self._load()
        self._known: dict[tuple[int, str], bool] = {}

    def choose(self, text: str) -> tuple[Font, str]:
        """Return the first font that has all characters of a text, else the one with most of them.

        The second value has the missing characters, each once.
        """
        best: tuple[Font, str] | None = None
        for number, font in enumerate(self._fonts()):
            missing = "".join(each for each in dict.fromkeys(text) if self._lacks(number, each))
            if best is None or len(missing) < len(best[1]):
                best = font, missing
            if not missing:
                break
        assert best is not None  # Pillow has a font of its own
        return best

    def _fonts(self) -> Iterator[Font]:
        yield from self._found
        for font in self._rest:
            self._found.append(font)
            yield font

    def _load(self) -> Iterator[Font]:
        own = ImageFont.load_default(self._size_px)
        assert isinstance(own, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
        yield own
        for name in SYSTEM_FONTS:
            try:
                yield ImageFont.truetype(name, self._size_px)
            except OSError:
                continue

    def _lacks(self, number: int, character: str) -> bool:
        if character.isspace():
            return False
        key = number, character
        if key not in self._known:
            font = self._found[number]
            self._known[key] = _draw(font, character) == _draw(font, _IN_NO_FONT)
        return self._known[key]


def _draw(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    box = font.getbbox(character)
    size = (max(1, round(box[2])), max(1, round(box[3])))
    image = Image.new("L", size)
    ImageDraw.Draw(image).text((0, 0), character, fill=255, font=font)
    return size, image.tobytes()
