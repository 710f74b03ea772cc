"""Make the table of the input images that pictures were painted from."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "picture_inputs",
        sa.Column(
            "picture",
            _NUMBER,
            sa.ForeignKey("pictures.number", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("sha256", sa.Text, primary_key=True, index=True),
    )
