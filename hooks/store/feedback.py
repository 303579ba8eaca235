"""
Feedback: what became of the cards, as `POST /cds-services/{id}/feedback` brings it, and the report on it.

A batch is stored whole or not at all, and acknowledged only when it is stored. The same entry may come again.
A user's comment is kept as text, and is never logged.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import click
from flask import Blueprint, g, request

from hooks.configuration import load
from hooks.errors import Refused
from hooks.settings import SettingsError
from hooks.store.chain import AuditKeyError
from hooks.store.database import StoreError, StoreUnavailable
from hooks.store.issued import FeedbackCount, FeedbackItem
from hooks.store.store import Store, existing_store
from hooks.terminal import config_option, json_option, patience, show_json

MAX_BODY: Final = 2 * 1024 * 1024  # bytes
MAX_ITEMS: Final = 1000
MAX_SUGGESTIONS: Final = 100  # of one entry
MAX_ID: Final = 64
MAX_CODE: Final = 1000  # code, system and display of a reason
MAX_COMMENT: Final = 10_000  # characters
RETRY_SECONDS: Final = 5

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
# PostgreSQL holds no NUL, and no engine holds half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


# Reading what was sent


def parse(body: bytes) -> list[FeedbackItem]:
    """
    The entries of a feedback body, checked for their shape.

    Raises `Refused` (400, 413) that names the field and never quotes what stood there.
    """
    if len(body) > MAX_BODY:
        raise Refused(413, f"A feedback body may have {MAX_BODY // 1024} KiB; send several.")
    try:
        sent = json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(400, "The body is nested too deeply.") from None
    except ValueError as error:  # bad UTF-8 and bad JSON too
        # Of our own messages only: json's would quote the body.
        text = str(error) if isinstance(error, _NotJsonError) else "The body is not JSON in UTF-8."
        raise Refused(400, text) from None
    if not isinstance(sent, dict):
        raise _wrong("feedback", "the body must be an object with a list `feedback`")
    entries = sent.get("feedback")
    if not isinstance(entries, list) or not entries:
        raise _wrong("feedback", "must be a list with at least one entry")
    if len(entries) > MAX_ITEMS:
        raise _wrong("feedback", f"holds more than {MAX_ITEMS} entries; send several bodies")
    return [_item(entry, f"feedback[{n}]") for n, entry in enumerate(entries)]


class _NotJsonError(ValueError):
    """Text that json would take, though it is not JSON or says a thing twice."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotJsonError("An object of the body holds the same member twice.")
    return members


def _no_constant(_: str) -> None:
    raise _NotJsonError("The body holds a number that JSON does not know.")


def _wrong(path: str, what: str) -> Refused:
    return Refused(400, f"`{path}` {what}.", field=path)


def _item(sent: object, path: str) -> FeedbackItem:
    if not isinstance(sent, dict):
        raise _wrong(path, "must be an object")
    outcome = sent.get("outcome")
    if outcome not in ("accepted", "overridden"):
        raise _wrong(f"{path}.outcome", "must be `accepted` or `overridden`")
    suggestions = _suggestions(sent.get("acceptedSuggestions"), f"{path}.acceptedSuggestions")
    if outcome == "accepted" and not suggestions:
        raise _wrong(f"{path}.acceptedSuggestions", "must name at least one suggestion when the outcome is `accepted`")
    override = sent.get("overrideReason") or {}
    if not isinstance(override, dict):
        raise _wrong(f"{path}.overrideReason", "must be an object with `reason`, `userComment` or both")
    code, system, display = _coding(override.get("reason"), f"{path}.overrideReason.reason")
    return FeedbackItem(
        card=_id(sent.get("card"), f"{path}.card"),
        outcome=outcome,
        outcome_at=_moment(sent.get("outcomeTimestamp"), f"{path}.outcomeTimestamp"),
        accepted_suggestions=suggestions,
        reason_code=code,
        reason_system=system,
        reason_display=display,
        user_comment=_text(override.get("userComment"), f"{path}.overrideReason.userComment", MAX_COMMENT),
    )


def _id(sent: object, path: str) -> str:
    if not isinstance(sent, str) or not sent or len(sent) > MAX_ID:
        raise _wrong(path, "must be the uuid that came with the card or suggestion")
    return _UNSTORABLE.sub("\ufffd", sent).lower()


def _suggestions(sent: object, path: str) -> tuple[str, ...]:
    if sent is None:
        return ()
    if not isinstance(sent, list):
        raise _wrong(path, "must be a list of objects with `id`")
    if len(sent) > MAX_SUGGESTIONS:
        raise _wrong(path, f"holds more than {MAX_SUGGESTIONS} suggestions")
    ids = []
    for n, each in enumerate(sent):
        if not isinstance(each, dict):
            raise _wrong(f"{path}[{n}]", "must be an object with `id`")
        ids.append(_id(each.get("id"), f"{path}[{n}].id"))
    return tuple(ids)


