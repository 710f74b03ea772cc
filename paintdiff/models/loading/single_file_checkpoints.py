"""Single files of Stable Diffusion 1.x, 2.x and XL in their original layout, read with no network:
how their networks are built comes from `presets/configs`, CLIP's words from `presets/clip`.

The names of the tensors are translated by diffusers; each network then has to get all its tensors,
in the right shapes, and no others. Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

from paintdiff.errors import ModelLoadError
from paintdiff.models.loading.checkpoint_files import UNET, CheckpointFile
from paintdiff.models.loading.checkpoint_files import VAE as _VAE
from paintdiff.models.loading.clip_vocabulary import build_clip_tokenizer
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.prediction_types import (
    Training,
    apply_training,
    predicts_v,
    read_training,
)
from paintdiff.models.loading.single_file_configs import find_config_folders
from paintdiff.models.loading.vae_files import build_vae, load_vae_at
from paintdiff.models.memory.int8_weights import quantize_to_int8
from paintdiff.models.registry.model_rows import ModelRow, read_json_file

_VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
_FIRST_CONVOLUTION = f"{UNET}input_blocks.0.0.weight"
_WORD_WEIGHT = ".attn2.to_k.weight"
_PAINTS, _INPAINTS = 4, 9
_OTHER_SCHEDULES = ("edm_mean", "edm_std", "edm_vpred.")  # Playground 2.5, CosXL
_PLAIN_FLAGS = ("force_zeros_for_empty_prompt", "requires_aesthetics_score")


# Where a text encoder's tensors may be: in the names of transformers, or ("model.") of OpenCLIP.
_TEXT_ENCODERS: Mapping[str, tuple[str, ...]] = {
    "text_encoder": (
        "cond_stage_model.transformer.",
        "cond_stage_model.model.",
        "conditioner.embedders.0.transformer.",
        "conditioner.embedders.0.model.",
    ),
    "text_encoder_2": ("conditioner.embedders.1.model.", "conditioner.embedders.0.model."),
}
_NOT_WEIGHTS = ("embeddings.position_ids", "logit_scale", "text_projection.weight")


def load_single_file_components(  # noqa: PLR0913 (all that loading differs in)
    path: Path,
    row: ModelRow,
    dtype: torch.dtype,
    *,
    eight_bits: bool = False,
    config_folder: Path | None = None,
    report: Callable[[str], None] = lambda _message: None,
    called: Path | None = None,
    vae: Path | None = None,
) -> dict[str, Any]:
    """The parts of a pipeline, by their names, read from a safetensors file: networks on the CPU in
    `dtype`, tokenizers, a scheduler, and the plain flags that the pipeline's class takes. With
    `eight_bits` the UNet is packed, and its text encoders are in half precision.

    How they are built is the family's, or that in `config_folder`, a folder in diffusers' layout of
    which only the settings are read. `called` is the file that people have, if this was converted
    from it. `vae` is the file or folder of the VAE for a checkpoint without one, or without an
    encoder. A UNet may have more input channels, for inpainting. What is
    predicted is decided by `predictions.training_of`, and of a Stable Diffusion 2 about which
    nothing is said by a trial. Raises ModelLoadError if the file is something else, or only a part
    of a model; it says which.
    """
    configs = (config_folder, config_folder) if config_folder else find_config_folders(row)
    called = called or path
    with CheckpointFile(path, called.name) as file:
        _check_kind(file)
        training = read_training(row, called, file.shapes.keys(), file.metadata)
        folder = configs[1] if training.prediction_type == "v_prediction" else configs[0]
        on_trial = configs[0] != configs[1] and not training.prediction_type and _paints(file)
        _check_parts(file, folder, vae)
        report(f"Reading {called.name}: UNet")
        read_in = torch.float16 if eight_bits else dtype
        unet = _unet(file, configs[1] if on_trial else folder, read_in, row)
        if on_trial:
            training, folder, unet = _tried(unet, training, configs)
        if eight_bits:
            quantize_to_int8(unet, dtype)
        components = {"unet": unet}
        for name in _parts_of(folder) - {"unet"}:
            report(f"Reading {called.name}: {name.replace('_', ' ')}")
            if name == "vae":
                components[name] = _vae(file, folder, dtype, vae)
            else:
                components[name] = _part(name, file, folder, read_in)
        file.check_unchanged()
    components["scheduler"] = apply_training(components["scheduler"], training)
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    left_out = {name: None for name, value in index.items() if value == [None, None]}
    return left_out | components | {flag: index[flag] for flag in _PLAIN_FLAGS if flag in index}


def _parts_of(folder: Path) -> set[str]:
    """The names of the parts that aren't left out ([null, null])."""
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    known = {"unet", "vae", "scheduler", "tokenizer", "tokenizer_2", *_TEXT_ENCODERS}
    return {
        name for name, value in index.items() if name in known and value and value[0] is not None
    }


