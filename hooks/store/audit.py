"""
The audit record: one row for each call, in a chain for each tenant, without patient values.

Patient, user and resource ids are kept as keyed hashes only: with the site's key one can ask who looked at a
patient, without it one cannot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

import click

from hooks.settings import SettingsError, load
from hooks.store.backlog import Backlog
from hooks.store.chain import AuditKeyError, Chain, Verification, verify
from hooks.store.database import StoreError, StoreUnavailable
from hooks.store.issued import card_rows
from hooks.store.store import CALL_PATIENCE, Store, existing_store, kept_call
from hooks.store.tables import as_text


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

    A call is answered even if its record cannot be written: record and cards wait in memory and are written when the
    store is back. What had to be dropped is itself recorded, as a gap with its count. `told` is given the number of
    those that wait whenever it changes.
    """

    def __init__(self, store: Store, told: Callable[[int], None] = lambda _: None) -> None:
        self._store = store
        self._backlog = Backlog(store, told)

    @property
    def waiting(self) -> int:
        """How many calls wait for the store."""
        return self._backlog.waiting

    def record(self, call: CallRecord, issued: Iterable[tuple[Any, ...]] = ()) -> bool:
        """
        Writes the record of a call and the cards issued in it, in one transaction; False when they wait in memory.

        A caller pays for its own record and never for those that wait. When its patience is over the record goes on
        its way without it.
        """
        rows = card_rows(call.tenant, call.service_id, issued, call.at)
        kept = kept_call(call.tenant, as_row(call, self._store.chain), rows)
        try:
            future = self._store.hand_in([kept])
        except StoreUnavailable:
            self._backlog.add([kept])
            return False
        try:
            self._store.wait(future, CALL_PATIENCE)
        except StoreUnavailable:
            self._backlog.follow(future, [kept])
            return False
        return True

    def flush(self) -> None:
        """Writes what waits, here and now. Raises `StoreUnavailable`."""
        self._backlog.flush()

    def close(self, seconds: float) -> int:
        """Tries for so long to write what waits, whatever the store said before; gives how many records are lost."""
        return self._backlog.close(seconds)


EMPTY = "The audit record is empty: this database has never recorded a call. Is it the one that the service uses?"


@click.group("audit")
def commands() -> None:
    """Check and read the audit record of the configured database; nothing is made or changed."""


def _opened(context: click.Context) -> Store:
    """The configured store, until the command ends; opened by the command, so that its --help needs none."""
    try:
        store = existing_store(load())
    except (SettingsError, StoreError, StoreUnavailable, AuditKeyError) as error:
        raise click.ClickException(str(error)) from error
    context.call_on_close(store.close)
    return store


@commands.command("verify")
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="TENANT:ENTRY:HASH",
    help="A head that an earlier run printed: it must still be there. Only this shows that the newest rows were cut.",
)
@click.option(
    "--expect-from",
    "noted",
    type=click.File("r", encoding="utf-8"),
    help="A file of such heads, one a line, as `audit head` prints them; - for stdin.",
)
@click.pass_context
def verify_command(context: click.Context, expected: Sequence[str], noted: TextIO | None) -> None:
    """Check that no audit record was changed, taken out or put in."""
    store = _opened(context)
    lines = [line.strip() for line in noted] if noted else []
    try:
        result = verified(store, [_noted(each) for each in (*expected, *filter(None, lines))])
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    for problem in result.problems:
        click.echo(problem, err=True)
    for tenant, (seq, digest) in result.heads.items():
        click.echo(f"{tenant}:{seq}:{digest}")
    if result.problems:
        raise click.ClickException(f"The audit record is not whole: {len(result.problems)} problems.")
    if not result.entries:
        raise click.ClickException(EMPTY)
    click.echo(f"{result.entries} entries, all in order.", err=True)


@commands.command("head")
@click.pass_context
def head_command(context: click.Context) -> None:
    """Print the newest record of each tenant, to be noted elsewhere: against it a cut end shows."""
    store = _opened(context)
    try:
        heads = store.audit_heads()
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    if not heads:
        raise click.ClickException(EMPTY)
    for tenant, (seq, digest) in heads.items():
        click.echo(f"{tenant}:{seq}:{digest}")


@commands.command("who")
@click.argument("patient")
@click.option("--tenant", help="Whose patient; needed where there are several tenants (`open` in open mode).")
@click.pass_context
def who_command(context: click.Context, patient: str, tenant: str | None) -> None:
    """Print the calls about a patient, newest last; users are keyed hashes."""
    store = _opened(context)
    try:
        chosen = _tenant(store, tenant)
        found = list(about_patient(store, chosen, patient))
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    for record in found:
        click.echo(json.dumps(record, ensure_ascii=False))
    click.echo(f"{len(found)} calls about this patient, of tenant {chosen}.", err=True)


def _tenant(store: Store, asked: str | None) -> str:
    """The tenant meant; the same patient id of two tenants is two patients, so that it must be said whose."""
    tenants = sorted(store.audit_heads())
    if not tenants:
        raise click.ClickException(EMPTY)
    if asked is None and len(tenants) > 1:
        raise click.ClickException(f"Whose patient? Say --tenant; the record has {', '.join(tenants)}.")
    if asked is not None and asked not in tenants:
        raise click.ClickException(f"There is no tenant {asked} in this record; it has {', '.join(tenants)}.")
    return asked or tenants[0]


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
