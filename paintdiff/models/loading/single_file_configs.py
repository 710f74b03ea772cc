"""Which families' single files hold a whole model, and where the settings are that such a file
lacks. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from paintdiff.config.presets import presets_folder
from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.weight_files import is_gguf, list_weight_files
from paintdiff.models.registry.families import DENOISERS
from paintdiff.models.registry.model_rows import ModelRow


@dataclass(frozen=True)
class Configs:
    """Folders under `presets/configs`: of a family, and of those of it that predict v, "" if that
    makes no other network.
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
    """The settings of models of this family that predict noise, and of those that predict v: two
    folders in diffusers' layout. Raises ModelLoadError if the family isn't in CONFIGS.
    """
    configs = CONFIGS.get(row.family.name)
    if configs is None:
        raise ModelLoadError(
            f"{row.title} can't be read from a single file: that works for "
            f"{', '.join(CONFIGS)}, and the family {row.family.name} isn't among them. Get it as a "
            "folder in diffusers' layout."
        )
    root = presets_folder() / "configs"
    return root / configs.usual, root / (configs.predicts_v or configs.usual)


def needs_companion(row: ModelRow, source: Path) -> bool:
    """Whether a model is a file that holds its denoiser alone, so that its other parts have to come
    from a folder: all GGUF, whatever isn't of a family in CONFIGS, and what is known to hold
    nothing else.
    """
    alone = row.family.name not in CONFIGS or row.parts == ("denoiser",)
    return source.is_file() and (alone or is_gguf(source))


def find_companion(row: ModelRow, source: Path, companions: Mapping[str, Path]) -> Path:
    """The folder with the parts that a file lacks; `companions` are folders by the name of their
    family. Raises ModelLoadError, which says what to get, if there is none of the row's family.
    """
    folder = companions.get(row.family.name)
    if folder is None:
        raise ModelLoadError(
            f"{source.name} contains only the denoiser of {row.family.title}. Its text "
            "encoders, VAE and settings come from a model of that family in diffusers' layout, "
            "and none was found. Download one, or put its folder in the models folder."
        )
    return folder


def list_companion_files(folder: Path) -> tuple[Path, ...]:
    """The weight files that are read of a companion: all but its own denoiser's."""
    return tuple(path for path in list_weight_files(folder) if path.parent.name not in DENOISERS)
