"""Faces are found, restored and laid over the enlarged picture, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from paintdiff.engine import progress as pace_module
from paintdiff.engine.engine import Engine
from paintdiff.engine.progress import ProgressEstimate
from paintdiff.errors import JobCancelledError, ModelLoadError
from paintdiff.gallery.a1111.text import parse_parameters, request_from_parameters, write_parameters
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture, Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Request, TextToImage, Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.upscaling import face_restorer
from paintdiff.tasks import faces as faces_task
from paintdiff.tasks.faces import (
    FACE_TEMPLATE,
    MAX_FACES,
    FaceRestoration,
    RestoredFaces,
    find_alignment,
    restore_faces,
)
from paintdiff.tasks.steps import Step
from paintdiff.tasks.upscaling import Extras, upscale_raster
from tests.faces import landmarks_at
from tests.job_helpers import story
from tests.pictures import png_of

Floats = NDArray[np.float32]
ONE = (landmarks_at(70, 60, 50, degrees=20),)


class Restorer:
    """A stand-in: what `find_faces` gives is said by a test, and so is what becomes of a face."""

    def __init__(
        self, found: tuple[Any, ...] = ONE, made: Callable[[Floats], Floats] = lambda face: face
    ) -> None:
        self.found = found
        self.made = made
        self.row = SimpleNamespace(title="Mender")
        self.weights_bytes = 0
        self.looked_at: list[NDArray[np.uint8]] = []
        self.seen: list[Floats] = []

    def find_faces(self, picture: NDArray[np.uint8]) -> tuple[Any, ...]:
        self.looked_at.append(picture)
        return self.found

    def restore(self, face: Floats) -> Floats:
        self.seen.append(face)
        return self.made(face)


def white(face: Floats) -> Floats:
    return np.ones_like(face)


def wanted(restorer: Restorer, strength: float = 1.0) -> FaceRestoration:
    return FaceRestoration(cast("Any", restorer), strength)


def ignored(_step: Step) -> None:
    pass


def smooth(width: int, height: int, channels: int = 3) -> Floats:
    """The same scene at any size: waves that are longer than what interpolation could harm."""
    x = (np.arange(width) + 0.5)[None, :, None] / width
    y = (np.arange(height) + 0.5)[:, None, None] / height
    phase = np.arange(channels)
    return (0.5 + 0.4 * np.sin(3 * x + 2 * y + phase)).astype(np.float32)


def levels(pixels: Floats, bits: int = 8) -> Any:
    most = 2**bits - 1
    return np.rint(pixels * most).astype(np.uint8 if bits == 8 else np.uint16)


def strips(picture: Floats, rows: int) -> Iterator[Floats]:
    for top in range(0, len(picture), rows):
        yield picture[top : top + rows]


def laid_over(faces: RestoredFaces, picture: Floats, rows: int = 10_000) -> Floats:
    return np.concatenate(list(faces.lay_over(strips(picture, rows))))


def restored(restorer: Restorer, pixels: Any, scale: float = 2, strength: float = 1.0) -> Floats:
    """The smooth picture of that size and number of channels, enlarged, with the faces over it."""
    height, width, channels = pixels.shape
    target = Size(round(width * scale), round(height * scale))
    faces = restore_faces(pixels, target, wanted(restorer, strength), ignored, 0)
    return laid_over(faces, smooth(target.width, target.height, channels))


@pytest.mark.parametrize("degrees", [0, 33, 180, -90])
def test_a_face_comes_to_lie_exactly_on_the_template(degrees: float) -> None:
    landmarks = landmarks_at(300, 200.5, 71, degrees)
    points = np.column_stack((landmarks, np.ones(5)))
    assert np.allclose((find_alignment(landmarks) @ points.T)[:2].T, FACE_TEMPLATE, atol=1e-9)


def test_landmarks_that_do_not_fit_are_met_as_nearly_as_can_be() -> None:
    rng = np.random.default_rng(0)
    landmarks = landmarks_at(50, 60, 100) + rng.normal(0, 2, (5, 2))
    points = np.column_stack((landmarks, np.ones(5))).T

    def wrong(matrix: Any) -> float:
        return float((((matrix @ points)[:2].T - FACE_TEMPLATE) ** 2).sum())

    best = find_alignment(landmarks)
    for change in (1e-3, -1e-3):
        turned = np.array(
            [[np.cos(change), -np.sin(change), 0], [np.sin(change), np.cos(change), 0]]
        )
        others = [
            np.vstack((turned, [0, 0, 1])) @ best,
            np.diag([1 + change, 1 + change, 1]) @ best,
            best + np.array([[0, 0, change], [0, 0, 0], [0, 0, 0]]),
        ]
        assert all(wrong(other) > wrong(best) for other in others)


@pytest.mark.parametrize("scale", [1, 2, 3.7])
@pytest.mark.parametrize("face_px", [30, 100, 600])
def test_a_face_that_is_left_as_it_is_leaves_the_picture_as_it_is(
    scale: float, face_px: float
) -> None:
    found = (landmarks_at(80, 60, face_px, degrees=25),)
    pixels = levels(smooth(160, 130), 16)
    made = restored(Restorer(found), pixels, scale)
    expected = smooth(made.shape[1], made.shape[0])
    edge = int(scale)  # beyond the middle of the outermost pixels there is nothing to go by
    inside = np.abs(made - expected)[edge:-edge, edge:-edge]
    assert inside.max() < 1 / 255


def test_what_is_restored_lies_where_the_face_is_and_fades_at_its_edges() -> None:
    made = restored(Restorer(made=white), levels(smooth(140, 120)), 2)
    before = smooth(280, 240)
    for x, y in ONE[0]:
        assert made[round(y * 2 + 0.5), round(x * 2 + 0.5)].min() > 0.99
    changed = np.abs(made - before).max(axis=2)
    rows, columns = np.nonzero(changed > 1 / 255)
    reach = 50 * np.sqrt(2) * np.cos(np.deg2rad(45 - 20))  # half of the turned square, twice
    assert abs(columns.mean() - 140.5) < 1 and abs(rows.mean() - 120.5) < 1
    assert 0.9 * reach < columns.max() - 140.5 <= reach and columns.min() >= 140.5 - reach - 1
    steps = np.abs(np.diff(changed, axis=1)).max()
    assert steps < 0.2, "no hard edge"


def test_the_strength_is_how_much_of_it_shows() -> None:
    before = smooth(280, 240)
    whole = restored(Restorer(made=white), levels(smooth(140, 120)), 2) - before
    part = restored(Restorer(made=white), levels(smooth(140, 120)), 2, strength=0.25) - before
    assert np.allclose(part, whole * 0.25, atol=1e-5) and whole.max() > 0.3


def test_a_strength_of_0_changes_nothing_and_asks_nobody() -> None:
    restorer = Restorer(made=white)
    faces = restore_faces(levels(smooth(140, 120)), Size(280, 240), wanted(restorer, 0), ignored, 0)
    before = smooth(280, 240)
    assert laid_over(faces, before).tobytes() == before.tobytes()
    assert restorer.seen == [] and faces.notes == ("Faces are unchanged at a strength of 0.",)


def test_in_strips_it_is_the_same() -> None:
    noise = np.random.default_rng(0).random((512, 512, 3)).astype(np.float32)
    found = (landmarks_at(40, 45, 60, 10), landmarks_at(70, 60, 50, -20))
    restorer = Restorer(found, made=lambda _face: noise)
    faces = restore_faces(levels(smooth(120, 110)), Size(360, 330), wanted(restorer), ignored, 0)
    picture = smooth(360, 330)
    at_once = laid_over(faces, picture)
    assert np.abs(laid_over(faces, picture, 37) - at_once).max() < 1e-3
    assert np.abs(at_once - picture).max() > 0.3
    assert np.array_equal(picture, smooth(360, 330)), "what was given isn't changed"


def test_a_small_face_is_the_mean_of_what_was_restored() -> None:
    board = (np.indices((512, 512)).sum(axis=0) % 2).astype(np.float32)
    restorer = Restorer(
        (landmarks_at(60, 60, 80),), made=lambda face: np.repeat(board[..., None], 3, axis=2)
    )
    made = restored(restorer, levels(smooth(120, 120)), 1)
    middle = made[45:75, 45:75]
    assert np.abs(middle - 0.5).max() < 0.02


def test_a_large_face_is_reduced_by_means_of_its_pixels() -> None:
    board = (np.indices((1100, 1100)).sum(axis=0) % 2 * 255).astype(np.uint8)
    restorer = Restorer((landmarks_at(550, 550, 1050),))
    restore_faces(
        np.repeat(board[..., None], 3, axis=2), Size(1100, 1100), wanted(restorer), ignored, 0
    )
    assert np.abs(restorer.seen[0][50:-50, 50:-50] - 0.5).max() < 0.02


def test_a_face_at_the_edge_of_the_picture_is_restored_as_far_as_it_goes() -> None:
    restorer = Restorer((landmarks_at(5, 100, 80),), white)
    made = restored(restorer, levels(smooth(140, 120)), 2)
    assert made.shape == (240, 280, 3) and made[200, 0].min() > 0.9
    assert restorer.seen[0].shape == (512, 512, 3) and restorer.seen[0].min() > 0.05, "no black"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_kind_of_picture_keeps_what_is_not_colour(channels: int, bits: int) -> None:
    def reddened(face: Floats) -> Floats:
        return np.stack((np.ones((512, 512)), face[..., 1], face[..., 2]), axis=2).astype(
            np.float32
        )

    restorer = Restorer(made=reddened)
    pixels = levels(smooth(140, 120, channels), bits)
    made = restored(restorer, pixels, 2)
    before = smooth(280, 240, channels)
    assert made.shape == before.shape and made.dtype == np.float32
    if channels in (2, 4):
        assert np.array_equal(made[..., -1], before[..., -1])
    if channels < 3:  # of the red only its part in the brightness is taken
        grey = before[120, 140, 0]
        assert made[120, 140, 0] == pytest.approx(0.299 + 0.701 * grey, abs=0.01)
    else:
        assert made[120, 140, 0] == pytest.approx(1, abs=0.01)
        assert np.abs(made - before)[..., 1:].max() < 1 / 255
    assert restorer.looked_at[0].shape == (120, 140, 3)
    assert restorer.looked_at[0].dtype == np.uint8
    looked_at = restorer.looked_at[0] / 255
    assert (
        np.abs(looked_at - smooth(140, 120, channels)[..., : 1 if channels < 3 else 3]).max()
        < 0.005
    )


def notes_of(restorer: Restorer, size: tuple[int, int] = (200, 200)) -> tuple[str, ...]:
    pixels = levels(smooth(*size))
    return restore_faces(pixels, Size(*size), wanted(restorer), ignored, 0).notes


def test_what_was_done_is_said() -> None:
    small = landmarks_at(50, 50, 15)
    two = (landmarks_at(50, 100, 90), landmarks_at(150, 100, 90))
    assert notes_of(Restorer()) == ("Restored 1 face with Mender.",)
    assert notes_of(Restorer(two)) == ("Restored 2 faces with Mender.",)
    assert notes_of(Restorer(())) == ("No face was found.",)
    assert notes_of(Restorer((small,))) == ("1 face is too small to be restored.",)
    assert notes_of(Restorer((small, *ONE, small))) == (
        "Restored 1 face with Mender.",
        "2 faces are too small to be restored.",
    )


def test_of_many_faces_the_largest_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FACES == 32
    monkeypatch.setattr(faces_task, "MAX_FACES", 3)
    found = tuple(landmarks_at(40 + 30 * n, 120, 30 + n) for n in range(5))
    restorer = Restorer(found)
    faces = restore_faces(levels(smooth(250, 250)), Size(250, 250), wanted(restorer), ignored, 0)
    assert len(restorer.seen) == 3
    assert min(patch.box.size.width for patch in faces.patches) >= 32
    assert faces.notes == (
        "Restored 3 faces with Mender.",
        "5 faces were found; the 3 largest were restored.",
    )


def test_a_face_that_fails_keeps_neither_the_others_nor_the_picture_from_it() -> None:
    nowhere = np.stack((np.array([0, 8, 4, 0, 8.0]) - 5000, np.arange(5.0)), axis=1)

    def made(face: Floats) -> Floats:
        if len(restorer.seen) == 1:
            raise RuntimeError("out of luck")
        return white(face)

    restorer = Restorer((landmarks_at(100, 100, 150), *ONE, nowhere), made)
    faces = restore_faces(levels(smooth(250, 250)), Size(250, 250), wanted(restorer), ignored, 0)
    assert len(faces.patches) == 1
    restored, lost = faces.notes
    assert restored == "Restored 1 face with Mender."
    assert lost.startswith("2 faces couldn't be restored: A face failed: unexpected error.")
    assert "out of luck" not in lost


@pytest.mark.parametrize("landmarks", [np.full((5, 2), 9.0), np.full((5, 2), np.nan)])
def test_landmarks_that_are_none_are_no_face(landmarks: Any) -> None:
    assert notes_of(Restorer((landmarks,))) == ("1 face is too small to be restored.",)
    with pytest.raises(ValueError, match="all in one place"):
        find_alignment(landmarks)


def test_a_detector_that_fails_leaves_the_faces_as_they_are() -> None:
    class Blind(Restorer):
        def find_faces(self, picture: NDArray[np.uint8]) -> tuple[Any, ...]:
            raise ModelLoadError("x.onnx can't be used.")

    assert notes_of(Blind()) == ("Faces are unchanged: x.onnx can't be used.",)


def test_each_face_is_a_step_and_a_cancel_ends_it_there() -> None:
    found = tuple(landmarks_at(40 + 50 * n, 120, 90 - n) for n in range(4))
    steps: list[Step] = []
    target, pixels = Size(250, 250), levels(smooth(250, 250))
    restore_faces(pixels, target, wanted(Restorer(found)), steps.append, 3)
    assert steps == [Step(n, 4, 3, "faces") for n in range(5)]

    def cancel(step: Step) -> None:
        if step.step == 2:
            raise JobCancelledError("cancelled")

    restorer = Restorer(found)
    with pytest.raises(JobCancelledError):
        restore_faces(pixels, target, wanted(restorer), cancel, 0)
    assert len(restorer.seen) == 2


class Doubling:
    """A stand-in for an upscaler: each pixel becomes four."""

    scale = 2
    context_px, multiple = 2, 1
    half = False
    row = SimpleNamespace(title="Double")

    def tile_px(self, _size: Size) -> int:
        return 32

    def enlarge(self, tile: Floats) -> Floats:
        return np.repeat(np.repeat(tile, 2, axis=0), 2, axis=1)


def test_an_enlarged_picture_has_its_faces_restored_in_its_own_bits() -> None:
    pixels = levels(smooth(140, 120, 4), 16)
    pixels[:20, :, 3] = 0
    pixels[:20, :, :3] = 0  # what is stored where nothing can be seen isn't seen by the restorer
    found = (landmarks_at(70, 40, 60),)
    plain = upscale_raster(pixels, Size(280, 240), cast("Any", Doubling()), ignored, 0)
    restorer = Restorer(found, lambda face: 1 - face)
    steps: list[Step] = []
    extras = Extras(32, wanted(restorer))
    made = upscale_raster(pixels, Size(280, 240), cast("Any", Doubling()), steps.append, 0, extras)
    before, after = (np.concatenate(list(each.raster.rows())) for each in (plain, made))
    assert after.dtype == np.uint16 and np.array_equal(before[..., 3], after[..., 3])
    assert np.abs(after[80, 140, :3].astype(int) + before[80, 140, :3] - 65535).max() < 700
    assert np.array_equal(before[150:], after[150:])
    assert restorer.seen[0].min() > 0.05
    assert [step.stage for step in steps[:3]] == ["faces", "faces", "upscaling"]
    assert made.notes == (*plain.notes, "Restored 1 face with Mender.")


# In jobs


MENDER = FaceRestorerRow(name="mender", title="Mender", source="/x", detector=Path("/y"))


@pytest.fixture
def restorer(monkeypatch: pytest.MonkeyPatch) -> Restorer:
    """The stand-in, which is loaded instead of every face restorer."""
    restorer = Restorer((landmarks_at(20, 20, 24),), lambda face: 1 - face)
    monkeypatch.setattr(face_restorer, "load_face_restorer", lambda *_args: restorer)
    return restorer


@pytest.fixture
def engine(tiny_catalog: Catalog, restorer: Restorer) -> Iterator[Engine]:
    catalog = tiny_catalog.replace(FaceRestorerRow, (MENDER,))
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        yield engine


def changed_by_faces(engine: Engine, request: Request) -> tuple[Picture, Any]:
    """The picture of a request with faces, and by how much it isn't that of the one without."""
    assert request.upscaling is not None
    without = request.upscaling.model_copy(update={"face_restorer": None})
    (plain,) = engine.generate(request.model_copy(update={"upscaling": without})).pictures
    (made,) = engine.generate(request).pictures
    both = [np.asarray(each.image).astype(int) for each in (plain, made)]
    return made, np.abs(both[0] - both[1]).max(axis=2)


