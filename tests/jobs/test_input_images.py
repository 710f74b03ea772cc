from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from paintdiff.errors import RequestError
from paintdiff.imaging.colour import convert_to_srgb
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.input_images import InputImage
from tests.colours import DISPLAY_P3

DATA = b"\x89PNG and more"
SUM = hashlib.sha256(DATA).hexdigest()


def test_bytes_get_their_fingerprint() -> None:
    image = InputImage(data=DATA)
    assert image.sha256 == SUM
    assert InputImage(data=DATA, sha256=SUM) == image
    with pytest.raises(ValidationError, match="sha256"):
        InputImage(data=DATA, sha256="0" * 64)
    with pytest.raises(ValidationError):
        InputImage(sha256="../../etc/passwd")


def test_on_the_wire_it_is_base64() -> None:
    image = InputImage(data=DATA)
    text = base64.b64encode(DATA).decode()
    assert image.model_dump(mode="json") == {"data": text, "sha256": SUM}
    assert InputImage.model_validate_json(image.model_dump_json()) == image
    assert InputImage.model_validate({"data": text}) == image
    assert InputImage.model_validate({"data": f"data:image/png;base64,{text}"}) == image
    with pytest.raises(ValidationError, match="base64"):
        InputImage.model_validate({"data": "no base64 §"})


def test_a_reference_has_no_bytes() -> None:
    reference = InputImage(data=DATA).reference()
    assert (reference.data, reference.sha256) == (None, SUM)
    assert InputImage.model_validate_json(reference.model_dump_json()) == reference
    assert "PNG" not in repr(InputImage(data=DATA))


def test_files_and_pictures_go_in(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (3, 2), (10, 20, 30, 40))
    image = InputImage.from_image(picture)
    assert image.data is not None
    assert decode_image(image.data).tobytes() == picture.tobytes()
    (tmp_path / "x.png").write_bytes(image.data)
    assert InputImage.from_file(tmp_path / "x.png") == image
    assert InputImage.from_file(str(tmp_path / "x.png")) == image
    with pytest.raises(RequestError, match=r"nothing\.png"):
        InputImage.from_file(tmp_path / "nothing.png")


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (76, 84, 255), (254, 0, 0)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("RGBX", (255, 0, 0, 9), (255, 0, 0)),
        ("PA", (0, 255), (0, 0, 0, 255)),
        ("La", (255, 255), (255, 255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_pictures_of_every_mode_go_in(
    mode: str, colour: int | tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    image = InputImage.from_image(Image.new(mode, (3, 2), colour))
    assert decode_image(image.data or b"").getpixel((1, 1)) == wanted


def test_colour_profiles_go_in_with_the_picture() -> None:
    picture = Image.new("RGB", (3, 2), (60, 200, 60))
    picture.info["icc_profile"] = DISPLAY_P3
    found = decode_image(InputImage.from_image(picture).data or b"").getpixel((1, 1))
    assert found == convert_to_srgb(picture, DISPLAY_P3).getpixel((1, 1)) != (60, 200, 60)


def test_numbers_without_a_range_are_refused() -> None:
    with pytest.raises(RequestError, match="mode F"):
        InputImage.from_image(Image.new("F", (3, 2)))
