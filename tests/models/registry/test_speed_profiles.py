"""The speed profiles: what ships, what may be written, and how a job comes by one."""

from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch

from paintdiff.config.settings import Settings
from paintdiff.engine.engine import Engine
from paintdiff.errors import PresetError, UnknownNameError
from paintdiff.gallery.a1111.text import parse_parameters, request_from_parameters, write_parameters
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profile, Profiles
from tests.adapter_files import tiny_autoencoder_row
from tests.models.acceleration.test_first_block_cache import save_deeper

REQUEST = TextToImage(prompt="a red house", seed=3, num_inference_steps=4, width=64, height=64)


def test_exact_comes_first_and_is_usual_and_changes_nothing() -> None:
    profiles = Profiles.default()
    assert profiles.names() == ("exact", "fast", "turbo")
    assert profiles.usual == "exact"
    assert profiles.profile(None) == profiles.profile("exact")
    exact = profiles.profile("exact")
    assert (exact.kernels, exact.keeps_features, exact.limits_guidance) == ("usual", False, False)
    assert all(each.says[:1].isupper() and each.says.endswith(".") for each in profiles.profiles())


def test_another_can_be_usual() -> None:
    assert Profiles.default("turbo").profile(None).name == "turbo"
    nearest = r"There is no profile 'fastest'\. Did you mean fast\? There are 2 others\."
    with pytest.raises(UnknownNameError, match=nearest) as caught:
        Profiles.default("fastest")
    assert caught.value.field == "profile"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "exact: {title: Exact, says: it, feature_interval: 2}",
            "exact: this profile must not change",
        ),
        ("quick: {title: Quick}", "quick.says: Field required"),
        ("quick: {title: Quick, says: it, speed: 3}", "quick.speed: Extra inputs"),
        ("quick: {title: Quick, says: it, feature_interval: 0}", "quick.feature_interval"),
        ("quick: 3", "quick should hold names"),
    ],
)
def test_a_mistake_is_named_with_its_file(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text(text)
    with pytest.raises(PresetError, match=complaint):
        Profiles.from_folder(tmp_path)


def test_a_job_is_painted_by_its_profile_and_carries_it(tiny_manager: ModelManager) -> None:
    quick = Profile(name="quick", title="Quick", says="quick", feature_interval=3)
    with Engine(tiny_manager, profiles=Profiles({"quick": quick}, "quick")) as engine:
        usual = engine.generate(REQUEST).pictures[0]
        exact = engine.generate(REQUEST.model_copy(update={"profile": "exact"})).pictures[0]
    assert isinstance(usual.request, TextToImage)
    assert usual.request.profile == "quick"
    assert usual.image.tobytes() != exact.image.tobytes()
    for picture, profile in ((exact, "exact"), (usual, "quick")):
        read = request_from_parameters(parse_parameters(write_parameters(picture)))
        assert isinstance(read, TextToImage)
        assert read.profile == profile


def test_an_unknown_profile_is_refused_at_once(tiny_engine: Engine) -> None:
    with pytest.raises(UnknownNameError, match="fast") as caught:
        tiny_engine.submit(REQUEST.model_copy(update={"profile": "fst"}))
    assert caught.value.field == "profile"


def test_what_a_model_cant_have_of_it_is_said(tmp_path: Path) -> None:
    save_deeper("z-image", tmp_path / "zet")
    manager = ModelManager(Catalog.default().with_source(str(tmp_path / "zet")), device="cpu")
    with Engine(manager) as engine:
        request = REQUEST.model_copy(update={"model": "zet", "profile": "turbo"})
        warnings = engine.generate(request).warnings
        sentence = next(each for each in warnings if "Turbo" in each)
        assert "feature caching and early end of guidance" in sentence
        assert engine.generate(request.model_copy(update={"profile": "exact"})).warnings == tuple(
            each for each in warnings if each != sentence
        )


def test_the_app_paints_fast_and_the_library_exactly_unless_asked_otherwise() -> None:
    assert Settings().profile == "fast"
    assert Profiles.default(Settings().profile).profile(None).repeating
    assert Profiles.default().profile(None) == EXACT.model_copy(
        update={"says": Profiles.default().profile("exact").says}
    )


def test_turbo_decodes_by_a_tiny_autoencoder_and_the_picture_says_so(
    tiny_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    diffusers.AutoencoderTiny().save_pretrained(tmp_path / "taesd")
    row = tiny_autoencoder_row(tmp_path / "taesd", "mini")
    bare = Catalog.default().with_source(str(tiny_folder), name="tiny", family="mini")
    catalog = bare.with_found(FoundRows((*bare.rows(ModelRow), row)))
    turbo = REQUEST.model_copy(update={"model": "tiny", "profile": "turbo"})
    painted: list[Picture] = []
    for each in (bare, catalog):
        with Engine(ModelManager(each, device="cpu")) as engine:
            painted.append(engine.generate(turbo).pictures[0])
            usual = engine.generate(turbo.model_copy(update={"profile": "exact"})).pictures[0]
            assert usual.notes == ()
    by_vae, by_tiny = painted
    assert by_vae.notes == ()
    assert [each for each in by_tiny.notes if "tiny autoencoder" in each]
    assert by_vae.image.tobytes() != by_tiny.image.tobytes()
