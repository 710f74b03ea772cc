"""A UNet whose deep features are kept from step to step: DeepCache.

Ma et al. 2023, "DeepCache: Accelerating diffusion models for free" (arXiv:2312.00858). What the
deep layers see changes little from one step to the next, so between two whole runs of the network
only its first convolution and the last layer of its last block are computed, from what the layer
before that gave last time. Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D

from paintdiff.models.acceleration.shallow_copies import copy_shallow, is_hooked


def can_keep_features(unet: Any) -> bool:
    """Whether it is built so that its deep features can be kept: the last block is of a kind with
    two layers or more, and nothing else is hooked into the network.
    """
    last = unet.up_blocks[-1]
    known = isinstance(last, (UpBlock2D, CrossAttnUpBlock2D)) and len(last.resnets) > 1
    return known and not is_hooked((unet, last))


class SplitUNet:
    """A UNet seen as two: the whole, which tells its deep features, and what is computed in between
    from those. The UNet is shared and left alone. What isn't its own is the UNet's.
    """

    def __init__(self, unet: Any) -> None:
        self._unet = unet
        self._kept: torch.Tensor | None = None
        last = unet.up_blocks[-1]
        whole_last = _recorded(last, self._keep)
        self._whole = copy_shallow(unet, up_blocks=[*list(unet.up_blocks)[:-1], whole_last])
        self._shallow = copy_shallow(
            unet,
            down_blocks=[_SkippedDown(each) for each in unet.down_blocks],
            mid_block=_skipped_mid,
            up_blocks=[
                *(_SkippedUp(each) for each in list(unet.up_blocks)[:-1]),
                _LastLayer(last, self._given),
            ],
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def whole(self, *args: Any, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """What the UNet predicts with `return_dict=False`, and its deep features."""
        predicted = self._whole(*args, **settings)[0]
        return predicted, self._taken()

    def shallow(self, features: torch.Tensor, *args: Any, **settings: Any) -> torch.Tensor:
        """What it predicts by deep features of another call of that batch and size."""
        self._kept = features
        predicted = self._shallow(*args, **settings)[0]
        self._kept = None
        return predicted

    def _keep(self, features: torch.Tensor) -> None:
        self._kept = features.clone()  # FreeU writes into what it is given

    def _given(self) -> torch.Tensor:
        assert self._kept is not None  # `shallow` has seen to it
        return self._kept.clone()

    def _taken(self) -> torch.Tensor:
        kept, self._kept = self._kept, None
        assert kept is not None  # the last block has told them
        return kept


class FeatureCache:
    """Stands in for a UNet during one run: at every `interval`-th call the whole of it is computed.

    The UNet (or what computes its two parts in its place) is shared and left alone. Of a
    ControlNet's residuals the first is kept too, so it isn't needed in between either (`reuses`).
    What isn't its own is the UNet's.
    """

    def __init__(self, split: SplitUNet, interval: int) -> None:
        self._split = split
        self._interval = interval
        self._calls = 0
        self._kept: torch.Tensor | None = None
        self._first_residual: torch.Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._split, name)

    def reuses(self, sample: torch.Tensor) -> bool:
        """Whether the next call, with that sample, will be answered from what was kept."""
        kept = self._kept
        return (
            self._calls % self._interval != 0
            and kept is not None
            and kept.shape[0] == sample.shape[0]
            and kept.shape[-2:] == sample.shape[-2:]
        )

    def __call__(self, sample: torch.Tensor, timestep: Any, **settings: Any) -> tuple[torch.Tensor]:
        """As the UNet's with `return_dict=False`, which is how pipelines call it: `sample` is
        (batch, channels, height, width), latents.
        """
        shallow = self.reuses(sample)
        self._calls += 1
        if not shallow:
            self._calls = 1  # also where the guidance has come or gone, and with it the batch
            residuals = settings.get("down_block_additional_residuals")
            self._first_residual = residuals[0] if residuals else None
            predicted, self._kept = self._split.whole(sample, timestep, **settings)
            return (predicted,)
        if self._first_residual is not None:
            count = sum(_residuals_of(block) for block in self._split.down_blocks)
            settings["down_block_additional_residuals"] = [self._first_residual, *[0] * count]
            settings["mid_block_additional_residual"] = 0
        assert self._kept is not None  # `reuses` has seen to it
        return (self._split.shallow(self._kept, sample, timestep, **settings),)


def _recorded(block: Any, keep: Callable[[torch.Tensor], None]) -> Any:
    """A twin of an up block that tells what its last layer but one gives."""
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
    """Passes on what it is given, and that as all of the block's residuals, which nobody reads."""

    has_cross_attention = False

    def __init__(self, block: Any) -> None:
        self._count = _residuals_of(block)

    def __call__(
        self, hidden_states: torch.Tensor, **_settings: Any
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        return hidden_states, (hidden_states,) * self._count


def _residuals_of(block: Any) -> int:
    return len(block.resnets) + (block.downsamplers is not None)


def _skipped_mid(sample: torch.Tensor, *_args: Any, **_settings: Any) -> torch.Tensor:
    return sample


class _SkippedUp:
    has_cross_attention = False

    def __init__(self, block: Any) -> None:
        self.resnets = tuple(block.resnets)  # they are counted

    def __call__(self, hidden_states: torch.Tensor, **_settings: Any) -> torch.Tensor:
        return hidden_states


class _LastLayer:
    """The last layer of an up block: it takes what was kept, and the residual of the UNet's first
    convolution.
    """

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
