"""Suggested orders as FHIR: new orders, and a draft with only what a rule corrects."""

from __future__ import annotations

import copy
import csv
import datetime as dt
import re
import tomllib
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.servicerequest import ServiceRequest
from pydantic import ValidationError

from fhir_mapping.delivery.context import ReadingContext
from fhir_mapping.elements import amounts, dosing, infusions, intervals, routes
from fhir_mapping.elements.amounts import Amount, amount, words
from fhir_mapping.elements.products import product_of
from fhir_mapping.terms.codes import ATC, LOINC, RXNORM, SNOMED, UCUM, code_text, shipped_rows
from fhir_mapping.terms.decode import listed
from fhir_mapping.terms.units import MILLIGRAMS_IN
from recommenders.patient.advice import ChangedOrder, ProposedMedication, ProposedService

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_mapping.terms.drugs import Identified
    from recommenders.patient.advice import Item
    from recommenders.vocabulary.dictionary import LaboratoryFacts

Json = dict[str, Any]

SYSTEMS = {"rxnorm": RXNORM, "atc": ATC, "snomed": SNOMED, "loinc": LOINC}
_TABLE: Json = tomllib.loads(files("fhir_mapping").joinpath("proposals.toml").read_text("utf-8"))
_DISPLAYS = {(system, code): display for _, _, system, code, display in shipped_rows()}


