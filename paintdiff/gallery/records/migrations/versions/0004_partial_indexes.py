"""Index pictures in and outside the bin apart: PostgreSQL sorts them all otherwise.

It doesn't take an index's first column for settled by `IS NULL`, as SQLite does.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_REPLACED = (
    *("pictures_by_time", "pictures_of_owner", "pictures_by_rating"),
    *("ix_pictures_kind", "ix_pictures_model"),
)
_SHOWN, _GONE = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    """Replace the indexes."""
    for name in _REPLACED:
        op.drop_index(name, "pictures")
    _index("pictures_by_time", _SHOWN)
    _index("pictures_in_bin", _GONE)
    for each in ("owner", "kind", "model", "feedback", "favourite"):
        _index(f"pictures_by_{each}", _SHOWN, each)


def _index(name: str, where: sa.TextClause, *first: str) -> None:
    columns = [*first, "created_at", "id"]
    op.create_index(name, "pictures", columns, sqlite_where=where, postgresql_where=where)
