"""Make indexes from which pages and the filters' choices are read without sorting all pictures."""

from alembic import op

revision = "0003"
down_revision = "0002"

_OLD = ("pictures_by_time", "ix_pictures_deleted_at", "ix_pictures_owner")
_NEW = {
    "pictures_by_time": ("deleted_at", "created_at", "id"),
    "pictures_of_owner": ("owner", "deleted_at", "created_at", "id"),
    "pictures_by_rating": ("deleted_at", "feedback", "created_at", "id"),
    "pictures_by_choice": ("deleted_at", "owner", "model", "kind", "width", "height"),
}


def upgrade() -> None:
    """Replace the indexes."""
    for name in _OLD:
        op.drop_index(name, "pictures")
    for name, columns in _NEW.items():
        op.create_index(name, "pictures", list(columns))
