"""The process that exports a UNet's graph for OpenVINO, without weights; see `graphs`.

It reads one line of JSON from its standard input: `config` (the UNet's, as diffusers writes it),
`part` (see `graphs.Part`), `shapes` (of the inputs of one call) and `file` (to write to).
The UNet is built without loading weights: they are inputs of the graph, named as in the network. So
the graph is the same for all models with that config. The process ends when its standard input is
closed, so it never outlives its parent.
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

if __name__ == "__main__":  # run with -I, which ignores the environment and the current folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

import torch
from diffusers import UNet2DConditionModel

from paintdiff.models.acceleration.deepcache import SplitUNet
from paintdiff.models.acceleration.openvino.library import openvino

_NICENESS = 5
_DIMENSIONS_OF_SAMPLE = 4


def main() -> int:
    """Export the graph that standard input asks for; return the exit status."""
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of tracing; the results are compared with the network's later
    with torch.no_grad():
        model = export_graph(asked["config"], asked["part"], asked["shapes"])
    openvino.serialize(model, asked["file"])
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def export_graph(
    config: Mapping[str, Any], part: str, shapes: Mapping[str, Sequence[int]]
) -> openvino.Model:
    """Export a part of a UNet with that config, for any batch, size and number of tokens.

    Its inputs have the names in `shapes`, and weights their names in the network.
    """
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(dict(config))
    unet = unet.to_empty(device="cpu").eval()  # memory is used only once it is written to
    weights = {name: each.detach() for name, each in unet.named_parameters()}
    side = shapes["sample"][-1]
    example = {name: torch.zeros(_shrink(shape, side, config)) for name, shape in shapes.items()}
    compute = _make_part(unet, part)

    def trace(*given: torch.Tensor) -> Any:
        for name, tensor in zip(weights, given[len(example) :], strict=True):
            path, _, last = name.rpartition(".")
            unet.get_submodule(path)._parameters[last] = tensor
        return compute(dict(zip(example, given, strict=False)))

    inputs = (*example.values(), *weights.values())
    script = torch.jit.trace(trace, inputs, check_trace=False)
    model = openvino.convert_model(
        script,
        input=[
            *(openvino.PartialShape(_open_shape(shape)) for shape in shapes.values()),
            *(openvino.PartialShape(list(each.shape)) for each in weights.values()),
        ],
    )
    return _name_inputs(model, (*example, *weights))


def _make_part(unet: Any, part: str) -> Any:
    split = None if part == "all" else SplitUNet(unet)

    def compute(inputs: dict[str, torch.Tensor]) -> Any:
        sample, timestep = inputs.pop("sample"), inputs.pop("timestep")
        settings: dict[str, Any] = {"encoder_hidden_states": inputs.pop("words")}
        features = inputs.pop("features", None)
        settings |= _take_residuals(unet, inputs)
        if inputs:
            settings["added_cond_kwargs"] = inputs
        if split is None:
            return unet(sample, timestep, **settings, return_dict=False)[0]
        if features is None:
            return split.run_whole(sample, timestep, **settings, return_dict=False)
        return split.run_shallow(features, sample, timestep, **settings, return_dict=False)

    return compute


def _take_residuals(unet: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Remove a ControlNet's residuals from the inputs and return them; missing ones are 0."""
    if "down_0" not in inputs:
        return {}
    count = 1 + sum(
        len(each.resnets) + (each.downsamplers is not None) for each in unet.down_blocks
    )
    return {
        "down_block_additional_residuals": [inputs.pop(f"down_{at}", 0) for at in range(count)],
        "mid_block_additional_residual": inputs.pop("mid", 0),
    }


def _shrink(shape: Sequence[int], side: int, config: Mapping[str, Any]) -> list[int]:
    """Return a smaller shape, which traces faster; sides keep their ratio to `side`."""
    if len(shape) != _DIMENSIONS_OF_SAMPLE:
        return list(shape)
    small = 2 ** len(config["block_out_channels"]) * shape[-1] // side
    return [*shape[:2], small, small]


def _open_shape(shape: Sequence[int]) -> list[int]:
    """Return the shape with -1 for what may change from call to call."""
    if len(shape) == _DIMENSIONS_OF_SAMPLE:
        return [-1, shape[1], -1, -1]
    return [-1] * (len(shape) - 1) + list(shape[-1:])


def _name_inputs(model: openvino.Model, names: Sequence[str]) -> openvino.Model:
    """Name the graph's inputs, and remove those that no result depends on."""
    for name, each in zip(names, list(model.get_parameters()), strict=True):
        each.set_friendly_name(name)
        each.output(0).get_tensor().set_names({name})
        if not each.output(0).get_target_inputs():
            model.remove_parameter(each)
    return model


if __name__ == "__main__":
    sys.exit(main())
