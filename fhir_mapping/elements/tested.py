"""Results that tell a finding: positive or negative, or a number above a limit (blood in the urine)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.answers import answer_of
from fhir_mapping.elements.values import Number, as_sent, number_of
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from fhir_mapping.delivery.context import ReadingContext
    from recommenders.vocabulary.facts import Finding

_TRACE = compiled(r"trace|微量|弱阳|±|\+/-")
_MUCH = compiled(r"\s*(?:small|moderate|large|many|numerous|tntc|too numerous|大量|多数|满视野)")


def test_of(
    element: Mapping[str, Any], limit: tuple[Decimal, str] | None, blank: Finding, context: ReadingContext
) -> Finding:
    """
    Give the finding that a test tells: by a number above the limit (value, unit), else by its answer in words.

    A trace leaves it `suspected`; a number in another unit than the limit's is `unit`, with what was sent.
    """
    if limit is not None and isinstance(number := number_of(element, context), Number):
        return _beyond(number, limit, blank)
    said = [element["valueString"]] if isinstance(element.get("valueString"), str) else []
    said += texts_of(element.get("valueCodeableConcept"))
    sent = said[0] if said else None
    if any(_TRACE.search(fold(one)) for one in said):
        return replace(blank, value=None, reason="suspected", sent=sent)
    answer = answer_of(element, context)
    if answer in {"positive", "negative"}:
        return replace(blank, value=answer == "positive", reason=None, sent=sent)
    if any(_MUCH.match(fold(one)) for one in said):
        return replace(blank, value=True, reason=None, sent=sent)
    return replace(blank, value=None, reason="masked" if answer == "masked" else "no-value", sent=sent)


def _beyond(number: Number, limit: tuple[Decimal, str], blank: Finding) -> Finding:
    """Compare a number, or what is left open of it, with a limit; a limit of nothing needs no unit."""
    edge, unit = limit
    sent = as_sent(number)
    if edge != 0 and number.unit != unit:
        return replace(blank, value=None, reason="unit", sent=sent)
    if number.low is not None and (number.low > edge or (number.low == edge and number.low_open)):
        return replace(blank, value=True, reason=None, sent=sent)
    if number.high is not None and number.high <= edge:
        return replace(blank, value=False, reason=None, sent=sent)
    return replace(blank, value=None, reason="no-value", sent=sent)
