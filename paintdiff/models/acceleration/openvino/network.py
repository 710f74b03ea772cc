"""A network that OpenVINO computes on the CPU.

Imports torch and OpenVINO: import it in a function.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from paintdiff.models.acceleration.openvino.library import openvino


class OpenVinoNetwork:
    """A graph (`graphs.Graphs`) with weights, for inputs of fixed shapes.

    `weights_bytes` is what OpenVINO's own copy of the weights takes. Safe to use from any thread.
    The constructor raises RuntimeError if graph, weights and shapes don't fit.
    """

    def __init__(
        self,
        graph: tuple[bytes, bytes],
        weights: Mapping[str, torch.Tensor],
        shapes: Mapping[str, Sequence[int]],
        *,
        bfloat16: bool,
    ) -> None:
        core = openvino.Core()
        xml, constants = graph
        held = np.frombuffer(constants or b"\0", dtype=np.uint8).copy()
        model = core.read_model(xml, openvino.Tensor(held))
        self.weights_bytes = _set_weights(model, weights)
        self._names = {each.any_name for each in model.inputs}  # no result depends on the others
        model.reshape({name: list(shapes[name]) for name in self._names})
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = core.compile_model(model, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Return the results, float32, for inputs that are contiguous and float32."""
        given = {name: tensor.numpy() for name, tensor in inputs.items() if name in self._names}
        with self._lock:
            results: Any = self._request.infer(given, share_inputs=True, share_outputs=True)
            return tuple(
                torch.from_numpy(np.array(results[at], dtype=np.float32))
                for at in range(len(results))
            )


def _set_weights(model: openvino.Model, weights: Mapping[str, torch.Tensor]) -> int:
    """Set the weights, and return how many bytes those in use take."""
    count = 0
    for each in list(model.get_parameters()):
        tensor = weights.get(each.get_friendly_name())
        if tensor is None:
            continue
        numbers = tensor.detach().contiguous().numpy()
        count += numbers.nbytes
        constant = openvino.op.Constant(numbers, shared_memory=True)
        for target in each.output(0).get_target_inputs():
            target.replace_source_output(constant.output(0))
        model.remove_parameter(each)
    model.validate_nodes_and_infer_types()
    return count
