"""Options: the settings that the web UI keeps between requests.

Three can be chosen: the checkpoint, the VAE and the clip skip. As in the web UI they hold for all
of its clients, if the one who sets them may manage this app. Anybody else sets them for their own
requests only. They are forgotten when the app ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.names import AUTOMATIC, find_model, write_title
from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.jobs.requests import MAX_CLIP_SKIP
from paintdiff.models.registry.adapter_rows import VaeRow

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog

CHECKPOINT, VAE, CLIP_SKIP = "sd_model_checkpoint", "sd_vae", "CLIP_stop_at_last_layers"
MAX_OWNERS = 1000
_MOST_NAMED = 20
_OWN_VAE = ("", "automatic", "none")

_FIXED: Mapping[str, object] = {
    "samples_save": True,
    "samples_format": "png",
    "grid_save": False,
    "return_grid": False,
    "return_mask": False,
    "return_mask_composite": False,
    "enable_pnginfo": True,
    "img2img_fix_steps": False,
    "img2img_color_correction": False,
    "img2img_background_color": "#ffffff",
    "emphasis": "Original",
    "eta_noise_seed_delta": 0,
    "randn_source": "CPU",
    "live_previews_enable": True,
    "show_progress_every_n_steps": 1,
}
"""Options that can only be read: they say how pictures are made here."""


@dataclass(frozen=True)
class Options:
    """The chosen options. `vae` is None for the checkpoint's own."""

    checkpoint: str
    vae: str | None = None
    clip_skip: int = 1


class OptionStore:
    """The options of everybody, and those of clients who may only choose for themselves."""

    def __init__(self, first: Options) -> None:
        self._shared = first
        self._own: OrderedDict[str, Options] = OrderedDict()

    def find(self, owner: str) -> Options:
        """Return an owner's options."""
        return self._own.get(owner, self._shared)

    def set(self, options: Options, owner: str, *, for_all: bool) -> None:
        """Set the options, for everybody or for one owner."""
        if for_all:
            self._shared = options
            self._own.pop(owner, None)
            return
        self._own[owner] = options
        self._own.move_to_end(owner)
        while len(self._own) > MAX_OWNERS:
            self._own.popitem(last=False)


def describe_options(options: Options, catalog: Catalog) -> dict[str, Any]:
    """Return the options as the web UI's clients read them, also if the checkpoint has gone."""
    title, sha256 = options.checkpoint, ""
    with suppress(UnknownNameError):
        row = find_model(catalog, options.checkpoint)
        title, sha256 = write_title(row), row.sha256
    return {
        CHECKPOINT: title,
        "sd_checkpoint_hash": sha256,
        VAE: options.vae or AUTOMATIC,
        CLIP_SKIP: options.clip_skip,
        **_FIXED,
    }


def change_options(
    values: Mapping[str, object], options: Options, catalog: Catalog
) -> tuple[Options, tuple[str, ...]]:
    """Return the options with those of `values` that can be chosen, and a warning about others.

    Values that are as they were are no change, so the whole of what `describe_options` returned
    can be sent back.

    Raises:
        RequestError: A value can't be used. None is changed then.
    """
    before = describe_options(options, catalog)
    chosen = {name: values[name] for name in (CHECKPOINT, VAE, CLIP_SKIP) if name in values}
    asked = {name: value for name, value in chosen.items() if value not in (None, before[name])}
    others = sorted(
        name
        for name, value in values.items()
        if name not in chosen and not (name in before and before[name] == value)
    )
    said = (messages.options_ignored(", ".join(others[:_MOST_NAMED])),) if others else ()
    return _choose(asked, options, catalog, ""), said


def read_overrides(
    values: Mapping[str, object], options: Options, catalog: Catalog
) -> tuple[Options, tuple[str, ...]]:
    """Return the options of one request with its `override_settings`, and a warning about others.

    Raises:
        RequestError: A value can't be used.
    """
    names = (CHECKPOINT, VAE, CLIP_SKIP)
    asked = {name: values[name] for name in names if values.get(name) is not None}
    others = sorted(
        name
        for name, value in values.items()
        if name not in names and value not in (None, [], {}) and _FIXED.get(name) != value
    )
    said = (messages.settings_ignored(", ".join(others[:_MOST_NAMED])),) if others else ()
    return _choose(asked, options, catalog, "override_settings."), said


def _choose(asked: Mapping[str, object], options: Options, catalog: Catalog, place: str) -> Options:
    for name, value in asked.items():
        field = f"{place}{name}"
        if name == CLIP_SKIP:
            number = _read_whole(value)
            if number is None or not 1 <= number <= MAX_CLIP_SKIP:
                reason = messages.CLIP_SKIP_RANGE
                raise RequestError(messages.wrong_option(name, value, reason), field=field)
            options = replace(options, clip_skip=number)
            continue
        if not isinstance(value, str):
            raise RequestError(
                messages.wrong_option(name, value, messages.NAME_EXPECTED), field=field
            )
        try:
            if name == CHECKPOINT:
                options = replace(options, checkpoint=find_model(catalog, value).name)
            elif value.strip().casefold() in _OWN_VAE:
                options = replace(options, vae=None)
            else:
                options = replace(options, vae=catalog.find(VaeRow, value).name)
        except UnknownNameError as error:
            raise error.at(field) from error
    return options


def _read_whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # no number, or one that no float can hold
        return None
    return int(number) if number.is_integer() else None
