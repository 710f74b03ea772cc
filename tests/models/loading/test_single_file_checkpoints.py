from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import save_file

from paintdiff.errors import ModelError, ModelLoadError, ModelNotFoundError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.loading import pipelines as loaders
from paintdiff.models.loading import prediction_types
from paintdiff.models.loading.pipeline_files import LoadingContext
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.loading.prediction_types import predicts_v, read_yaml_prediction
from paintdiff.models.loading.single_files import checkpoints as single_file_checkpoints
from paintdiff.models.loading.single_files import configs as single_file_configs
from paintdiff.models.registry.model_rows import ModelRow
from tests.conftest import write_json
from tests.original_layout import Tensors, original_tensors
from tests.tiny import save_tiny_pipeline, save_tiny_xl_pipeline

SD1 = {"text_encoder": "cond_stage_model.transformer."}
SD2 = {"text_encoder": "cond_stage_model.model."}
SDXL = {
    "text_encoder": "conditioner.embedders.0.transformer.",
    "text_encoder_2": "conditioner.embedders.1.model.",
}
REFINER = {"text_encoder_2": "conditioner.embedders.0.model."}


@dataclass(frozen=True)
class Case:
    """A model in both layouts. `family` is a name; `text` where its text encoders' tensors are."""

    family: str
    folder: Path
    text: Mapping[str, str]

    def row(self, source: Path, **changes: Any) -> ModelRow:
        model = Catalog.default().find(ModelRow, "mini")
        wide = "xl" if self.family.startswith("sdxl") else ""
        prefix = f"StableDiffusion{wide.upper()}"
        tasks = {"text_to_image": "", "image_to_image": "Img2Img", "inpaint": "Inpaint"}
        pipelines = {task: f"{prefix}{name}Pipeline" for task, name in tasks.items()}
        if self.family == "sdxl-refiner":
            del pipelines["text_to_image"]
        family = model.family.model_copy(update={"name": self.family, "pipelines": pipelines})
        update = {"family": family, "source": str(source), "closed_vocabulary": False, **changes}
        return model.model_copy(update={"name": "x", "title": "X", **update})

    def parts(self) -> dict[str, Any]:
        class_ = getattr(diffusers, json.loads(self.index.read_text())["_class_name"])
        return dict(class_.from_pretrained(str(self.folder)).components)

    def tensors(self) -> Tensors:
        return original_tensors(self.parts(), self.text)

    @property
    def index(self) -> Path:
        return self.folder / "model_index.json"


