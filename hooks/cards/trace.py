"""The machine-readable proof of a card: what the rules on it read, with values, dates, limits and sources."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hooks.cards.wording import OPPOSITE, unit
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading
from recommenders.vocabulary.guidance import Limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.vocabulary.logic import Condition


def without_empty(members: Mapping[str, Any]) -> dict[str, Any]:
    """CDS Hooks allows no empty attribute: a member without content is left out."""
    return {key: value for key, value in members.items() if value or value == 0}  # no and zero are content


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Write a computed value as JSON: whole numbers whole, others as numbers, words as they are."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent >= 0 else float(value)  # type: ignore[operator] # finite: the exponent is a number
    return value


def because(condition: Condition) -> dict[str, Any]:
    """Write one condition as the trace has it: fact, value, unit, date, resources, relation, limit, source."""
    fact = condition.evidence
    limit: object = condition.limit
    source: str | None = None
    of_unit: str | None = None
    value: Any = None
    if isinstance(limit, Limit):
        source = limit.source
        limit = limit.value
    if isinstance(fact, Reading):
        of_unit = fact.unit
        if (rounded := fact.rounded) is not None:
            value = plain(rounded)
        elif fact.low is not None and fact.high is not None:
            value = [plain(fact.low), plain(fact.high)]
    elif isinstance(fact, Moment):
        value = fact.date.isoformat() if fact.date else None
    elif isinstance(fact, Finding):
        value = fact.value
    day = fact.date.isoformat() if isinstance(fact, Fact) and fact.date else None
    return without_empty(
        {
            "fact": condition.fact,
            "value": value,
            "unit": unit(of_unit, "en") if of_unit else None,
            "date": day,
            "resources": list(fact.resources) if isinstance(fact, Fact) else None,
            "relation": OPPOSITE.get(condition.relation, condition.relation)
            if condition.holds is False
            else condition.relation,
            "limit": _plain_limit(limit),
            "source": source,
        }
    )


def _plain_limit(limit: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(limit, tuple):
        return [_plain_limit(part) for part in limit]
    return plain(limit)
