"""
The audit record: one row for each call, in a chain for each tenant, without patient values.

Patient, user and resource ids are kept as keyed hashes only: with the site's key one can ask who looked at a
patient, without it one cannot.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import click

from hooks.settings import SettingsError, load
from hooks.store.chain import AuditKeyError, Chain, Verification, verify
from hooks.store.database import StoreError, StoreUnavailable
from hooks.store.store import Store, as_text, existing_store

log = logging.getLogger("oncobone.audit")

# Records kept in memory while the store is down; the oldest go first, and are counted.
SPOOL: Final = 10_000
FLUSH_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, as the service knows it. Ids come as they are, and leave this module as keyed hashes only."""

    at: datetime
    tenant: str
    client: str
    service_id: str
    hook: str
    hook_instance: str
    status: int
    milliseconds: float
    as_of: str | None = None  # the evaluation day
    user: str | None = None
    patient: str | None = None
    resources: Iterable[str] = ()  # those that a fact was read from
    guidance: str | None = None
    fired: Iterable[str] = ()
    suppressed: Iterable[str] = ()
    undecided: Iterable[str] = ()
    cards: Iterable[str] = ()  # uuids
    fetched: Mapping[str, str] = field(default_factory=dict)  # prefetch key -> "ok" or a reason word


def as_row(call: CallRecord, chain: Chain) -> dict[str, object]:
    """The record as it is stored: no id of a patient, user or resource in the clear, and no value."""

    def hashed(kind: str, identifier: str) -> str:
        return chain.pseudonym(call.tenant, kind, identifier)

    row: dict[str, object] = {
        "at": as_text(call.at),
        "client": call.client,
        "service": call.service_id,
        "hook": call.hook,
        # Callers may put anything into hookInstance; what looks like a UUID is kept, so that calls can be found.
        "hook_instance": call.hook_instance
        if _looks_like_uuid(call.hook_instance)
        else f"hashed:{hashed('instance', call.hook_instance)}",
        "status": call.status,
        "ms": round(call.milliseconds, 1),
        "as_of": call.as_of,
        "user": hashed("user", call.user) if call.user else None,
        "patient": hashed("patient", call.patient) if call.patient else None,
        "resources": sorted({hashed("resource", each) for each in call.resources}),
        "guidance": call.guidance,
        "fired": sorted(call.fired),
        "suppressed": sorted(call.suppressed),
        "undecided": sorted(call.undecided),
        "cards": list(call.cards),
        "fetched": dict(call.fetched),
    }
    return {name: value for name, value in row.items() if value not in (None, [], {})}


def _looks_like_uuid(text: str) -> bool:
    return len(text) == 36 and all(letter in "0123456789abcdefABCDEF-" for letter in text)


class Auditor:
    """
    Writes audit records, and keeps them while the store is down.

    A call is answered even if its record cannot be written: the record waits in memory and is written when the
    store is back. What had to be dropped is itself recorded, as a gap with its count.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[str, dict[str, object]]] = deque()
        self._dropped: dict[str, int] = {}
        self._lock = threading.Lock()
        self._flushing = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many records wait for the store."""
        return len(self._waiting)

    def record(self, call: CallRecord, issued: Iterable[tuple[str, Sequence[str], Sequence[str], str]] = ()) -> bool:
        """
        Writes the record of a call and the cards issued in it, in one transaction; False when the store is down.

        The record then waits in memory. The cards do not: feedback on them will be answered with 404.
        """
        row = as_row(call, self._store.chain)
        try:
            self.flush()
            self._store.remember_cards(call.tenant, call.service_id, issued, audit=row)
        except StoreUnavailable:
            self._keep(call.tenant, [row])
            return False
        return True

    def flush(self) -> None:
        """Writes what waits, oldest first; of several threads one does it. Raises `StoreUnavailable`."""
        if not (self._waiting or self._dropped) or not self._flushing.acquire(blocking=False):
            return
        try:
            while batch := self._take():
                tenant, rows = batch
                try:
                    self._store.append_audit(tenant, *rows)
                except StoreUnavailable:
                    self._put_back(tenant, rows)
                    raise
        finally:
            self._flushing.release()

    def _take(self) -> tuple[str, list[dict[str, object]]] | None:
        """The next records of one tenant, a gap first."""
        with self._lock:
            if self._dropped:
                tenant, count = self._dropped.popitem()
                return tenant, [{"gap": count}]
            if not self._waiting:
                return None
            tenant = self._waiting[0][0]
            rows: list[dict[str, object]] = []
            while self._waiting and self._waiting[0][0] == tenant and len(rows) < FLUSH_AT_ONCE:
                rows.append(self._waiting.popleft()[1])
            return tenant, rows

    def _put_back(self, tenant: str, rows: Sequence[dict[str, object]]) -> None:
        with self._lock:
            for row in reversed(rows):
                match row:
                    case {"gap": int(count)}:
                        self._dropped[tenant] = self._dropped.get(tenant, 0) + count
                    case _:
                        self._waiting.appendleft((tenant, row))

    def _keep(self, tenant: str, rows: Iterable[dict[str, object]]) -> None:
        with self._lock:
            for row in rows:
                if len(self._waiting) >= SPOOL:
                    oldest, _ = self._waiting.popleft()
                    self._dropped[oldest] = self._dropped.get(oldest, 0) + 1
                self._waiting.append((tenant, row))


