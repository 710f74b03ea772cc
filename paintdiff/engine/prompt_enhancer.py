"""Richer prompts: by rules, or from a language model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from paintdiff.errors import (
    DownloadCancelledError,
    DownloadError,
    GatedModelError,
    HubUnavailableError,
    UnknownNameError,
)
from paintdiff.models.manager.loaders import LANGUAGE_MODEL
from paintdiff.models.registry.language_model_rows import (
    LanguageModelRow,
    make_language_model_rows,
)
from paintdiff.prompts.enhancer import append_details, check_enhancement, variations

if TYPE_CHECKING:
    from paintdiff.models.manager.model_manager import ModelManager

RULES = "rules"
"""In place of a language model's name: the enhancer that needs none."""

OnLoading = Callable[[str], None]


def propose_prompts(  # noqa: PLR0913 (all that proposals differ in)
    manager: ModelManager,
    prompt: str,
    count: int = 4,
    seed: int = 0,
    *,
    enhancer: str = RULES,
    known: Collection[str] = (),
    on_loading: OnLoading = lambda _message: None,
) -> tuple[str, ...]:
    """Return up to `count` different richer prompts.

    `enhancer` is RULES, the name of a language model in the catalog, a folder with one, or a
    Hugging Face id. `known` is as for `enhance`, for the rules only. It takes as long as loading
    and running that model takes; an error that `on_loading` raises ends it.

    Raises:
        RequestError: The prompt or the count can't be used.
        ModelError: The language model can't be had or loaded.
    """
    if enhancer == RULES:
        return variations(prompt, count, seed, known=known)
    check_enhancement(prompt, count)
    rows = _find_rows(manager, enhancer)
    for number, row in enumerate(rows, 1):
        try:
            return _ask(manager, row, (prompt, count, seed), on_loading)
        except (HubUnavailableError, GatedModelError, DownloadCancelledError):
            raise
        except DownloadError:  # a repository has weights of one name
            if number == len(rows):
                raise
    return ()


def _ask(
    manager: ModelManager, row: LanguageModelRow, asked: tuple[str, int, int], on_loading: OnLoading
) -> tuple[str, ...]:
    prompt, count, seed = asked
    made: dict[str, None] = {}
    with manager.lease_weights(LANGUAGE_MODEL, row, on_loading) as model:
        for number in range(2 * count):
            on_loading(row.title)
            made[append_details(prompt, model.continue_text(prompt, seed + number))] = None
            made.pop(prompt, None)
            if len(made) == count:
                break
    return tuple(made)


def _find_rows(manager: ModelManager, enhancer: str) -> tuple[LanguageModelRow, ...]:
    try:
        return (manager.catalog.find(LanguageModelRow, enhancer),)
    except UnknownNameError:
        return make_language_model_rows(enhancer)
