"""What the web UI's routes use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paintdiff.accounts.scopes import Scope
from paintdiff.api.a1111.names import find_model
from paintdiff.api.a1111.options import Options, OptionStore
from paintdiff.api.a1111.work import WorkList
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow


@dataclass(frozen=True)
class A1111Context:
    """The API's context, the chosen options, and the work in progress."""

    api: ApiContext
    options: OptionStore
    works: WorkList = field(default_factory=WorkList)

    @classmethod
    def make(cls, api: ApiContext) -> A1111Context:
        """Return a context without work, and with the options of a new app."""
        return cls(api, OptionStore(Options(api.choose_default())))

    @property
    def catalog(self) -> Catalog:
        """Return the current catalog."""
        return self.api.engine.manager.catalog

    def find_options(self) -> Options:
        """Return the caller's options."""
        return self.options.find(current_identity.get().owner)

    def find_checkpoint(self) -> ModelRow:
        """Return the model that the caller has chosen.

        Raises:
            UnknownNameError: It has gone.
        """
        return find_model(self.catalog, self.find_options().checkpoint)

    def may_manage(self) -> bool:
        """Return whether the caller may change what holds for everybody."""
        return self.api.may_manage and Scope.MANAGE in current_identity.get().scopes
