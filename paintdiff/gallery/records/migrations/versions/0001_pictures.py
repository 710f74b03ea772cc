"""Make the tables of pictures, their tags and their words."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pictures",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("owner", sa.Text, nullable=False, index=True),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("negative_prompt", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("params_version", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, index=True),
        sa.Column("model", sa.Text, nullable=False, index=True),
        sa.Column("model_hash", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("libraries", sa.JSON, nullable=False),
        sa.Column("file", sa.Text, nullable=False, unique=True),
        sa.Column("file_bytes", sa.BigInteger, nullable=False),
        sa.Column("file_sha256", sa.Text, nullable=False, index=True),
        sa.Column("thumbnail", sa.Text),
        sa.Column("feedback", sa.Integer, nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
        sa.Column("parent", sa.Text, sa.ForeignKey("pictures.id", ondelete="SET NULL"), index=True),
        sa.Column("relation", sa.Text),
        sa.Column("deleted_at", sa.BigInteger, index=True),
        sa.CheckConstraint("feedback IN (-1, 0, 1)", name="feedback_known"),
        sa.CheckConstraint("width > 0 AND height > 0", name="size_positive"),
    )
    op.create_index("pictures_by_time", "pictures", ["created_at", "id"])
    op.create_table(
        "picture_tags",
        sa.Column(
            "picture",
            _NUMBER,
            sa.ForeignKey("pictures.number", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("tag", sa.Text, primary_key=True, index=True),
    )
    op.create_table("removals", sa.Column("file", sa.Text, primary_key=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE picture_words USING fts5("
            "words, text UNINDEXED, tokenize = 'ascii', detail = 'none', prefix = '2 3')"
        )
        return
    op.create_table(
        "picture_words",
        sa.Column("rowid", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("words", TSVECTOR, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("picture_words_index", "picture_words", ["words"], postgresql_using="gin")
