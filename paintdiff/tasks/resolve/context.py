"""The context in which a request is resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import UnknownNameError
from paintdiff.jobs.field_messages import FieldMessage
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.tasks.decoded_inputs import DecodedInputs

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow
    from paintdiff.models.registry.speed_profiles import Profile

RowT = TypeVar("RowT", bound=WeightsRow)


@dataclass
class ResolveContext:
    """The state of resolving one request to paint: all that was looked up, decoded or warned of.

    `model` is the catalog's row; `apply_few_steps` may put the steps, guidance and sampler of a
    few-step LoRA into it. `warnings` are in the order in which they are shown.
    """

    catalog: Catalog
    model: ModelRow
    profile: Profile
    inputs: DecodedInputs = field(default_factory=DecodedInputs)
    warnings: list[str] = field(default_factory=list[str])
    _found: dict[tuple[type[WeightsRow], str], WeightsRow] = field(
        default_factory=dict[tuple[type[WeightsRow], str], WeightsRow], init=False
    )

    def find(self, kind: type[RowT], name: str, field: str) -> RowT:
        """Return the catalog's row of a name in the request's `field`, looked up only once.

        Raises UnknownNameError, for that field.
        """
        known = self._found.get((kind, name))
        if isinstance(known, kind):
            return known
        try:
            row = self.catalog.find(kind, name)
        except UnknownNameError as error:
            raise error.at(field) from error
        self._found[kind, name] = self._found[kind, row.name] = row
        return row

    def warn(self, sentence: str, field: str | None = None) -> None:
        """Add a warning, once; `field` is the request's field that it's about, if there is one."""
        if sentence not in self.warnings:
            self.warnings.append(sentence if field is None else FieldMessage(sentence, field))