def _placed_by() -> Mapping[str, Sequence[Mapping[str, str]]]:
    """Give the rows of `orders.csv` by service: codes that only orders need, each with where it was seen."""
    rows: dict[str, list[Mapping[str, str]]] = {}
    text = files("fhir_mapping.terms").joinpath("orders.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        if row["service"] not in _TABLE["services"] or not row["seen"]:
            raise ValueError(f"orders.csv: {row['service']}: no such service, or not said where its code was seen")
        rows.setdefault(row["service"], []).append(row)
    return rows


_ORDERS = _placed_by()
SERVICE_CODES: Mapping[str, frozenset[tuple[str, str]]] = {
    service: frozenset(
        [(SYSTEMS[system], code) for system, code in row.get("codes", ())]
        + [(one["system"], one["code"]) for one in _ORDERS.get(service, ()) if not one["breadth"]]
    )
    for service, row in _TABLE["services"].items()
}
"""Service -> the codings (system, code) that mean it; a broad one ("MRI") needs the order's words besides."""
Property = Literal["mass", "moles"]
"""What a laboratory counts in, as LOINC's names have it."""
LATERALITY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
_REASON = re.compile(r"(?:Condition|Observation)/[A-Za-z0-9.\-]{1,64}$")
_UNREADABLE = (ValidationError, ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError)


class ProposalError(ValueError):
    """A suggestion that cannot be written as a safe and valid order; the message says why, without a value."""


def resource_for(
    item: Item,
    *,
    patient_id: str,
    reasons: Sequence[str],
    drafts: Mapping[str, Mapping[str, Any]],
    intent: Literal["proposal", "order"],
    language: str,
    authored: dt.date | None,
    requester: str | None = None,
    counted_in: Property | None = None,
) -> Json:
    """
    Write a suggested order as a FHIR R4 resource.

    `reasons` are references to the patient's Conditions and Observations; `drafts` the draft orders as sent,
    by reference; `language` is `en` or `zh-CN` and decides the words, never the codes. A new order is a draft
    without id, and with who asks for it as `requester` (a Practitioner's reference); a correction is the draft
    itself with only the corrected parts replaced. What the rule does not say (how long, how many) is left to the
    prescriber. `counted_in` is what the site's own results are in: of a test that LOINC has in both, only that one is
    written (both where it is unknown). Raises `ProposalError` when it cannot be built.
    """
    if isinstance(item, ChangedOrder):
        return _changed(item, drafts)
    subject = {"reference": f"Patient/{patient_id}"}
    made = (
        _medication(item, language)
        if isinstance(item, ProposedMedication)
        else _service(item, language, counted_in=counted_in)
    )
    resource: Json = {
        "resourceType": "MedicationRequest" if isinstance(item, ProposedMedication) else "ServiceRequest",
        "status": "draft",
        "intent": intent,
    }
    if isinstance(item, ProposedService):
        resource["priority"] = item.priority
    before, after = made
    resource |= before
    resource["subject"] = subject
    if authored is not None:
        resource["authoredOn"] = authored.isoformat()
    if requester is not None:
        resource["requester"] = {"reference": requester}
    if isinstance(item, ProposedMedication) and item.indication is not None:
        why = _TABLE["indications"][item.indication]
        resource["reasonCode"] = [_concept(why, language, _codings(why))]
    if stated := [{"reference": name} for name in dict.fromkeys(reasons) if _REASON.match(name)]:
        resource["reasonReference"] = stated
    resource |= after
    return _validated(resource)


_ANALYTES: Mapping[str, str] = {
    "calcium": "ca_total",
    "calcium-weekly": "ca_total",
    "creatinine": "creatinine",
    "phosphate": "phosphate",
    "magnesium": "magnesium",
}
"""Service -> the result (of `lab`) that it brings, for those that laboratories count in mass or in moles."""


def counted_in(item: Item, lab: LaboratoryFacts) -> Property | None:
    """
    Tell what the results of this patient are counted in, mass or moles.

    The test's own newest result says it, else any other of the same kind: one laboratory counts all of them alike.
    None where no result says it, or several disagree.
    """
    if not isinstance(item, ProposedService) or item.service not in _ANALYTES:
        return None
    own = _ANALYTES[item.service]
    found = {name: _property(getattr(lab, name).sent_unit) for name in _ANALYTES.values()}
    others = {one for one in found.values() if one is not None}
    return found[own] or (others.pop() if len(others) == 1 else None)


def _property(unit: str | None) -> Property | None:
    if unit is None:
        return None
    return "moles" if "mol/" in unit else "mass" if _MASS.match(unit) else None


_MASS = re.compile(r"[kmunp]?g/")
STATUSES = frozenset({"draft", "active"})
INTENTS = frozenset(
    {"proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order", "option"}
)
"""What a draft may be; the models check shapes, not the words of a required value set."""


def proposed_name(item: ProposedMedication | ProposedService, language: str) -> str:
    """Name what a suggested order orders, in the reader's language."""
    part, key = ("services", item.service) if isinstance(item, ProposedService) else ("medications", item.drug)
    name: str = _TABLE[part][key][_language(language)]
    return name


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out what holds nothing (`"timing": {}`): FHIR allows no empty element, a draft may hold one."""
    if isinstance(value, dict):
        kept = {key: _without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", [], {})}
    if isinstance(value, list):
        listed = [_without_empty(inner) for inner in value]
        # a null keeps the place of an element beside its extension (`given` and `_given`)
        return [inner for inner in listed if inner not in ("", [], {})]
    return value


def _validated(resource: Json) -> Json:
    # as words: an object or a list in their place cannot even be looked up
    if words(resource.get("status")) not in STATUSES or words(resource.get("intent")) not in INTENTS:
        raise ProposalError("The order has a status or intent that a draft cannot have.")
    model = MedicationRequest if resource.get("resourceType") == "MedicationRequest" else ServiceRequest
    try:
        model.model_validate(resource)
    except _UNREADABLE:
        raise ProposalError(f"The {resource.get('resourceType')} would not be valid FHIR R4.") from None
    return resource


# --- new orders ---------------------------------------------------------------------------------------------


def _codings(row: Mapping[str, Any], counted_in: Property | None = None) -> list[Json]:
    found: list[Json] = []
    for system, code in row.get("codes", ()):
        address = SYSTEMS[system]
        found.append({"system": address, "code": code, "display": _DISPLAYS[address, code]})
    fitting = [one for one in found if counted_in and f"[{counted_in}/" in one["display"].lower()]
    return fitting or found


def _concept(row: Mapping[str, Any], language: str, codings: list[Json]) -> Json:
    concept: Json = {}
    if codings:
        concept["coding"] = codings
    concept["text"] = row[_language(language)]
    return concept


def _language(language: str) -> str:
    return "zh-CN" if language == "zh-CN" else "en"


def plain_number(value: Decimal) -> int | Decimal:
    """Give a number as JSON should have it: 4 for 4.0, 3.3 for 3.30."""
    tidy = value.normalize()
    return int(tidy) if tidy == tidy.to_integral_value() else tidy


def _quantity(value: Decimal, unit: str, code: str) -> Json:
    return {"value": plain_number(value), "unit": unit, "system": UCUM, "code": code}


def _medication(item: ProposedMedication, language: str) -> tuple[Json, Json]:
    row = _TABLE["medications"][item.drug]
    instruction: Json = {"text": _dosage_text(item, language)}
    if timing := _timing(item):
        instruction["timing"] = timing
    if item.route is not None:
        instruction["route"] = _route(item.route, language)
    if item.dose is not None:
        quantity = _quantity(_single(item), "IU", "[iU]") if _in_units(item) else _quantity(_single(item), "mg", "mg")
        instruction["doseAndRate"] = [{"doseQuantity": quantity}]
    return {"medicationCodeableConcept": _concept(row, language, _codings(row))}, {"dosageInstruction": [instruction]}


def _in_units(item: ProposedMedication) -> bool:
    return item.drug == "vitamin-d-oral"


def _single(item: ProposedMedication) -> Decimal:
    """Supplements are told per day, everything else per dose."""
    assert item.dose is not None  # noqa: S101 - asked only when there is one
    return item.dose / item.times_per_day if item.route == "PO" and item.times_per_day else item.dose


def _route(route: str, language: str) -> Json:
    row = _TABLE["routes"][route]
    coding = {"system": SNOMED, "code": row["code"], "display": row["display"]}
    return {"coding": [coding], "text": row[_language(language)]}


def _timing(item: ProposedMedication) -> Json:
    repeat: Json = {}
    if item.once:
        repeat["count"] = 1
    if item.infusion_min is not None:
        repeat |= {"duration": item.infusion_min, "durationUnit": "min"}
    if item.hours:
        repeat |= {"frequency": len(item.hours), "period": 1, "periodUnit": "d"}
    elif item.times_per_day is not None:
        repeat |= {"frequency": item.times_per_day, "period": 1, "periodUnit": "d"}
    elif item.interval_days is not None and not item.once:
        repeat |= _every(item.interval_days)
    return {"repeat": repeat} if repeat else {}


def _every(days: int) -> Json:
    if days % 7 == 0:
        return {"frequency": 1, "period": days // 7, "periodUnit": "wk"}
    return {"frequency": 1, "period": days, "periodUnit": "d"}


def _say(part: str, language: str, **fill: object) -> str:
    template: str = _TABLE["dosage"][part][_language(language)]
    return template.format(**fill)


def _interval_words(days: int, language: str) -> str:
    if days == 1:
        return _say("daily", language)
    if days % 7 == 0:
        return _say("every_weeks", language, value=days // 7)
    return _say("every_days", language, value=days)


def _dosage_text(item: ProposedMedication, language: str) -> str:
    route = _TABLE["routes"][item.route][_language(language)] if item.route else ""
    parts: list[str] = []
    if item.dose is None:
        parts.append(_say("no_dose", language, route=route))
    else:
        unit = "dose_iu" if _in_units(item) else "dose_mg"
        parts.append(_say(unit, language, value=plain_number(_single(item)), route=route).strip())
    if item.diluent_ml is not None:
        parts.append(_say("diluent", language, value=item.diluent_ml))
    if item.infusion_min is not None:
        parts.append(_say("over", language, value=item.infusion_min))
    if item.once:
        parts.append(_say("once", language))
    elif item.hours:
        shown = ("、" if _language(language) == "zh-CN" else ", ").join(str(hour) for hour in item.hours)
        parts.append(_say("hours", language, value=shown))
    elif item.times_per_day is not None:
        daily = item.times_per_day == 1
        parts.append(_say("daily", language) if daily else _say("times_daily", language, value=item.times_per_day))
    elif item.interval_days is not None:
        parts.append(_interval_words(item.interval_days, language))
    return ("，" if _language(language) == "zh-CN" else ", ").join(parts)


def _service(item: ProposedService, language: str, *, counted_in: Property | None = None) -> tuple[Json, Json]:
    row = _TABLE["services"][item.service]
    after: Json = {}
    if item.site is not None:
        after["bodySite"] = [_site(item, language)]
    placed = [{key: one[key] for key in ("system", "code", "display")} for one in _ORDERS.get(item.service, ())]
    before: Json = {"code": _concept(row, language, [*_codings(row, counted_in), *placed])}
    if row.get("weekly"):
        month = {"value": 1, "unit": "mo", "system": UCUM, "code": "mo"}
        repeat = {"boundsDuration": month, "frequency": 1, "period": 1, "periodUnit": "wk"}
        after["occurrenceTiming"] = {"repeat": repeat}
    return before, after


def _site(item: ProposedService, language: str) -> Json:
    """Write the bone of an order: its code, its side as mCODE has it, and all of it in words."""
    row = _TABLE["sites"].get(item.site)
    if row is None:
        raise ProposalError("The site of the suggested examination is not one we can write.")
    concept: Json = {}
    if "code" in row:
        coding = {"system": SNOMED, "code": row["code"], "display": _DISPLAYS[SNOMED, row["code"]]}
        concept["coding"] = [coding]
    name = row[_language(language)]
    if item.side is not None:
        side = _TABLE["sides"][item.side]
        coding = {"system": SNOMED, "code": side["code"], "display": _DISPLAYS[SNOMED, side["code"]]}
        concept["extension"] = [{"url": LATERALITY, "valueCodeableConcept": {"coding": [coding]}}]
        name = side[_language(language)].format(bone=name)
    if item.level is not None:
        name = f"{item.level}, {name}" if item.site != "rib" else f"{name} {item.level}"
    concept["text"] = name
    return concept


# --- a draft with a correction ------------------------------------------------------------------------------


def _changed(item: ChangedOrder, drafts: Mapping[str, Mapping[str, Any]]) -> Json:  # noqa: C901 - one changed element after the other
    """Give the draft with the correction; everything else stays as it was sent, its version too."""
    sent = drafts.get(item.order)
    if sent is None or sent.get("resourceType") != "MedicationRequest":
        raise ProposalError("The draft order to correct is not among those of the call.")
    if not code_text(sent.get("id")):
        raise ProposalError("The draft order has no id, so it cannot be updated.")
    draft: Json = copy.deepcopy(dict(sent))
    product = _product(draft)
    steps = listed(draft.get("dosageInstruction"))
    if not steps:
        raise ProposalError("The draft order has no dosage to correct.")
    draft["dosageInstruction"] = steps
    if item.dose_mg is not None:
        _change_dose(steps, product, item.dose_mg)
    for step in steps:
        if item.route is not None:
            _change_route(step, item.route)
        if item.interval_days is not None:
            _change_interval(step, item.interval_days)
        if item.infusion_min is not None:
            _change_infusion(step, item.infusion_min)
        if item.diluent_ml is not None:
            _change_diluent(step, item.diluent_ml)
        if item.starts is not None:
            _change_start(step, item.starts)
    _drop_narrative(draft)
    _read_back(draft, product, item)
    return _validated(_without_empty(draft))


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
    return _quantity(new, "mg", "mg")


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
    row = _TABLE["routes"][route]
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
    timing["repeat"] = repeat | _every(days)
    step["timing"] = timing
    for element in _texts(step):
        if intervals.text_interval(step[element]) is not None:
            word = _interval_words(days, "zh-CN" if _is_chinese(step[element]) else "en")
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
            step[element] = infusions.without_push(step[element], _say("infusion", "zh-CN" if chinese else "en"))
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
        start = _say("starting", "zh-CN" if chinese else "en", value=day.isoformat())
        step["text"] = f"{step['text']}{'，' if chinese else ', '}{start}"


def _change_diluent(step: Json, millilitres: int) -> None:
    text = step.get("text")
    if not isinstance(text, str) or infusions.text_diluent(text) is None:
        raise ProposalError("The draft order does not tell the volume in a place that can be changed.")
    chinese = _is_chinese(text)
    step["text"] = infusions.replace_diluent(text, _say("diluent", "zh-CN" if chinese else "en", value=millilitres))


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
