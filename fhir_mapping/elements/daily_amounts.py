"""How much a day of calcium, vitamin D and mesna the current orders make together."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.elements import dosing
from fhir_mapping.elements.medication_entries import MANY, Entry, blank_of, counts_as
from fhir_mapping.terms.drug_names import mentions
from fhir_mapping.terms.drugs import Identified
from fhir_mapping.terms.strengths import elemental_calcium_in, units_in
from recommenders.vocabulary.facts import Fact, Finding, Reading, replace

if TYPE_CHECKING:
    from collections.abc import Sequence


# --- amounts a day ------------------------------------------------------------------------------------------

Ends = tuple[Decimal, Decimal] | None


def amounts_a_day(current: Sequence[Entry]) -> dict[str, Fact]:
    calcium = [
        (entry.reference, _calcium_a_day(entry.product, entry.doses)) for entry in current if "calcium" in entry.classes
    ]
    vitamin = [
        (entry.reference, _vitamin_d_a_day(entry.product, entry.doses)) for entry in current if "vitd" in entry.classes
    ]
    mesna = [
        (entry.reference, _mesna_a_day(entry.product, entry.doses)) for entry in current if counts_as(entry, "mesna")
    ]
    oral = [(entry.reference, entry.doses.route) for entry in current if counts_as(entry, "mesna")]
    days = max((entry.day for entry in current if entry.day), default=None)
    return {
        "meds.calcium_daily": _sum("meds.calcium_daily", calcium, days),
        "meds.vitd_daily": _sum("meds.vitd_daily", vitamin, days),
        "meds.mesna_daily": _sum("meds.mesna_daily", mesna, days),
        "meds.mesna_oral": _mesna_oral(oral, days),
    }


def _sum(path: str, parts: Sequence[tuple[str, Ends]], day: dt.date | None) -> Reading:
    """Add the amounts of a day; where one of several is not told, the sum is "at least"."""
    blank: Reading = blank_of(path)
    names = tuple(name for name, _ in parts)
    told = [ends for _, ends in parts if ends is not None]
    if not told:
        return replace(blank, resources=names, reason="unit") if parts else blank
    low, high = sum((ends[0] for ends in told), Decimal(0)), sum((ends[1] for ends in told), Decimal(0))
    if len(told) < len(parts):
        return replace(blank, low=low, high=MANY, reason=None, flags=("at-least",), date=day, resources=names)
    return replace(blank, low=low, high=high, reason=None, date=day, resources=names)


def _rate(doses: dosing.Dosing) -> tuple[Decimal, Decimal] | None:
    """Give how often a day something is taken on average: weekly vitamin D counts a seventh."""
    interval = doses.interval_days
    if interval.is_known and interval.low and interval.high:
        return 1 / interval.high, 1 / interval.low
    return (doses.times_a_day, doses.times_a_day) if doses.times_a_day is not None else None


def _pieces(doses: dosing.Dosing) -> tuple[Decimal, Decimal] | None:
    if doses.first is None or doses.first.kind != "piece":
        return None
    return doses.first.low, doses.first.high


def _times(one: Ends, other: Ends) -> Ends:
    return None if one is None or other is None else (_round(one[0] * other[0]), _round(one[1] * other[1]))


def _round(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01")).normalize() + 0


def _calcium_a_day(product: Identified, doses: dosing.Dosing) -> Ends:
    """Give mg of calcium itself; a salt's weight alone tells nothing."""
    elemental = next((found for text in (*product.words, doses.text) if (found := elemental_calcium_in(text))), None)
    if (pieces := _pieces(doses)) is not None:
        return _times(_times(pieces, (elemental, elemental) if elemental else None), _rate(doses))
    if not doses.dose_mg.is_known or doses.dose_mg.low is None or doses.dose_mg.high is None:
        return None
    by_salt = any(
        match.endswith(("carbonate", "citrate", "lactate", "phosphate", "gluconate")) for match in _salts(product)
    )
    if by_salt or (elemental is None and not _is_plain_calcium(product)):
        return None
    return _times((doses.dose_mg.low, doses.dose_mg.high), _rate(doses))


def _salts(product: Identified) -> tuple[str, ...]:
    chinese = {
        "碳酸钙": "calcium carbonate",
        "枸橼酸钙": "calcium citrate",
        "柠檬酸钙": "calcium citrate",
        "乳酸钙": "calcium lactate",
    }
    named = [mention.name for text in (*product.words, *product.displays) for mention in mentions(text)]
    return tuple(chinese.get(name, name) for name in named)


def _is_plain_calcium(product: Identified) -> bool:
    """Calcium by that name only, without a salt: its dose is the calcium."""
    return set(product.drugs) == {"calcium"}


def _vitamin_d_a_day(product: Identified, doses: dosing.Dosing) -> Ends:
    if doses.daily_iu.is_known and doses.first is not None:
        return _times((doses.first.low, doses.first.high), _rate(doses))
    units = next((found for text in (*product.words, *product.displays) if (found := units_in(text))), None)
    return _times(_times(_pieces(doses), (units, units) if units else None), _rate(doses))


def _mesna_a_day(product: Identified, doses: dosing.Dosing) -> Ends:
    if product.drugs != ("mesna",) or not doses.daily_mg.is_known:
        return None
    if doses.daily_mg.low is None or doses.daily_mg.high is None:
        return None
    return doses.daily_mg.low, doses.daily_mg.high


def _mesna_oral(routes: Sequence[tuple[str, Finding]], day: dt.date | None) -> Finding:
    blank: Finding = blank_of("meds.mesna_oral")
    names = tuple(name for name, _ in routes)
    if any(route.value == "PO" for _, route in routes):
        return replace(blank, value=True, reason=None, date=day, resources=names)
    if any(not route.is_known for _, route in routes):
        return replace(blank.forget("missing"), resources=names)
    return replace(blank, value=False, reason=None, date=day if routes else None, resources=names)
