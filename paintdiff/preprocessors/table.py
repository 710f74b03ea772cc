"""The table of preprocessors. Importable without cv2 or torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from paintdiff.byte_sizes import format_byte_size
from paintdiff.config.presets import make_unknown_name_error

ANNOTATORS_REPO = "lllyasviel/Annotators"


@dataclass(frozen=True)
class AnnotatorWeights:
    """The weights of a preprocessor: `files` of the Hugging Face repository `repo`.

    `size_bytes` is roughly their size together.
    """

    repo: str
    files: tuple[str, ...]
    size_bytes: int

    @property
    def size_text(self) -> str:
        """Their size, like "29 MiB"."""
        return format_byte_size(self.size_bytes)


@dataclass(frozen=True)
class Preprocessor:
    """A preprocessor: it makes a control map from a picture.

    `info` says what it does. `weights` is None if it doesn't need any.
    """

    name: str
    title: str
    info: str
    weights: AnnotatorWeights | None = None


def _make_weights(megabytes: float, *files: str, repo: str = ANNOTATORS_REPO) -> AnnotatorWeights:
    return AnnotatorWeights(repo, files, round(megabytes * 1e6))


_ROWS = (
    Preprocessor("none", "None: it is a control map", "Uses the picture unchanged."),
    Preprocessor("invert", "Invert", "Dark lines on a light ground become white on black."),
    Preprocessor("canny", "Edges (Canny)", "Fine white edges, by OpenCV."),
    Preprocessor("scribble", "Scribble", "A few broad strokes, as if drawn by hand."),
    Preprocessor("lineart_standard", "Line art (standard)", "Dark lines of a drawing, in white."),
    Preprocessor("lines", "Straight lines", "Buildings and rooms: their straight edges (LSD)."),
    Preprocessor("tile", "Tile", "Keeps colours and large shapes; details are repainted."),
    Preprocessor("shuffle", "Shuffle", "Keeps only colours and texture."),
    Preprocessor(
        "hed", "Soft edges (HED)", "Soft outlines.", _make_weights(29.4, "ControlNetHED.pth")
    ),
    Preprocessor(
        "pidinet",
        "Soft edges (PiDiNet)",
        "Soft outlines.",
        _make_weights(2.9, "table5_pidinet.pth"),
    ),
    Preprocessor(
        "lineart",
        "Line art (realistic)",
        "A line drawing of a photo.",
        _make_weights(34.3, "sk_model.pth", "sk_model2.pth"),
    ),
    Preprocessor(
        "lineart_anime",
        "Line art (anime)",
        "A line drawing of an anime picture.",
        _make_weights(217.7, "netG.pth"),
    ),
    Preprocessor(
        "mlsd",
        "Straight lines (M-LSD)",
        "Buildings and rooms: their straight edges.",
        _make_weights(6.3, "mlsd_large_512_fp32.pth"),
    ),
    Preprocessor(
        "depth_midas",
        "Depth (MiDaS)",
        "Distance: near is light.",
        _make_weights(492.8, "dpt_hybrid-midas-501f0c75.pt"),
    ),
    Preprocessor(
        "depth_zoe",
        "Depth (ZoE)",
        "Distance: near is light.",
        _make_weights(1443.4, "ZoeD_M12_N.pt"),
    ),
    Preprocessor(
        "normal_bae",
        "Normals (BAE)",
        "Surface directions, as colours.",
        _make_weights(291.3, "scannet.pt"),
    ),
    Preprocessor(
        "openpose",
        "Pose (OpenPose)",
        "Poses of people: body, hands and face.",
        _make_weights(510.3, "body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
    ),
    Preprocessor(
        "segmentation",
        "Segmentation (MobileSAM)",
        "Each object in its own colour (not the ADE20K colours).",
        _make_weights(40.7, "mobile_sam.pt", repo="dhkim2810/MobileSAM"),
    ),
)


def _index_by_name(rows: tuple[Preprocessor, ...]) -> Mapping[str, Preprocessor]:
    by_name = {row.name: row for row in rows}
    if len(by_name) < len(rows):
        raise ValueError("two preprocessors have one name")
    return MappingProxyType(by_name)


PREPROCESSORS: Mapping[str, Preprocessor] = _index_by_name(_ROWS)
"""All preprocessors, in the order in which they are shown: those without weights first."""


def find_preprocessor(name: str) -> Preprocessor:
    """Return the preprocessor of that name. Raises UnknownNameError with the nearest names."""
    row = PREPROCESSORS.get(name)
    if row is None:
        raise make_unknown_name_error("preprocessor", name, PREPROCESSORS)
    return row
