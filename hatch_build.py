"""Make the package's description of the README: package indexes show no file of the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
"""Settings of the Hugging Face Space."""

_PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)]*)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)]*)\)")
_EMPTY_LINES = re.compile(r"\n{3,}")


def describe(readme: str, repository: str | None) -> str:
    """Return the README with links into the repository; without its address, without such links.

    `repository` is an address on GitHub, such as "https://github.com/owner/name".
    """
    text = _FRONT_MATTER.sub("", readme)
    if repository is None:
        return _EMPTY_LINES.sub("\n\n", _LINK.sub(r"\1", _PICTURE.sub("", text)))
    text = _PICTURE.sub(rf"![\1]({repository}/raw/HEAD/\2)", text)
    return _LINK.sub(rf"[\1]({repository}/blob/HEAD/\2)", text)


class DescriptionHook(MetadataHookInterface):
    """Set the description. hatchling calls it at each build."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Describe the package by README.md and `project.urls.Repository`."""
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = describe(readme, metadata.get("urls", {}).get("Repository"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
