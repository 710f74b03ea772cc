"""Compares a configuration with its class. Imports diffusers: import it inside functions.

diffusers checks no types: what it can't use fails while a picture is painted, or while the network
is built, with an error that names neither the file nor the value.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers

_WORDS: Mapping[str, tuple[str, ...]] = {
    "algorithm_type": (
        *("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis"),
        *("data_prediction", "noise_prediction"),
    ),
    "beta_schedule": (
        *("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "exp"),
    ),
    "final_sigmas_type": ("zero", "sigma_min"),
    "interpolation_type": ("linear", "log_linear"),
    "prediction_type": (*("epsilon", "sample", "v_prediction", "flow_prediction", "trigflow"),),
    "solver_type": ("midpoint", "heun", "logrho", "bh1", "bh2"),
    "time_shift_type": ("exponential", "linear"),
    "timestep_spacing": ("leading", "linspace", "trailing"),
    "timestep_type": ("discrete", "continuous"),
    "variance_type": (
        *("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
        *("learned", "learned_range"),
    ),
}
"""The words of any scheduler; its settings are passed on to other schedulers."""


def find_wrong_value(config: Mapping[str, Any]) -> tuple[str, object, str] | None:
    """Return the first value that its class can't use: its name, it, and what it should be.

    Types are compared with the defaults of the class, as diffusers' annotations are often wrong,
    and a scheduler's words with those that any scheduler knows. None if nothing is wrong, or the
    class is none of diffusers'.
    """
    name = config.get("_class_name")
    class_: Any = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(class_, type) or not issubclass(class_, diffusers.ConfigMixin):
        return None
    for key, parameter in inspect.signature(class_.__init__).parameters.items():
        value = config.get(key)
        if value is None or parameter.default in (None, inspect.Parameter.empty):
            continue
        wanted = _describe_type(parameter.default)
        if isinstance(parameter.default, tuple | list) and not isinstance(value, list):
            return key, value, "a list"
        if wanted is not None and any(_describe_type(leaf) != wanted for leaf in _leaves(value)):
            return key, value, wanted
    return _find_wrong_noise(config) if issubclass(class_, diffusers.SchedulerMixin) else None


def _find_wrong_noise(config: Mapping[str, Any]) -> tuple[str, object, str] | None:
    """Return the first of a scheduler's values that gives no schedule of noise."""
    for key in ("beta_start", "beta_end", "trained_betas"):
        for value in _leaves(config.get(key)):
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                return key, value, "a number from 0 to 1"
    for key, words in _WORDS.items():
        value = config.get(key)
        if value is not None and value not in words:
            return key, value, f"one of {', '.join(words)}"
    return None


def _leaves(value: object) -> Iterator[object]:
    """Yield what is in nested lists; None stands for a value that is left out."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple):
            waiting += each
        elif each is not None:
            yield each


def _describe_type(value: object) -> str | None:
    """Return what a value is; a list is what its first value is."""
    first = next(_leaves(value), None)
    if isinstance(first, int | float):  # also true and false, which count as 1 and 0
        return "a number"
    return "a text" if isinstance(first, str) else None
