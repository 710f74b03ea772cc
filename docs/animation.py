"""Make the README's animation: `python -m docs.animation`.

It paints with the embedded model, replays each run, and shows them side by side.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.imaging.animations import Pace, write_animation
from paintdiff.jobs.requests import TextToImage
from paintdiff.replay.replaying import replay
from paintdiff.system.atomic_files import new_file

OUTPUT = Path(__file__).with_name("images") / "painting.webp"
PROMPTS = (
    ("a red sailboat on a calm sea at sunset", 7),
    ("a white house on a green hill at noon", 3),
    ("a pink castle on a snowy mountain at dusk", 5),
)
SIDE_PX = 128
"""The size that the embedded model is made for."""
SHOWN_PX = 256
STEPS = 20


def main() -> None:
    """Paint, replay and write the animation."""
    runs: list[list[Image.Image]] = []
    with Engine() as engine:
        for prompt, seed in PROMPTS:
            request = TextToImage(
                prompt=prompt,
                seed=seed,
                width=SIDE_PX,
                height=SIDE_PX,
                num_inference_steps=STEPS,
            )
            resolved = engine.generate(request).pictures[0].request
            runs.append([frame.image for frame in replay(engine, resolved).frames])
    images = [_side_by_side(step) for step in zip(*runs, strict=True)]
    with new_file(OUTPUT) as file:
        write_animation(file, images, "webp", Pace(image_seconds=0.15, end_seconds=2, fades=False))


def _side_by_side(images: tuple[Image.Image, ...]) -> Image.Image:
    row = Image.new("RGB", (SHOWN_PX * len(images), SHOWN_PX))
    for number, image in enumerate(images):
        enlarged = image.resize((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
        row.paste(enlarged, (SHOWN_PX * number, 0))
    return row


if __name__ == "__main__":
    main()
