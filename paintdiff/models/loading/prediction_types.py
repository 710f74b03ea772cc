"""What a network was trained to predict, and how far its noise goes, where its file doesn't come
with a scheduler: as its row says, a note beside it, a mark in it, or else a trial. Imports torch
when something is tried.
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
from paintdiff.models.formats.opening import open_file
from paintdiff.models.registry.model_rows import ModelRow

_PREDICTIONS = {"v": "v_prediction", "eps": "epsilon"}
_METADATA = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon"}


@dataclass(frozen=True)
class Training:
    """`prediction_type` is diffusers' name for what is predicted, "" if nobody says;
    `zero_terminal_snr` that the noise schedule ends in pure noise.
    """

    prediction_type: str = ""
    zero_terminal_snr: bool = False


def read_training(
    row: ModelRow, path: Path, names: Collection[str], metadata: Mapping[str, str]
) -> Training:
    """What is said about a single file with tensors of these names: by its row, else by the
    `name.yaml` that the A1111 web UI reads, else by the marks `v_pred` and `ztsnr` among the
    tensors or by `modelspec.prediction_type` in the metadata.

    Raises ModelLoadError if there is a note that can't be read.
    """
    marked = "v_prediction" if "v_pred" in names else ""
    spec = _METADATA.get(metadata.get("modelspec.prediction_type", ""), "")
    said = row.prediction_type or read_noted_prediction(path.with_suffix(".yaml")) or marked or spec
    return Training(said, row.zero_terminal_snr or "ztsnr" in names)


def read_noted_prediction(note: Path) -> str:
    """What the configuration beside a checkpoint says is predicted: "epsilon", "v_prediction", or
    "" if there is none or it doesn't say. Raises ModelLoadError if it can't be read.
    """
    try:
        with open_file(note) as file:
            text = file.read(MAX_NOTE_BYTES + 1)
        if len(text) > MAX_NOTE_BYTES:
            raise ModelLoadError(f"{note.name} has more than {MAX_NOTE_BYTES:,} bytes.")
        if text.count(b"[") + text.count(b"{") > MAX_NOTE_LISTS:
            raise ModelLoadError(f"{note.name} has more than {MAX_NOTE_LISTS:,} lists.")
        # Nothing is made of it: merged and repeated parts could grow to any size.
        content: object = yaml.compose(text, yaml.SafeLoader)
    except FileNotFoundError:
        return ""
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelLoadError(
            f"{note.name}, which says how the model was trained, can't be read: {error}"
        ) from error
    model = _within(content, "model")
    said = _within(model, "params", "parameterization")
    if said is None:
        return _default_of(_text(_within(model, "target")), _scaling(model))
    if _text(said) not in _PREDICTIONS:
        raise ModelLoadError(
            f"{note.name} says the model predicts {_text(said)[:40]!r}; supported are "
            f"{' and '.join(_PREDICTIONS)}."
        )
    return _PREDICTIONS[_text(said)]


def _default_of(target: str, scaling: str) -> str:
    """What the code that such a configuration was made for takes if it isn't told."""
    if target.startswith("ldm."):
        return "epsilon"
    if scaling.endswith(("VScaling", "VScalingWithEDMcNoise")):
        return "v_prediction"
    return "epsilon" if scaling.endswith("EpsScaling") else ""


def _scaling(model: object) -> str:
    """SDXL's own configurations name a class for it."""
    keys = ("params", "denoiser_config", "params", "scaling_config", "target")
    return _text(_within(model, *keys))


def _within(node: object, *keys: str) -> object:
    """What lies below a node of YAML under these keys; None if nothing does."""
    for key in keys:
        pairs: list[Any] = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if _text(name) == key), None)
    return node


def _text(node: object) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def predicts_v(unet: Any) -> bool:
    """Whether a UNet of Stable Diffusion 2 predicts v, told by a trial: of an even picture at the
    noisiest timestep it says "noise, as it is" if it predicts noise, and next to the opposite of
    the picture if it predicts v.

    It is the test of the A1111 web UI (`is_using_v_parameterization_for_sd2`), with its numbers.
    Raises ModelLoadError if the network gives no numbers.
    """
    import torch  # noqa: PLC0415 (most files need no trial)

    mean = _mean_change(unet, unet.dtype)
    if not math.isfinite(mean):  # half precision may overflow
        mean = _mean_change(copy.deepcopy(unet), torch.float32)
    if not math.isfinite(mean):
        raise ModelLoadError(
            "The UNet produces NaN values: its weights are damaged. Download the model again."
        )
    return mean < -1.0


def _mean_change(unet: Any, dtype: Any) -> float:
    import torch  # noqa: PLC0415 (most files need no trial)

    unet.to(dtype)
    sample = torch.full((1, unet.config.in_channels, 8, 8), 0.5, dtype=dtype)
    words = torch.full((1, 2, unet.config.cross_attention_dim), 0.5, dtype=dtype)
    with torch.no_grad():
        predicted = unet(sample, torch.tensor([999]), encoder_hidden_states=words).sample
    return float((predicted.float() - sample.float()).mean())


def apply_training(scheduler: Any, training: Training) -> Any:
    """The scheduler over the noise schedule that the training asks for: a new object if anything
    is changed.

    Where the schedule ends in pure noise, sampling has to begin there ("trailing" timesteps, Lin et
    al. 2023, arXiv:2305.08891). A scheduler that knows no kinds of prediction stays as it is.
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