def _part(name: str, file: CheckpointFile, folder: Path, dtype: torch.dtype) -> Any:
    if name == "scheduler":
        return _scheduler(folder)
    if name.startswith("tokenizer"):
        return build_clip_tokenizer(folder / name)
    return _text_encoder(name, file, folder, dtype)


# -- what the file is -------------------------------------------------------------------------


def _check_kind(file: CheckpointFile) -> None:
    """Raise ModelLoadError for what isn't a checkpoint in the original layout, in words."""
    names = file.shapes
    other = next((name for name in names if name.startswith(_OTHER_SCHEDULES)), None)
    if other is not None:
        raise ModelLoadError(
            f"{file.name} uses its own noise schedule ({other}), which isn't supported in "
            "single files. Get the folder in diffusers' layout."
        )
    if any(name.startswith(UNET) for name in names):
        return
    raise ModelLoadError(f"{file.name} {_what_it_is(names)}")


def _what_it_is(names: Mapping[str, object]) -> str:
    def some(*pieces: str) -> bool:
        return any(piece in name for name in names for piece in pieces)

    if some(".lora_", "lora_unet_", "lora_te", ".hada_", ".lokr_"):
        return "is a LoRA, not a model: put it in the folder with LoRAs."
    if some("control_model.", "controlnet_"):
        return "is a ControlNet, not a model: put it in the folder with ControlNets."
    if some("emb_params", "string_to_param") or set(names) <= {"clip_l", "clip_g"}:
        return "is an embedding, not a model: put it in the folder with embeddings."
    if some("input_blocks.", "down_blocks."):
        return (
            "contains only a UNet, without text encoder and VAE. Get the full checkpoint, or the "
            "folder in diffusers' layout."
        )
    if some("decoder.conv_in.", "decoder.up."):
        return "is a VAE, not a model: put it in the folder with VAEs."
    return "contains no Stable Diffusion UNet, so it can't be used as a model."


def _check_parts(file: CheckpointFile, folder: Path, vae: Path | None) -> None:
    """Raise ModelLoadError, which names what is missing, for a file without text encoder, or
    without VAE if there is no other one.
    """
    lacking = [
        part.replace("_", " ")
        for part in sorted(_parts_of(folder) & {*_TEXT_ENCODERS})
        if _text_prefix(part, file) is None
    ]
    without_vae = not any(name.startswith(_VAE) for name in file.shapes)
    if lacking:
        lacking += ["VAE"] if without_vae else []
        raise ModelLoadError(
            f"{file.name} contains no {' and no '.join(lacking)}, so it is only part of a "
            "model. Get the full checkpoint, or the folder in diffusers' layout."
        )
    if without_vae and vae is None:
        raise ModelLoadError(
            f"{file.name} contains no VAE, and no VAE of its family was found. Put one in the "
            "folder vae of a models folder, or get the full checkpoint."
        )


