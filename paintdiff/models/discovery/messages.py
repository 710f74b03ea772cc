"""Sentences about the models that a scan finds."""

from __future__ import annotations


def loaded_by_auto_pipeline(pipeline: str) -> str:
    return f"{pipeline} is of an unknown family, so AutoPipelineForText2Image loads it."


def family_not_supported(name: str, family: str, pipeline: str, supported: str) -> str:
    return (
        f"{name!r} is of the family {family!r} ({pipeline}), which isn't supported. Supported "
        f"families: {supported}."
    )


ONLY_A_DENOISER = "Only a denoiser, without VAE and text encoders."


def usable_without(reason: str, name: str) -> str:
    return f"{reason}. {name} can be used without this file."
