"""Sentences about OpenVINO, most of them for the log."""

from __future__ import annotations

# Why a picture is painted by torch: reasons that end a sentence.

EXACT_PROFILE = "its profile computes as diffusers does"
ON_A_GPU = "it is on a GPU"
NETWORK_IS_CHANGED = "IP-Adapters and FreeU change the network"
NO_MEMORY_FOR_A_COPY = "there isn't enough memory for a second copy of its weights"


# Errors.


def not_exported(reason: str) -> str:
    return f"The network can't be exported to OpenVINO: {reason}"


def openvino_missing(install: str) -> str:
    return f"--engine openvino needs OpenVINO, which isn't installed. Install it: {install}"


# For the log.

OPENVINO_FAILED = "OpenVINO failed, torch computes on: %s"
NO_THREAD = "OpenVINO's thread can't be started, torch computes on"
NETWORK_NOT_COMPUTED = "OpenVINO can't compute this network, torch computes on"
RESULTS_DIFFER = "OpenVINO's results differ from torch's, torch computes on"
OPENVINO_READY = "OpenVINO is ready after %.1f s"
