"""
Calls as they are kept: the audit record, appended to its tenant's chain, and the cards that were issued.

Many calls go in a few statements: the newest record of a chain is read once, the links are computed here, and all
rows are inserted together, so that a far database costs so many round trips and not so many for each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from hooks.store.chain import AuditEntry, Chain
from hooks.store.plain import Plain
from hooks.store.tables import audit_records

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect

    from hooks.store.issued import Issued


@dataclass(slots=True, eq=False)
class KeptCall:
    """
    One call as it is kept: the text of its audit record (None: only cards), and the rows of its cards.

    `last_try` is where a transaction meant to put the record whose end nobody saw: it may be there.
    """

    tenant: str
    record: str | None
    cards: Sequence[dict[str, str | None]] = ()
    gap: int = 0  # how many records it stands for that were dropped; 0 for a record of its own
    last_try: AuditEntry | None = field(default=None, repr=False)


class Trail:
    """Appends calls, with statements that were made once."""

    def __init__(self, dialect: Dialect, issued: Issued) -> None:
        self._issued = issued
        self._new = Plain(dialect, sa.insert(audit_records))
        self._newest = Plain(
            dialect,
            sa.select(audit_records.c.seq, audit_records.c.hash)
            .where(audit_records.c.tenant == sa.bindparam("of"))
            .order_by(audit_records.c.seq.desc())
            .limit(1),
        )
        self._at = sa.select(audit_records.c.tenant, audit_records.c.seq, audit_records.c.hash).where(
            sa.tuple_(audit_records.c.tenant, audit_records.c.seq).in_(sa.bindparam("places", expanding=True))
        )
        # One writer at a time reads the newest record and adds the next. SQLite has only one anyway.
        # The lock is one for all tenants: several, taken in any order, could wait for each other in a circle.
        self._lock = (
            None
            if dialect.name == "sqlite"
            else Plain(dialect, sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("oncobone audit"))))
        )

    def write(self, connection: Connection, chain: Chain, calls: Sequence[KeptCall]) -> None:
        """Stores calls in their order; a record that an earlier try has stored after all is not stored twice."""
        self._issued.remember(connection, (row for call in calls for row in call.cards))
        recorded = [call for call in calls if call.record is not None]
        if not recorded:
            return
        self.lock(connection)
        recorded = self._not_yet_there(connection, recorded)
        entries: list[AuditEntry] = []
        heads: dict[str, tuple[int, str]] = {}
        for call in recorded:
            seq, previous = heads.get(call.tenant) or self.head(connection, call.tenant)
            call.last_try = chain.entry(call.tenant, seq + 1, previous, call.record or "")
            heads[call.tenant] = (seq + 1, call.last_try.hash)
            entries.append(call.last_try)
        if entries:
            self._new.run(connection, [entry._asdict() for entry in entries])

    def lock(self, connection: Connection) -> None:
        """Waits until nobody else appends, and keeps others from it until the transaction ends."""
        if self._lock is not None:
            self._lock.rows(connection, {})

    def head(self, connection: Connection, tenant: str) -> tuple[int, str]:
        """Place and hash of the newest record of a tenant; (0, "") when there is none."""
        newest = self._newest.rows(connection, {"of": tenant})
        return (newest[0][0], newest[0][1]) if newest else (0, "")

    def _not_yet_there(self, connection: Connection, calls: list[KeptCall]) -> list[KeptCall]:
        tries = [(each.tenant, each.seq) for call in calls if (each := call.last_try) is not None]
        if not tries:
            return calls
        there = {tuple(row) for row in connection.execute(self._at, {"places": tries})}
        return [
            call for call in calls if (each := call.last_try) is None or (each.tenant, each.seq, each.hash) not in there
        ]


def entries_after(
    connection: Connection, after: tuple[str, int] | None, tenant: str | None, limit: int
) -> list[AuditEntry]:
    """The next audit records by tenant and place in the chain, of one tenant or of all."""
    order = (audit_records.c.tenant, audit_records.c.seq)
    query = sa.select(*(audit_records.c[name] for name in AuditEntry._fields)).order_by(*order).limit(limit)
    if tenant is not None:
        query = query.where(audit_records.c.tenant == tenant)
    if after is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, after)))
    return [AuditEntry(*row) for row in connection.execute(query)]


def tenants(connection: Connection) -> Iterator[str]:
    """Whose chains there are, one step along the index for each."""
    name = ""
    while True:
        query = sa.select(sa.func.min(audit_records.c.tenant)).where(audit_records.c.tenant > name)
        found = connection.execute(query).scalar()
        if found is None:
            return
        name = str(found)
        yield name
