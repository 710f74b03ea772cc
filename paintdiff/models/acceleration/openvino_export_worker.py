"""The throw-away process that writes down what a UNet computes, without its weights, as OpenVINO
reads it; started by `graphs`.

On its standard input it is given one line of JSON: `config` (the UNet's, as diffusers writes
it), `part` (see `graphs.Part`), `shapes` (of the inputs of one call) and `file` (to write to). The
UNet is built anew with weights that nobody has set: they are inputs of the graph, named as in the
network, so what is written has none of them, and is the same for all models that are built alike.
It ends when its standard input does, so it never outlives who has started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # isolated, so that neither a variable nor a folder chooses what we are
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import torch
from diffusers import UNet2DConditionModel

from paintdiff.models.acceleration.deepcache import SplitUNet
from paintdiff.models.acceleration.openvino_import import openvino

_NICENESS = 5
_DIMENSIONS_OF_SAMPLE = 4


def main() -> int:
    """Write the graph."""
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch's of tracing; the graph is compared with the network
    with torch.no_grad():
        model = graph_of(asked["config"], asked["part"], asked["shapes"])
    openvino.serialize(model, asked["file"])
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def graph_of(
    config: Mapping[str, Any], part: str, shapes: Mapping[str, Sequence[int]]
) -> openvino.Model:
    """What a UNet of that configuration computes, for any batch, size in latents, and number of
    words. Its inputs are named as `shapes` are, those of weights as in the network.
    """
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(dict(config))
    unet = unet.to_empty(device="cpu").eval()  # no page of it is touched before it is needed
    weights = {name: each.detach() for name, each in unet.named_parameters()}
    side = shapes["sample"][-1]
    example = {name: torch.zeros(_small(shape, side, config)) for name, shape in shapes.items()}
    computed = _computed(unet, part)

    def traced(*given: torch.Tensor) -> Any:
        for name, tensor in zip(weights, given[len(example) :], strict=True):
            path, _, last = name.rpartition(".")
            unet.get_submodule(path)._parameters[last] = tensor
        return computed(dict(zip(example, given, strict=False)))

    inputs = (*example.values(), *weights.values())
    script = torch.jit.trace(traced, inputs, check_trace=False)
    model = openvino.convert_model(
        script,
        input=[
            *(openvino.PartialShape(_any_size(shape)) for shape in shapes.values()),
            *(openvino.PartialShape(list(each.shape)) for each in weights.values()),
        ],
    )
    return _named(model, (*example, *weights))


def _computed(unet: Any, part: str) -> Any:
    split = None if part == "all" else SplitUNet(unet)

    def computed(inputs: dict[str, torch.Tensor]) -> Any:
        sample, timestep = inputs.pop("sample"), inputs.pop("timestep")
        settings: dict[str, Any] = {"encoder_hidden_states": inputs.pop("words")}
        features = inputs.pop("features", None)
        settings |= _controlled(unet, inputs)
        if inputs:
            settings["added_cond_kwargs"] = inputs
        if split is None:
            return unet(sample, timestep, **settings, return_dict=False)[0]
        if features is None:
            return split.whole(sample, timestep, **settings, return_dict=False)
        return split.shallow(features, sample, timestep, **settings, return_dict=False)

    return computed


def _controlled(unet: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """A ControlNet's residuals, taken out of the inputs; those that aren't there are 0."""
    if "down_0" not in inputs:
        return {}
    count = 1 + sum(
        len(each.resnets) + (each.downsamplers is not None) for each in unet.down_blocks
    )
    return {
        "down_block_additional_residuals": [inputs.pop(f"down_{at}", 0) for at in range(count)],
        "mid_block_additional_residual": inputs.pop("mid", 0),
    }


def _small(shape: Sequence[int], side: int, config: Mapping[str, Any]) -> list[int]:
    """Of a picture what is quick to compute, in the same proportion to latents of that `side`."""
    if len(shape) != _DIMENSIONS_OF_SAMPLE:
        return list(shape)
    small = 2 ** len(config["block_out_channels"]) * shape[-1] // side
    return [*shape[:2], small, small]


def _any_size(shape: Sequence[int]) -> list[int]:
    """-1 where it may change from call to call."""
    if len(shape) == _DIMENSIONS_OF_SAMPLE:
        return [-1, shape[1], -1, -1]
    return [-1] * (len(shape) - 1) + list(shape[-1:])


def _named(model: openvino.Model, names: Sequence[str]) -> openvino.Model:
    """Its inputs named, without those that nothing is computed from."""
    for name, each in zip(names, list(model.get_parameters()), strict=True):
        each.set_friendly_name(name)
        each.output(0).get_tensor().set_names({name})
        if not each.output(0).get_target_inputs():
            model.remove_parameter(each)
    return model


if __name__ == "__main__":
    sys.exit(main())
