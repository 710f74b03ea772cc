"""DeepCache: a UNet's deep features are reused for several steps.

Ma et al. 2023, "DeepCache: Accelerating diffusion models for free" (arXiv:2312.00858). The input of
the deep layers changes little from one step to the next. So between two runs of the whole network
only its first convolution and the last layer of its last block are computed, from the cached output
of the layer before that. Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D

from paintdiff.models.acceleration.shallow_copies import copy_shallow, is_hooked


def can_cache_features(unet: Any) -> bool:
    """Return whether a UNet's deep features can be cached.

    Its last block has to be of a known kind with two layers or more, and no hooks may be in it.
    """
    last = unet.up_blocks[-1]
    known = isinstance(last, (UpBlock2D, CrossAttnUpBlock2D)) and len(last.resnets) > 1
    return known and not is_hooked((unet, last))


class SplitUNet:
    """A UNet in two parts: the whole one, which also returns its deep features, and a shallow one.

    The shallow part predicts from given deep features. The UNet is shared, so it isn't changed.
    Attributes it lacks are the UNet's.
    """

    def __init__(self, unet: Any) -> None:
        self._unet = unet
        self._kept: torch.Tensor | None = None
        last = unet.up_blocks[-1]
        whole_last = _record_features(last, self._keep)
        self._whole = copy_shallow(unet, up_blocks=[*list(unet.up_blocks)[:-1], whole_last])
        self._shallow = copy_shallow(
            unet,
            down_blocks=[_SkippedDown(each) for each in unet.down_blocks],
            mid_block=_skip_mid,
            up_blocks=[
                *(_SkippedUp(each) for each in list(unet.up_blocks)[:-1]),
                _LastLayer(last, self._get_copy),
            ],
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def run_whole(self, *args: Any, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the UNet predicts with `return_dict=False`, and its deep features."""
        predicted = self._whole(*args, **settings)[0]
        return predicted, self._take()

    def run_shallow(self, features: torch.Tensor, *args: Any, **settings: Any) -> torch.Tensor:
        """Predict from the deep features of another call, of the same batch and size."""
        self._kept = features
        predicted = self._shallow(*args, **settings)[0]
        self._kept = None
        return predicted

    def _keep(self, features: torch.Tensor) -> None:
        self._kept = features.clone()  # FreeU writes into its input

    def _get_copy(self) -> torch.Tensor:
        assert self._kept is not None  # `run_shallow` sets it
        return self._kept.clone()

    def _take(self) -> torch.Tensor:
        kept, self._kept = self._kept, None
        assert kept is not None  # the last block has set it
        return kept


class FeatureCache:
    """Replaces a UNet during one run: the whole of it is computed at every `interval`-th call.

    The UNet, or what computes its two parts, is shared and isn't changed. The first of a
    ControlNet's residuals is cached too, so the ControlNet isn't called in between (`reuses`).
    Features are reused only while `read_state` returns the same, such as which text is read.
    Attributes it lacks are the UNet's.
    """

    def __init__(
        self, split: SplitUNet, interval: int, read_state: Callable[[], object] = lambda: None
    ) -> None:
        self._split = split
        self._interval = interval
        self._read_state = read_state
        self._state: object = None
        self._calls = 0
        self._kept: torch.Tensor | None = None
        self._first_residual: torch.Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._split, name)

    def reuses(self, sample: torch.Tensor) -> bool:
        """Return whether the next call, with that sample, reuses cached features."""
        kept = self._kept
        return (
            self._calls % self._interval != 0
            and kept is not None
            and self._state == self._read_state()
            and kept.shape[0] == sample.shape[0]
            and kept.shape[-2:] == sample.shape[-2:]
        )

    def __call__(self, sample: torch.Tensor, timestep: Any, **settings: Any) -> tuple[torch.Tensor]:
        """Predict as the UNet does with `return_dict=False`, which is how pipelines call it.

        `sample` holds latents (batch, channels, height, width).
        """
        shallow = self.reuses(sample)
        self._calls += 1
        if not shallow:
            self._calls = 1  # also where guidance begins or ends, which changes the batch
            self._state = self._read_state()
            residuals = settings.get("down_block_additional_residuals")
            self._first_residual = residuals[0] if residuals else None
            predicted, self._kept = self._split.run_whole(sample, timestep, **settings)
            return (predicted,)
        if self._first_residual is not None:
            count = sum(_count_residuals(block) for block in self._split.down_blocks)
            settings["down_block_additional_residuals"] = [self._first_residual, *[0] * count]
            settings["mid_block_additional_residual"] = 0
        assert self._kept is not None  # `reuses` checks it
        return (self._split.run_shallow(self._kept, sample, timestep, **settings),)


def _record_features(block: Any, keep: Callable[[torch.Tensor], None]) -> Any:
    """Copy an up block so that `keep` gets the output of its last layer but one."""
    name = "attentions" if isinstance(block, CrossAttnUpBlock2D) else "resnets"
    layers = list(getattr(block, name))
    layers[-2] = _Recorder(layers[-2], keep)
    return copy_shallow(block, **{name: layers})


class _Recorder:
    def __init__(self, layer: Any, keep: Callable[[torch.Tensor], None]) -> None:
        self._layer = layer
        self._keep = keep

    def __call__(self, *args: Any, **settings: Any) -> Any:
        result = self._layer(*args, **settings)
        self._keep(result[0] if isinstance(result, tuple) else result)
        return result


class _SkippedDown:
    """Returns its input, also as all of the block's residuals, which nobody reads."""

    has_cross_attention = False

    def __init__(self, block: Any) -> None:
        self._count = _count_residuals(block)

    def __call__(
        self, hidden_states: torch.Tensor, **_settings: Any
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        return hidden_states, (hidden_states,) * self._count


def _count_residuals(block: Any) -> int:
    return len(block.resnets) + (block.downsamplers is not None)


def _skip_mid(sample: torch.Tensor, *_args: Any, **_settings: Any) -> torch.Tensor:
    return sample


class _SkippedUp:
    has_cross_attention = False

    def __init__(self, block: Any) -> None:
        self.resnets = tuple(block.resnets)  # the UNet counts them

    def __call__(self, hidden_states: torch.Tensor, **_settings: Any) -> torch.Tensor:
        return hidden_states


class _LastLayer:
    """The last layer of an up block: it gets cached features and the first residual."""

    def __init__(self, block: Any, kept: Callable[[], torch.Tensor]) -> None:
        self.resnets = tuple(block.resnets)
        self.has_cross_attention = isinstance(block, CrossAttnUpBlock2D)
        names = ("resnets", "attentions") if self.has_cross_attention else ("resnets",)
        self._layer = copy_shallow(block, **{name: [getattr(block, name)[-1]] for name in names})
        self._kept = kept

    def __call__(
        self,
        hidden_states: torch.Tensor,
        res_hidden_states_tuple: tuple[torch.Tensor, ...],
        **settings: Any,
    ) -> torch.Tensor:
        first = res_hidden_states_tuple[:1]
        return self._layer(hidden_states=self._kept(), res_hidden_states_tuple=first, **settings)
