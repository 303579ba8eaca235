"""A draft with only what a rule corrects; it is read back before it goes out."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.context import ReadingContext
from fhir_mapping.elements import amounts, dosing, infusions, intervals, routes
from fhir_mapping.elements.amounts import Amount, amount, words
from fhir_mapping.elements.products import product_of
from fhir_mapping.terms.codes import SNOMED, code_text
from fhir_mapping.terms.exact import listed
from fhir_mapping.terms.units import MILLIGRAMS_IN
from fhir_mapping.writing.parts import (
    TABLE,
    Json,
    ProposalError,
    copied,
    every_days,
    interval_words,
    plain_number,
    quantity_of,
    say,
    validated,
    without_empty,
)
from recommenders.patient.advice import ChangedOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fhir_mapping.terms.drugs import Identified


def corrected(item: ChangedOrder, drafts: Mapping[str, Mapping[str, Any]]) -> Json:
    """Give the draft with the correction; everything else stays as it was sent, its version too."""
    draft = _copy_of(drafts.get(item.order))
    product = _product(draft)
    steps = listed(draft.get("dosageInstruction"))
    if not steps:
        raise ProposalError("The draft order has no dosage to correct.")
    draft["dosageInstruction"] = steps
    if item.dose_mg is not None:
        _change_dose(steps, product, item.dose_mg)
    for step in steps:
        for element, change in _CHANGES.items():
            if (new := getattr(item, element)) is not None:
                change(step, new)
    _drop_narrative(draft)
    _read_back(draft, product, item)
    return validated(without_empty(draft))


def _copy_of(sent: Mapping[str, Any] | None) -> Json:
    if sent is None or sent.get("resourceType") != "MedicationRequest":
        raise ProposalError("The draft order to correct is not among those of the call.")
    if not code_text(sent.get("id")):
        raise ProposalError("The draft order has no id, so it cannot be updated.")
    copy: Json = copied(dict(sent))
    return copy


@cache
def _context() -> ReadingContext:
    # only words and numbers of the order itself are read here: no date, no other resource
    return ReadingContext(patient_id="", now=dt.datetime(2000, 1, 1, tzinfo=dt.UTC), timezone=dt.UTC)


def _product(draft: Json) -> Identified:
    def inside(reference: str, containing: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        contained = listed(containing.get("contained")) if containing is not None else []
        return next((item for item in contained if reference == "#" + words(item.get("id"))), None)

    return product_of(draft, context=_context(), resolve=inside).product


def _old_dose(steps: Sequence[Json], product: Identified) -> Decimal:
    read = dosing.read([steps[0]], product, context=_context())
    if read.first is None or read.first.kind in {"mg/m2", "mg/kg", "IU"} or read.dose_mg.value is None:
        raise ProposalError(
            "The ordered dose is not one amount in milligrams, so it is not changed for the prescriber."
        )
    return read.dose_mg.value


def _change_dose(steps: Sequence[Json], product: Identified, new: Decimal) -> None:
    old = _old_dose(steps, product)
    changed = 0
    for step in steps:
        rates = listed(step.get("doseAndRate"))
        if rates:
            step["doseAndRate"] = rates
        for rate in rates:
            changed += _change_rate(rate, product, old, new)
        for element in ("text", "patientInstruction"):
            if isinstance(step.get(element), str):
                step[element], hits = _with_dose(step[element], old, new)
                changed += hits
    if not changed:
        raise ProposalError("The ordered dose stands in a place that cannot be changed safely.")


def _change_rate(rate: Json, product: Identified, old: Decimal, new: Decimal) -> int:
    found = amount(rate.get("doseQuantity"))
    if found is not None:
        if not _is(found, product, old):
            if found.kind == "mg":
                return 0  # another step with a dose of its own
            raise ProposalError("The draft order tells its dose in a way that cannot be changed safely.")
        rate["doseQuantity"] = _like(rate["doseQuantity"], found, new)
    elif "doseQuantity" in rate:
        raise ProposalError("The draft order has a dose that cannot be read.")
    elif "doseRange" in rate:
        raise ProposalError("The draft order has a range for a dose, which is the prescriber's to change.")
    else:
        return 0
    if (
        speed := rate.get("rateQuantity")
    ) is not None and "mg" in f"{words(speed.get('code'))}{words(speed.get('unit'))}":
        raise ProposalError("The draft order tells its rate by the drug's weight, which would change with the dose.")
    return 1


def _is(found: Amount, product: Identified, old: Decimal) -> bool:
    strength = product.strength
    factor = {"mg": Decimal(1), "mL": strength.mg_per_ml, "piece": strength.mg_per_piece}.get(found.kind)
    if factor is None or found.low != found.high:
        return False
    return abs(found.low * factor - old) <= old * dosing.ONE_PERCENT


def _like(sent: Mapping[str, Any], found: Amount, new: Decimal) -> Json:
    """Give the new dose in the unit of the old one when that is a weight, else in mg."""
    sent_value = amounts.number(sent.get("value"))
    if found.kind == "mg" and sent_value:
        factor = found.low / sent_value
        return {**sent, "value": plain_number(new / factor)}
    return quantity_of(new, "mg", "mg")


def _with_dose(text: str, old: Decimal, new: Decimal) -> tuple[str, int]:
    """Replace the old dose in a text; raise when the text names another dose too."""
    hits = 0

    def put(hit: re.Match[str]) -> str:
        nonlocal hits
        if hit["strength"]:
            return hit[0]
        factor = MILLIGRAMS_IN[hit["unit"].lower()]
        if hit["volume"]:  # a bag to be made or a vial's label: which of them is meant cannot be told
            raise ProposalError("The draft order's text names an amount in a volume, which may be the product's own.")
        if hit["area"] or hit["to"] or Decimal(hit["number"]) * factor != old:
            raise ProposalError("The draft order's text names a dose that differs from the one to be corrected.")
        hits += 1
        return f"{plain_number(new / factor)}{hit['gap']}{hit['unit']}"

    return _DOSE_IN_TEXT.sub(put, text), hits


_DOSE_IN_TEXT = re.compile(
    r"(?<![\d.])(?P<number>\d+(?:\.\d+)?)(?P<to>\s*(?:-|–|~|to|至|到)\s*\d+(?:\.\d+)?)?(?P<gap>\s*)"
    r"(?P<unit>mg|g|ug|mcg|µg|μg|毫克|克|微克)(?![A-Za-z])(?P<area>\s*/\s*(?:m2|m²|kg))?"
    r"(?P<strength>\s*/\s*(?:ml|毫升))?(?P<volume>\s*[/:：]\s*\d+(?:\.\d+)?\s*(?:ml|毫升))?",
    re.IGNORECASE,
)


def _is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def _texts(step: Json) -> list[str]:
    return [element for element in ("text", "patientInstruction") if isinstance(step.get(element), str)]


def _change_route(step: Json, route: str) -> None:
    row = TABLE["routes"][route]
    step["route"] = {"coding": [{"system": SNOMED, "code": row["code"], "display": row["display"]}]}
    step.pop("method", None)
    for element in _texts(step):
        said = routes.text_route(step[element])
        if said is not None and said != route:
            word = row["zh-CN"] if _is_chinese(step[element]) else row["en"]
            step[element] = routes.replace_route(step[element], word)


def _change_interval(step: Json, days: int) -> None:
    timing = dict(step["timing"]) if isinstance(step.get("timing"), dict) else {}
    if timing.get("event"):
        raise ProposalError("The draft order lists its days one by one, which are the prescriber's to change.")
    timing.pop("code", None)
    repeat = dict(timing["repeat"]) if isinstance(timing.get("repeat"), dict) else {}
    for name in ("periodMax", "frequencyMax", "dayOfWeek", "timeOfDay", "when", "offset"):
        repeat.pop(name, None)
    timing["repeat"] = repeat | every_days(days)
    step["timing"] = timing
    for element in _texts(step):
        if intervals.text_interval(step[element]) is not None:
            word = interval_words(days, "zh-CN" if _is_chinese(step[element]) else "en")
            step[element] = intervals.replace_interval(step[element], word)


def _change_infusion(step: Json, minutes: int) -> None:
    timing = dict(step["timing"]) if isinstance(step.get("timing"), dict) else {}
    repeat = dict(timing["repeat"]) if isinstance(timing.get("repeat"), dict) else {}
    repeat.pop("durationMax", None)
    timing["repeat"] = repeat | {"duration": minutes, "durationUnit": "min"}
    step["timing"] = timing
    for rate in listed(step.get("doseAndRate")):
        for name in ("rateQuantity", "rateRatio", "rateRange"):
            rate.pop(name, None)  # a rate would say another time
    step["doseAndRate"] = [rate for rate in listed(step.get("doseAndRate")) if rate]
    if not step["doseAndRate"]:
        del step["doseAndRate"]
    for element in _texts(step):
        chinese = _is_chinese(step[element])
        if infusions.says_push(step[element]):
            step[element] = infusions.without_push(step[element], say("infusion", "zh-CN" if chinese else "en"))
        if infusions.text_infusion(step[element]) is not None:
            step[element] = infusions.replace_infusion(
                step[element], f"滴注{minutes}分钟" if chinese else f"over {minutes} min"
            )


def _change_start(step: Json, day: dt.date) -> None:
    """Write the first day of a draft; one that lists its days one by one is the prescriber's to change."""
    timing = dict(step["timing"]) if isinstance(step.get("timing"), dict) else {}
    if timing.get("event"):
        raise ProposalError("The draft order lists its days one by one, which are the prescriber's to change.")
    repeat = dict(timing["repeat"]) if isinstance(timing.get("repeat"), dict) else {}
    bounds = repeat.get("boundsPeriod")
    end = bounds.get("end") if isinstance(bounds, dict) else None
    if repeat.get("boundsDuration") or repeat.get("boundsRange") or end:
        raise ProposalError("The draft order has a length of its own, which the new first day would change.")
    timing["repeat"] = repeat | {"boundsPeriod": {"start": day.isoformat()}}
    step["timing"] = timing
    if isinstance(step.get("text"), str):
        chinese = _is_chinese(step["text"])
        start = say("starting", "zh-CN" if chinese else "en", value=day.isoformat())
        step["text"] = f"{step['text']}{'，' if chinese else ', '}{start}"