def _coding(sent: object, path: str) -> tuple[str | None, str | None, str | None]:
    """Code, system and display of a reason. A client may have reasons of its own, also without a code system."""
    if sent is None:
        return None, None, None
    if not isinstance(sent, dict):
        raise _wrong(path, "must be a Coding with `code`, `system` and, when there is one, `display`")
    code, system, display = (
        _text(sent.get(name), f"{path}.{name}", MAX_CODE) for name in ("code", "system", "display")
    )
    if code is None:
        raise _wrong(f"{path}.code", "must be a text")
    return code, system, display


def _text(sent: object, path: str, longest: int) -> str | None:
    if sent is None or sent == "":
        return None
    if not isinstance(sent, str):
        raise _wrong(path, "must be a text")
    if len(sent) > longest:
        raise _wrong(path, f"is longer than {longest} characters")
    return _UNSTORABLE.sub("\ufffd", sent)


def _moment(sent: object, path: str) -> datetime:
    """A point in time in RFC 3339. CDS Hooks asks for UTC; another offset names a point in time as well."""
    found = _TIME.fullmatch(sent) if isinstance(sent, str) else None
    if not found:
        raise _wrong(path, "must be a time in UTC such as 2026-11-22T12:00:00Z")
    day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = found.groups()
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    if int(second) > 60 or int(offset_hours or 0) >= 24 or int(offset_minutes or 0) >= 60:
        raise _wrong(path, "is not a time that exists")
    try:
        # A leap second is second 60, which Python does not know: it is added.
        at = datetime.fromisoformat(f"{day}T{hour}:{minute}:00").replace(tzinfo=UTC)
        at += timedelta(seconds=int(second), microseconds=int((fraction or "").ljust(6, "0")[:6]))
        return at + offset if sign == "-" else at - offset
    except (ValueError, OverflowError):
        raise _wrong(path, "is not a time that exists") from None


# Answering


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What was stored of a batch: how many entries by outcome."""

    outcomes: dict[str, int] = field(default_factory=dict)


def handle(
    store: Store, tenant: str, service_id: str, body: bytes, catching_up: Callable[[], bool] = lambda: False
) -> Acknowledged:
    """
    Reads a feedback body and stores it whole.

    Raises `Refused`: 400 for a wrong shape, 404 when a card is not one that this service gave to this tenant, 503
    when it cannot be stored now, or when it is about an unknown card while cards still wait to be stored
    (`catching_up`). Then nothing is stored.
    """
    items = parse(body)
    try:
        result = store.add_feedback(tenant, service_id, items)
        if result.unknown_cards:
            if catching_up():
                raise _later("cards wait to be stored")
            # Those that waited a moment ago are stored by now.
            result = store.add_feedback(tenant, service_id, items)
    except StoreUnavailable as error:
        raise _later(error.reason) from None
    if result.unknown_cards:
        path = f"feedback[{result.unknown_cards[0]}].card"
        raise Refused(
            404,
            f"`{path}` is not a card of this service; nothing of this body was stored"
            f" ({len(result.unknown_cards)} of {len(items)} cards are unknown).",
            field=path,
        )
    if result.unknown_suggestions:
        n, m = result.unknown_suggestions[0]
        raise _wrong(f"feedback[{n}].acceptedSuggestions[{m}].id", "is not a suggestion of this card")
    return Acknowledged(dict(Counter(item.outcome for item in items)))


def _later(reason: str) -> Refused:
    return Refused(
        503,
        "Feedback cannot be stored now, nothing of this body was. Send it again later.",
        headers={"Retry-After": str(RETRY_SECONDS)},
        cause=f"store: {reason}",
    )


def blueprint(
    store: Callable[[], Store],
    tenant: Callable[[str], str],
    service_ids: Callable[[], Iterable[str]],
    body: Callable[[], bytes] = lambda: request.get_data(cache=False),
    counted: Callable[[str, int], None] = lambda outcome, count: None,  # noqa: ARG005 - nobody counts
    catching_up: Callable[[], bool] = lambda: False,
) -> Blueprint:
    """
    The feedback route.

    `tenant(service_id)` says who calls (it refuses those who may not), `service_ids` which services there are,
    `body` gives what was sent (it refuses what is not JSON), `counted(outcome, count)` is told what was stored,
    `catching_up` says whether cards wait to be stored.
    """
    bp = Blueprint("feedback", __name__)

    @bp.post("/cds-services/<service_id>/feedback")
    def receive(service_id: str) -> dict[str, object]:
        """Store feedback on the cards of a service."""
        caller = tenant(service_id)
        if service_id not in set(service_ids()):
            raise Refused(404)
        g.service_label = service_id
        acknowledged = handle(store(), caller, service_id, body(), catching_up)
        for outcome, count in acknowledged.outcomes.items():
            counted(outcome, count)
        g.setdefault("told", {})["feedback"] = acknowledged.outcomes
        return {"stored": sum(acknowledged.outcomes.values())}

    return bp


# The report


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the cards shown, with Wilson's 95 % confidence interval; all None when none was shown."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


def share(count: int, of: int) -> Share:
    """
    A share with its Wilson score interval at 95 %, which stays within 0 and 1 and holds for small numbers.

    Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc 1927;22:209-212.
    """
    if not of:
        return Share(count, of, None, None, None)
    z = 1.959963984540054  # the normal quantile of 0.975
    p = count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Share(count, of, p, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What became of the cards on which one rule of one guidance version stood."""

    rule: str
    guidance: str
    shown: int
    accepted: Share
    overridden: Share
    reasons: dict[str, int]  # override reason code -> cards, most frequent first


