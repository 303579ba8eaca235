"""Suggested orders as FHIR: new orders, and a draft with only what a rule corrects."""

from __future__ import annotations

import csv
import datetime as dt
import re
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.terms.codes import ATC, LOINC, RXNORM, SNOMED, UCUM, shipped_rows
from fhir_mapping.writing.corrections import corrected
from fhir_mapping.writing.parts import (
    TABLE,
    Json,
    ProposalError,
    every_days,
    interval_words,
    language_of,
    plain_number,
    quantity_of,
    say,
    validated,
)
from recommenders.patient.advice import ChangedOrder, ProposedMedication, ProposedService

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recommenders.patient.advice import Item
    from recommenders.vocabulary.fact_groups import LaboratoryFacts

SYSTEMS = {"rxnorm": RXNORM, "atc": ATC, "snomed": SNOMED, "loinc": LOINC}
_DISPLAYS = {(system, code): display for _, _, system, code, display in shipped_rows()}


def _placed_by() -> Mapping[str, Sequence[Mapping[str, str]]]:
    """Give the rows of `orders.csv` by service: codes that only orders need, each with where it was seen."""
    rows: dict[str, list[Mapping[str, str]]] = {}
    text = files("fhir_mapping.terms").joinpath("orders.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        if row["service"] not in TABLE["services"] or not row["seen"]:
            raise ValueError(f"orders.csv: {row['service']}: no such service, or not said where its code was seen")
        rows.setdefault(row["service"], []).append(row)
    return rows


_ORDERS = _placed_by()
SERVICE_CODES: Mapping[str, frozenset[tuple[str, str]]] = {
    service: frozenset(
        [(SYSTEMS[system], code) for system, code in row.get("codes", ())]
        + [(one["system"], one["code"]) for one in _ORDERS.get(service, ()) if not one["breadth"]]
    )
    for service, row in TABLE["services"].items()
}
"""Service -> the codings (system, code) that mean it; a broad one ("MRI") needs the order's words besides."""
NewItem = ProposedMedication | ProposedService
Property = Literal["mass", "moles"]
"""What a laboratory counts in, as LOINC's names have it."""
LATERALITY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
_REASON = re.compile(r"(?:Condition|Observation)/[A-Za-z0-9.\-]{1,64}$")


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
        return corrected(item, drafts)
    checked = _checked_kind(item, intent, language, counted_in)
    own: Json = {"subject": {"reference": f"Patient/{patient_id}"}}
    if authored is not None:
        own["authoredOn"] = authored.isoformat()
    if requester is not None:
        own["requester"] = {"reference": requester}
    if why := [{"reference": name} for name in dict.fromkeys(reasons) if _REASON.match(name)]:
        own["reasonReference"] = why
    written = {**checked, **own}  # in the order of the kind
    for name in _OWN.keys() - own.keys():  # what this order does not have of the patient's own
        del written[name]
    return written


_OWN: Mapping[str, Any] = {
    "subject": {"reference": "Patient/any"},
    "authoredOn": dt.date.min.isoformat(),
    "requester": {"reference": "Practitioner/any"},
    "reasonReference": [{"reference": "Condition/any"}],
}
"""What differs from patient to patient: references and a day, of which any is valid."""


@lru_cache(maxsize=512)
def _checked_kind(
    item: NewItem, intent: Literal["proposal", "order"], language: str, counted_in: Property | None
) -> Json:
    """
    Write one order of each kind, checked by the model, from which all of its kind are made.

    They share its parts: nobody may change them. Raises `ProposalError`.
    """
    before, after = (
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
    resource |= before
    resource |= {name: _OWN[name] for name in ("subject", "authoredOn", "requester")}
    if isinstance(item, ProposedMedication) and item.indication is not None:
        why = TABLE["indications"][item.indication]
        resource["reasonCode"] = [_concept(why, language, _codings(why))]
    resource["reasonReference"] = _OWN["reasonReference"]
    return validated(resource | after)


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


def proposed_name(item: ProposedMedication | ProposedService, language: str) -> str:
    """Name what a suggested order orders, in the reader's language."""
    part, key = ("services", item.service) if isinstance(item, ProposedService) else ("medications", item.drug)
    name: str = TABLE[part][key][language_of(language)]
    return name


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
    concept["text"] = row[language_of(language)]
    return concept


def _medication(item: ProposedMedication, language: str) -> tuple[Json, Json]:
    row = TABLE["medications"][item.drug]
    instruction: Json = {"text": _dosage_text(item, language)}
    if timing := _timing(item):
        instruction["timing"] = timing
    if item.route is not None:
        instruction["route"] = _route(item.route, language)
    if item.dose is not None:
        quantity = (
            quantity_of(_single(item), "IU", "[iU]") if _in_units(item) else quantity_of(_single(item), "mg", "mg")
        )
        instruction["doseAndRate"] = [{"doseQuantity": quantity}]
    return {"medicationCodeableConcept": _concept(row, language, _codings(row))}, {"dosageInstruction": [instruction]}


def _in_units(item: ProposedMedication) -> bool:
    return item.drug == "vitamin-d-oral"


def _single(item: ProposedMedication) -> Decimal:
    """Supplements are told per day, everything else per dose."""
    assert item.dose is not None  # noqa: S101 - asked only when there is one
    return item.dose / item.times_per_day if item.route == "PO" and item.times_per_day else item.dose


def _route(route: str, language: str) -> Json:
    row = TABLE["routes"][route]
    coding = {"system": SNOMED, "code": row["code"], "display": row["display"]}
    return {"coding": [coding], "text": row[language_of(language)]}


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
        repeat |= every_days(item.interval_days)
    return {"repeat": repeat} if repeat else {}


def _dosage_text(item: ProposedMedication, language: str) -> str:
    route = TABLE["routes"][item.route][language_of(language)] if item.route else ""
    parts: list[str] = []
    if item.dose is None:
        parts.append(say("no_dose", language, route=route))
    else:
        unit = "dose_iu" if _in_units(item) else "dose_mg"
        parts.append(say(unit, language, value=plain_number(_single(item)), route=route).strip())
    if item.diluent_ml is not None:
        parts.append(say("diluent", language, value=item.diluent_ml))
    if item.infusion_min is not None:
        parts.append(say("over", language, value=item.infusion_min))
    if item.once:
        parts.append(say("once", language))
    elif item.hours:
        shown = ("、" if language_of(language) == "zh-CN" else ", ").join(str(hour) for hour in item.hours)
        parts.append(say("hours", language, value=shown))
    elif item.times_per_day is not None:
        daily = item.times_per_day == 1
        parts.append(say("daily", language) if daily else say("times_daily", language, value=item.times_per_day))
    elif item.interval_days is not None:
        parts.append(interval_words(item.interval_days, language))
    return ("，" if language_of(language) == "zh-CN" else ", ").join(parts)


def _service(item: ProposedService, language: str, *, counted_in: Property | None = None) -> tuple[Json, Json]:
    row = TABLE["services"][item.service]
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
    row = TABLE["sites"].get(item.site)
    if row is None:
        raise ProposalError("The site of the suggested examination is not one we can write.")
    concept: Json = {}
    if "code" in row:
        coding = {"system": SNOMED, "code": row["code"], "display": _DISPLAYS[SNOMED, row["code"]]}
        concept["coding"] = [coding]
    name = row[language_of(language)]
    if item.side is not None:
        side = TABLE["sides"][item.side]
        coding = {"system": SNOMED, "code": side["code"], "display": _DISPLAYS[SNOMED, side["code"]]}
        concept["extension"] = [{"url": LATERALITY, "valueCodeableConcept": {"coding": [coding]}}]
        name = side[language_of(language)].format(bone=name)
    if item.level is not None:
        name = f"{item.level}, {name}" if item.site != "rib" else f"{name} {item.level}"
    concept["text"] = name
    return concept
