from __future__ import annotations

import pytest

from paintdiff.errors import RequestError
from paintdiff.jobs.input_images import InputImage
from paintdiff.tasks.decoded_inputs import DecodedInputs
from tests.tasks.pictures import given, photo


def test_a_picture_is_decoded_once_wherever_it_is_used() -> None:
    inputs = DecodedInputs()
    first = inputs.decode(given(photo()), "image")
    assert first.tobytes() == photo().tobytes()
    assert inputs.decode(given(photo()), "mask") is first
    assert inputs.decode(given(photo(1)), "mask").tobytes() == photo(1).tobytes()


def test_pictures_beyond_the_limit_arent_kept() -> None:
    small, large = given(photo(0, 8, 8)), given(photo(1, 16, 16))
    inputs = DecodedInputs(kept_bytes=8 * 8 * 4)
    assert inputs.decode(large, "image") is not inputs.decode(large, "image")
    assert inputs.decode(small, "image") is inputs.decode(small, "image")
    other = given(photo(2, 8, 8))
    assert inputs.decode(other, "image") is not inputs.decode(other, "image")
    assert inputs.decode(other, "image").tobytes() == photo(2, 8, 8).tobytes()


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (InputImage(sha256="0" * 64), "Open it again"),
        (InputImage(data=b"no picture"), "Use PNG"),
    ],
)
def test_what_cant_be_read_names_its_field(image: InputImage, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint) as caught:
        DecodedInputs().decode(image, "controls.1.image")
    assert caught.value.field == "controls.1.image"
