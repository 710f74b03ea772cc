"""What painted a picture, besides its request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Provenance:
    """What painted a picture. Values are "" and missing where they are unknown.

    `model_hash` and `hashes` identify the weights, `engine` is the backend ("OpenVINO", "" for
    torch alone), as in `Picture`. `device` is torch's ("cpu"), `processor` what is behind it, and
    `libraries` has versions by name.
    """

    model_hash: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    engine: str = ""
    device: str = ""
    processor: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
