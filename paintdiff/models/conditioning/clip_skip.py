"""Clip skip: prompts are read from a layer before the text encoder's last.

Layers count as in the A1111 web UI: 1 is the last, 2 the one before it. Models with two CLIPs
(SDXL) were trained on the layer before the last, so for them 1 and 2 both mean that layer, and 3
the one before it. diffusers has a setting for this too, but it doesn't act on the negative prompt,
and fails with the text encoders of current transformers. Imports torch: import it in a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from paintdiff.errors import RequestError
from paintdiff.models.conditioning import messages

_ENCODERS = ("text_encoder", "text_encoder_2")


def takes_clip_skip(pipeline: Any) -> bool:
    """Return whether the layer from which a pipeline reads its prompts can be chosen."""
    return "clip_skip" in inspect.signature(pipeline.__call__).parameters


def count_skipped_layers(pipeline: Any, clip_skip: int) -> int:
    """Count the layers that a clip skip leaves out, from the one the model was trained on.

    It is 0 too where the layer can't be chosen.

    Raises:
        RequestError: The text encoder has fewer layers.
    """
    if not takes_clip_skip(pipeline):
        return 0
    encoders = [getattr(pipeline, name, None) for name in _ENCODERS]
    usual = 1 if encoders[1] is None else 2
    skipped = max(0, clip_skip - usual)
    layers = min(each.config.num_hidden_layers for each in encoders if each is not None)
    if skipped and clip_skip > layers:
        raise RequestError(
            messages.clip_skip_too_large(clip_skip, layers),
            field="clip_skip",
        )
    return skipped


@contextmanager
def skip_layers(pipeline: Any, clip_skip: int) -> Generator[None]:
    """Replace the pipeline's text encoders inside the `with` by ones without their last layers.

    The encoders themselves are shared, so they aren't changed.

    Raises:
        RequestError: The text encoder has fewer layers.
    """
    skipped = count_skipped_layers(pipeline, clip_skip)
    shared = {name: getattr(pipeline, name, None) for name in _ENCODERS}
    shared = {name: encoder for name, encoder in shared.items() if encoder is not None}
    if not skipped:
        yield
        return
    # diffusers' own __setattr__ would write the replacement's class into the pipeline's config.
    vars(pipeline).update({name: _ShortenedEncoder(part, skipped) for name, part in shared.items()})
    try:
        yield
    finally:
        vars(pipeline).update(shared)


class _ShortenedEncoder:
    """Replaces a CLIP text encoder, with the output of an earlier layer.

    Attributes it lacks are the encoder's.
    """

    def __init__(self, encoder: Any, skipped: int) -> None:
        self._encoder = encoder
        self._skipped = skipped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Encode as the encoder does.

        Pipelines take either its first result, which is the last layer's, or count from the end of
        `hidden_states`. The pooled result stays that of the last layer.
        """
        encoded = self._encoder(*args, **{**settings, "output_hidden_states": True})
        layers = encoded.hidden_states[: -self._skipped]
        if "last_hidden_state" in encoded:
            inner = getattr(self._encoder, "text_model", self._encoder)
            encoded["last_hidden_state"] = inner.final_layer_norm(layers[-1])
        encoded["hidden_states"] = layers
        return encoded
