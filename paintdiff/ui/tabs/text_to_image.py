"""The tab where words become a picture."""

from __future__ import annotations

from paintdiff.requests import TextToImage
from paintdiff.ui.easel import Values
from paintdiff.ui.studio import Ingredients
from paintdiff.ui.widgets import Ids


class Words(Ingredients):
    """Words alone."""

    ids = Ids("text_to_image", first=True)

    def request(self, fields: dict[str, object], values: Values) -> TextToImage:
        """Raises RequestError."""
        return TextToImage.parsed(fields)
