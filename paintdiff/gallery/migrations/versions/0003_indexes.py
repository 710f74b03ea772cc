"""Index what is listed in the order in which it is listed, so that no page sorts all pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_REPLACED = ("owner", "kind", "model", "deleted_at")
_FILTERS = ("owner", "kind", "model", "feedback", "favourite")


def upgrade() -> None:
    """Replace the indexes."""
    for name in ("pictures_by_time", *(f"ix_pictures_{each}" for each in _REPLACED)):
        op.drop_index(name)
    shown, gone = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")
    _index("pictures_by_time", [], shown)
    _index("pictures_in_bin", [], gone)
    for each in _FILTERS:
        _index(f"pictures_by_{each}", [each], shown)


def _index(name: str, first: list[str], where: sa.TextClause) -> None:
    columns = [*first, "created_at", "id"]
    op.create_index(name, "pictures", columns, sqlite_where=where, postgresql_where=where)
