"""What the API's routes use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from paintdiff.api.submissions import Submissions
from paintdiff.errors import UnknownNameError
from paintdiff.imaging.encodings import Encodings
from paintdiff.models.registry.model_rows import ModelRow

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.models.hub.downloads import Downloads
    from paintdiff.server.url_fetcher import UrlFetcher

MAX_KEPT_PREVIEW_BYTES = 16 * 2**20
MAX_KEPT_TEXT_BYTES = 16 * 2**20
"""Answers about texts: 16 MiB hold about 60 prompts as Stable Diffusion 1.5 encodes them."""


def _choose_mini() -> str:
    return "mini"


@dataclass(frozen=True)
class ApiContext:
    """The engine, the gallery, and what visitors may do.

    Unless they `may_manage`, clients can't download models. `choose_default` returns the name of
    the model for requests that name none. `root_path` is the path that a reverse proxy puts in
    front, "" if none. `rescan` looks for new files in the models folders (None: they are never
    scanned). `fetcher` fetches pictures that a request names by URL; None refuses that.
    """

    engine: Engine
    gallery: Gallery
    downloads: Downloads
    may_manage: bool = True
    choose_default: Callable[[], str] = _choose_mini
    root_path: str = ""
    rescan: Callable[[], object] | None = None
    fetcher: UrlFetcher | None = None
    previews: Encodings = field(default_factory=lambda: Encodings(MAX_KEPT_PREVIEW_BYTES))
    texts: Encodings = field(default_factory=lambda: Encodings(MAX_KEPT_TEXT_BYTES))

    @cached_property
    def submissions(self) -> Submissions:
        """The jobs that clients submitted."""
        return Submissions(self.engine)

    def find_model(self, name: str | None) -> ModelRow:
        """Return the model of that name, or the default one.

        Raises:
            UnknownNameError: There is none, for "model".
        """
        chosen = self.choose_default() if name is None else name
        try:
            return self.engine.manager.catalog.find(ModelRow, chosen)
        except UnknownNameError as error:
            raise error.at("model") from error