def report(store: Store, tenant: str | None = None) -> list[ReportRow]:
    """
    One row per rule and guidance version, by rule, then version.

    A card counts for each of its rules, since an EHR judges cards; of several outcomes of a card the latest counts.
    """
    return _rows(store.feedback_counts(tenant))


def _rows(counts: Sequence[FeedbackCount]) -> list[ReportRow]:
    shown: Counter[tuple[str, str]] = Counter()
    outcomes: Counter[tuple[str, str, str]] = Counter()
    reasons: dict[tuple[str, str], Counter[str]] = {}
    for count in counts:
        for rule in count.rules:
            key = (rule, count.guidance)
            shown[key] += count.cards
            if count.outcome:
                outcomes[*key, count.outcome] += count.cards
            if count.outcome == "overridden" and count.reason:
                reasons.setdefault(key, Counter())[count.reason] += count.cards
    return [
        ReportRow(
            rule,
            guidance,
            shown[rule, guidance],
            share(outcomes[rule, guidance, "accepted"], shown[rule, guidance]),
            share(outcomes[rule, guidance, "overridden"], shown[rule, guidance]),
            dict(sorted(reasons.get((rule, guidance), Counter()).items(), key=lambda each: (-each[1], each[0]))),
        )
        for rule, guidance in sorted(shown)
    ]


COLUMNS: Final = (
    "rule",
    "guidance",
    "shown",
    "accepted",
    "accepted 95 % CI",
    "overridden",
    "overridden 95 % CI",
    "reasons",
)


@click.group("feedback")
def commands() -> None:
    """What became of the cards."""


@commands.command("report")
@click.option("--tenant", help="Of this tenant only; by default of all together.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@json_option
@config_option
def report_command(tenant: str | None, form: Literal["table", "csv", "json"], raw: bool, config: str | None) -> None:
    """
    Print, per rule and guidance version, how often cards were shown, accepted and overridden, and why.

    A card counts for each rule on it. Cards without feedback are shown cards: an EHR does not report ignored ones.
    """
    try:
        store = existing_store(load({"config": config}))
        try:
            with patience("Counting the feedback"):
                rows = report(store, tenant)
        finally:
            store.close()
    except (SettingsError, StoreError, StoreUnavailable, AuditKeyError) as error:
        raise click.ClickException(str(error)) from error
    if not rows:
        click.echo("No card was ever shown, as far as this database knows.", err=True)
    if raw or form == "json":
        show_json([_as_json(row) for row in rows])
        return
    table = [COLUMNS, *(_as_cells(row) for row in rows)]
    if form == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows(table)
        return
    widths = [max(len(line[n]) for line in table) for n in range(len(COLUMNS))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _as_cells(row: ReportRow) -> tuple[str, ...]:
    reasons = ", ".join(f"{code} {count}" for code, count in row.reasons.items())
    return (
        row.rule,
        row.guidance,
        str(row.shown),
        str(row.accepted.count),
        _interval(row.accepted),
        str(row.overridden.count),
        _interval(row.overridden),
        reasons,
    )


def _interval(of: Share) -> str:
    return "" if of.low is None or of.high is None else f"{of.low:.0%}-{of.high:.0%}"


def _as_json(row: ReportRow) -> dict[str, object]:
    def rate(of: Share) -> dict[str, object]:
        return {"cards": of.count, "share": of.value, "low": of.low, "high": of.high}

    return {
        "rule": row.rule,
        "guidance": row.guidance,
        "shown": row.shown,
        "accepted": rate(row.accepted),
        "overridden": rate(row.overridden),
        "reasons": row.reasons,
    }
