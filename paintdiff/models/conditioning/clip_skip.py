"""Words as of a layer of the text encoder before its last. Imports torch: import it in a function.

It counts as the A1111 web UI does: layer 1 from the end is the last, 2 the one before it. Models
with two CLIPs (SDXL) were trained on the layer before the last, so for them 1 and 2 are both that,
and 3 is the one before it. diffusers has a setting for this too, which leaves the negative prompt
as it is, and fails with a text encoder of today's transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from paintdiff.errors import RequestError

_ENCODERS = ("text_encoder", "text_encoder_2")


def takes_clip_skip(pipeline: Any) -> bool:
    """Whether a pipeline reads its words by CLIP from a layer that can be chosen."""
    return "clip_skip" in inspect.signature(pipeline.__call__).parameters


def count_skipped_layers(pipeline: Any, clip_skip: int) -> int:
    """How many layers before the one it was trained on a pipeline's text encoders are to stop; 0
    too where it can't be chosen. Raises RequestError if there are fewer layers.
    """
    if not takes_clip_skip(pipeline):
        return 0
    encoders = [getattr(pipeline, name, None) for name in _ENCODERS]
    usual = 1 if encoders[1] is None else 2
    skipped = max(0, clip_skip - usual)
    layers = min(each.config.num_hidden_layers for each in encoders if each is not None)
    if skipped and clip_skip > layers:
        raise RequestError(
            f"A clip skip of {clip_skip} is too large: the model's text encoder has {layers} "
            f"layers. Use {layers} or less.",
            field="clip_skip",
        )
    return skipped


@contextmanager
def skip_layers(pipeline: Any, clip_skip: int) -> Generator[None]:
    """While inside, the pipeline's text encoders stop before their last layers. They themselves are
    left alone: they are shared.
    """
    skipped = count_skipped_layers(pipeline, clip_skip)
    shared = {name: getattr(pipeline, name, None) for name in _ENCODERS}
    shared = {name: encoder for name, encoder in shared.items() if encoder is not None}
    if not skipped:
        yield
        return
    # Past diffusers' own __setattr__, which would note the stand-in's class as the pipeline's part.
    vars(pipeline).update({name: _Shortened(part, skipped) for name, part in shared.items()})
    try:
        yield
    finally:
        vars(pipeline).update(shared)


class _Shortened:
    """Stands in for a CLIP text encoder: its words are those of an earlier layer. What isn't its
    own is the encoder's.
    """

    def __init__(self, encoder: Any, skipped: int) -> None:
        self._encoder = encoder
        self._skipped = skipped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """As the encoder's. Pipelines take either its first result, the last layer's words, or
        count from the end of `hidden_states`; what stands for the whole text stays as it is.
        """
        made = self._encoder(*args, **{**settings, "output_hidden_states": True})
        layers = made.hidden_states[: -self._skipped]
        if "last_hidden_state" in made:
            inner = getattr(self._encoder, "text_model", self._encoder)
            made["last_hidden_state"] = inner.final_layer_norm(layers[-1])
        made["hidden_states"] = layers
        return made
