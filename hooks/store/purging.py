"""
Deletes what is older than the site keeps: cards with their feedback, used tokens, and the head of the audit chains.

A chain that lost its oldest records begins anew where they ended: a record of the purge, itself in the chain, says
through which entry and hash they were taken. Without the site's key nobody can write such a record, so a chain that
somebody else has cut still shows.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import click
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from hooks.configuration import load
from hooks.settings import SettingsError
from hooks.store.chain import AuditKeyError, chain_for
from hooks.store.database import DEFAULT_DATABASE_URL, StoreError, StoreUnavailable, engine_for, migrate, word_for
from hooks.store.issued import Issued
from hooks.store.store import kept_call, require_existing
from hooks.store.tables import accepted_suggestions, as_text, audit_records, cards, feedback
from hooks.store.trail import Trail, entries_after, tenants
from hooks.store.used import UsedTokens
from hooks.terminal import config_option, json_option, patience, show_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine

    from hooks.store.chain import Chain

AT_ONCE: Final = 1_000  # cards and records of one step, so that nobody waits long for a lock
MOST_TRIES: Final = 10
PAUSE_S: Final = 0.1
"""The least pause between two steps; SQLite has no queue, and whoever waits for it looks again now and then."""
_AGE = re.compile(r"(\d{1,5})([dmy])")
_DAYS: Final = {"d": 1, "m": 30, "y": 365}
SHORTEST_DAYS: Final = 30
UNHEARD: Final = dt.timedelta(days=SHORTEST_DAYS)
"""A service in use has a call in that time; if not, either it is not in use or the clock is ahead."""


@dataclass(slots=True)
class Purged:
    """How much was deleted, or would be."""

    cards: int = 0
    feedback: int = 0
    tokens: int = 0
    audit: dict[str, int] = field(default_factory=dict)  # tenant -> records


def purge(engine: Engine, chain: Chain, before: dt.datetime, *, now: dt.datetime, dry: bool = False) -> Purged:
    """
    Deletes what is from before a moment, and puts it on record; with `dry` only counts.

    A card goes with its feedback, when both are older. It goes on in small steps, each with its record in one
    transaction: the service writes in between, and what was deleted is on record wherever it is broken off. Needs the
    rights of the tables' owner.
    """
    edge = as_text(before)
    if dry:
        with engine.connect() as connection:
            return _counted(connection, edge)
    found = Purged()
    with engine.begin() as connection:
        found.tokens = UsedTokens.prune(connection, before.timestamp())
        named = {*tenants(connection), *connection.execute(sa.select(cards.c.tenant).distinct()).scalars()}
    for tenant in sorted(named):
        while True:
            started = time.monotonic()
            step = _patiently(engine, partial(_step, chain=chain, tenant=tenant, edge=edge, now=now))
            if not (step.cards or step.audit):
                break
            found.cards += step.cards
            found.feedback += step.feedback
            for name, count in step.audit.items():
                found.audit[name] = found.audit.get(name, 0) + count
            time.sleep(max(PAUSE_S, time.monotonic() - started))
    return found


def newest_call(engine: Engine) -> dt.datetime | None:
    """Tell when the newest call on record was; None when none is. What purges have written down are no calls."""
    record = audit_records.c.record
    newest = sa.select(record).where(record.like('%"status":%')).order_by(audit_records.c.seq.desc()).limit(1)
    with engine.connect() as connection:
        found = [
            connection.execute(newest.where(audit_records.c.tenant == tenant)).scalar()
            for tenant in list(tenants(connection))
        ]
    times = [json.loads(each)["at"] for each in found if each is not None]
    return dt.datetime.fromisoformat(max(times)) if times else None


def _counted(connection: Connection, edge: str) -> Purged:
    found = Purged()
    found.cards = connection.execute(sa.select(sa.func.count()).select_from(_old(edge).subquery())).scalar() or 0
    gone = sa.tuple_(feedback.c.tenant, feedback.c.card).in_(_old(edge))
    found.feedback = connection.execute(sa.select(sa.func.count()).select_from(feedback).where(gone)).scalar() or 0
    for tenant in list(tenants(connection)):
        if count := _end(connection, tenant, edge)[0]:
            found.audit[tenant] = count
    return found


def _patiently(engine: Engine, work: Callable[[Connection], Purged]) -> Purged:
    """Do a step in a transaction, and again where it met with another writer."""
    for left in reversed(range(MOST_TRIES)):
        try:
            with engine.begin() as connection:
                return work(connection)
        except OperationalError:
            if not left:
                raise
            time.sleep(PAUSE_S)
    raise AssertionError("the last try returns or raises")


def _step(connection: Connection, chain: Chain, tenant: str, edge: str, now: dt.datetime) -> Purged:
    """Delete some of a tenant's oldest cards and audit records, and write down which."""
    trail = Trail(connection.dialect, Issued(connection.dialect))
    trail.lock(connection)  # one purge at a time, and no record is added meanwhile
    step = Purged()
    step.cards, step.feedback = _cards(connection, tenant, edge)
    count, end = _end(connection, tenant, edge, AT_ONCE)
    told: dict[str, object] = {"before": edge, "cards": step.cards, "feedback": step.feedback}
    if end is not None:
        step.audit[tenant] = count
        told |= {"through": end[0], "hash": end[1]}
    if step.cards or end is not None:
        # Without records that were taken it says nothing of where the chain begins.
        record = {"at": as_text(now), "purged" if end is not None else "deleted": told}
        trail.write(connection, chain, [kept_call(tenant, record)])
    if end is not None:
        _without_guard(connection, tenant, end[0])
    return step


