"""Make the table of files in watched folders that needn't be read again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "watched_files",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("file_bytes", sa.BigInteger, nullable=False),
        sa.Column("modified_ns", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False, index=True),
    )
