"""The store's tables. How they came to be is in `hooks/store/migrations`; a test holds both together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.engine import Dialect

REVISION: Final = "0004"
"""The newest step of the migrations: the revision of these tables."""

metadata = sa.MetaData()

_TENANT = sa.String(255)
_SERVICE = sa.String(64)
_TIME = sa.String(32)  # UTC, `2026-11-22T12:00:00.000000Z`: sorts as text, alike on both engines


def as_text(moment: datetime) -> str:
    """A point in time as it is stored: UTC, with microseconds, so that text sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def insert_of(dialect: Dialect) -> Callable[[sa.Table], sqlite.Insert | postgresql.Insert]:
    """Give the INSERT of a dialect, which can say what is done with a row that is there; the other is not read."""
    if dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite as own  # noqa: PLC0415 - one of the two is never needed

        return own.insert
    from sqlalchemy.dialects import postgresql as other  # noqa: PLC0415 - the same

    return other.insert


cards = sa.Table(
    "cards",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("uuid", sa.String(36), primary_key=True),
    sa.Column("service", _SERVICE, nullable=False),
    sa.Column("guidance", sa.String(32), nullable=False),
    sa.Column("rules", sa.Text, nullable=False),  # JSON list of rule ids
    sa.Column("suggestions", sa.Text, nullable=False),  # JSON list of suggestion uuids
    sa.Column("issued_at", _TIME, nullable=False),
    sa.Column("quiet_key", sa.String(32)),  # keyed hash of patient and content: the same card for the same patient
    sa.Index("cards_quiet_key", "tenant", "quiet_key"),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("card", sa.String(36), primary_key=True),
    sa.Column("outcome", sa.String(16), primary_key=True),
    sa.Column("outcome_at", _TIME, primary_key=True),
    sa.Column("received_at", _TIME, nullable=False),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason_system", sa.Text),
    sa.Column("reason_display", sa.Text),
    sa.Column("user_comment", sa.Text),
    sa.ForeignKeyConstraint(["tenant", "card"], ["cards.tenant", "cards.uuid"], name="feedback_card"),
)

accepted_suggestions = sa.Table(
    "accepted_suggestions",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("card", sa.String(36), primary_key=True),
    sa.Column("outcome", sa.String(16), primary_key=True),
    sa.Column("outcome_at", _TIME, primary_key=True),
    sa.Column("suggestion", sa.String(36), primary_key=True),
    sa.ForeignKeyConstraint(
        ["tenant", "card", "outcome", "outcome_at"],
        ["feedback.tenant", "feedback.card", "feedback.outcome", "feedback.outcome_at"],
        name="accepted_suggestions_feedback",
    ),
)

used_tokens = sa.Table(
    "used_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # of issuer and jti
    sa.Column("expires", sa.BigInteger, nullable=False, index=True),  # seconds since 1970
)

audit_records = sa.Table(
    "audit_records",
    metadata,
    sa.Column("tenant", _TENANT, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key_id", sa.String(16), nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("record", sa.Text, nullable=False),  # the JSON text exactly as it was hashed
    sa.Column("hash", sa.String(64), nullable=False),
)

APPEND_ONLY: Final = {
    "sqlite": tuple(
        f"CREATE TRIGGER audit_records_no_{act} BEFORE {act} ON audit_records"
        " BEGIN SELECT RAISE(ABORT, 'audit records are append-only'); END"
        for act in ("update", "delete")
    ),
    "postgresql": (
        (
            "CREATE FUNCTION audit_records_append_only() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN RAISE EXCEPTION 'audit records are append-only'; END $$"
        ),
        (
            "CREATE TRIGGER audit_records_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_records_append_only()"
        ),
    ),
}
"""What keeps audit records from being changed, in the words of each engine."""

write_checks = sa.Table(
    "write_checks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("checked_at", _TIME, nullable=False),
    sa.Column("padding", sa.Text, nullable=False),
)

revisions = sa.Table(
    "alembic_version",
    sa.MetaData(),  # it is Alembic's, and not compared with the migrations
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def make_all(connection: sa.Connection) -> None:
    """Make all tables at once in a database that has none, as the migrations would have made them one by one."""
    metadata.create_all(connection, checkfirst=False)
    for statement in APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    revisions.create(connection)
    connection.execute(revisions.insert().values(version_num=REVISION))


def has_any(connection: sa.Connection) -> bool:
    """Tell whether a database has one of the tables, or had."""
    inspector = sa.inspect(connection)
    return any(inspector.has_table(name) for name in (revisions.name, *metadata.tables))
