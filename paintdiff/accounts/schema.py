"""The tables of API keys and users. A change needs a migration in `gallery/records/migrations`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from paintdiff.gallery.records.schema import Moment, StoredText, Table


class KeyRow(Table):
    """An API key: `id` is the public part of it, `hash` Argon2's of the whole."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(StoredText, primary_key=True)
    name: Mapped[str] = mapped_column(StoredText)
    hash: Mapped[str] = mapped_column(StoredText)
    scopes: Mapped[str] = mapped_column(StoredText)
    owner: Mapped[str] = mapped_column(StoredText, index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class UserRow(Table):
    """A user: `folded` is the name as it is looked up, whatever its capitals."""

    __tablename__ = "users"

    folded: Mapped[str] = mapped_column(StoredText, primary_key=True)
    name: Mapped[str] = mapped_column(StoredText)
    hash: Mapped[str] = mapped_column(StoredText)
    scopes: Mapped[str] = mapped_column(StoredText)
    created_at: Mapped[datetime] = mapped_column(Moment)
