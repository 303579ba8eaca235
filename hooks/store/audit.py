"""
The audit record: one row for each call, in a chain for each tenant, without patient values.

Patient, user and resource ids are kept as keyed hashes only: with the site's key one can ask who looked at a
patient, without it one cannot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

import click

from hooks.configuration import load
from hooks.settings import SettingsError
from hooks.store.backlog import Backlog
from hooks.store.chain import AuditEntry, AuditKeyError, Chain, Verification, verify
from hooks.store.database import StoreError, StoreUnavailable
from hooks.store.issued import Answered, card_rows
from hooks.store.store import CALL_PATIENCE, Store, existing_store, kept_call
from hooks.store.tables import as_text
from hooks.terminal import InputFile, Progress, config_option, json_option, show_json


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
    return len(text) == 36 and _OF_UUIDS.issuperset(text)


_OF_UUIDS = frozenset("0123456789abcdefABCDEF-")


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
        return self._answers_or_written(call, issued, ()) is not None

    def record_unless_answered(
        self, call: CallRecord, issued: Iterable[tuple[Any, ...]], keys: Sequence[str]
    ) -> dict[str, Answered]:
        """
        Gives the newest answers that cards of these quiet keys were given, by key; where there is none, it writes.

        One step of the store instead of two. While it is down nobody knows of an answer, and the record waits.
        """
        return self._answers_or_written(call, issued, keys) or {}

    def _answers_or_written(
        self, call: CallRecord, issued: Iterable[tuple[Any, ...]], keys: Sequence[str]
    ) -> dict[str, Answered] | None:
        """None when the record waits in memory."""
        rows = card_rows(call.tenant, call.service_id, issued, call.at)
        kept = kept_call(call.tenant, as_row(call, self._store.chain), rows)
        try:
            future = self._store.hand_in([kept], unless=keys)
        except StoreUnavailable:
            self._backlog.add([kept])
            return None
        try:
            return self._store.wait(future, CALL_PATIENCE)
        except StoreUnavailable:
            self._backlog.follow(future, [kept])
            return None

    def flush(self) -> None:
        """Writes what waits, here and now. Raises `StoreUnavailable`."""
        self._backlog.flush()

    def close(self, seconds: float) -> int:
        """Tries for so long to write what waits, whatever the store said before; gives how many records are lost."""
        return self._backlog.close(seconds)


@click.group("audit")
def commands() -> None:
    """Check and read the audit record of the configured database; nothing is made or changed."""


@contextmanager
def _opened(config: str | None) -> Iterator[Store]:
    """The store that is there, until the end of the block; what is wrong with it ends the command with a sentence."""
    try:
        store = existing_store(load({"config": config}))
        try:
            yield store
        finally:
            store.close()
    except (SettingsError, StoreError, StoreUnavailable, AuditKeyError) as error:
        raise click.ClickException(str(error)) from error


def _heads(store: Store) -> dict[str, tuple[int, str]]:
    """The newest record of each tenant. An audit record without any is an error: it may be another database."""
    heads = store.audit_heads()
    if not heads:
        raise click.ClickException(
            "The audit record is empty: this database has never recorded a call. Is it the one that the service uses?"
        )
    return heads


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
    type=InputFile("r"),
    metavar="FILE",
    help="A file of such heads, one a line, as `audit head` prints them; - for stdin.",
)
@json_option
@config_option
def verify_command(expected: Sequence[str], noted: TextIO | None, raw: bool, config: str | None) -> None:
    """Check that no audit record was changed, taken out or put in."""
    lines = [line.strip() for line in noted] if noted else []
    wanted = [_noted(each) for each in (*expected, *filter(None, lines))]
    if noted and not any(lines):
        raise click.ClickException("--expect-from: no head was noted there, so a cut end could not show.")
    with _opened(config) as store, Progress() as progress:
        of = sum(seq for seq, _ in store.audit_heads().values())
        result = verify(_counted(store.audit_entries(), of, progress), store.chain, wanted)
        if not result.problems:
            _heads(store)
    if raw:
        heads = [{"tenant": tenant, "entry": seq, "hash": digest} for tenant, (seq, digest) in result.heads.items()]
        whole = {"whole": not result.problems, "entries": result.entries, "heads": heads, "problems": result.problems}
        show_json(whole)
    else:
        for problem in result.problems:
            click.echo(problem, err=True)
        for tenant, (seq, digest) in result.heads.items():
            click.echo(f"{tenant}:{seq}:{digest}")
    if result.problems:
        raise click.ClickException(f"The audit record is not whole: {len(result.problems)} problems.")
    click.echo(f"{result.entries} entries, all in order.", err=True)


def _counted(entries: Iterable[AuditEntry], of: int, progress: Progress) -> Iterator[AuditEntry]:
    for done, entry in enumerate(entries, 1):
        yield entry
        if done % 1000 == 0:
            progress("Reading the audit record", done, max(of, done))


@commands.command("head")
@json_option
@config_option
def head_command(raw: bool, config: str | None) -> None:
    """Print the newest record of each tenant, to be noted elsewhere: against it a cut end shows."""
    with _opened(config) as store:
        heads = _heads(store)
    if raw:
        show_json([{"tenant": tenant, "entry": seq, "hash": digest} for tenant, (seq, digest) in heads.items()])
        return
    for tenant, (seq, digest) in heads.items():
        click.echo(f"{tenant}:{seq}:{digest}")


@commands.command("who")
@click.argument("patient")
@click.option("--tenant", help="Whose patient; needed where there are several tenants (`open` in open mode).")
@json_option
@config_option
def who_command(patient: str, tenant: str | None, raw: bool, config: str | None) -> None:
    """Print the calls about a patient, newest last, one JSON object a line; users are keyed hashes."""
    with _opened(config) as store, Progress() as progress:
        chosen, of = _tenant(_heads(store), tenant)
        found = list(_about(store.chain, chosen, patient, _counted(store.audit_entries(tenant=chosen), of, progress)))
    if raw:
        show_json({"tenant": chosen, "calls": found})
    else:
        for record in found:
            click.echo(json.dumps(record, ensure_ascii=False))
    click.echo(f"{len(found)} calls about this patient, of tenant {chosen}.", err=True)


def _tenant(heads: Mapping[str, tuple[int, str]], asked: str | None) -> tuple[str, int]:
    """
    The tenant that is asked about, or the only one, and how many records it may have.

    The same patient id of two tenants is two patients, so that it must be said whose.
    """
    if asked is None and len(heads) > 1:
        raise click.ClickException(f"Whose patient? Say --tenant; the record has {', '.join(heads)}.")
    chosen = asked if asked is not None else next(iter(heads))
    if chosen not in heads:
        raise click.ClickException(f"--tenant: the record has none of this name; it has {', '.join(heads)}.")
    return chosen, heads[chosen][0]


def verified(store: Store, expected: Iterable[tuple[str, int, str]] = ()) -> Verification:
    """Checks the store's chains; see `chain.verify`."""
    return verify(store.audit_entries(), store.chain, expected)


def about_patient(store: Store, tenant: str, patient: str) -> Iterator[dict[str, object]]:
    """The records of calls about a patient."""
    return _about(store.chain, tenant, patient, store.audit_entries(tenant=tenant))


def _about(chain: Chain, tenant: str, patient: str, entries: Iterable[AuditEntry]) -> Iterator[dict[str, object]]:
    wanted = chain.pseudonym(tenant, "patient", patient)
    for entry in entries:
        record = json.loads(entry.record)
        if record.get("patient") == wanted:
            yield record


def _noted(text: str) -> tuple[str, int, str]:
    # A tenant may hold colons; the place and the hash do not.
    match text.rsplit(":", 2):
        case [tenant, seq, digest] if seq.isdecimal():
            return tenant, int(seq), digest
    raise click.BadParameter("write TENANT:ENTRY:HASH, as `oncobone audit verify` printed it", param_hint="--expect")
