"""Bone density: the T-scores of hip and spine."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.elements import values
from fhir_mapping.terms import dates, dictionary
from recommenders.vocabulary.facts import replace, round_half_up

if TYPE_CHECKING:
    from fhir_mapping.observations import ObservationReader


def read(reader: ObservationReader) -> None:
    """A T-score of −1.0 or less at hip or spine is a decreased density; it is no diagnosis of osteoporosis."""
    candidates = reader.candidates("mm.bmd_decreased", "dxa")
    for concept in ("dxa_t_score_lumbar", "dxa_t_score_hip"):
        own = sorted(
            (one for one in candidates if one.slot.concept == concept and one.stamp is not None),
            key=lambda one: (dates.order(one.stamp), one.item.name),
            reverse=True,
        )
        for candidate in own[1:]:
            reader.notes.add(candidate.item.name, "superseded by a newer result")
        if not own:
            continue
        element = reader.element(own[0])
        number = values.number_of(element, reader.context) if element is not None else "no-value"
        if not isinstance(number, values.Number) or number.low is None or number.low != number.high:
            reader.notes.add(own[0].item.name, "no-value: nothing to read for mm.bmd_decreased")
        elif number.unit not in {"", "1", "{T-score}", "{score}"}:
            reader.notes.add(own[0].item.name, "unit: no unit, or none that can be converted")
        elif round_half_up(number.low, 1) <= Decimal("-1.0"):
            blank = dictionary.blank_finding("mm.bmd_decreased")
            fact = reader.stamped(replace(blank, value=True, reason=None), own[0], reader.copy_of(own[0]) or {})
            reader.take("mm.bmd_decreased", fact, own[:1])
        else:
            reader.notes.add(own[0].item.name, "a bone density that is not decreased")
