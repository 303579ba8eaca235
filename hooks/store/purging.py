"""
Deletes what is older than the site keeps: cards with their feedback, used tokens, and the head of the audit chains.

A chain that lost its oldest records begins anew where they ended: a record of the purge, itself in the chain, says
through which entry and hash they were taken. Without the site's key nobody can write such a record, so a chain that
somebody else has cut still shows.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import click
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

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
    from sqlalchemy.engine import Connection, Engine

    from hooks.store.chain import Chain

AT_ONCE: Final = 5_000  # cards in one transaction, so that nobody waits long for a lock
_AGE = re.compile(r"(\d{1,5})([dmy])")
_DAYS: Final = {"d": 1, "m": 30, "y": 365}
SHORTEST_DAYS: Final = 30


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

    A card goes with its feedback, when both are older. Needs the rights of the tables' owner.
    """
    found = Purged()
    edge = as_text(before)
    while True:
        with engine.begin() as connection:
            gone, told = _cards(connection, edge, dry=dry)
        found.cards += gone
        found.feedback += told
        if dry or gone < AT_ONCE:
            break
    with engine.begin() as connection:
        found.tokens = 0 if dry else UsedTokens.prune(connection)
        trail = Trail(connection.dialect, Issued(connection.dialect))
        trail.lock(connection)
        ends = {tenant: end for tenant in tenants(connection) if (end := _end(connection, tenant, edge))}
        first = dict(connection.execute(sa.select(audit_records.c.tenant, sa.func.min(audit_records.c.seq))
                                        .group_by(audit_records.c.tenant)).all())  # fmt: skip
        found.audit = {tenant: seq - first[tenant] + 1 for tenant, (seq, _) in ends.items()}
        if dry:
            return found
        for tenant, (seq, digest) in ends.items():
            record = {"at": as_text(now), "purged": {"through": seq, "hash": digest, "before": edge,
                      "cards": found.cards, "feedback": found.feedback}}  # fmt: skip
            trail.write(connection, chain, [kept_call(tenant, record)])
        _without_guard(connection, ends)
    return found


def _cards(connection: Connection, edge: str, *, dry: bool) -> tuple[int, int]:
    heard = (
        sa.select(feedback.c.card)
        .where(feedback.c.tenant == cards.c.tenant, feedback.c.card == cards.c.uuid, feedback.c.received_at >= edge)
        .exists()
    )
    old = sa.select(cards.c.tenant, cards.c.uuid).where(cards.c.issued_at < edge, ~heard)
    if not dry:
        old = old.limit(AT_ONCE)
    chosen = [tuple(row) for row in connection.execute(old)]
    told = 0
    for start in range(0, len(chosen), 500):
        some = chosen[start : start + 500]
        of = sa.tuple_(feedback.c.tenant, feedback.c.card).in_(some)
        told += connection.execute(sa.select(sa.func.count()).select_from(feedback).where(of)).scalar() or 0
        if not dry:
            about = sa.tuple_(accepted_suggestions.c.tenant, accepted_suggestions.c.card)
            connection.execute(sa.delete(accepted_suggestions).where(about.in_(some)))
            connection.execute(sa.delete(feedback).where(of))
            connection.execute(sa.delete(cards).where(sa.tuple_(cards.c.tenant, cards.c.uuid).in_(some)))
    return len(chosen), told


def _end(connection: Connection, tenant: str, edge: str) -> tuple[int, str] | None:
    """The last of the oldest records that are all from before the edge; never the whole chain without a successor."""
    after: tuple[str, int] | None = None
    end: tuple[int, str] | None = None
    while entries := entries_after(connection, after, tenant, 1000):
        for entry in entries:
            # A gap has no time of its own; it goes with what is around it.
            if json.loads(entry.record).get("at", "") >= edge:
                return end
            end = entry.seq, entry.hash
        after = (tenant, entries[-1].seq)
    return end


def _without_guard(connection: Connection, ends: dict[str, tuple[int, str]]) -> None:
    """Delete audit records, which the tables' own triggers forbid to everybody else."""
    if not ends:
        return
    sqlite = connection.dialect.name == "sqlite"
    guard = None
    if sqlite:
        guard = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'audit_records_no_delete'"
        ).scalar()
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS audit_records_no_delete")
    else:
        connection.exec_driver_sql("ALTER TABLE audit_records DISABLE TRIGGER audit_records_no_change")
    for tenant, (seq, _) in ends.items():
        old = (audit_records.c.tenant == tenant) & (audit_records.c.seq <= seq)
        connection.execute(sa.delete(audit_records).where(old))
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


@click.command("purge")
@click.option("--older-than", required=True, metavar="AGE", help="Such as 90d, 18m or 10y.")
@click.option("--dry-run", is_flag=True, help="Only say how much it would be.")
@click.option("--yes", "sure", is_flag=True, help="Do not ask first.")
@json_option
@config_option
def command(older_than: str, *, dry_run: bool, sure: bool, raw: bool, config: str | None) -> None:
    """Delete cards, feedback, used tokens and audit records of an age; needs the rights of the tables' owner."""
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
        engine = engine_for(url)
        migrate(engine)
        with patience("Deleting"):
            found = purge(engine, chain_for(url, settings.audit_key_file), now - kept, now=now, dry=dry_run)
        engine.dispose()
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
