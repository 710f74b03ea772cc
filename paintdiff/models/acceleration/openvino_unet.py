"""What stands in for a UNet during one run so that another engine than torch may compute it.

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
from paintdiff.models.acceleration.openvino_engine import OpenVinoEngine, Winner
from paintdiff.models.acceleration.openvino_graphs import Part

_DOWN, _MID = "down_block_additional_residuals", "mid_block_additional_residual"
_UNDERSTOOD = frozenset({"encoder_hidden_states", "added_cond_kwargs", "return_dict", _DOWN, _MID})


@dataclass
class ComputeChoice:
    """How the networks of one lease are computed: by what kernels of torch, and the UNet by
    `engine` where it may be. `why_torch` says to people who asked for another engine why it isn't
    used, else "". With `half_weights` torch keeps the UNet's weights in bfloat16 beside themselves
    while a run lasts, for kernels that compute in it. `calls` counts who has computed the UNet.
    `together` knows how many pictures are best denoised at once in runs of a `kind` (None: one).
    """

    kernels: Kernels = USUAL
    engine: OpenVinoEngine | None = None
    why_torch: str = ""
    half_weights: bool = False
    together: BatchTuning | None = None
    kind: str = ""
    calls: Counter[Winner] = field(default_factory=Counter[Winner])

    def taken(self) -> str:
        """Which other engine than torch computed anything since this was last asked, or ""."""
        used = self.calls["openvino"] > 0
        self.calls.clear()
        return "OpenVINO" if used else ""


class BackendUNet:
    """Stands in for a UNet during one run: each call is computed by `engine` where it may be, and
    by the UNet itself where it is asked for more than a graph has. What isn't its own is the
    UNet's.
    """

    def __init__(self, unet: Any, engine: OpenVinoEngine, computing: ComputeChoice) -> None:
        self._unet = unet
        self._engine = engine
        self._computing = computing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(self, sample: torch.Tensor, timestep: Any, **settings: Any) -> Any:
        """As the UNet's with `return_dict=False`, which is how pipelines call it."""

        def by_torch() -> tuple[torch.Tensor, ...]:
            return tuple(self._unet(sample, timestep, **settings)[:1])

        inputs = inputs_of(self._unet, sample, timestep, settings)
        return self.computed("all", inputs, by_torch)

    def split(self) -> SplitBackendUNet:
        """The two parts of it that DeepCache asks for, computed by the same rule."""
        return SplitBackendUNet(self._unet, self)

    def computed(
        self,
        part: Part,
        inputs: Mapping[str, torch.Tensor] | None,
        by_torch: Callable[[], tuple[torch.Tensor, ...]],
    ) -> tuple[torch.Tensor, ...]:
        """What a part of the UNet gives; without `inputs` only torch can tell."""
        winner, results = (
            ("torch", by_torch())
            if inputs is None
            else self._engine.computed(part, self._computing.kernels, inputs, by_torch)
        )
        self._computing.calls[winner] += 1
        return results


class SplitBackendUNet(SplitUNet):
    """The two parts of a UNet."""

    def __init__(self, unet: Any, engine: BackendUNet) -> None:
        super().__init__(unet)
        self._engine = engine

    def whole(
        self, sample: torch.Tensor, timestep: Any, **settings: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As SplitUNet's."""

        def by_torch() -> tuple[torch.Tensor, ...]:
            return super(SplitBackendUNet, self).whole(sample, timestep, **settings)

        inputs = inputs_of(self._unet, sample, timestep, settings)
        predicted, features = self._engine.computed("whole", inputs, by_torch)
        return predicted, features

    def shallow(
        self, features: torch.Tensor, sample: torch.Tensor, timestep: Any, **settings: Any
    ) -> torch.Tensor:
        """As SplitUNet's."""

        def by_torch() -> tuple[torch.Tensor, ...]:
            return (super(SplitBackendUNet, self).shallow(features, sample, timestep, **settings),)

        inputs = inputs_of(self._unet, sample, timestep, settings)
        if inputs is not None:
            inputs["features"] = features.to(torch.float32).contiguous()  # autocast gives halves
        return self._engine.computed("shallow", inputs, by_torch)[0]


def inputs_of(
    unet: Any, sample: torch.Tensor, timestep: Any, settings: Mapping[str, Any]
) -> dict[str, torch.Tensor] | None:
    """A call's inputs by their names in a graph, contiguous float32; None if there is more to it
    than a graph has, or the latents' sides aren't such that a UNet halves them evenly.
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
    given |= _residuals(settings)
    if not all(isinstance(each, torch.Tensor) for each in given.values()):
        return None
    return {name: each.to(torch.float32).contiguous() for name, each in given.items()}


def _residuals(settings: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """A ControlNet's, by their names in a graph. (Between two whole runs of the network there is
    but the first, and the others are the number 0.)
    """
    down: list[Any] = settings.get(_DOWN) or []
    residuals = {f"down_{place}": each for place, each in enumerate(down)}
    residuals["mid"] = settings.get(_MID)
    return {name: each for name, each in residuals.items() if isinstance(each, torch.Tensor)}
