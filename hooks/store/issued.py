"""Issued cards, and what became of them: the rows of cards and feedback."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import sqlalchemy as sa

from hooks.store.plain import Plain
from hooks.store.tables import accepted_suggestions, as_text, cards, feedback, insert_of

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.engine import Connection, Dialect

ASKED_AT_ONCE = 500  # cards in one query


class IssuedCard(NamedTuple):
    """A card as it is remembered: enough to recognise and count feedback, nothing of the patient."""

    uuid: str
    rules: Sequence[str]
    suggestions: Sequence[str]
    guidance: str
    quiet_key: str | None = None


class Answered(NamedTuple):
    """The newest answer that a card of one quiet key was given; `at` is never after it was received."""

    outcome: str
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class FeedbackItem:
    """One entry of a feedback batch, checked for its shape; ids in lower case, the time in UTC."""

    card: str
    outcome: Literal["accepted", "overridden"]
    outcome_at: datetime
    accepted_suggestions: tuple[str, ...] = ()
    reason_code: str | None = None
    reason_system: str | None = None
    reason_display: str | None = None
    user_comment: str | None = None


@dataclass(frozen=True, slots=True)
class FeedbackOutcome:
    """What became of a batch: all of it is stored when both lists are empty, else nothing is."""

    stored: int = 0
    unknown_cards: tuple[int, ...] = ()  # places in the batch
    unknown_suggestions: tuple[tuple[int, int], ...] = ()  # places in the batch and in its acceptedSuggestions

    @property
    def refused(self) -> bool:
        """Nothing was stored, because of an unknown card or suggestion."""
        return bool(self.unknown_cards or self.unknown_suggestions)


class FeedbackCount(NamedTuple):
    """Cards with the same rules and guidance version, by what finally became of them."""

    guidance: str
    rules: tuple[str, ...]
    outcome: str | None  # None: shown, nothing heard
    reason: str | None
    cards: int


def card_rows(
    tenant: str, service_id: str, issued: Iterable[tuple[Any, ...]], issued_at: datetime
) -> list[dict[str, str | None]]:
    """The rows of issued cards, given as `IssuedCard` or its parts in order."""
    at = as_text(issued_at)
    return [
        {
            "tenant": tenant,
            "uuid": card.uuid.lower(),
            "service": service_id,
            "guidance": card.guidance,
            "rules": json.dumps(list(card.rules)),
            "suggestions": json.dumps([suggestion.lower() for suggestion in card.suggestions]),
            "issued_at": at,
            "quiet_key": card.quiet_key,
        }
        for card in (IssuedCard(*each) for each in issued)
    ]


class Issued:
    """The statements on cards and feedback, made once: to make one takes longer than to run it."""

    def __init__(self, dialect: Dialect) -> None:
        insert = insert_of(dialect)
        self._new_card = Plain(dialect, insert(cards).on_conflict_do_nothing())
        self._answers = Plain(dialect, _ANSWERS)
        self._known_cards = sa.select(cards.c.uuid, cards.c.suggestions).where(
            cards.c.tenant == sa.bindparam("of"),
            cards.c.service == sa.bindparam("by"),
            cards.c.uuid.in_(sa.bindparam("uuids", expanding=True)),
        )
        self._new_suggestion = insert(accepted_suggestions).on_conflict_do_nothing()
        self._feedback = _add_to(insert(feedback))

    def remember(self, connection: Connection, rows: Iterable[dict[str, str | None]]) -> None:
        """Stores issued cards; one that is sent again is stored once."""
        # Sorted: two transactions with the same cards would else wait for each other in a circle.
        ordered = sorted(rows, key=lambda row: (row["tenant"] or "", row["uuid"] or ""))
        if ordered:
            self._new_card.run(connection, ordered)

    def answers(self, connection: Connection, tenant: str, keys: Iterable[str]) -> dict[str, Answered]:
        """Give the newest answer to cards of each of these quiet keys; a key without one is not there."""
        found = ((key, self._answers.rows(connection, {"of": tenant, "key": key})) for key in keys)
        return {key: _answered(*rows[0]) for key, rows in found if rows}

    def add(
        self, connection: Connection, tenant: str, service_id: str, items: Sequence[FeedbackItem], received_at: datetime
    ) -> FeedbackOutcome:
        """Stores a batch of feedback, all or nothing; see `Store.add_feedback`."""
        known = self._suggestions_of(connection, tenant, service_id, {item.card for item in items})
        unknown_cards = tuple(n for n, item in enumerate(items) if item.card not in known)
        unknown_suggestions = tuple(
            (n, m)
            for n, item in enumerate(items)
            for m, suggestion in enumerate(item.accepted_suggestions)
            if suggestion not in known.get(item.card, {suggestion})
        )
        if unknown_cards or unknown_suggestions:
            return FeedbackOutcome(0, unknown_cards, unknown_suggestions)
        ordered = sorted(items, key=lambda item: (item.card, item.outcome, item.outcome_at))
        rows = [_feedback_row(tenant, item, as_text(received_at)) for item in ordered]
        connection.execute(self._feedback, rows)
        chosen = [
            {name: row[name] for name in ("tenant", "card", "outcome", "outcome_at")} | {"suggestion": suggestion}
            for row, item in zip(rows, ordered, strict=True)
            for suggestion in sorted(set(item.accepted_suggestions))
        ]
        if chosen:
            connection.execute(self._new_suggestion, chosen)
        return FeedbackOutcome(len(items))

    def _suggestions_of(
        self, connection: Connection, tenant: str, service_id: str, uuids: set[str]
    ) -> dict[str, frozenset[str]]:
        known: dict[str, frozenset[str]] = {}
        wanted = sorted(uuids)
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            asked = {"of": tenant, "by": service_id, "uuids": wanted[start : start + ASKED_AT_ONCE]}
            rows = connection.execute(self._known_cards, asked)
            known |= {uuid: frozenset(json.loads(suggestions)) for uuid, suggestions in rows}
        return known


# An EHR's clock may be ahead, by years: what was received had been given by then.
_GIVEN_AT = sa.case(
    (feedback.c.outcome_at < feedback.c.received_at, feedback.c.outcome_at), else_=feedback.c.received_at
)
_ANSWERS = (
    sa.select(feedback.c.outcome, feedback.c.reason_code, _GIVEN_AT)
    .join(cards, (feedback.c.tenant == cards.c.tenant) & (feedback.c.card == cards.c.uuid))
    .where(cards.c.tenant == sa.bindparam("of"), cards.c.quiet_key == sa.bindparam("key"))
    .order_by(_GIVEN_AT.desc(), feedback.c.received_at.desc())
    .limit(1)
)


def _answered(outcome: str, reason: str | None, at: str) -> Answered:
    return Answered(outcome, reason, datetime.fromisoformat(at))


def _add_to(insert: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    """Feedback that is there already keeps its reason and comment, and gets those that it had not."""
    sent = insert.excluded
    has_reason = feedback.c.reason_code.is_not(None)
    changes: dict[str, sa.ColumnElement[Any]] = {
        name: sa.case((has_reason, feedback.c[name]), else_=sent[name])
        for name in ("reason_code", "reason_system", "reason_display")
    }
    changes["user_comment"] = sa.func.coalesce(feedback.c.user_comment, sent.user_comment)
    return insert.on_conflict_do_update(index_elements=list(feedback.primary_key.columns.keys()), set_=changes)


def _feedback_row(tenant: str, item: FeedbackItem, received_at: str) -> dict[str, str | None]:
    return {
        "tenant": tenant,
        "card": item.card,
        "outcome": item.outcome,
        "outcome_at": as_text(item.outcome_at),
        "received_at": received_at,
        "reason_code": item.reason_code,
        "reason_system": item.reason_system,
        "reason_display": item.reason_display,
        "user_comment": item.user_comment,
    }


def counts(connection: Connection, tenant: str | None = None) -> list[FeedbackCount]:
    """
    Cards by guidance version, rules, final outcome and override reason; of one tenant, or of all.

    The final outcome of a card is its latest by `outcomeTimestamp`, then by arrival.
    """
    place = sa.func.row_number().over(
        partition_by=(feedback.c.tenant, feedback.c.card),
        # "overridden" before "accepted" when all else is equal: an order, so that the report is stable
        order_by=(feedback.c.outcome_at.desc(), feedback.c.received_at.desc(), feedback.c.outcome.desc()),
    )
    columns = (feedback.c.tenant, feedback.c.card, feedback.c.outcome, feedback.c.reason_code)
    placed = sa.select(*columns, place.label("place")).subquery()
    final = sa.select(placed).where(placed.c.place == 1).subquery()
    joined = cards.outerjoin(final, (final.c.tenant == cards.c.tenant) & (final.c.card == cards.c.uuid))
    groups = (cards.c.guidance, cards.c.rules, final.c.outcome, final.c.reason_code)
    query = sa.select(*groups, sa.func.count()).select_from(joined).group_by(*groups)
    if tenant is not None:
        query = query.where(cards.c.tenant == tenant)
    return [
        FeedbackCount(guidance, tuple(json.loads(rules)), outcome, reason, count)
        for guidance, rules, outcome, reason, count in connection.execute(query)
    ]
