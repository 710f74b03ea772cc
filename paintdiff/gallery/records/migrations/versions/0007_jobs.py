"""Make the tables of jobs, their pictures and their input images."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("number", _number, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("visitor", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("sees_all", sa.Boolean, nullable=False),
        sa.Column("varied", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("digest", sa.Text),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("request_version", sa.Integer, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("painted", sa.Integer, nullable=False),
        sa.Column("restarts", sa.Integer, nullable=False),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("seconds", sa.Double),
        sa.Column("error", sa.JSON),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'finished', 'failed', 'cancelled')",
            name="state_known",
        ),
    )
    op.create_index("jobs_by_key", "jobs", ["owner", "key"])
    op.create_index("jobs_by_end", "jobs", ["ended_at", "number"])
    op.create_table(
        "job_pictures",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column(
            "picture",
            sa.Text,
            sa.ForeignKey("pictures.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("cell", sa.Integer),
    )
    op.create_table(
        "job_inputs",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True, index=True),
    )
