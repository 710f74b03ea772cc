from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.cli import main
from paintdiff.cli.adapters import read_adapter_flags
from paintdiff.cli.flags import BAD_VALUE, build_parser
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.request_parts import FreeU, LoraInput
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from tests import adapter_files as files


def values(*flags: str) -> dict[str, Any]:
    arguments = ["paint", "a red house", "--output", "x.png", *flags]
    return read_adapter_flags(build_parser().parse_args(arguments))


def test_flags_become_a_requests_fields(tmp_path: Path) -> None:
    assert values() == {}
    picture = tmp_path / "a:0.5"
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    other = tmp_path / "b.png"
    Image.new("RGB", (8, 8)).save(other)
    found = values(
        *("--lora", "ink", "--lora", "wash:0.5", "--lora", "my:style:-1:0.2"),
        *("--vae", "soft", "--clip-skip", "2", "--refiner", "xl:0.7", "--free-u"),
        *("--ip-adapter", str(picture), "--ip-adapter", f"{other}:0.3"),
    )
    request = TextToImage(prompt="a red house", **found)
    assert request.loras == (
        LoraInput(name="ink"),
        LoraInput(name="wash", weight=0.5),
        LoraInput(name="my:style", weight=-1, text_encoder_weight=0.2),
    )
    assert (request.vae, request.clip_skip, request.free_u) == ("soft", 2, FreeU())
    assert request.refiner is not None
    assert (request.refiner.model, request.refiner.switch_at) == ("xl", 0.7)
    assert [each.scale for each in request.ip_adapters] == [0.6, 0.3]
    assert values("--free-u", "1.1,1.2,0.8,0.3")["free_u"]["s2"] == 0.3


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--free-u", "1,2"), "four numbers"),
        (("--lora", "ink:99"), "--lora: "),
        (("--refiner", "xl:2"), "--refiner: "),
        (("--clip-skip", "0"), "--clip-skip: "),
        (("--lora", "nobody"), "--lora: "),
        (("--vae", "nobody"), "--vae: "),
        (("--ip-adapter", "nowhere.png"), "--ip-adapter: "),
    ],
)
def test_what_cant_be_used_is_named_by_its_flag(
    flags: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["paint", "a red house", "--output", str(tmp_path / "x.png"), *flags]
    try:
        code = main.main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == BAD_VALUE
    assert told in capsys.readouterr().err


def test_a_lora_paints_from_the_command_line(
    tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelManager(tiny_catalog, device="cpu").lease("mini") as leased:
        layers = files.lora_layers(leased.pipeline.components)
    path = files.saved(tmp_path / "ink.safetensors", files.in_kohya_keys(layers))
    catalog = files.with_adapters(tiny_catalog, loras=(files.lora_row(path),))

    def default(_models_dirs: object, **_more: object) -> Catalog:
        return catalog

    monkeypatch.setattr(Catalog, "default", default)
    small = ("--size", "64x64", "--steps", "2", "--device", "cpu", "--seed", "7", "--quiet")
    painted: list[bytes] = []
    for number, flags in enumerate(((), ("--lora", "ink:0.9"))):
        file = tmp_path / f"{number}.png"
        arguments = ["paint", "a red house", *small, "--output", str(file), *flags]
        assert main.main(arguments) == 0
        with Image.open(file) as image:
            painted.append(image.tobytes())
    assert painted[0] != painted[1]
    request = read_request(tmp_path / "1.png")
    assert isinstance(request, TextToImage)
    assert request.loras == (LoraInput(name="ink", weight=0.9),)
