"""The table of jobs. A change here needs a migration in `gallery/records/migrations`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Double, Index
from sqlalchemy.orm import Mapped, mapped_column

from paintdiff.gallery.records.schema import (
    Moment,
    Number,
    StoredBigInteger,
    StoredInteger,
    StoredJson,
    StoredText,
    Table,
)


class JobRow(Table):
    """A durable job, by the order of acceptance.

    `process` is the mark of the process that owns it. `starts` counts how often painting it was
    begun since `painted` grew, the number of its recorded pictures; `restarts` counts the processes
    that took it over. Of a job that has ended, `visitor` is "".
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting', 'running', 'finished', 'failed', 'cancelled')",
            name="state_known",
        ),
        Index("jobs_by_key", "owner", "key"),
        Index("jobs_by_end", "ended_at", "number"),
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True)
    id: Mapped[str] = mapped_column(StoredText, unique=True)
    process: Mapped[str] = mapped_column(StoredText)
    state: Mapped[str] = mapped_column(StoredText)
    visitor: Mapped[str] = mapped_column(StoredText)
    owner: Mapped[str] = mapped_column(StoredText)
    sees_all: Mapped[bool]
    varied: Mapped[str] = mapped_column(StoredText)
    key: Mapped[str | None] = mapped_column(StoredText)
    digest: Mapped[str | None] = mapped_column(StoredText)
    request: Mapped[dict[str, Any]] = mapped_column(StoredJson)
    request_version: Mapped[int] = mapped_column(StoredInteger)
    request_bytes: Mapped[int] = mapped_column(StoredBigInteger)
    warnings: Mapped[list[str]] = mapped_column(StoredJson(list))
    starts: Mapped[int] = mapped_column(StoredInteger)
    painted: Mapped[int] = mapped_column(StoredInteger)
    restarts: Mapped[int] = mapped_column(StoredInteger)
    accepted_at: Mapped[datetime] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    seconds: Mapped[float | None] = mapped_column(Double)
    error: Mapped[dict[str, Any] | None] = mapped_column(StoredJson)
