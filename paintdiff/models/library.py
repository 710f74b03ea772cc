"""The catalog of what lies in the models folders. A stand-in for the real module: it goes by
names of folders, and looks only when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from paintdiff.errors import PaintError
from paintdiff.models.adapter_rows import EmbeddingRow, IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.catalog import Catalog, Problem
from paintdiff.models.sources import WeightsRow, entries_of
from paintdiff.models.weights import safetensors_header

_FOLDERS: dict[str, type[LoraRow] | type[EmbeddingRow] | type[VaeRow]] = {
    "loras": LoraRow,
    "embeddings": EmbeddingRow,
    "vae": VaeRow,
}


class Library:
    """Gives the catalog; `made` is done to each new one."""

    def __init__(
        self,
        models_dirs: Sequence[Path] = (),
        made: Callable[[Catalog], Catalog] = lambda catalog: catalog,
    ) -> None:
        self._dirs, self._made = tuple(models_dirs), made
        self.rescan()

    def catalog(self) -> Catalog:
        """What there is."""
        return self._catalog

    def rescan(self) -> None:
        """Look again."""
        rows: list[WeightsRow] = []
        problems: list[Problem] = []
        for models_dir in self._dirs:
            for name, kind in _FOLDERS.items():
                for path in entries_of(models_dir / name):
                    if path.suffix != ".safetensors":
                        continue
                    try:
                        header = safetensors_header(path)
                    except PaintError as error:
                        problems.append(Problem(path, str(error)))
                        continue
                    rows.append(_row(kind, path, header.get("__metadata__", {})))
        self._catalog = self._made(
            Catalog.default(self._dirs)._with(adapters=rows, problems=problems)  # pyright: ignore
        )


def _row(
    kind: type[LoraRow] | type[EmbeddingRow] | type[VaeRow], path: Path, metadata: dict[str, str]
) -> LoraRow | EmbeddingRow | VaeRow | IpAdapterRow:
    own: dict[str, object] = {"size_bytes": path.stat().st_size}
    if kind is not VaeRow and path.with_suffix(".png").is_file():
        own["preview"] = path.with_suffix(".png")
    if kind is LoraRow and "words" in metadata:
        own["trigger_words"] = tuple(metadata["words"].split(","))
    return kind.model_validate(
        {"name": path.stem, "title": path.stem, "source": str(path.resolve()), **own}
    )
