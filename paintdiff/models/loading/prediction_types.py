"""Finds out what a network was trained to predict, and how its noise schedule ends.

Without a scheduler beside the file, the row decides, else a sidecar, else a mark in the file, else
a trial. Imports torch for a trial.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.limits import MAX_NOTE_BYTES, MAX_NOTE_LISTS
from paintdiff.models.loading import messages
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.system.regular_files import open_file

_PREDICTIONS = {"v": "v_prediction", "eps": "epsilon"}
_METADATA = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon"}


@dataclass(frozen=True)
class Training:
    """The training objective of a network.

    `prediction_type` is diffusers' name for the prediction, "" if unknown. `zero_terminal_snr`
    means that the noise schedule ends in pure noise.
    """

    prediction_type: str = ""
    zero_terminal_snr: bool = False


def read_training(
    row: ModelRow, path: Path, names: Collection[str], metadata: Mapping[str, str]
) -> Training:
    """Return how a single file with these tensor `names` was trained.

    The row decides, else the `name.yaml` that the A1111 web UI reads, else the tensors `v_pred` and
    `ztsnr` or `modelspec.prediction_type` in the metadata.

    Raises:
        ModelLoadError: The YAML can't be read.
    """
    marked = "v_prediction" if "v_pred" in names else ""
    spec = _METADATA.get(metadata.get("modelspec.prediction_type", ""), "")
    said = row.prediction_type or read_yaml_prediction(path.with_suffix(".yaml")) or marked or spec
    return Training(said, row.zero_terminal_snr or "ztsnr" in names)


def read_yaml_prediction(note: Path) -> str:
    """Return the prediction in a checkpoint's YAML: "epsilon", "v_prediction", or "" if unknown.

    Raises:
        ModelLoadError: It can't be read.
    """
    try:
        with open_file(note) as file:
            text = file.read(MAX_NOTE_BYTES + 1)
        if len(text) > MAX_NOTE_BYTES:
            raise ModelLoadError(messages.note_too_long(note.name, MAX_NOTE_BYTES))
        if text.count(b"[") + text.count(b"{") > MAX_NOTE_LISTS:
            raise ModelLoadError(messages.note_too_nested(note.name, MAX_NOTE_LISTS))
        # Only composed, not constructed: merged and repeated nodes could grow to any size.
        content: object = yaml.compose(text, yaml.SafeLoader)
    except FileNotFoundError:
        return ""
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelLoadError(messages.note_unreadable(note.name, error)) from error
    model = _find_node(content, "model")
    said = _find_node(model, "params", "parameterization")
    if said is None:
        return _get_default(_read_text(_find_node(model, "target")), _read_scaling(model))
    if _read_text(said) not in _PREDICTIONS:
        raise ModelLoadError(
            messages.unknown_prediction(
                note.name, _read_text(said)[:40], " and ".join(_PREDICTIONS)
            )
        )
    return _PREDICTIONS[_read_text(said)]


def _get_default(target: str, scaling: str) -> str:
    """Return the default of the code that such a configuration was made for."""
    if target.startswith("ldm."):
        return "epsilon"
    if scaling.endswith(("VScaling", "VScalingWithEDMcNoise")):
        return "v_prediction"
    return "epsilon" if scaling.endswith("EpsScaling") else ""


def _read_scaling(model: object) -> str:
    """Return the scaling class in an SDXL configuration."""
    keys = ("params", "denoiser_config", "params", "scaling_config", "target")
    return _read_text(_find_node(model, *keys))


def _find_node(node: object, *keys: str) -> object:
    """Return the YAML node below these keys, None if missing."""
    for key in keys:
        pairs: list[Any] = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if _read_text(name) == key), None)
    return node


def _read_text(node: object) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def predicts_v(unet: Any) -> bool:
    """Return whether a UNet of Stable Diffusion 2 predicts v, by a trial.

    For a uniform picture at the noisiest timestep, a UNet that predicts noise returns the picture
    almost unchanged, and one that predicts v nearly its opposite. The A1111 web UI uses the same
    test and numbers (`is_using_v_parameterization_for_sd2`).

    Raises:
        ModelLoadError: The network produces NaN values.
    """
    import torch  # noqa: PLC0415 (most files need no trial)

    mean = _measure_mean_change(unet, unet.dtype)
    if not math.isfinite(mean):  # half precision may overflow
        mean = _measure_mean_change(copy.deepcopy(unet), torch.float32)
    if not math.isfinite(mean):
        raise ModelLoadError(messages.UNET_NOT_FINITE)
    return mean < -1.0


def _measure_mean_change(unet: Any, dtype: Any) -> float:
    import torch  # noqa: PLC0415 (most files need no trial)

    unet.to(dtype)
    sample = torch.full((1, unet.config.in_channels, 8, 8), 0.5, dtype=dtype)
    words = torch.full((1, 2, unet.config.cross_attention_dim), 0.5, dtype=dtype)
    with torch.no_grad():
        predicted = unet(sample, torch.tensor([999]), encoder_hidden_states=words).sample
    return float((predicted.float() - sample.float()).mean())


def apply_training(scheduler: Any, training: Training) -> Any:
    """Return a scheduler for the training's noise schedule, a new object if anything changes.

    If the schedule ends in pure noise, sampling has to begin there ("trailing" timesteps, Lin et
    al. 2023, arXiv:2305.08891). A scheduler without a prediction type is returned unchanged.
    """
    config = dict(scheduler.config)
    changes: dict[str, Any] = {}
    if "prediction_type" not in config:
        return scheduler
    if training.prediction_type and training.prediction_type != config["prediction_type"]:
        changes["prediction_type"] = training.prediction_type
    if training.zero_terminal_snr:
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if all(config.get(key) == value for key, value in changes.items()):
        return scheduler
    defaulted = [key for key in config.pop("_use_default_values", []) if key not in changes]
    return type(scheduler).from_config({**config, **changes, "_use_default_values": defaulted})
