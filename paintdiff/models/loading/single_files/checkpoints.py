"""Loads single files of Stable Diffusion 1.x, 2.x and XL in the original layout, offline.

Network configurations come from `presets/configs`, CLIP's vocabulary from `presets/clip`. diffusers
translates the tensor names; each network must then get exactly its tensors in the right shapes.
Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

from paintdiff.errors import ModelLoadError
from paintdiff.models.loading import messages
from paintdiff.models.loading.empty_weights import init_empty_weights
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.prediction_types import (
    Training,
    apply_training,
    predicts_v,
    read_training,
)
from paintdiff.models.loading.single_files.checkpoint_files import UNET, CheckpointFile
from paintdiff.models.loading.single_files.checkpoint_files import VAE as _VAE
from paintdiff.models.loading.single_files.configs import find_config_folders
from paintdiff.models.loading.tokenizers.clip_vocabulary import build_clip_tokenizer
from paintdiff.models.loading.vae_files import build_vae, load_vae_at
from paintdiff.models.memory.int8_weights import quantize_to_int8
from paintdiff.models.registry.model_rows import ModelRow, read_json_file

_VAE_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
_FIRST_CONVOLUTION = f"{UNET}input_blocks.0.0.weight"
_WORD_WEIGHT = ".attn2.to_k.weight"
_PAINTS, _INPAINTS = 4, 9
_OTHER_SCHEDULES = ("edm_mean", "edm_std", "edm_vpred.")  # Playground 2.5, CosXL
_PLAIN_FLAGS = ("force_zeros_for_empty_prompt", "requires_aesthetics_score")


# Prefixes of text encoders: with the names of transformers, or ("model.") of OpenCLIP.
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
    int8_weights: bool = False,
    config_folder: Path | None = None,
    report: Callable[[str], None] = lambda _message: None,
    called: Path | None = None,
    vae: Path | None = None,
) -> dict[str, Any]:
    """Load the components of a pipeline from a safetensors file.

    They are networks on the CPU in `dtype`, tokenizers, a scheduler, and the flags that the
    pipeline's class takes. With `int8_weights` the UNet is quantized, and the text encoders are in
    half precision.

    The configurations are the family's, or those of `config_folder`, a folder in the diffusers
    layout. `called` is the original file if `path` was converted from it. `vae` is the VAE (a file
    or a folder) for a checkpoint that lacks one or its encoder. A UNet may have more input
    channels, for inpainting. `read_training` decides what the UNet predicts; for Stable Diffusion 2
    without any mark, a trial does.

    Raises:
        ModelLoadError: The file is something else (the message says what), or only a part of a
            model.
    """
    configs = (config_folder, config_folder) if config_folder else find_config_folders(row)
    called = called or path
    with CheckpointFile(path, called.name) as file:
        _check_kind(file)
        training = read_training(row, called, file.shapes.keys(), file.metadata)
        _check_parts(file, _choose_config(configs, training), vae)
        report(messages.reading_unet(called.name))
        read_in = torch.float16 if int8_weights else dtype
        training, unet = _load_trained_unet(file, configs, training, read_in, row)
        folder = _choose_config(configs, training)
        if int8_weights:
            quantize_to_int8(unet, dtype)
        components = {"unet": unet}
        for name in _list_parts(folder) - {"unet"}:
            report(messages.reading_part(called.name, name.replace("_", " ")))
            if name == "vae":
                components[name] = _load_vae(file, folder, dtype, vae)
            else:
                components[name] = _load_part(name, file, folder, read_in)
        file.check_unchanged()
    components["scheduler"] = apply_training(components["scheduler"], training)
    return _read_flags(folder) | components


def _choose_config(configs: tuple[Path, Path], training: Training) -> Path:
    """Return the folder of configurations; the second is for models that predict v."""
    return configs[1] if training.prediction_type == "v_prediction" else configs[0]


def _read_flags(folder: Path) -> dict[str, Any]:
    """Return what the pipeline's class takes beside components; None for those left out."""
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    left_out = {name: None for name, value in index.items() if value == [None, None]}
    return left_out | {flag: index[flag] for flag in _PLAIN_FLAGS if flag in index}


def _list_parts(folder: Path) -> set[str]:
    """List the components that aren't left out ([null, null])."""
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    known = {"unet", "vae", "scheduler", "tokenizer", "tokenizer_2", *_TEXT_ENCODERS}
    return {
        name for name, value in index.items() if name in known and value and value[0] is not None
    }


def _load_part(name: str, file: CheckpointFile, folder: Path, dtype: torch.dtype) -> Any:
    if name == "scheduler":
        return _load_scheduler(folder)
    if name.startswith("tokenizer"):
        return build_clip_tokenizer(folder / name)
    return _load_text_encoder(name, file, folder, dtype)


# -- detection ------------------------------------------------------------------------------


