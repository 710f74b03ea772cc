"""Which families' single files hold a whole model, and where their configurations are.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from paintdiff.config.presets import presets_folder
from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.weight_files import is_gguf, list_weight_files
from paintdiff.models.loading import messages
from paintdiff.models.registry.families import DENOISERS
from paintdiff.models.registry.model_rows import ModelRow


@dataclass(frozen=True)
class Configs:
    """Folders in `presets/configs`: the family's, and that of its v-prediction models.

    `predicts_v` is "" if those have the same network.
    """

    usual: str
    predicts_v: str = ""


CONFIGS: Mapping[str, Configs] = MappingProxyType(
    {
        "sd1": Configs("sd1"),
        "sd2": Configs("sd2-base", "sd2-v"),
        "sdxl": Configs("sdxl"),
        "sdxl-refiner": Configs("sdxl-refiner"),
    }
)
"""Families whose single files hold a whole model, by their names in `presets/models.yaml`."""


def find_config_folders(row: ModelRow) -> tuple[Path, Path]:
    """Return a family's configurations for noise prediction and for v-prediction.

    Both are folders in the diffusers layout.

    Raises:
        ModelLoadError: The family isn't in CONFIGS.
    """
    configs = CONFIGS.get(row.family.name)
    if configs is None:
        raise ModelLoadError(
            messages.no_single_file(row.title, ", ".join(CONFIGS), row.family.name)
        )
    root = presets_folder() / "configs"
    return root / configs.usual, root / (configs.predicts_v or configs.usual)


def needs_companion(row: ModelRow, source: Path) -> bool:
    """Return whether a file has only a denoiser, so that a folder must provide the rest.

    True for all GGUF, families that aren't in CONFIGS, and files known to hold nothing else.
    """
    alone = row.family.name not in CONFIGS or row.parts == ("denoiser",)
    return source.is_file() and (alone or is_gguf(source))


def find_companion(row: ModelRow, source: Path, companions: Mapping[str, Path]) -> Path:
    """Return the folder, among `companions` by family, with the components that a file lacks.

    Raises:
        ModelLoadError: No model of the row's family is here; the message says what to get.
    """
    folder = companions.get(row.family.name)
    if folder is None:
        raise ModelLoadError(messages.no_companion(source.name, row.family.title))
    return folder


def list_companion_files(folder: Path) -> tuple[Path, ...]:
    """List a companion's weight files without its denoiser's."""
    return tuple(path for path in list_weight_files(folder) if path.parent.name not in DENOISERS)
