"""Strips the wrappers that programs put around tensor names when they save a model.

Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_WRAPPERS = ("state_dict.", "module.", "_orig_mod.", "model.", "ema.", "ema_model.", "params.")
_TABLE, _AROUND_ALL = _WRAPPERS[0], _WRAPPERS[1:3]
_OF_A_CHECKPOINT = "model.diffusion_model.input_blocks.0.0.weight"
_DEEPEST = 4

_AVERAGES = "model_ema.diffusion_model"
_WORDS_OF_UNETS = re.compile(
    r"(?:in|out|emb)_layers|(?:input|output|transformer)_blocks|middle_block|skip_connection"
    r"|time_embed|label_emb|proj_in|proj_out|to_out|to_[qkv]|(?:attn|norm)\d"
    r"|norm|conv|proj|qkv|net|ff|op|out|weight|bias|\d+"
)
_TWO_NUMBERS = ("input_blocks", "output_blocks", "label_emb")


def strip_wrappers(names: Collection[str]) -> Mapping[str, str] | None:
    """Map names without their wrappers to the names in the file; None if nothing is wrapped.

    Names of EMA weights get their dots back if the weights themselves are missing. Tensors beside a
    `state_dict`, or beside a wrapped checkpoint, are left out (an optimizer's, for example).
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
    if _OF_A_CHECKPOINT not in inner:
        inner = {restore_dots(name): stored for name, stored in inner.items()}
    return None if len(inner) == len(names) and all(map(inner.__contains__, names)) else inner


def restore_dots(name: str) -> str:
    """Restore the dots in a UNet's EMA weight name, which CompVis's `LitEma` removes.

    `model_ema.diffusion_modelinput_blocks110opweight` is an example. Other names are returned
    unchanged.
    """
    flat = name.removeprefix(_AVERAGES)
    words = _WORDS_OF_UNETS.findall(flat)
    if flat == name or "".join(words) != flat:
        return name
    parts = [_AVERAGES]
    for before, word in zip(["", *words], words, strict=False):
        # The second number of a block has one digit.
        parts += [word[:-1], word[-1]] if before in _TWO_NUMBERS else [word]
    return ".".join(parts)


def _is_wrapped(names: Collection[str], wrapper: str) -> bool:
    if wrapper == _TABLE:
        return any(name.startswith(wrapper) for name in names)
    if wrapper + _OF_A_CHECKPOINT in names:
        return _OF_A_CHECKPOINT not in names
    around_all = wrapper in _AROUND_ALL and bool(names)
    return around_all and all(name.startswith(wrapper) for name in names)
