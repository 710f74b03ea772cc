"""Loads of models, counted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from paintdiff.models.loading.pipelines import LoadedModel


class Loads:
    """Counts the loads, and can hold them up."""

    def __init__(self, load: Callable[..., LoadedModel]) -> None:
        self.names: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._load = load

    def __call__(self, row: object, *arguments: object) -> LoadedModel:
        self.names.append(getattr(row, "name", ""))
        assert self.may_go_on.wait(20)
        return self._load(row, *arguments)
