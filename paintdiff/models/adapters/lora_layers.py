"""Finds the layers of a pipeline's networks by the names in LoRA files.

Imports torch: import it in a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch

from paintdiff.models.registry.families import DENOISERS

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")

KOHYA_STEM = re.compile(r"lora_(unet|te\d?)_(\w+)")
"""A layer's name in kohya's scripts."""

_KOHYA_COMPONENTS = {
    "te": "text_encoder",
    "te1": "text_encoder",
    "te2": "text_encoder_2",
    "te3": "text_encoder_3",
}


class PipelineLayers:
    """The layers of a pipeline's networks, by the names in LoRA files."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._paths = {
            name: {path for path, _layer in part.named_modules()}
            for name, part in components.items()
            if name in (*DENOISERS, *TEXT_ENCODERS) and isinstance(part, torch.nn.Module)
        }
        self.components = components
        self.denoiser = "unet" if "unet" in components else "transformer"

    @cached_property
    def _underscored(self) -> Mapping[tuple[str, str], str]:
        """Return paths by component and by their names in kohya's scripts."""
        return {
            (name, path.replace(".", "_")): path
            for name, paths in self._paths.items()
            for path in paths
        }

    def find(self, stem: str) -> tuple[str, str] | None:
        """Return the component and the path of a layer, None if the stem names none."""
        if (kohya := KOHYA_STEM.fullmatch(stem)) is not None:
            component = _KOHYA_COMPONENTS.get(kohya[1], self.denoiser)
            spelled = ((component, each) for each in _spell(component, kohya[2], "_"))
            found = next((each for each in spelled if each in self._underscored), None)
            return found and (component, self._underscored[found])
        component, path = self.split(stem)
        components = (component, *TEXT_ENCODERS) if path == stem else (component,)
        for name in components:
            for spelling in _spell(name, path, "."):
                if spelling in self._paths.get(name, ()):
                    return name, spelling
        return None

    def split(self, stem: str) -> tuple[str, str]:
        """Return the component that a stem names (by default the denoiser), and the rest."""
        component, dot, rest = stem.partition(".")
        if dot and component in (*DENOISERS, *TEXT_ENCODERS):
            return component, rest
        return self.denoiser, stem.removeprefix("diffusion_model.")


def _spell(component: str, path: str, dot: str) -> tuple[str, ...]:
    """Return a path as different versions of transformers spell it."""
    if component not in TEXT_ENCODERS:
        return (path,)
    start = f"text_model{dot}"
    return (path, path.removeprefix(start), start + path)