def _check_kind(file: CheckpointFile) -> None:
    """Raise ModelLoadError, saying what the file is, unless it is an original-layout checkpoint."""
    names = file.shapes
    other = next((name for name in names if name.startswith(_OTHER_SCHEDULES)), None)
    if other is not None:
        raise ModelLoadError(messages.own_schedule(file.name, other))
    if any(name.startswith(UNET) for name in names):
        return
    raise ModelLoadError(f"{file.name} {_describe_contents(names)}")


def _describe_contents(names: Mapping[str, object]) -> str:
    def some(*pieces: str) -> bool:
        return any(piece in name for name in names for piece in pieces)

    if some(".lora_", "lora_unet_", "lora_te", ".hada_", ".lokr_"):
        return messages.IS_A_LORA
    if some("control_model.", "controlnet_"):
        return messages.IS_A_CONTROLNET
    if some("emb_params", "string_to_param") or set(names) <= {"clip_l", "clip_g"}:
        return messages.IS_AN_EMBEDDING
    if some("input_blocks.", "down_blocks."):
        return messages.ONLY_A_UNET
    if some("decoder.conv_in.", "decoder.up."):
        return messages.IS_A_VAE
    return messages.WITHOUT_UNET


def _check_parts(file: CheckpointFile, folder: Path, vae: Path | None) -> None:
    """Raise ModelLoadError, naming what is missing, without text encoder or any VAE."""
    lacking = [
        part.replace("_", " ")
        for part in sorted(_list_parts(folder) & {*_TEXT_ENCODERS})
        if _find_text_prefix(part, file) is None
    ]
    without_vae = not any(name.startswith(_VAE) for name in file.shapes)
    if lacking:
        lacking += ["VAE"] if without_vae else []
        raise ModelLoadError(messages.only_part_of_a_model(file.name, " and no ".join(lacking)))
    if without_vae and vae is None:
        raise ModelLoadError(messages.no_vae_of_its_family(file.name))


def _find_text_prefix(part: str, file: CheckpointFile) -> str | None:
    for prefix in _TEXT_ENCODERS[part]:
        if any(name.startswith(prefix) for name in file.shapes):
            return prefix
    return None


def _takes_latents_only(file: CheckpointFile) -> bool:
    """Return whether the UNet takes only latents; an inpainting UNet predicts noise."""
    return file.shapes.get(_FIRST_CONVOLUTION, (0, 0))[1] == _PAINTS


# -- networks ---------------------------------------------------------------------------------


def _load_unet(file: CheckpointFile, folder: Path, dtype: torch.dtype, row: ModelRow) -> Any:
    config = read_json_file(folder / "unet" / "config.json", dict[str, Any])
    config["in_channels"] = _read_input_channels(file)
    _check_width(file, config, row)
    network = _build_empty(diffusers.UNet2DConditionModel, config)
    tensors = _read_tensors(file, UNET, dtype, keep_prefix=True)
    converted = _convert(
        lambda: convert_ldm_unet_checkpoint(tensors, config), file, "UNet", row.family.title
    )
    return _fill(network, converted, file, f"UNet of {row.family.title}")


def _read_input_channels(file: CheckpointFile) -> int:
    shape = file.shapes.get(_FIRST_CONVOLUTION)
    channels = shape[1] if shape is not None and len(shape) == 4 else 0
    if channels not in (_PAINTS, _INPAINTS):
        raise ModelLoadError(messages.other_inputs(file.name, channels, _PAINTS, _INPAINTS))
    return channels


def _check_width(file: CheckpointFile, config: Mapping[str, Any], row: ModelRow) -> None:
    """Raise ModelLoadError if the text embeddings have another family's width."""
    widths = {
        shape[1]
        for name, shape in file.shapes.items()
        if name.startswith(UNET) and name.endswith(_WORD_WEIGHT) and len(shape) == 2
    }
    if widths and widths != {config["cross_attention_dim"]}:
        raise ModelLoadError(
            messages.other_width(
                file.name,
                row.family.title,
                ", ".join(map(str, sorted(widths))),
                config["cross_attention_dim"],
            )
        )


def _load_vae(file: CheckpointFile, folder: Path, dtype: torch.dtype, other: Path | None) -> Any:
    """Load the file's VAE, with the encoder of `other` if it has none; else all of `other`."""
    config = read_json_file(folder / "vae" / "config.json", dict[str, Any])
    # Training leftovers (a discriminator, EMA weights) aren't read.
    tensors = _read_tensors(file, _VAE, dtype, only=_VAE_PARTS)
    class_ = diffusers.AutoencoderKL
    has_encoder = any(name.startswith("encoder.") for name in tensors)
    spare = None if has_encoder or other is None else load_vae_at(other, class_, config).to(dtype)
    if not tensors:
        if spare is None:
            raise ModelLoadError(messages.contains_no_vae(file.name))
        network: Any = spare
    elif has_encoder:
        if not any(name.startswith("decoder.up_blocks.") for name in tensors):
            tensors = _convert(
                lambda: convert_ldm_vae_checkpoint(
                    {_VAE + name: tensor for name, tensor in tensors.items()}, config
                ),
                file,
                "VAE",
                "this family",
            )
        return _fill(_build_empty(class_, config), tensors, file, "VAE")
    else:
        network = build_vae(_build_empty(class_, config), tensors, file.name, spare)
    return network.requires_grad_(False).eval()