def _old(edge: str) -> sa.Select[tuple[str, str]]:
    heard = (
        sa.select(feedback.c.card)
        .where(feedback.c.tenant == cards.c.tenant, feedback.c.card == cards.c.uuid, feedback.c.received_at >= edge)
        .exists()
    )
    return sa.select(cards.c.tenant, cards.c.uuid).where(cards.c.issued_at < edge, ~heard)


def _cards(connection: Connection, tenant: str, edge: str) -> tuple[int, int]:
    chosen = [row.uuid for row in connection.execute(_old(edge).where(cards.c.tenant == tenant).limit(AT_ONCE))]
    told = 0
    for start in range(0, len(chosen), 500):
        some = chosen[start : start + 500]
        of = (feedback.c.tenant == tenant) & feedback.c.card.in_(some)
        about = (accepted_suggestions.c.tenant == tenant) & accepted_suggestions.c.card.in_(some)
        connection.execute(sa.delete(accepted_suggestions).where(about))
        told += connection.execute(sa.delete(feedback).where(of)).rowcount
        connection.execute(sa.delete(cards).where((cards.c.tenant == tenant) & cards.c.uuid.in_(some)))
    return len(chosen), told


def _end(connection: Connection, tenant: str, edge: str, most: int | None = None) -> tuple[int, tuple[int, str] | None]:
    """How many of the oldest records, `most` at the most, are all from before the edge, and the last of them."""
    after: tuple[str, int] | None = None
    count, end = 0, None
    while entries := entries_after(connection, after, tenant, min(1000, most or 1000)):
        for entry in entries:
            # A gap has no time of its own; it goes with what is around it.
            if json.loads(entry.record).get("at", "") >= edge:
                return count, end
            count, end = count + 1, (entry.seq, entry.hash)
        if most is not None and count >= most:
            break
        after = (tenant, entries[-1].seq)
    return count, end


def _without_guard(connection: Connection, tenant: str, through: int) -> None:
    """Delete audit records, which the tables' own triggers forbid to everybody else."""
    sqlite = connection.dialect.name == "sqlite"
    guard = None
    if sqlite:
        guard = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'audit_records_no_delete'"
        ).scalar()
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS audit_records_no_delete")
    else:
        connection.exec_driver_sql("ALTER TABLE audit_records DISABLE TRIGGER audit_records_no_change")
    connection.execute(
        sa.delete(audit_records).where((audit_records.c.tenant == tenant) & (audit_records.c.seq <= through))
    )
    if not sqlite:
        connection.exec_driver_sql("ALTER TABLE audit_records ENABLE TRIGGER audit_records_no_change")
    elif guard:
        connection.exec_driver_sql(guard)


def age(text: str) -> dt.timedelta:
    """An age such as 90d, 18m (of 30 days) or 10y (of 365)."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.BadParameter("write an age such as 90d, 18m or 10y")
    days = int(match[1]) * _DAYS[match[2]]
    if days < SHORTEST_DAYS:
        raise click.BadParameter(f"less than {SHORTEST_DAYS} days are not deleted: feedback may still come")
    return dt.timedelta(days=days)


def _refuse_a_clock_ahead(engine: Engine, now: dt.datetime) -> None:
    newest = newest_call(engine)
    if newest is not None and now - newest > UNHEARD:
        raise click.ClickException(
            f"It is {now:%Y-%m-%d} by this machine's clock, and the newest call on record is of {newest:%Y-%m-%d}."
            " Nothing was deleted; if the clock is right, say so with --clock-is-right."
        )


@click.command("purge")
@click.option("--older-than", required=True, metavar="AGE", help="Such as 90d, 18m or 10y.")
@click.option("--dry-run", is_flag=True, help="Only say how much it would be.")
@click.option("--yes", "sure", is_flag=True, help="Do not ask first.")
@click.option("--clock-is-right", is_flag=True, help="Delete though there was no call for a month.")
@json_option
@config_option
def command(older_than: str, *, dry_run: bool, sure: bool, clock_is_right: bool, raw: bool, config: str | None) -> None:
    """
    Delete cards, feedback, used tokens and audit records of an age; needs the rights of the tables' owner.

    To a clock that is years ahead everything is old: where the newest call lies more than a month back, nothing is
    deleted before somebody says that the clock is right.
    """
    try:
        kept = age(older_than)
    except click.BadParameter as error:
        error.param_hint = "--older-than"
        raise
    now = dt.datetime.now(dt.UTC)
    if not dry_run and not sure:
        click.confirm("Cards, feedback and audit records of that age are deleted for good. Go on?", abort=True)
    try:
        settings = load({"config": config})
        require_existing(settings)
        url = settings.database_url or DEFAULT_DATABASE_URL
        with contextlib.ExitStack() as at_end:
            engine = engine_for(url)
            at_end.callback(engine.dispose)
            migrate(engine)
            if not (dry_run or clock_is_right):
                _refuse_a_clock_ahead(engine, now)
            with patience("Deleting"):
                found = purge(engine, chain_for(url, settings.audit_key_file), now - kept, now=now, dry=dry_run)
    except (SettingsError, StoreError, StoreUnavailable, AuditKeyError) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        raise click.ClickException(f"The database does not let this role delete: {word_for(error)}.") from error
    if raw:
        show_json({"dry_run": dry_run, **asdict(found)})
        return
    done = "Would delete" if dry_run else "Deleted"
    click.echo(f"{done} {found.cards} cards, {found.feedback} feedback entries, {found.tokens} used tokens.")
    for tenant, count in found.audit.items():
        click.echo(f"{done} {count} audit records of {tenant}.")