def test_pictures_that_are_enlarged_have_their_faces_restored(engine: Engine) -> None:
    picture = InputImage(data=png_of(Image.fromarray(levels(smooth(48, 40)))))
    wished = Upscaling(upscaler="double", face_restorer="mender", face_strength=0.5)
    request = Upscale(images=(picture,), upscaling=wished)
    made, change = changed_by_faces(engine, request)
    assert change[30:50, 30:50].min() > 10 and change[70:].max() == 0
    assert made.notes[-1] == "Restored 1 face with Mender."
    text = write_parameters(made)
    assert "Face restoration: mender, Face restoration visibility: 0.5" in text
    assert request_from_parameters(parse_parameters(text)).upscaling == wished
    assert "Face" not in write_parameters(
        Picture(made.image, request.model_copy(update={"upscaling": Upscaling(upscaler="double")}))
    )


def test_pictures_that_are_painted_and_enlarged_too(engine: Engine) -> None:
    wished = Upscaling(upscaler="double", face_restorer="mender")
    request = TextToImage(
        prompt="a cat", seed=1, width=64, height=64, num_inference_steps=2, upscaling=wished
    )
    made, change = changed_by_faces(engine, request)
    assert made.size == Size(128, 128) and change[35:45, 35:45].max() > 10
    assert change[80:].max() == 0 and made.notes[-1] == "Restored 1 face with Mender."
    stages = [event.stage for event in story(engine, request) if isinstance(event, Progress)]
    assert list(dict.fromkeys(stages)) == ["denoising", "decoding", "faces", "upscaling"]


def test_the_time_that_faces_take_is_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(pace_module.time, "perf_counter", lambda: now)
    pace = ProgressEstimate(2)
    pace.begin_picture()

    def after(seconds: float, step: Step) -> float | None:
        nonlocal now
        now += seconds
        pace.count_step(step)
        return pace.estimate_seconds_left(step)

    after(1, Step(1, 2, 0))
    after(1, Step(2, 2, 0))
    after(0, Step(2, 2, 0, "decoding"))
    after(0, Step(0, 2, 0, "faces"))
    assert after(5, Step(1, 2, 0, "faces")) is None
    after(5, Step(2, 2, 0, "faces"))
    after(0, Step(0, 4, 0, "upscaling"))
    # Three more tiles; then 2 s of painting, 10 s of faces and four tiles.
    assert after(3, Step(1, 4, 0, "upscaling")) == 9 + 2 + 10 + 12
    assert pace.steps_per_second == 1, "of the denoising alone"
    for number in (2, 3, 4):
        after(3, Step(number, 4, 0, "upscaling"))
    assert after(1, Step(1, 2, 1)) == 1 + 10 + 12