def _load_text_encoder(part: str, file: CheckpointFile, folder: Path, dtype: torch.dtype) -> Any:
    settings = read_json_file(folder / part / "config.json", dict[str, Any])
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    projects = index[part][1] == "CLIPTextModelWithProjection"
    class_: Any = (
        transformers.CLIPTextModelWithProjection if projects else transformers.CLIPTextModel
    )
    with init_empty_weights():
        network = class_(transformers.CLIPTextConfig.from_dict({**settings, "dtype": dtype}))
    prefix = _find_text_prefix(part, file) or ""
    if prefix.endswith(".model."):
        tensors = _read_tensors(file, prefix, dtype, keep_prefix=True)
        tensors = _convert(
            lambda: convert_open_clip_checkpoint(network, tensors, prefix=prefix),
            file,
            "text encoder",
            "this family",
        )
    else:
        tensors = _read_tensors(file, prefix, dtype)
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
    kept = {  # Stable Diffusion 2 doesn't use the last layer, and diffusers drops it
        name: tensor
        for name, tensor in named.items()
        if name in expected or not (name.endswith(_NOT_WEIGHTS) or name.startswith(beyond))
    }
    return _fill(network, kept, file, part.replace("_", " "))


def _build_empty(class_: Any, config: Mapping[str, Any]) -> Any:
    with init_empty_weights():  # allocates no memory for weights that are replaced at once
        return class_.from_config(config)


def _read_tensors(
    file: CheckpointFile,
    prefix: str,
    dtype: torch.dtype,
    *,
    only: tuple[str, ...] = ("",),
    keep_prefix: bool = False,
) -> dict[str, torch.Tensor]:
    """Read the tensors with a name prefix, which is removed unless `keep_prefix`."""
    start = 0 if keep_prefix else len(prefix)
    return {
        name[start:]: file.read(name, dtype)
        for name in file.shapes
        if name.startswith(prefix) and name[len(prefix) :].startswith(only)
    }


def _convert(
    convert: Callable[[], Mapping[str, Any]], file: CheckpointFile, what: str, family: str
) -> dict[str, torch.Tensor]:
    """Convert tensor names; diffusers' converters fail on names that they don't expect."""
    try:
        found = convert()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        text = messages.other_layers(what, file.name, family)
        raise make_load_error(text, error) from error
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _fill(network: Any, tensors: dict[str, torch.Tensor], file: CheckpointFile, what: str) -> Any:
    """Fill a network with weights. Raise ModelLoadError unless they are exactly its own."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [messages.lacks(name) for name in expected if name not in found]
    problems += [messages.is_unknown(name) for name in found if name not in expected]
    problems += [
        messages.has_other_shape(name, found[name], shape)
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if problems:
        raise ModelLoadError(messages.contains_not(file.name, what, problems))
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval()


def _load_trained_unet(
    file: CheckpointFile,
    configs: tuple[Path, Path],
    training: Training,
    dtype: torch.dtype,
    row: ModelRow,
) -> tuple[Training, Any]:
    """Load the UNet, and find out by a trial what it predicts if nothing tells.

    The trial uses the v-prediction configuration, whose attention doesn't overflow.
    """
    told = training.prediction_type or configs[0] == configs[1] or not _takes_latents_only(file)
    if told:
        return training, _load_unet(file, _choose_config(configs, training), dtype, row)
    unet = _load_unet(file, configs[1], dtype, row)
    if predicts_v(unet):
        return Training("v_prediction", training.zero_terminal_snr), unet
    config = read_json_file(configs[0] / "unet" / "config.json", dict[str, Any])
    other = _build_empty(diffusers.UNet2DConditionModel, {**config, "in_channels": _PAINTS})
    other.load_state_dict(unet.state_dict(), assign=True)
    other.requires_grad_(False).eval()
    return Training("epsilon", training.zero_terminal_snr), other


def _load_scheduler(folder: Path) -> Any:
    index = read_json_file(folder / "model_index.json", dict[str, Any])
    class_ = getattr(diffusers, str(index["scheduler"][1]), None)
    if not (isinstance(class_, type) and issubclass(class_, diffusers.SchedulerMixin)):
        raise ModelLoadError(messages.unknown_scheduler(folder.name, index["scheduler"][1]))
    return class_.from_pretrained(str(folder), subfolder="scheduler", local_files_only=True)
