"""What the API's routes use."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from paintdiff.api.submissions import Submissions
from paintdiff.imaging.encodings import Encodings

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.models.hub.downloads import Downloads

MAX_KEPT_PREVIEW_BYTES = 16 * 2**20


@dataclass(frozen=True)
class ApiContext:
    """The engine, the gallery, and what visitors may do.

    Unless they `may_manage`, clients can't download models.
    """

    engine: Engine
    gallery: Gallery
    downloads: Downloads
    may_manage: bool = True
    previews: Encodings = field(default_factory=lambda: Encodings(MAX_KEPT_PREVIEW_BYTES))

    @cached_property
    def submissions(self) -> Submissions:
        """The jobs that clients submitted."""
        return Submissions(self.engine)
