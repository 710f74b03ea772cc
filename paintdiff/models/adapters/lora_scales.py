"""The scales of a LoRA's parts, where they aren't among its tensors.

They are in PEFT's `adapter_config.json`, or in the metadata that diffusers writes. Importable
without torch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters import messages
from paintdiff.models.formats.headers import WEIGHT_SUFFIXES

CONFIG_NAME = "adapter_config.json"
"""PEFT's name for the settings beside an adapter's weights."""

_PEFT_STEM = "adapter_model"
_METADATA_KEY = "lora_adapter_metadata"
_MAX_CONFIG_BYTES = 2**20
_USUAL_ALPHA = 8  # PEFT's own default
# A pattern is a regular expression from an untrusted file, so only fast ones are compiled.
_LITERAL = re.compile(r"\^?(?:[\w/-]|\\?\.)+\$?", re.ASCII)
_QUICK = re.compile(
    r"\^?(?:[\w/-]|\\\.|\.[*+]?|\\d\+?|\[0-9\]\+?|\((?:\?:)?(?:[\w|]|\\\.)+\))+\$?", re.ASCII
)
_MOST_WILDCARDS, _MOST_EXPRESSIONS, _MOST_CHARACTERS = 2, 20, 300


class AlphaPattern:
    """PEFT's `alpha_pattern`: alphas by regular expressions.

    An expression has to match the end of a layer's path, from a dot or the beginning on. `where` is
    the place of the pattern, for messages. The constructor raises ModelLoadError for an
    alpha that isn't a finite number, and for an expression that could take long.
    """

    def __init__(self, pattern: object, where: str) -> None:
        self._whole: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        self._others: list[tuple[re.Pattern[str], float]] = []
        table: Mapping[Any, object] = pattern if isinstance(pattern, dict) else {}
        for key, value in table.items():
            text, alpha = str(key), _check_number(value, f"alpha_pattern[{str(key)[:80]!r}]", where)
            plain = text.removeprefix("^").removesuffix("$").replace("\\.", ".")
            if _LITERAL.fullmatch(text):
                (self._whole if text.startswith("^") else self._ends).setdefault(plain, alpha)
            elif _is_quick(text) and len(self._others) < _MOST_EXPRESSIONS:
                self._others.append((re.compile(rf"(.*\.)?({text})$"), alpha))
            else:
                raise ModelLoadError(messages.alpha_for_expression(where, text[:80]))

    def find(self, path: str) -> float | None:
        """Return the alpha of a layer, None if no expression matches it."""
        if path in self._whole:
            return self._whole[path]
        start = 0
        while self._ends:
            if path[start:] in self._ends:
                return self._ends[path[start:]]
            start = path.find(".", start) + 1
            if not start:
                break
        return next((alpha for known, alpha in self._others if known.match(path)), None)


class Scales:
    """The settings of one component of a LoRA, or of all of it.

    `where` is their place, for messages. `is_dora` says whether layers need magnitudes.
    The constructor raises ModelLoadError for a value that isn't a finite number.
    """

    def __init__(self, settings: Mapping[str, object], where: str) -> None:
        self.where = where
        self.is_dora = settings.get("use_dora") is True
        alpha = settings.get("lora_alpha")
        self._alpha = None if alpha is None else _check_number(alpha, "lora_alpha", where)
        self._pattern = AlphaPattern(settings.get("alpha_pattern"), where)
        self._is_rooted = settings.get("use_rslora") is True

    def compute_factor(self, path: str, rank: int) -> float:
        """Return the factor of the product of a layer's two matrices.

        It is the alpha divided by the rank, or by its square root (rsLoRA, arXiv:2312.03732).
        """
        alpha = self._pattern.find(path)
        if alpha is None:
            alpha = self._alpha
        if alpha is None or not rank:
            return 1.0
        return alpha / (math.sqrt(rank) if self._is_rooted else rank)


class NotedScales:
    """The settings beside a LoRA's tensors; `remarks` say which couldn't be read.

    `metadata` is the file's own. The constructor raises ModelLoadError for settings of another kind
    of adapter, and for a number that can't be used.
    """

    def __init__(self, path: Path, name: str, metadata: Mapping[str, str]) -> None:
        self.remarks: list[str] = []
        self._all: Scales | None = None
        self._by_component: dict[str, Scales] = {}
        noted = self._read_metadata(metadata, name)
        if noted:
            where = messages.alphas_in(_METADATA_KEY, name)
            self._all = Scales(noted, where)
            for component in {key.partition(".")[0] for key in noted if "." in key}:
                start = f"{component}."
                own = {k.removeprefix(start): v for k, v in noted.items() if k.startswith(start)}
                self._by_component[component] = Scales(own, where)
            return
        content = self._read_config(path, name)
        if content:
            kind = content.get("peft_type", "LORA")
            if kind != "LORA":
                raise ModelLoadError(messages.not_lora_beside(name, str(kind)[:40], CONFIG_NAME))
            where = messages.config_beside(CONFIG_NAME, name)
            self._all = Scales({"lora_alpha": _USUAL_ALPHA, **content}, where)

    def compute_factor(self, component: str, path: str, rank: int) -> float:
        """Return the factor of a layer (see `Scales.compute_factor`); 1 without settings."""
        scales = self._find(component)
        return 1.0 if scales is None else scales.compute_factor(path, rank)

    def check_magnitudes(self, has_magnitudes: Mapping[tuple[str, str], bool]) -> None:
        """Check that the layers of a DoRA have magnitudes; keys are components and layers.

        Raises:
            ModelLoadError: The settings call it a DoRA (arXiv:2402.09353), and a layer has none.
        """
        for (component, layer), has in has_magnitudes.items():
            scales = self._find(component)
            if scales is not None and scales.is_dora and not has:
                raise ModelLoadError(
                    messages.dora_without_magnitudes(scales.where, component, layer)
                )

    def _find(self, component: str) -> Scales | None:
        return self._by_component.get(component, self._all)

    def _read_metadata(self, metadata: Mapping[str, str], name: str) -> Mapping[str, object]:
        if _METADATA_KEY not in metadata:
            return {}
        noted = _parse_table(metadata[_METADATA_KEY])
        if noted is None:
            self.remarks.append(messages.alphas_damaged(_METADATA_KEY, name))
        return noted or {}

    def _read_config(self, path: Path, name: str) -> Mapping[str, object]:
        config = find_config_beside(path)
        if config is None:
            return {}
        try:
            if config.stat().st_size > _MAX_CONFIG_BYTES:
                raise OSError(messages.config_too_large(_MAX_CONFIG_BYTES))
            content = _parse_table(config.read_bytes())
            reason = messages.NOT_AN_OBJECT
        except OSError as error:
            content, reason = None, str(error)
        if content is None:
            self.remarks.append(messages.config_unreadable(config.name, name, reason))
        return content or {}


def find_config_beside(path: Path) -> Path | None:
    """Find the config that PEFT wrote for a file of weights.

    It is None if there is no config, or if it may be that of another file in the folder.
    """
    config = path.with_name(CONFIG_NAME)
    if not config.is_file():
        return None
    if path.stem.lower() == _PEFT_STEM:
        return config
    weights = [each for each in path.parent.iterdir() if each.suffix.lower() in WEIGHT_SUFFIXES]
    return config if weights == [path] else None


def check_alpha(value: float, of: str, name: str) -> float:
    """Return `value`, the alpha of the part `of`.

    Raises:
        ModelLoadError: It is infinite or NaN.
    """
    if not math.isfinite(value):
        raise ModelLoadError(messages.alpha_not_finite(of, name, value))
    return value


def _is_quick(text: str) -> bool:
    wildcards = text.count("*") + text.count("+")
    short = len(text) <= _MOST_CHARACTERS and wildcards <= _MOST_WILDCARDS
    return short and _QUICK.fullmatch(text) is not None


def _check_number(value: object, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
        raise ModelLoadError(messages.not_a_finite_number(key, where, str(value)[:40]))
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _parse_table(text: str | bytes) -> dict[str, object] | None:
    """Parse a JSON object; None if the text isn't one."""
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (
        {str(key): value for key, value in content.items()} if isinstance(content, dict) else None
    )