def _change_diluent(step: Json, millilitres: int) -> None:
    text = step.get("text")
    if not isinstance(text, str) or infusions.text_diluent(text) is None:
        raise ProposalError("The draft order does not tell the volume in a place that can be changed.")
    chinese = _is_chinese(text)
    step["text"] = infusions.replace_diluent(text, say("diluent", "zh-CN" if chinese else "en", value=millilitres))


_CHANGES: Mapping[str, Callable[[Json, Any], None]] = {
    "route": _change_route,
    "interval_days": _change_interval,
    "infusion_min": _change_infusion,
    "diluent_ml": _change_diluent,
    "starts": _change_start,
}
"""What a rule may correct in each step of a dosage, by the element of `ChangedOrder` that says it."""


def _drop_narrative(draft: Json) -> None:
    """Leave out a narrative that tells the old dosage: it would contradict the new one."""
    narrative = draft.get("text")
    told = words(narrative.get("div")) if isinstance(narrative, dict) else words(narrative)
    if amounts.text_amounts(told) or intervals.text_interval(told) or infusions.text_infusion(told):
        draft.pop("text", None)


def _read_back(draft: Json, product: Identified, item: ChangedOrder) -> None:
    """Read the corrected draft as if it had been sent: it must say what the rule wants, and nothing else."""
    told = [words(remark.get("text")) for remark in listed(draft.get("note"))]
    read = dosing.read(draft["dosageInstruction"], product, context=_context(), notes=told)
    wanted = (
        (item.dose_mg, read.dose_mg.value),
        (item.dose_mg, read.largest_dose_mg.value),
        (item.interval_days, read.interval_days.value),
        (item.infusion_min, read.infusion_min.value),
        (item.diluent_ml, read.diluent_ml.value),
        (item.starts, read.starts),
    )
    agrees = all(want is None or got == want for want, got in wanted)
    if not agrees or (item.route is not None and read.route.value != item.route):
        raise ProposalError("The corrected draft order could not be read back as meant.")
    if "text-differs-from-dose" in read.reasons:
        raise ProposalError("The draft order's text would contradict the corrected dose.")
