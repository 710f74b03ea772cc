"""Paint the thumbnails of the styles that `mini` knows: `.venv/bin/python -m docs.thumbnails`."""

from __future__ import annotations

import sys

from paintdiff.config.presets import presets_folder
from paintdiff.engine.engine import Engine
from paintdiff.jobs.requests import TextToImage
from paintdiff.prompts.library import PromptLibrary, make_thumbnail_name, thumbnails_folder

SIDE_PX = 128
_KNOWN_TO_MINI = "Mini "


def main() -> None:
    """Paint a red house in each style, and write it beside the styles."""
    assert presets_folder().is_dir()
    thumbnails_folder().mkdir(exist_ok=True)
    with Engine() as engine:
        for style in PromptLibrary().list_styles():
            if style.name.startswith(_KNOWN_TO_MINI):
                request = TextToImage(
                    prompt="a red house", styles=(style.name,), seed=5, quality="high"
                )
                image = engine.generate(request).pictures[0].image
                path = thumbnails_folder() / make_thumbnail_name(style.name)
                image.resize((SIDE_PX, SIDE_PX)).save(path, quality=80, method=6)
                sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
