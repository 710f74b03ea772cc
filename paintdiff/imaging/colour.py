"""Colour spaces: converts a file's colours to sRGB, which everything here works in.

ICC.1:2022 (profiles); PNG Specification, third edition, section 4.3 (precedence of its chunks);
ITU-T H.273 (code points); ITU-R BT.2408 (203 cd/m² is the white of an HDR picture).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from paintdiff.imaging.image_files import ColourChunks, ImageFile

_NOTICED_LEVELS = 2
"""Of 255: a profile that changes no colour by more counts as sRGB."""

_CLASSES = frozenset({"mntr", "scnr", "prtr", "spac"})
_SPACES: Mapping[str, str] = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}
_FAILED = (ImageCms.PyCMSError, OSError, ValueError, TypeError)

_D65 = (0.3127, 0.329)
_SRGB_POINTS = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_SRGB_EXPONENT = 2.2
# libpng's tolerance for values meant to be sRGB.
_USUAL_POINTS, _USUAL_EXPONENT = 0.01, 0.05
_SRGB_CODE_POINTS = (1, 13)
_PRIMARIES: Mapping[int, tuple[float, ...]] = {
    1: _SRGB_POINTS,
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""H.273's code points of primaries -> x and y of white, red, green and blue."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_HDR_WHITE = 203.0
_CURVE_POINTS = 4096

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From coded values to linear light, both 0..1."""


def read_profile(file: ImageFile, *, grey: bool) -> bytes | None:
    """Return a file's ICC profile; None for sRGB or without one.

    It may not fit the pixels. A PNG that describes its colours without a profile gets an equivalent
    one, for grey pixels if `grey`.
    """
    said = file.colours
    if said.cicp == _SRGB_CODE_POINTS:
        return None
    described = _build_from_code_points(*said.cicp, grey) if said.cicp is not None else None
    if described is not None or file.icc_profile is not None:
        return described or file.icc_profile
    return None if said.srgb else _build_from_chunks(said, grey)


def fits_mode(profile: bytes, mode: str) -> bool:
    """Return whether an ICC profile fits pixels of a Pillow mode (L, RGB or CMYK)."""
    return _build_transform(profile, mode) is not None


def is_srgb(profile: bytes, mode: str) -> bool:
    """Return whether an ICC profile leaves the colours of a mode (L or RGB) as in sRGB.

    False if it doesn't fit.
    """
    if mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None]
    else:
        levels = np.linspace(0, 255, 16).round().astype(np.uint8)
        probe = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3)
    image = Image.fromarray(probe)
    transform = _build_transform(profile, mode)
    if transform is None:
        return False
    shown = ImageCms.applyTransform(image, transform)
    difference = np.asarray(shown).astype(int) - np.asarray(image.convert("RGB"))
    return int(np.abs(difference).max()) <= _NOTICED_LEVELS


def convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture (L, LA, RGB, RGBA or CMYK, 8 bits) to sRGB.

    The result is RGB, or RGBA if it has alpha, with an empty `info`. A picture that needs no change
    is returned itself. `profile` is its ICC profile. None means sRGB, and so does a damaged or
    unfit one, as in browsers.
    """
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    mode = {"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode)
    colours = image if alpha is None else image.convert(mode)
    shown: Image.Image | None = None
    if profile is not None:
        if mode == "L" and fits_mode(profile, "RGB"):
            mode, colours = "RGB", colours.convert("RGB")
        transform = _build_transform(profile, mode)
        if transform is not None and (mode == "CMYK" or not is_srgb(profile, mode)):
            shown = ImageCms.applyTransform(colours, transform)
    if shown is None:
        shown = colours if colours.mode == "RGB" else colours.convert("RGB")
    if alpha is not None:
        shown.putalpha(alpha)
    shown.info = {}
    return shown


def _open_profile(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    """Open a profile; None if it is damaged or of a kind that no picture can have."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        usable = getattr(opened.profile, "device_class", "") in _CLASSES
    except _FAILED:
        return None
    return opened if usable else None


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a mode (L, RGB or CMYK) to sRGB, None if the profile has none."""
    opened = _open_profile(profile)
    if opened is None or _SPACES.get(getattr(opened.profile, "xcolor_space", "")) != mode:
        return None
    try:
        return ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except _FAILED:
        return None


# A profile for a PNG without one


def _build_from_chunks(said: ColourChunks, grey: bool) -> bytes | None:
    """Return the profile of gAMA and cHRM chunks; None without them, or if they mean sRGB."""
    if said.gamma is None and said.chromaticities is None:
        return None
    points = said.chromaticities or _SRGB_POINTS
    usual = max(abs(a - b) for a, b in zip(points, _SRGB_POINTS, strict=True)) < _USUAL_POINTS
    if said.gamma is None:
        return None if usual else build_profile(points, _srgb_curve, grey)
    exponent = 1 / max(said.gamma, 1e-5)
    if usual and abs(exponent / _SRGB_EXPONENT - 1) < _USUAL_EXPONENT:
        return None
    if not 0.1 <= exponent <= 10:
        return None
    return build_profile(points, partial(_power, exponent), grey)


def _build_from_code_points(primaries: int, transfer: int, grey: bool) -> bytes | None:
    points, curve = _PRIMARIES.get(primaries), _CURVES.get(transfer)
    if points is None or curve is None:
        return None
    return build_profile(points, curve, grey)


def build_profile(points: tuple[float, ...], curve: Curve, grey: bool) -> bytes | None:
    """Make an ICC profile (version 2.4) from chromaticities and a tone curve.

    `points` are x and y of white, red, green and blue; with `grey` the profile is for grey pixels.
    None if they don't define colours.
    """
    values = np.round(curve(np.linspace(0, 1, _CURVE_POINTS)).clip(0, 1) * 65535)
    tone = b"curv" + struct.pack(">II", 0, _CURVE_POINTS) + values.astype(">u2").tobytes()
    name = b"From the picture's own description\0"
    text = b"desc" + struct.pack(">II", 0, len(name)) + name + bytes(78)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"CC0\0", b"wtpt": _xyz(_D50)}
    if grey:
        tags[b"kTRC"] = tone
    else:
        matrix = _build_matrix_to_d50(points)
        if matrix is None:
            return None
        tags |= {
            key: _xyz(matrix[:, index]) for index, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
        }
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone)
    return _assemble(tags, b"GRAY" if grey else b"RGB ")


def _assemble(tags: Mapping[bytes, bytes], space: bytes) -> bytes:
    table, content = b"", b""
    first = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for key, data in tags.items():
        if data not in places:
            places[data] = first + len(content)
            content += data + bytes(-len(data) % 4)
        table += key + struct.pack(">II", places[data], len(data))
    header = struct.pack(
        ">I4sI4s4s4s12s4s28s12s48s",
        first + len(content),
        b"",
        0x02400000,
        b"mntr",
        space,
        b"XYZ ",
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0),
        b"acsp",
        b"",
        _xyz(_D50)[8:],
        b"",
    )
    return header + struct.pack(">I", len(tags)) + table + content


def _xyz(values: NDArray[np.float64]) -> bytes:
    fixed = [round(float(value) * 65536) for value in values]
    return b"XYZ " + bytes(4) + struct.pack(">3i", *fixed)


def _build_matrix_to_d50(points: tuple[float, ...]) -> NDArray[np.float64] | None:
    """Return the matrix from linear RGB to XYZ, adapted to D50; None for degenerate points."""
    xy = np.array(points, dtype=np.float64).reshape(4, 2)
    if (xy[:, 1] < 1e-4).any() or (xy > 1).any():
        return None
    xyz = np.stack((xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]), axis=1)
    white, primaries = xyz[0], xyz[1:].T
    try:
        matrix = primaries * np.linalg.solve(primaries, white)
        cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix
    except np.linalg.LinAlgError:
        return None


def _power(exponent: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values**exponent


def _srgb_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _bt709_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45))


def _pq_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decode SMPTE ST 2084. Light above an SDR picture's white is clipped."""
    root = values ** (1 / 78.84375)
    base = (root - 0.8359375).clip(0) / (18.8515625 - 18.6875 * root)
    return 10_000 / _HDR_WHITE * base ** (1 / 0.1593017578125)


def _hlg_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decode ITU-R BT.2100's hybrid log-gamma, on a display of 1000 cd/m²; clipped as above."""
    upper = (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12
    scene = np.where(values <= 0.5, values**2 / 3, upper)
    return 1000 / _HDR_WHITE * scene**1.2


_CURVES: Mapping[int, Curve] = {
    1: _bt709_curve,
    4: partial(_power, 2.2),
    5: partial(_power, 2.8),
    6: _bt709_curve,
    8: partial(_power, 1.0),
    13: _srgb_curve,
    14: _bt709_curve,
    15: _bt709_curve,
    16: _pq_curve,
    18: _hlg_curve,
}
"""H.273's code points of transfer functions."""