def save_refiner(folder: Path) -> None:
    """A tiny refiner: no first text encoder, and micro-conditioning of another size."""
    save_tiny_xl_pipeline(folder)
    parts = dict(diffusers.StableDiffusionXLPipeline.from_pretrained(str(folder)).components)
    config = dict(parts["unet"].config) | {
        "cross_attention_dim": 32,
        "projection_class_embeddings_input_dim": 72,
    }
    torch.manual_seed(3)
    parts["unet"] = diffusers.UNet2DConditionModel.from_config(config)
    parts |= {"text_encoder": None, "tokenizer": None}
    parts = {name: part for name, part in parts.items() if name not in ("image_encoder",)}
    shutil.rmtree(folder)
    parts.pop("feature_extractor", None)
    diffusers.StableDiffusionXLImg2ImgPipeline(
        **parts, requires_aesthetics_score=True, force_zeros_for_empty_prompt=False
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    root = tmp_path_factory.mktemp("single")
    save_tiny_pipeline(root / "sd1", prediction_type="epsilon")
    save_tiny_pipeline(root / "inpainting", prediction_type="epsilon", sees_masks=True)
    save_tiny_pipeline(root / "sd2", prediction_type="epsilon", seed=2)
    save_tiny_xl_pipeline(root / "sdxl")
    save_refiner(root / "refiner")
    return {
        "sd1": Case("sd1", root / "sd1", SD1),
        "inpainting": Case("sd1", root / "inpainting", SD1),
        "sd2": Case("sd2", root / "sd2", SD2),
        "sdxl": Case("sdxl", root / "sdxl", SDXL),
        "sdxl-refiner": Case("sdxl-refiner", root / "refiner", REFINER),
    }


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a socket fails."""

    def refused(*_arguments: object, **_named: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket, "create_connection", refused)


@pytest.fixture
def road(tmp_path: Path) -> Callable[..., LoadingContext]:
    def made(**named: Any) -> LoadingContext:
        return LoadingContext(cache_folder=lambda: tmp_path / "cache", **named)

    return made


def same_weights(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    assert found.keys() >= {name for name, part in wanted.items() if part is not None}
    for name, part in wanted.items():
        if not isinstance(part, torch.nn.Module):
            continue
        assert type(found[name]) is type(part)
        ours, theirs = found[name].state_dict(), part.state_dict()
        assert ours.keys() == theirs.keys()
        for key, tensor in theirs.items():
            assert ours[key].dtype == tensor.dtype, key
            assert torch.equal(ours[key], tensor), key
        for key, buffer in part.named_buffers():
            assert torch.equal(dict(found[name].named_buffers())[key], buffer), key
        skipped = ("_name_or_path", "_use_default_values", "_diffusers_version")
        configs = [
            {k: v for k, v in dict(each).items() if k not in skipped}
            for each in (
                (found[name].config, part.config)
                if isinstance(part, diffusers.ModelMixin)
                else (found[name].config.to_dict(), part.config.to_dict())
            )
        ]
        assert configs[0] == configs[1]


def painted(loaded: LoadedModel, task: str) -> torch.Tensor:
    pipeline = loaders.assemble_pipeline(loaded, task)
    if loaded.components["text_encoder"] is None:
        pipeline.register_to_config(requires_aesthetics_score=True)
    arguments: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 3.0}
    if task != "text_to_image":
        arguments["image"] = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
        arguments["strength"] = 1.0
    if task == "inpaint":
        arguments["mask_image"] = torch.ones(1, 1, 64, 64)
    return pipeline(
        "a red boat",
        height=64,
        width=64,
        output_type="latent",
        generator=torch.Generator().manual_seed(1),
        **arguments,
    ).images


TASKS = {"inpainting": "inpaint", "sdxl-refiner": "image_to_image"}


@pytest.mark.parametrize("name", ["sd1", "inpainting", "sd2", "sdxl", "sdxl-refiner"])
@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_a_single_file_is_the_model_that_its_folder_is(
    tmp_path: Path,
    cases: dict[str, Case],
    road: Callable[..., LoadingContext],
    name: str,
    suffix: str,
) -> None:
    case = cases[name]
    path = tmp_path / f"model.{suffix}"
    tensors = case.tensors()
    if suffix == "ckpt":
        torch.save({"state_dict": tensors, "epoch": 1}, path)
    else:
        save_file(tensors, path)
    said: list[str] = []
    load = loaders.load_pipeline
    single = load(case.row(path), "cpu", "float32", said.append, road(config_folder=case.folder))
    folder = load(case.row(case.folder), "cpu", "float32", road=road())
    same_weights(single.components, folder.components)
    for part, value in folder.components.items():
        assert (single.components.get(part) is None) == (value is None), part
        if part.startswith("tokenizer") and value is not None:
            words = "a red boat, in 4K!"
            assert single.components[part](words).input_ids == value(words).input_ids
    scheduler = (single.components["scheduler"], folder.components["scheduler"])
    assert dict(scheduler[0].config) == dict(scheduler[1].config)
    task = TASKS.get(name, "text_to_image")
    assert torch.equal(painted(single, task), painted(folder, task))
    assert single.weights_bytes == folder.weights_bytes
    assert any("Reading model" in message for message in said)
    assert any("Converting model.ckpt" in message for message in said) == (suffix == "ckpt")


def test_flags_of_the_pipeline_come_along(tmp_path: Path, cases: dict[str, Case]) -> None:
    case = cases["sdxl-refiner"]
    save_file(case.tensors(), tmp_path / "x.safetensors")
    parts = single_file_checkpoints.load_single_file_components(
        tmp_path / "x.safetensors",
        case.row(tmp_path / "x.safetensors"),
        torch.float32,
        config_folder=case.folder,
    )
    assert parts["requires_aesthetics_score"] is True
    assert parts["force_zeros_for_empty_prompt"] is False


@pytest.mark.parametrize(
    ("dtype", "int8_weights"),
    [("bfloat16", False), ("float16", False), ("float32", False), ("float32", True)],
)
def test_numbers_are_rounded_as_a_folders_are(
    tmp_path: Path,
    cases: dict[str, Case],
    road: Callable[..., LoadingContext],
    dtype: str,
    int8_weights: bool,
) -> None:
    case = cases["sdxl"]
    save_file(case.tensors(), tmp_path / "x.safetensors")
    row = case.row(tmp_path / "x.safetensors")
    how = {"config_folder": case.folder, "int8_weights": int8_weights}
    single = loaders.load_pipeline(row, "cpu", dtype, road=road(**how))
    folder = loaders.load_pipeline(
        case.row(case.folder), "cpu", dtype, road=road(int8_weights=int8_weights)
    )
    same_weights(single.components, folder.components)


def test_old_names_averages_and_oddities_are_understood(
    tmp_path: Path, cases: dict[str, Case], road: Callable[..., LoadingContext]
) -> None:
    case = cases["sd1"]
    tensors = {
        name.replace("transformer.text_model.", "transformer."): tensor
        for name, tensor in case.tensors().items()
    }
    tensors |= {
        "model_ema.diffusion_modelx": torch.ones(2),
        "betas": torch.ones(3, dtype=torch.float64),
        "first_stage_model.loss.discriminator.main.0.weight": torch.ones(3),
        "cond_stage_model.transformer.logit_scale": torch.tensor(1.0),
        "model.diffusion_model.time_embed.0.bias": tensors[
            "model.diffusion_model.time_embed.0.bias"
        ].double(),
    }
    save_file({name: t.contiguous() for name, t in tensors.items()}, tmp_path / "x.safetensors")
    row = case.row(tmp_path / "x.safetensors")
    single = loaders.load_pipeline(row, "cpu", "float16", road=road(config_folder=case.folder))
    same_weights(
        single.components, loaders.load_pipeline(case.row(case.folder), "cpu", "float16").components
    )


# -- what isn't a whole model of that family --------------------------------------------------


def without(*prefixes: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {n: t for n, t in tensors.items() if not n.startswith(prefixes)}


def only(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {
        n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)
    }


def changed(name: str, tensor: torch.Tensor) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: tensor}


def lora(_tensors: Tensors) -> Tensors:
    return {"lora_unet_down_blocks_0_attn.lora_down.weight": torch.ones(4, 8)}


WRONG: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "no VAE": (without("first_stage_model."), "contains no VAE, and no VAE.*folder vae"),
    "no text encoder": (without("cond_stage_model."), "no text encoder, so it is only"),
    "neither": (
        without("cond_stage_model.", "first_stage_model."),
        "no text encoder and no VAE",
    ),
    "UNet alone": (only("model.diffusion_model."), "contains only a UNet"),
    "VAE alone": (only("first_stage_model."), "is a VAE, not a model"),
    "LoRA": (lora, "is a LoRA, not a model: put it in"),
    "ControlNet": (lambda _t: {"control_model.x": torch.ones(1)}, "is a ControlNet, not"),
    "embedding": (lambda _t: {"emb_params": torch.ones(1, 768)}, "is an embedding, not"),
    "something else": (lambda _t: {"weight": torch.ones(1)}, "no Stable Diffusion UNet"),
    "a tensor is missing": (
        without("model.diffusion_model.out.2.bias"),
        "doesn't contain the UNet.*: it lacks conv_out.bias",
    ),
    "a tensor of the VAE is missing": (
        without("first_stage_model.post_quant_conv.bias"),
        "doesn't contain the VAE: it lacks post_quant_conv.bias",
    ),
    "a shape is wrong": (
        changed("model.diffusion_model.out.2.bias", torch.ones(7)),
        r"conv_out.bias is \(7,\) and should be \(4,\)",
    ),
    "more layers": (
        changed("model.diffusion_model.input_blocks.1.0.in_layers.7.weight", torch.ones(7)),
        "is unknown",
    ),
    "a schedule of its own": (
        changed("edm_mean", torch.ones(4)),
        r"its own noise schedule \(edm_mean\)",
    ),
    "depth": (
        changed("model.diffusion_model.input_blocks.0.0.weight", torch.ones(16, 5, 3, 3)),
        "takes 5 channels",
    ),
    "another family's words": (
        lambda tensors: {
            n: (torch.ones(t.shape[0], 99) if n.endswith("attn2.to_k.weight") else t)
            for n, t in tensors.items()
        },
        "isn't of the family Mini: it is for text embeddings of width 99, not 32",
    ),
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_what_is_no_whole_model_is_refused_in_words(
    tmp_path: Path, cases: dict[str, Case], road: Callable[..., LoadingContext], wrong: str
) -> None:
    change, message = WRONG[wrong]
    case, path = cases["sd1"], tmp_path / "x.safetensors"
    save_file(change(case.tensors()), path)
    with pytest.raises(ModelLoadError, match=rf"^x\.safetensors.*{message}"):
        loaders.load_pipeline(case.row(path), "cpu", road=road(config_folder=case.folder))


def test_a_file_of_another_family_than_its_row_is_refused(
    tmp_path: Path, cases: dict[str, Case], road: Callable[..., LoadingContext]
) -> None:
    path = tmp_path / "x.safetensors"
    save_file(cases["sd1"].tensors(), path)
    for family in ("sdxl", "sd1", "sd2"):
        with pytest.raises(ModelLoadError, match=r"x\.safetensors"):
            loaders.load_pipeline(cases[family].row(path), "cpu", road=road())


def test_a_damaged_file_is_refused(
    tmp_path: Path, cases: dict[str, Case], road: Callable[..., LoadingContext]
) -> None:
    case, path = cases["sd1"], tmp_path / "x.safetensors"
    save_file(case.tensors(), path)
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    twisted = whole[:8] + whole[8 : 8 + header].replace(b'"F16"', b'"F64"', 3) + whole[8 + header :]
    huge = (100 * 10**9).to_bytes(8, "little") + b"{" + whole[9:]
    for content, message in (
        (whole[:-100], "damaged or cut off"),
        (whole[:50], "isn't a readable safetensors file"),
        (huge, r"a header of 100,000,000,000 bytes"),
        (twisted, "don't take"),
        (b"", "isn't a safetensors, GGUF or torch file"),
        (b"hello, world. " * 9, "isn't a safetensors, GGUF or torch file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            loaders.load_pipeline(case.row(path), "cpu", road=road(config_folder=case.folder))
    path.unlink()
    with pytest.raises(ModelNotFoundError):
        loaders.load_pipeline(case.row(path), "cpu", road=road(config_folder=case.folder))


# -- what is predicted ------------------------------------------------------------------------


def scheduler_of(case: Case, path: Path, folder: Path, **changes: Any) -> Mapping[str, Any]:
    parts = single_file_checkpoints.load_single_file_components(
        path, case.row(path, **changes), torch.float32, config_folder=folder
    )
    return parts["scheduler"].config


def test_marks_notes_and_rows_say_what_is_predicted(tmp_path: Path, cases: dict[str, Case]) -> None:
    case, path = cases["sdxl"], tmp_path / "x.safetensors"
    plain = case.tensors()
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(plain, path)
    config = scheduler_of(case, path, case.folder)
    assert (config["prediction_type"], config["rescale_betas_zero_snr"]) == ("epsilon", False)
    save_file(plain, path, {"modelspec.prediction_type": "v"})
    assert scheduler_of(case, path, case.folder)["prediction_type"] == "v_prediction"
    save_file(plain | marks, path)
    config = scheduler_of(case, path, case.folder)
    assert config["prediction_type"] == "v_prediction"
    assert config["rescale_betas_zero_snr"] is True
    assert config["timestep_spacing"] == "trailing"
    assert diffusers.EulerDiscreteScheduler.from_config(config).config.rescale_betas_zero_snr
    note = path.with_suffix(".yaml")
    note.write_text("model:\n  params:\n    parameterization: eps\n")
    assert scheduler_of(case, path, case.folder)["prediction_type"] == "epsilon"
    config = scheduler_of(case, path, case.folder, prediction_type="v_prediction")
    assert config["prediction_type"] == "v_prediction"
    save_file(plain, path)
    config = scheduler_of(case, path, case.folder, zero_terminal_snr=True)
    assert config["rescale_betas_zero_snr"] is True


def test_a_row_speaks_for_a_folder_too(
    cases: dict[str, Case], road: Callable[..., LoadingContext]
) -> None:
    case = cases["sdxl"]
    row = case.row(case.folder, prediction_type="v_prediction", zero_terminal_snr=True)
    config = loaders.load_pipeline(row, "cpu", road=road()).components["scheduler"].config
    assert config["prediction_type"] == "v_prediction"
    assert config["rescale_betas_zero_snr"] is True


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ('model:\n  params:\n    parameterization: "v"\n', "v_prediction"),
        ("model:\n  params: {parameterization: eps}\n", "epsilon"),
        ("model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params: {}\n", "epsilon"),
        ("model: {params: {denoiser_config: {params: {scaling_config: {target: a.VScaling}}}}}",
         "v_prediction"),
        ("model: {params: {denoiser_config: {params: {scaling_config: {target: a.EpsScaling}}}}}",
         "epsilon"),
        ("other: 1\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_a_note_beside_a_file_says(tmp_path: Path, note: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(note)
    assert read_yaml_prediction(tmp_path / "x.yaml") == said


@pytest.mark.parametrize(
    "note",
    [
        "model: [unclosed\n",
        "a" * (prediction_types.MAX_NOTE_BYTES + 1),
        "model: {params: {parameterization: x0}}\n",
        "[" * 1500,
    ],
    ids=["broken", "large", "unknown", "deep"],
)
def test_a_note_that_cannot_be_read_is_an_error(tmp_path: Path, note: str) -> None:
    (tmp_path / "x.yaml").write_text(note)
    with pytest.raises(ModelLoadError, match=r"x\.yaml"):
        read_yaml_prediction(tmp_path / "x.yaml")
    assert read_yaml_prediction(tmp_path / "none.yaml") == ""


def test_a_note_is_never_made_into_objects(tmp_path: Path) -> None:
    """Objects named by YAML tags aren't built; such a note is ignored."""
    done = tmp_path / "done"
    (tmp_path / "x.yaml").write_text(f"model: !!python/object/apply:os.mkdir ['{done}']\n")
    assert read_yaml_prediction(tmp_path / "x.yaml") == ""
    assert not done.exists()


@pytest.fixture
def two_configs(
    tmp_path: Path, cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Presets in which Stable Diffusion 2 is tiny."""
    configs = tmp_path / "presets" / "configs"
    for name, kind in (("sd2-base", "epsilon"), ("sd2-v", "v_prediction")):
        shutil.copytree(cases["sd2"].folder, configs / name)
        for path, key, value in (
            ("unet", "upcast_attention", kind == "v_prediction"),
            ("scheduler", "prediction_type", kind),
        ):
            file = next((configs / name / path).glob("*config.json"))
            write_json(file, json.loads(file.read_text()) | {key: value})
    monkeypatch.setattr(single_file_configs, "presets_folder", lambda: tmp_path / "presets")
    yield configs


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_stable_diffusion_2_is_tried_if_nothing_is_said(
    tmp_path: Path, cases: dict[str, Case], two_configs: Path, kind: str
) -> None:
    case, path = cases["sd2"], tmp_path / "x.safetensors"
    tensors = case.tensors()
    # At the noisiest timestep: noise looks like the picture, v like its opposite.
    level = 0.5 if kind == "epsilon" else -1.5
    tensors["model.diffusion_model.out.2.weight"].zero_()
    tensors["model.diffusion_model.out.2.bias"].fill_(level)
    save_file(tensors, path)
    parts = single_file_checkpoints.load_single_file_components(path, case.row(path), torch.float16)
    assert parts["scheduler"].config["prediction_type"] == kind
    assert parts["unet"].config.upcast_attention is (kind == "v_prediction")
    assert parts["unet"].dtype == torch.float16
    wanted = tensors["model.diffusion_model.out.2.bias"].half()
    assert torch.equal(parts["unet"].conv_out.bias, wanted)
    other = "epsilon" if kind == "v_prediction" else "v_prediction"
    parts = single_file_checkpoints.load_single_file_components(
        path, case.row(path, prediction_type=other), torch.float32
    )
    assert parts["scheduler"].config["prediction_type"] == other


def test_a_unet_without_numbers_is_no_model() -> None:
    class Broken(torch.nn.Module):
        dtype = torch.float16
        config = diffusers.configuration_utils.FrozenDict(in_channels=4, cross_attention_dim=8)

        def forward(self, sample: torch.Tensor, *_rest: Any, **_named: Any) -> Any:
            return type("Out", (), {"sample": sample * float("nan")})

    with pytest.raises(ModelLoadError, match="NaN values"):
        predicts_v(Broken())


# -- the configurations that ship --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sd1", {"unet": 859_520_964, "text_encoder": 123_060_480}),
        ("sd2-base", {"unet": 865_910_724, "text_encoder": 340_387_840}),
        ("sd2-v", {"unet": 865_910_724, "text_encoder": 340_387_840}),
        (
            "sdxl",
            {"unet": 2_567_463_684, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
        ),
        ("sdxl-refiner", {"unet": 2_259_526_660, "text_encoder_2": 694_659_840}),
    ],
)
def test_the_networks_have_the_published_sizes(name: str, parameters: dict[str, int]) -> None:
    folder = single_file_configs.presets_folder() / "configs" / name
    for part, count in (*parameters.items(), ("vae", 83_653_863)):
        config = json.loads((folder / part / "config.json").read_text())
        with torch.device("meta"):
            if part.startswith("text_encoder"):
                class_: Any = getattr(transformers, config["architectures"][0])
                network = class_(transformers.CLIPTextConfig.from_dict(config))
            else:
                network = getattr(diffusers, config["_class_name"]).from_config(config)
        assert sum(tensor.numel() for tensor in network.parameters()) == count, part


def test_every_configured_family_is_complete() -> None:
    root = single_file_configs.presets_folder() / "configs"
    for configs in single_file_configs.CONFIGS.values():
        for name in {configs.usual, configs.predicts_v or configs.usual}:
            index = json.loads((root / name / "model_index.json").read_text())
            for part, value in index.items():
                if isinstance(value, list) and value[0] is not None:
                    assert any((root / name / part).glob("*config.json")), (name, part)
