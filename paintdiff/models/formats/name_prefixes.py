"""Names of tensors without what programs put around a whole model when they save it. Importable
without torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_WRAPPERS = ("state_dict.", "module.", "_orig_mod.", "model.", "ema.", "ema_model.", "params.")
_TABLE, _AROUND_ALL = _WRAPPERS[0], _WRAPPERS[1:3]
_OF_A_CHECKPOINT = "model.diffusion_model.input_blocks.0.0.weight"
_DEEPEST = 4


def strip_wrappers(names: Collection[str]) -> Mapping[str, str] | None:
    """The names without a wrapper, each with the name in the file; None if there is no wrapper.

    What lies beside a `state_dict`, or beside a table with a checkpoint in it, is left out (an
    optimizer ...).
    """
    inner = dict(zip(names, names, strict=True))
    for _ in range(_DEEPEST):
        wrapper = next((each for each in _WRAPPERS if _is_wrapped(inner, each)), None)
        if wrapper is None:
            break
        inner = {
            name.removeprefix(wrapper): stored
            for name, stored in inner.items()
            if name.startswith(wrapper)
        }
    return None if len(inner) == len(names) and all(map(inner.__contains__, names)) else inner


def _is_wrapped(names: Collection[str], wrapper: str) -> bool:
    if wrapper == _TABLE:
        return any(name.startswith(wrapper) for name in names)
    if wrapper + _OF_A_CHECKPOINT in names:
        return _OF_A_CHECKPOINT not in names
    around_all = wrapper in _AROUND_ALL and bool(names)
    return around_all and all(name.startswith(wrapper) for name in names)