def _text_prefix(part: str, file: CheckpointFile) -> str | None:
    for prefix in _TEXT_ENCODERS[part]:
        if any(name.startswith(prefix) for name in file.shapes):
            return prefix
    return None


def _paints(file: CheckpointFile) -> bool:
    """Whether its UNet takes latents and nothing else (one that inpaints predicts noise)."""
    return file.shapes.get(_FIRST_CONVOLUTION, (0, 0))[1] == _PAINTS


# -- networks ---------------------------------------------------------------------------------


def _unet(file: CheckpointFile, folder: Path, dtype: torch.dtype, row: ModelRow) -> Any:
    config = read_json_file(folder / "unet" / "config.json", dict[str, Any])
    config["in_channels"] = _input_channels(file)
    _check_width(file, config, row)
    network = _empty(diffusers.UNet2DConditionModel, config)
    tensors = _read(file, UNET, dtype, keep_prefix=True)
    converted = _converted(
        lambda: convert_ldm_unet_checkpoint(tensors, config), file, "UNet", row.family.title
    )
    return _filled(network, converted, file, f"UNet of {row.family.title}")


def _input_channels(file: CheckpointFile) -> int:
    shape = file.shapes.get(_FIRST_CONVOLUTION)
    channels = shape[1] if shape is not None and len(shape) == 4 else 0
    if channels not in (_PAINTS, _INPAINTS):
        raise ModelLoadError(
            f"{file.name} takes {channels} channels, so it is for depth maps, instructions "
            f"or other inputs, which aren't supported. Supported are {_PAINTS} channels, and "
            f"{_INPAINTS} for inpainting models."
        )
    return channels


def _check_width(file: CheckpointFile, config: Mapping[str, Any], row: ModelRow) -> None:
    """Raise ModelLoadError if its words are as wide as another family's."""
    widths = {
        shape[1]
        for name, shape in file.shapes.items()
        if name.startswith(UNET) and name.endswith(_WORD_WEIGHT) and len(shape) == 2
    }
    if widths and widths != {config["cross_attention_dim"]}:
        raise ModelLoadError(
            f"{file.name} isn't of the family {row.family.title}: it is for text embeddings of "
            f"width {', '.join(map(str, sorted(widths)))}, not {config['cross_attention_dim']}."
        )


def _vae(file: CheckpointFile, folder: Path, dtype: torch.dtype, other: Path | None) -> Any:
    """The file's VAE, its encoder taken from `other` if it has none; or that whole one."""
    config = read_json_file(folder / "vae" / "config.json", dict[str, Any])
    # What its own training left beside it (a discriminator, averages) isn't read.
    tensors = _read(file, _VAE, dtype, only=_VAE_PARTS)
    class_ = diffusers.AutoencoderKL
    has_encoder = any(name.startswith("encoder.") for name in tensors)
    spare = None if has_encoder or other is None else load_vae_at(other, class_, config).to(dtype)
    if not tensors:
        if spare is None:
            raise ModelLoadError(f"{file.name} contains no VAE. Choose one for it.")
        network: Any = spare
    elif has_encoder:
        if not any(name.startswith("decoder.up_blocks.") for name in tensors):
            tensors = _converted(
                lambda: convert_ldm_vae_checkpoint(
                    {_VAE + name: tensor for name, tensor in tensors.items()}, config
                ),
                file,
                "VAE",
                "this family",
            )
        return _filled(_empty(class_, config), tensors, file, "VAE")
    else:
        network = build_vae(_empty(class_, config), tensors, file.name, spare)
    return network.requires_grad_(False).eval()