@click.group("audit")
@click.pass_context
def commands(context: click.Context) -> None:
    """Check and read the audit record of the configured database; nothing is made or changed."""
    try:
        context.obj = existing_store(load())
    except (SettingsError, StoreError, StoreUnavailable, AuditKeyError) as error:
        raise click.ClickException(str(error)) from error
    context.call_on_close(context.obj.close)


@commands.command("verify")
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="TENANT:ENTRY:HASH",
    help="A head that an earlier run printed: it must still be there. Only this shows that the newest rows were cut.",
)
@click.pass_obj
def verify_command(store: Store, expected: Sequence[str]) -> None:
    """Check that no audit record was changed, taken out or put in."""
    try:
        result = verified(store, [_noted(each) for each in expected])
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    for problem in result.problems:
        click.echo(problem, err=True)
    for tenant, (seq, digest) in result.heads.items():
        click.echo(f"{tenant}:{seq}:{digest}")
    if result.problems:
        raise click.ClickException(f"The audit record is not whole: {len(result.problems)} problems.")
    if not result.entries:
        raise click.ClickException(
            "The audit record is empty: this database has never recorded a call. Is it the one that the service uses?"
        )
    click.echo(f"{result.entries} entries, all in order.", err=True)


@commands.command("who")
@click.argument("patient")
@click.option("--tenant", help="Whose patient; needed where there are several tenants (`open` in open mode).")
@click.pass_obj
def who_command(store: Store, patient: str, tenant: str | None) -> None:
    """Print the calls about a patient, newest last; users are keyed hashes."""
    try:
        chosen = tenant or _only_tenant(store)
        found = list(about_patient(store, chosen, patient))
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    for record in found:
        click.echo(json.dumps(record, ensure_ascii=False))
    click.echo(f"{len(found)} calls about this patient, of tenant {chosen}.", err=True)


def _only_tenant(store: Store) -> str:
    """The tenant of the record; the same patient id of two tenants is two patients, so that it must be said whose."""
    tenants = sorted({entry.tenant for entry in store.audit_entries()})
    if not tenants:
        raise click.ClickException("The audit record is empty: this database has never recorded a call.")
    if len(tenants) > 1:
        raise click.ClickException(f"Whose patient? Say --tenant; the record has {', '.join(tenants)}.")
    return tenants[0]


def verified(store: Store, expected: Iterable[tuple[str, int, str]] = ()) -> Verification:
    """Checks the store's chains; see `chain.verify`."""
    return verify(store.audit_entries(), store.chain, expected)


def about_patient(store: Store, tenant: str, patient: str) -> Iterator[dict[str, object]]:
    """The records of calls about a patient."""
    wanted = store.chain.pseudonym(tenant, "patient", patient)
    for entry in store.audit_entries(tenant=tenant):
        record = json.loads(entry.record)
        if record.get("patient") == wanted:
            yield record


def _noted(text: str) -> tuple[str, int, str]:
    # A tenant may hold colons; the place and the hash do not.
    match text.rsplit(":", 2):
        case [tenant, seq, digest] if seq.isdecimal():
            return tenant, int(seq), digest
    raise click.BadParameter("write TENANT:ENTRY:HASH, as `oncobone audit verify` printed it", param_hint="--expect")
