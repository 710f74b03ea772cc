"""A UNet that another backend than torch may compute during one run.

Imports torch: import it in a function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from paintdiff.models.acceleration.batch_tuning import BatchTuning
from paintdiff.models.acceleration.deepcache import SplitUNet
from paintdiff.models.acceleration.kernel_choice import USUAL, Kernels
from paintdiff.models.acceleration.openvino.engine import OpenVinoEngine, Winner
from paintdiff.models.acceleration.openvino.graphs import Part

_DOWN, _MID = "down_block_additional_residuals", "mid_block_additional_residual"
_UNDERSTOOD = frozenset({"encoder_hidden_states", "added_cond_kwargs", "return_dict", _DOWN, _MID})


@dataclass
class ComputeChoice:
    """The backend and settings that compute the networks of one lease.

    Attributes:
        kernels: How torch computes.
        backend: Computes the UNet instead of torch where it can; None: torch only.
        why_torch: For people who asked for another backend: why it isn't used; otherwise "".
        half_weights: Whether torch keeps a second copy of the UNet's weights, in bfloat16, during a
            run, for kernels that compute in it.
        batch_tuning: Chooses how many pictures are denoised at once; None: one.
        kind: The kind of run for `batch_tuning`, without what is in the run itself.
        calls: Counts the UNet's calls by backend.
    """

    kernels: Kernels = USUAL
    backend: OpenVinoEngine | None = None
    why_torch: str = ""
    half_weights: bool = False
    batch_tuning: BatchTuning | None = None
    kind: str = ""
    calls: Counter[Winner] = field(default_factory=Counter[Winner])

    def take_backend(self) -> str:
        """Return the other backend that computed since this was last called, "" if none did."""
        used = self.calls["openvino"] > 0
        self.calls.clear()
        return "OpenVINO" if used else ""


class BackendUNet:
    """Replaces a UNet during one run: `backend` computes the calls that its graphs can compute.

    All others are computed by the UNet itself. Attributes it lacks are the UNet's.
    """

    def __init__(self, unet: Any, backend: OpenVinoEngine, computing: ComputeChoice) -> None:
        self._unet = unet
        self._backend = backend
        self._computing = computing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(self, sample: torch.Tensor, timestep: Any, **settings: Any) -> Any:
        """Predict as the UNet does with `return_dict=False`, which is how pipelines call it."""

        def by_torch() -> tuple[torch.Tensor, ...]:
            return tuple(self._unet(sample, timestep, **settings)[:1])

        inputs = collect_inputs(self._unet, sample, timestep, settings)
        return self.compute("all", inputs, by_torch)

    def split(self) -> SplitBackendUNet:
        """Return the two parts that DeepCache needs, computed in the same way."""
        return SplitBackendUNet(self._unet, self)

    def compute(
        self,
        part: Part,
        inputs: Mapping[str, torch.Tensor] | None,
        by_torch: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[torch.Tensor, ...]:
        """Return the results of a part of the UNet; without `inputs` torch computes it."""
        winner, results = (
            ("torch", by_torch())
            if inputs is None
            else self._backend.compute(part, self._computing.kernels, inputs, by_torch)
        )
        self._computing.calls[winner] += 1
        return results


class SplitBackendUNet(SplitUNet):
    """The two parts of a UNet that `DeepCache` needs, computed by a backend where it can."""

    def __init__(self, unet: Any, backend: BackendUNet) -> None:
        super().__init__(unet)
        self._backend = backend

    def run_whole(
        self, sample: torch.Tensor, timestep: Any, **settings: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the whole UNet; see `SplitUNet.run_whole`."""

        def by_torch() -> tuple[torch.Tensor, ...]:
            return super(SplitBackendUNet, self).run_whole(sample, timestep, **settings)

        inputs = collect_inputs(self._unet, sample, timestep, settings)
        predicted, features = self._backend.compute("whole", inputs, by_torch)
        return predicted, features

    def run_shallow(
        self, features: torch.Tensor, sample: torch.Tensor, timestep: Any, **settings: Any
    ) -> torch.Tensor:
        """Compute the shallow part; see `SplitUNet.run_shallow`."""

        def by_torch() -> tuple[torch.Tensor, ...]:
            return (
                super(SplitBackendUNet, self).run_shallow(features, sample, timestep, **settings),
            )

        inputs = collect_inputs(self._unet, sample, timestep, settings)
        if inputs is not None:
            inputs["features"] = features.to(torch.float32).contiguous()  # autocast gives halves
        return self._backend.compute("shallow", inputs, by_torch)[0]


def collect_inputs(
    unet: Any, sample: torch.Tensor, timestep: Any, settings: Mapping[str, Any]
) -> dict[str, torch.Tensor] | None:
    """Return a call's inputs by their names in a graph, contiguous and float32.

    It is None if the call has inputs that a graph lacks, or if a UNet can't halve the latents'
    sides evenly.
    """
    more = [name for name in settings.keys() - _UNDERSTOOD if settings[name] is not None]
    time = torch.as_tensor(timestep, dtype=torch.float32)
    even = 2 ** len(unet.config["block_out_channels"][1:])
    if more or settings.get("return_dict") is not False or time.numel() != 1:
        return None
    if any(side % even for side in sample.shape[-2:]) or sample.dtype != torch.float32:
        return None
    added: Mapping[str, Any] = settings.get("added_cond_kwargs") or {}
    words = settings["encoder_hidden_states"]
    given = {"sample": sample, "timestep": time.reshape(()), "words": words, **added}
    given |= _collect_residuals(settings)
    if not all(isinstance(each, torch.Tensor) for each in given.values()):
        return None
    return {name: each.to(torch.float32).contiguous() for name, each in given.items()}


def _collect_residuals(settings: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return a ControlNet's residuals by their names in a graph.

    Between two runs of the whole network only the first is a tensor; the others are the number 0.
    """
    down: list[Any] = settings.get(_DOWN) or []
    residuals = {f"down_{place}": each for place, each in enumerate(down)}
    residuals["mid"] = settings.get(_MID)
    return {name: each for name, each in residuals.items() if isinstance(each, torch.Tensor)}
