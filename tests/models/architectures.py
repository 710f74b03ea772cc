"""Networks of every architecture of spandrel's that enlarges or restores pictures, as small as its
own detection of their settings lets them be; their weights are random.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any

import torch

SMALL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "ATD": (
        "ATD",
        {
            "embed_dim": 8,
            "depths": (2,),
            "num_heads": (2,),
            "window_size": 8,
            "category_size": 64,
            "num_tokens": 8,
            "upscale": 2,
            "upsampler": "pixelshuffledirect",
        },
    ),
    "Compact": ("Compact", {"num_feat": 8, "num_conv": 2, "upscale": 4}),
    "CRAFT": ("CRAFT", {"embed_dim": 12, "depths": [1], "num_heads": [2], "upscale": 2}),
    "DAT": (
        "DAT",
        {"embed_dim": 16, "split_size": [4, 8], "depth": [2], "num_heads": [2], "upscale": 2},
    ),
    "DCTLSA": ("DCTLSA", {"nf": 10, "num_modules": 6, "upscale": 2, "num_head": 5}),
    "DITN": ("DITN", {"dim": 8, "ITL_blocks": 1, "SAL_blocks": 1, "UFONE_blocks": 1, "upscale": 2}),
    "DRCT": (
        "DRCT",
        {
            "embed_dim": 12,
            "depths": (2,),
            "num_heads": (2,),
            "window_size": 8,
            "upscale": 2,
            "upsampler": "pixelshuffle",
            "gc": 4,
        },
    ),
    "ESRGAN": ("ESRGAN", {"num_filters": 8, "num_blocks": 1, "scale": 4}),
    "ESRGAN x2": (  # of the picture's pixels in fours, as Real-ESRGAN x2plus
        "ESRGAN",
        {"num_filters": 8, "num_blocks": 1, "scale": 4, "shuffle_factor": 2, "in_nc": 12},
    ),
    "FDAT": (
        "FDAT",
        {
            "scale": 2,
            "embed_dim": 16,
            "num_groups": 1,
            "depth_per_group": 2,
            "num_heads": 2,
            "mid_dim": 8,
        },
    ),
    "GRL": (
        "GRL",
        {
            "embed_dim": 16,
            "depths": [2],
            "num_heads_window": [2],
            "num_heads_stripe": [2],
            "upscale": 2,
            "upsampler": "pixelshuffledirect",
        },
    ),
    "HAT": (
        "HAT",
        {
            "embed_dim": 16,
            "depths": (1,),
            "num_heads": (2,),
            "window_size": 8,
            "upscale": 2,
            "num_feat": 64,
            "squeeze_factor": 4,
        },
    ),
    "MoESR": ("MoESR", {"scale": 2, "dim": 16, "n_blocks": 1, "n_block": 1}),
    "MoSR": ("MoSR", {"upscale": 2, "n_block": 1, "dim": 16}),
    "OmniSR": ("OmniSR", {"num_feat": 16, "up_scale": 2}),
    "PLKSR": ("PLKSR", {"dim": 8, "n_blocks": 1, "upscaling_factor": 2}),
    "RealPLKSR": ("PLKSR", {"dim": 8, "n_blocks": 1, "upscaling_factor": 2}),
    "RCAN": ("RCAN", {"scale": 2, "n_resgroups": 1, "n_resblocks": 1, "n_feats": 16}),
    "RealCUGAN": ("RealCUGAN", {}),
    "RGT": ("RGT", {"embed_dim": 16, "depth": [2], "num_heads": [2], "upscale": 2}),
    "SAFMN": ("SAFMN", {"dim": 8, "n_blocks": 1, "upscaling_factor": 2}),
    "SeemoRe": ("SeemoRe", {"scale": 2, "num_experts": 2, "num_layers": 1, "embedding_dim": 8}),
    "SPAN": ("SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}),
    "SwiftSRGAN": ("SwiftSRGAN", {"num_channels": 8, "num_blocks": 1, "upscale_factor": 2}),
    "Swin2SR": (
        "Swin2SR",
        {
            "embed_dim": 12,
            "depths": [2],
            "num_heads": [2],
            "window_size": 8,
            "upscale": 2,
            "upsampler": "pixelshuffledirect",
        },
    ),
    "SwinIR": (
        "SwinIR",
        {
            "embed_dim": 12,
            "depths": [2],
            "num_heads": [2],
            "window_size": 8,
            "upscale": 4,
            "upsampler": "nearest+conv",
        },
    ),
    "DnCNN": ("DnCNN", {"in_nc": 3, "out_nc": 3, "nc": 8, "nb": 20, "act_mode": "R"}),
    "DRUNet": ("DRUNet", {"in_nc": 4, "out_nc": 3, "nc": [8, 8, 8, 8], "nb": 4}),
    "NAFNet": ("NAFNet", {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]}),
    "SAFMNBCIE": ("SAFMNBCIE", {"dim": 8, "n_blocks": 1, "num_layers": 1}),
    "SCUNet": ("SCUNet", {"dim": 64, "config": [1] * 7}),
}
"""Name -> class and settings."""

_CLASS_IN_ROOM = {"RealCUGAN": "UpCunet2x", "RealPLKSR": "RealPLKSR"}


def small_network(name: str) -> torch.nn.Module:
    """A network of the architecture of that name."""
    room, settings = SMALL[name]
    module = importlib.import_module(f"spandrel.architectures.{room}")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(module, _CLASS_IN_ROOM.get(name, room))(**settings).eval()