def _text_encoder(part: str, file: CheckpointFile, folder: Path, dtype: torch.dtype) -> Any:
    settings = read_json_file(folder / part / "config.json", dict[str, Any])
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    projects = index[part][1] == "CLIPTextModelWithProjection"
    class_: Any = (
        transformers.CLIPTextModelWithProjection if projects else transformers.CLIPTextModel
    )
    with init_empty_weights():
        network = class_(transformers.CLIPTextConfig.from_dict({**settings, "dtype": dtype}))
    prefix = _text_prefix(part, file) or ""
    if prefix.endswith(".model."):
        tensors = _read(file, prefix, dtype, keep_prefix=True)
        tensors = _converted(
            lambda: convert_open_clip_checkpoint(network, tensors, prefix=prefix),
            file,
            "text encoder",
            "this family",
        )
    else:
        tensors = _read(file, prefix, dtype)
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    wrapped = (
        "text_model." if any(n.startswith("text_model.") for n in network.state_dict()) else ""
    )
    named = {
        name if name.startswith("text_projection.") else wrapped + name: tensor
        for name, tensor in tensors.items()
    }
    expected = network.state_dict()
    beyond = tuple(
        f"{wrapped}encoder.layers.{number}."
        for number in range(settings["num_hidden_layers"], settings["num_hidden_layers"] + 2)
    )
    kept = {  # Stable Diffusion 2 doesn't use the last layer, and diffusers doesn't keep it
        name: tensor
        for name, tensor in named.items()
        if name in expected or not (name.endswith(_NOT_WEIGHTS) or name.startswith(beyond))
    }
    return _filled(network, kept, file, part.replace("_", " "))


def _empty(class_: Any, config: Mapping[str, Any]) -> Any:
    with init_empty_weights():  # no memory for numbers that are replaced at once
        return class_.from_config(config)


def _read(
    file: CheckpointFile,
    prefix: str,
    dtype: torch.dtype,
    *,
    only: tuple[str, ...] = ("",),
    keep_prefix: bool = False,
) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with the prefix, named without it unless it is to be kept."""
    start = 0 if keep_prefix else len(prefix)
    return {
        name[start:]: file.read(name, dtype)
        for name in file.shapes
        if name.startswith(prefix) and name[len(prefix) :].startswith(only)
    }


def _converted(
    convert: Callable[[], Mapping[str, Any]], file: CheckpointFile, what: str, family: str
) -> dict[str, torch.Tensor]:
    """diffusers' converters stumble over names that they don't expect."""
    try:
        found = convert()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        text = f"The {what} in {file.name} doesn't have the layers of {family}"
        raise make_load_error(text, error) from error
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _filled(network: Any, tensors: dict[str, torch.Tensor], file: CheckpointFile, what: str) -> Any:
    """The network with these weights. Raises ModelLoadError unless they are exactly its own."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [f"it lacks {name}" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name]} and should be {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise ModelLoadError(f"{file.name} doesn't contain the {what}: {problems[0]}{more}.")
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval()


def _tried(unet: Any, training: Training, configs: tuple[Path, Path]) -> tuple[Training, Path, Any]:
    """What a trial of the UNet says, and the UNet as it is built then. (The trial is made as one
    that predicts v: its attention doesn't overflow.)
    """
    if predicts_v(unet):
        return Training("v_prediction", training.zero_terminal_snr), configs[1], unet
    config = read_json_file(configs[0] / "unet" / "config.json", dict[str, Any])
    other = _empty(diffusers.UNet2DConditionModel, {**config, "in_channels": _PAINTS})
    other.load_state_dict(unet.state_dict(), assign=True)
    usual = Training("epsilon", training.zero_terminal_snr)
    return usual, configs[0], other.requires_grad_(False).eval()


def _scheduler(folder: Path) -> Any:
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    class_ = getattr(diffusers, str(index["scheduler"][1]), None)
    if not (isinstance(class_, type) and issubclass(class_, diffusers.SchedulerMixin)):
        raise ModelLoadError(f"{folder.name} asks for the scheduler {index['scheduler'][1]!r}.")
    return class_.from_pretrained(str(folder), subfolder="scheduler", local_files_only=True)
