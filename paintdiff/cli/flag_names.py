"""The flag of each of a request's fields, for errors about them."""

from __future__ import annotations

from paintdiff.cli.adapters import FLAG_OF_ADAPTER

_FLAG_OF_FIELD = {
    "negative_prompt": "--negative",
    "styles": "--style",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "num_images": "--count",
    "width": "--size",
    "height": "--size",
    "time_budget_seconds": "--time-budget",
    "scopes": "--scope",
    "mask_blur_px": "--mask-blur",
    "padding_px": "--padding",
    "loopback_strength_factor": "--loopback-factor",
}
FLAG_OF_CONTROL = {
    "preprocessor": "--preprocessor",
    "controlnet": "--controlnet",
    "conditioning_scale": "--control-scale",
    "guidance_start": "--control-start",
    "guidance_end": "--control-end",
    "resize_mode": "--control-resize-mode",
}
FLAG_OF_HIRES = {
    "scale": "--hires",
    "num_inference_steps": "--hires-steps",
    "strength": "--hires-strength",
    "upscaler": "--hires-upscaler",
}


def find_flag(field: str, command: str) -> str:
    """Return the flag for a request's field.

    For a field within another ("outpaint.left") that is the outer one; controls
    ("controls.0.image"), the hires fix and upscaling have flags of their own.
    """
    first, *inner = field.split(".")
    if first in ("pictures", "folder", "id", "name", "password"):
        return first
    if first == "upscaling" and inner:
        scale = "--scale" if command == "upscale" else "--upscale"
        own = {"scale": scale, "tile_px": "--tile", "face_restorer": "--faces"}
        return own.get(inner[0], f"--{inner[0].replace('_', '-')}")
    if first == "controls":
        return FLAG_OF_CONTROL.get(inner[-1] if inner else "", "--control")
    if first in FLAG_OF_ADAPTER:
        return FLAG_OF_ADAPTER[first]
    if first == "branches" and inner:
        return find_flag(inner[-1], command)
    if first == "hires" and inner:
        return FLAG_OF_HIRES.get(inner[0], f"--{inner[0]}")
    return _FLAG_OF_FIELD.get(first, f"--{first.replace('_', '-')}")
