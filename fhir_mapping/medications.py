"""Medication of the past and present: which drugs are current, and the courses of bone-modifying agents (§8.1–8.4)."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.elements import dosing
from fhir_mapping.elements.amounts import number, words
from fhir_mapping.elements.products import note, product_of
from fhir_mapping.service_orders import read_service
from fhir_mapping.terms import dates
from fhir_mapping.terms.codes import ATC, HCPCS, RXNORM, code_text, normal_system, texts_of
from fhir_mapping.terms.decode import listed
from fhir_mapping.terms.drugs import (
    Identified,
    bma_class,
    elemental_calcium_in,
    identify,
    mentions,
    plain,
    units_in,
)
from fhir_mapping.words.fold import compiled
from recommenders.patient.courses import GUIDANCE as COURSES_GUIDANCE
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading, replace
from recommenders.vocabulary.records import Course, Courses, Dose, Taken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fhir_mapping.delivery.context import Note, ReadingContext
    from recommenders.vocabulary.records import BmaClass, DoseKind, Order

TYPES = frozenset(
    {"MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense", "Procedure"}
)
"""The resource types read here; a Procedure only when it is a billed drug."""

KEY = "medications"
"""The prefetch key whose delivery makes silence a no."""

Standing = Literal["current", "on-hold", "past", "unknown", "not-taken", "dose"]

ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
HOME_CLASSES = frozenset(
    {"calcium", "vitd", "nsaid", "opioid", "acetaminophen", "glucocorticoid", "cyp3a4_inhibitor", "cyp3a4_inducer"}
)
"""What a patient's own list (intent `plan`, reported) is believed for; a bone agent on it is only a question."""

FINDINGS: dict[str, str] = {
    "calcium": "meds.calcium",
    "vitd": "meds.vitd",
    "glucocorticoid": "meds.glucocorticoid",
    "antiangiogenic": "meds.antiangiogenic",
    "nephrotoxic": "meds.nephrotoxic",
    "nsaid": "meds.nsaid",
    "acetaminophen": "meds.acetaminophen",
    "opioid": "meds.opioid",
    "ici": "meds.ici",
    "antineoplastic": "meds.antineoplastic",
    "daratumumab": "meds.daratumumab",
    "ifosfamide": "meds.ifosfamide",
    "mesna": "meds.mesna",
    "cyp3a4_inhibitor": "meds.cyp3a4_inhibitor",
    "cyp3a4_inducer": "meds.cyp3a4_inducer",
    "antimyeloma": "mm.on_antimyeloma",
}
"""Class of `drugs.toml` -> the fact that it is current."""

CYCLIC = frozenset({"meds.antiangiogenic", "meds.ici", "meds.antineoplastic", "meds.daratumumab", "mm.on_antimyeloma"})
"""Treatments given every few weeks: a recent dose without an order may be part of one that goes on."""

LOW_DOSE_ASPIRIN = Decimal(100)
"""mg; up to here aspirin thins the blood and is no analgesic."""

TOGETHER_WITHIN = dt.timedelta(days=3)
"""An administration, its order and its bill within three days are one dose."""

MANY = Decimal(10) ** 6
_BLANK = Facts(as_of=dt.date.min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One resource about a drug, as read: what it says of the drug's standing, and when."""

    reference: str
    kind: Literal["request", "administration", "statement", "dispense", "billed"]
    product: Identified
    standing: Standing
    stopped: bool = False
    doses: dosing.Dosing
    classes: frozenset[str]
    reported: bool = False
    home_list: bool = False
    day: dt.date | None = None
    ends: dt.date | None = None
    given: tuple[Dose, ...] = ()
    supply_starts: dt.date | None = None
    belongs_to: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether the drug is being taken or stands ordered."""
        return self.standing in {"current", "on-hold"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Medications:
    """What the medication lists say: facts by path, courses of bone-modifying agents, notes, and the entries."""

    changes: dict[str, Fact] = field(default_factory=dict)
    courses: Courses = field(default_factory=Courses)
    notes: tuple[Note, ...] = ()
    entries: tuple[Entry, ...] = ()


def read_medications(
    resources: Sequence[Mapping[str, Any]], *, context: ReadingContext, drafted: Collection[str] = ()
) -> Medications:
    """
    Read the medication resources of one patient.

    `resources` may hold any of `TYPES`, active radionuclide ServiceRequests, and Medication resources (which
    only serve references); others are passed over. `drafted` are references (`Type/id`) that stand in
    `draftOrders` too: there they are drafts, here they are no therapy. Silence is a "no" when `medications`
    is among `context.delivered` and was delivered whole.
    """
    notes: list[Note] = []
    entries: list[Entry] = []
    left_out = frozenset(name for name in drafted if "/" in name)
    for resource in resources:
        name = reference_of(resource)
        if name in left_out:
            notes.append(note(name, "also-drafted"))
            continue
        entry = _entry(resource, name, context, notes)
        if entry is not None:
            entries.append(entry)
    nobody_knows = tuple(sorted({one.resource for one in notes if one.reason.startswith(f"{UNIDENTIFIED}:")}))
    context = replace(context, unidentified=nobody_knows)
    planned = [found for resource in resources if (found := _planned_radionuclide(resource, context))]
    entries = _without_contradicted(entries, notes)
    entries.sort(key=lambda entry: (entry.day or dt.date.min, entry.reference))
    return Medications(
        changes=_changes(entries, context) | _planned(entries, planned, context),
        courses=_courses(entries, context),
        notes=tuple(dict.fromkeys(notes)),
        entries=tuple(entries),
    )


USUAL_KIND = compiled(r"[A-Za-z]{1,40}")
USUAL_ID = compiled(r"[A-Za-z0-9\-._|]{1,128}")
"""References are shown to people and written into answers: nothing else may stand in them."""


def reference_of(resource: Mapping[str, Any]) -> str:
    """Give `Type/id`; the bare type for a resource without id, or with one that no FHIR server would give."""
    kind, identity = words(resource.get("resourceType")), code_text(resource.get("id"))
    if not USUAL_KIND.fullmatch(kind):
        return "resource"
    return f"{kind}/{identity}" if USUAL_ID.fullmatch(identity) else kind


# --- one resource -------------------------------------------------------------------------------------------


def _entry(resource: Mapping[str, Any], name: str, context: ReadingContext, notes: list[Note]) -> Entry | None:
    kind = resource.get("resourceType")
    status = words(resource.get("status")).lower()
    if kind == "MedicationRequest":
        return _request(resource, name, status, context, notes)
    if kind == "MedicationAdministration":
        return _administration(resource, name, status, context, notes)
    if kind == "MedicationStatement":
        return _statement(resource, name, status, context, notes)
    if kind == "MedicationDispense":
        return _dispense(resource, name, status, context, notes)
    if kind == "Procedure":
        return _billed(resource, name, status, context, notes)
    return None


def _told(resource: Mapping[str, Any], name: str, context: ReadingContext, notes: list[Note]) -> Identified | None:
    """Give the drug, or None after a note why there is none."""
    delivered = product_of(resource, context=context)
    product = delivered.product
    if delivered.is_unresolved:
        notes.append(note(name, "unresolved-medication"))
    notes.extend(note(name, reason) for reason in product.reasons if product.drugs or reason != "unmapped-code")
    if not product.drugs:
        if not product.reasons and product.by == "none" and not delivered.is_unresolved:
            notes.append(
                note(name, "unmapped" if product.words or any(code for _, code in product.codes) else "no-drug")
            )
        elif "unmapped-code" in product.reasons:
            notes.append(note(name, "unmapped"))
        if delivered.is_anything and _is_in_force(resource, context):
            notes.append(note(name, UNIDENTIFIED))
        return None
    return product


UNIDENTIFIED = "unidentified"


def _is_in_force(resource: Mapping[str, Any], context: ReadingContext) -> bool:
    """Tell whether it stands for a drug that is taken now, or was given as lately as a last dose counts."""
    kind, status = resource.get("resourceType"), words(resource.get("status")).lower()
    if kind == "MedicationAdministration":
        span = COURSES_GUIDANCE.limits(context.today, None).current_after_last_dose.value
        day = _effective(resource, context)
        return day is not None and 0 <= (context.today - day).days <= span
    return kind in {"MedicationRequest", "MedicationStatement"} and status in {"active", "on-hold", ""}


def _dosing(
    resource: Mapping[str, Any], element: str, name: str, product: Identified, context: ReadingContext
) -> dosing.Dosing:
    told = [words(remark.get("text")) for remark in listed(resource.get("note"))]
    return dosing.read(resource.get(element), product, context=context, resource=name, notes=told)


def _request(  # noqa: C901 - one element after the other, in FHIR's order
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    if status in {"entered-in-error", "cancelled"}:
        notes.append(note(name, status))
        return None
    if resource.get("doNotPerform") is True:
        notes.append(note(name, "prohibited"))
        return None
    intent = words(resource.get("intent")).lower()
    reported = resource.get("reportedBoolean") is True or isinstance(resource.get("reportedReference"), dict)
    home_list = intent == "plan" and reported and status == "active"
    if intent and intent not in ORDERS and not home_list:
        notes.append(note(name, "not-an-order"))
        return None
    if status == "draft":
        notes.append(note(name, "draft-outside-the-call"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    doses = _dosing(resource, "dosageInstruction", name, product, context)
    standing: Standing
    if status in {"active", ""}:
        standing = "current"
    elif status == "on-hold":
        standing = "on-hold"
    elif status in {"completed", "stopped"}:
        standing = "past"
    else:
        standing = "unknown"
        notes.append(note(name, "status-unknown"))
    if standing == "current" and _says_not_taken(resource):
        standing = "past"
        notes.append(note(name, "reported-not-taken"))
    classes = _classes(product, doses)
    if home_list:
        classes &= HOME_CLASSES | {"bma"}
        if not classes:
            notes.append(note(name, "not-an-order"))
            return None
    supply = resource.get("dispenseRequest")
    period = supply.get("validityPeriod") if isinstance(supply, dict) else None
    start, end = _period(period, context)
    authored = _day(resource.get("authoredOn"), context)
    events = () if standing == "on-hold" else tuple(day for day in doses.events if day <= context.today)
    given = tuple(Dose(date=day, kind="event", mg=doses.dose_mg.value, resources=(name,)) for day in events)
    return Entry(
        reference=name,
        kind="request",
        product=product,
        standing=standing,
        stopped=status == "stopped",
        doses=doses,
        classes=classes,
        reported=reported,
        home_list=home_list,
        day=doses.starts or start or authored,
        ends=doses.ends or end,
        given=given,
        supply_starts=start,
        belongs_to=references(resource, "priorPrescription", "basedOn"),
    )


_NOT_TAKEN = compiled(
    r"\bnot[- ]taking\b|\bdoes not take\b|\bdoes not (?:comply|adhere)\b|\bnever (?:taken|started)\b"
    r"|\bstopped\b|未服用|未使用|已停用|未用药"
)


def _says_not_taken(resource: Mapping[str, Any]) -> bool:
    """US Core's adherence extension: what the patient says of taking it; only a plain "not" ends a use."""
    for extension in listed(resource.get("extension")):
        if words(extension.get("url")).rstrip("/").endswith("us-core-medication-adherence"):
            for inner in listed(extension.get("extension")):
                if words(inner.get("url")) == "medicationAdherence":
                    said = " ".join(texts_of(inner.get("valueCodeableConcept")))
                    if _NOT_TAKEN.search(plain(said)):
                        return True
    return False


def _administration(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    if status not in {"completed", "in-progress", "stopped"}:
        notes.append(note(name, status or "no-status"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    day = _effective(resource, context)
    if day is None:
        notes.append(note(name, "no-date"))
        return None
    if day > context.today:
        notes.append(note(name, "future-dated"))
        return None
    doses = _dosing(resource, "dosage", name, product, context)
    dose = Dose(date=day, kind="administration", mg=doses.dose_mg.value, resources=(name,))
    return Entry(
        reference=name,
        kind="administration",
        product=product,
        standing="current" if status == "in-progress" or day == context.today else "dose",
        doses=doses,
        classes=_classes(product, doses),
        day=day,
        given=(dose,),
        belongs_to=references(resource, "request"),
    )


def _statement(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    standings: dict[str, Standing] = {
        "active": "current",
        "on-hold": "on-hold",
        "completed": "past",
        "stopped": "past",
        "not-taken": "not-taken",
        "unknown": "unknown",
    }
    if status not in standings:  # entered-in-error; intended is not yet
        notes.append(note(name, status or "no-status"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    doses = _dosing(resource, "dosage", name, product, context)
    start, end = _period(resource.get("effectivePeriod"), context)
    asserted = _day(resource.get("dateAsserted"), context)
    day = asserted or _day(resource.get("effectiveDateTime"), context) or start
    standing = standings[status]
    return Entry(
        reference=name,
        kind="statement",
        product=product,
        standing=standing,
        doses=doses,
        classes=_classes(product, doses),
        reported=True,
        day=day if standing == "not-taken" else start or day,
        ends=end,
        belongs_to=references(resource, "basedOn", "derivedFrom"),
    )


def _dispense(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    if status not in {"completed", "in-progress"}:
        notes.append(note(name, status or "no-status"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    doses = _dosing(resource, "dosageInstruction", name, product, context)
    handed = _day(resource.get("whenHandedOver"), context)
    supply = resource.get("daysSupply")
    days = number(supply.get("value")) if isinstance(supply, dict) else None
    if handed is None:
        notes.append(note(name, "no-date"))
        return None
    if handed > context.today or doses.route.value in {"IV", "SC", "IM"}:
        notes.append(note(name, "supply-is-not-a-dose"))
        return None
    standing: Standing = "unknown"
    if days is not None and days <= MANY:
        standing = "current" if handed + dt.timedelta(int(days)) >= context.today else "past"
    return Entry(
        reference=name,
        kind="dispense",
        product=product,
        standing=standing,
        doses=doses,
        classes=_classes(product, doses),
        day=handed,
        belongs_to=references(resource, "authorizingPrescription"),
    )


def _billed(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    code = _with_hcpcs(resource.get("code"), context)
    if code is None or status not in {"completed", "in-progress", ""}:
        return None
    product = identify([code], table=context.codes)
    if not product.drugs:
        return None
    start, end = _period(resource.get("performedPeriod"), context)
    day = end or _day(resource.get("performedDateTime"), context) or start
    if day is None or day > context.today:
        notes.append(note(name, "no-date" if day is None else "future-dated"))
        return None
    quantity = _billed_mg(resource)
    notes.append(note(name, "dose-from-billing"))
    doses = dosing.read([], product, context=context, resource=name)
    if quantity is not None:
        doses = replace(
            doses, dose_mg=replace(doses.dose_mg, low=quantity, high=quantity, reason=None, date=day, resources=(name,))
        )
    return Entry(
        reference=name,
        kind="billed",
        product=product,
        standing="dose",
        doses=doses,
        classes=_classes(product, doses),
        day=day,
        given=(Dose(date=day, kind="billed", mg=quantity, resources=(name,)),),
        belongs_to=references(resource, "basedOn", "partOf"),
    )


def _with_hcpcs(codeable: object, context: ReadingContext) -> dict[str, Any] | None:
    """Give the HCPCS codings of a procedure; None when there is none."""
    found = [
        {"system": HCPCS, "code": match.code, "display": match.sent_display}
        for match in context.concepts(codeable)
        if match.system == HCPCS
    ]
    return {"coding": found} if found else None


def _billed_mg(resource: Mapping[str, Any]) -> Decimal | None:
    """The billed codes are per milligram; R4 has no place for the number of units, so it comes in an extension."""
    for extension in listed(resource.get("extension")):
        if "quantity" in words(extension.get("url")).lower() or "units" in words(extension.get("url")).lower():
            inner = extension.get("valueQuantity")
            value = inner.get("value") if isinstance(inner, dict) else None
            for candidate in (
                value,
                extension.get("valueInteger"),
                extension.get("valuePositiveInt"),
                extension.get("valueDecimal"),
            ):
                if (found := number(candidate)) is not None:
                    return found
    return None


def references(resource: Mapping[str, Any], *elements: str) -> tuple[str, ...]:
    """Give what these elements refer to, as `Type/id`."""
    found = [
        words(item.get("reference"))
        for element in elements
        for item in listed(resource.get(element))
        if words(item.get("reference"))
    ]
    return tuple("/".join(name.split("/_history/")[0].split("/")[-2:]) for name in found)


def _day(value: object, context: ReadingContext) -> dt.date | None:
    stamp = dates.parse(value, context.timezone)
    return stamp.day if stamp else None


def _period(value: object, context: ReadingContext) -> tuple[dt.date | None, dt.date | None]:
    if not isinstance(value, dict):
        return None, None
    return _day(value.get("start"), context), _day(value.get("end"), context)


def _effective(resource: Mapping[str, Any], context: ReadingContext) -> dt.date | None:
    start, end = _period(resource.get("effectivePeriod"), context)
    return start or _day(resource.get("effectiveDateTime"), context) or end


# --- classes ------------------------------------------------------------------------------------------------


def _classes(product: Identified, doses: dosing.Dosing) -> frozenset[str]:
    """Give the classes that this use of the drug belongs to; a local, infused or low dose may belong to none."""
    if doses.local or _is_mucolytic(product):
        return frozenset()
    found = set(product.classes)
    if "calcium" in found and not is_supplement(product, doses):
        found.discard("calcium")
    if "aspirin" in product.drugs and "nsaid" in found and not {"nsaid"} & set(product.drugs):
        dose = doses.dose_mg.high if doses.dose_mg.is_known else product.strength.mg_per_piece
        if dose is None or dose <= LOW_DOSE_ASPIRIN:
            found.discard("nsaid")
    return frozenset(found)


def is_supplement(product: Identified, doses: dosing.Dosing) -> bool:
    """Tell whether calcium is taken by mouth: an infusion of gluconate or chloride corrects, it does not supplement."""
    if doses.route.value in {"IV", "IM", "SC"} and "vitd" not in product.classes:
        return False
    if doses.route.value == "PO" or product.oral or "vitd" in product.classes:
        return True
    return not product.injected and "calcium-gluconate" not in product.drugs


def _is_mucolytic(product: Identified) -> bool:
    """R05CB05 is mesna for the airways: it protects no bladder."""
    atc = [code.upper() for system, code in product.codes if normal_system(system) == ATC]
    other = [code for system, code in product.codes if normal_system(system) == RXNORM]
    return bool(atc) and set(atc) == {"R05CB05"} and not other


# --- what is current ----------------------------------------------------------------------------------------


def _without_contradicted(entries: list[Entry], notes: list[Note]) -> list[Entry]:
    """A statement "not taken" beats an order of the same drug that is older than it."""
    denied: dict[str, dt.date] = {}
    for entry in entries:
        if entry.standing == "not-taken" and entry.day is not None:
            for key in entry.product.drugs:
                denied[key] = max(entry.day, denied.get(key, entry.day))
    kept: list[Entry] = []
    for entry in entries:
        if entry.standing == "not-taken":
            notes.append(note(entry.reference, "not-taken"))
            continue
        days = [denied[key] for key in entry.product.drugs if key in denied]
        if entry.is_current and days and (entry.day is None or entry.day <= max(days)):
            notes.append(note(entry.reference, "reported-not-taken"))
            kept.append(replace(entry, standing="past"))
        else:
            kept.append(entry)
    return kept


def _changes(entries: Sequence[Entry], context: ReadingContext) -> dict[str, Fact]:
    changes: dict[str, Fact] = {}
    for name, path in FINDINGS.items():
        changes[path] = _finding(path, [entry for entry in entries if _counts(entry, name)], context)
    myeloma = [entry for entry in entries if "antimyeloma" in entry.classes]
    changes["mm.ever_antimyeloma"] = _ever(myeloma, context)
    changes["mm.antimyeloma_start"] = _start(myeloma, context)
    current = [entry for entry in entries if entry.is_current]
    changes |= _amounts(current)
    return changes


def _counts(entry: Entry, drug_class: str) -> bool:
    """Tell whether an entry speaks of a class; mesna on hold protects no bladder."""
    return drug_class in entry.classes and not (drug_class == "mesna" and entry.standing == "on-hold")


def _planned_radionuclide(resource: Mapping[str, Any], context: ReadingContext) -> str | None:
    """Give the reference of a standing ServiceRequest for radionuclide therapy."""
    if resource.get("resourceType") != "ServiceRequest" or resource.get("doNotPerform") is True:
        return None
    if words(resource.get("status")) not in {"active", "on-hold"}:
        return None
    return reference_of(resource) if "radionuclide" in read_service(resource, context=context).kinds else None


def _planned(entries: Sequence[Entry], services: Sequence[str], context: ReadingContext) -> dict[str, Fact]:
    """A radionuclide is planned while its order stands; what was given is history."""
    path = "meds.radionuclide_planned"
    orders = [entry for entry in entries if "radionuclide" in entry.classes and entry.kind == "request"]
    standing = [entry.reference for entry in orders if entry.is_current]
    if not services and not standing:
        return {path: _finding(path, orders, context)}
    return {path: replace(_blank(path), value=True, reason=None, resources=(*standing, *services))}


def _blank(path: str) -> Any:  # noqa: ANN401 - a Finding, Reading or Moment, as the dictionary says
    return _BLANK.fact(path)


def silence(path: str, context: ReadingContext) -> Finding:
    """Give what an empty medication list says: no; unknown when it did not come, or only a part of it."""
    blank: Finding = _blank(path)
    assert DICTIONARY[path].closed, path  # noqa: S101 - a mistake in the table above, found at the first call
    if KEY not in context.delivered or KEY in context.truncated:
        return blank.forget("list-cut" if KEY in context.cut else "not-delivered")
    if context.unidentified:
        return replace(blank.forget("unidentified"), resources=context.unidentified)
    return blank  # of a closed fact that is no


def _finding(path: str, entries: Sequence[Entry], context: ReadingContext) -> Finding:
    blank: Finding = _blank(path)
    current = [entry for entry in entries if entry.is_current]
    if current:
        newest = max((entry.day for entry in current if entry.day), default=None)
        flags = ("reported",) if all(entry.reported for entry in current) else ()
        if all(entry.product.by == "text" for entry in current):
            flags = (*flags, "from-text")
        return replace(
            blank,
            value=True,
            reason=None,
            flags=flags,
            date=newest,
            resources=tuple(entry.reference for entry in current),
        )
    in_cycles = path in CYCLIC
    open_ones = [
        entry for entry in entries if entry.standing == "unknown" or (in_cycles and _may_go_on(entry, entries, context))
    ]
    if open_ones:
        return replace(
            blank.forget("suspected"),
            date=max((entry.day for entry in open_ones if entry.day), default=None),
            resources=tuple(entry.reference for entry in open_ones),
        )
    return silence(path, context)


def _may_go_on(entry: Entry, entries: Sequence[Entry], context: ReadingContext) -> bool:
    """
    Tell whether a dose without any order may be part of a treatment that goes on.

    Infusion plans are often not delivered, doses are. The span is that within which a last dose counts.
    """
    if entry.standing != "dose" or entry.day is None:
        return False
    if any(other.kind == "request" and set(other.product.drugs) & set(entry.product.drugs) for other in entries):
        return False
    span = COURSES_GUIDANCE.limits(context.today, None).current_after_last_dose.value
    return (context.today - entry.day).days <= span


def _ever(entries: Sequence[Entry], context: ReadingContext) -> Finding:
    path = "mm.ever_antimyeloma"
    taken = [entry for entry in entries if entry.standing != "unknown"]
    if not taken:
        return silence(path, context) if not entries else _blank(path).forget("suspected")
    days = [entry.day for entry in taken if entry.day]
    found: Finding = replace(
        _blank(path), value=True, reason=None, date=max(days, default=None), resources=_names(taken)
    )
    return found


def _start(entries: Sequence[Entry], context: ReadingContext) -> Moment:
    blank: Moment = _blank("mm.antimyeloma_start")
    started: list[tuple[dt.date, str]] = []
    for entry in entries:
        days = [dose.date for dose in entry.given] or ([entry.day] if entry.day else [])
        started += [(day, entry.reference) for day in days if day <= context.today]
    if not started:
        return blank
    day, name = min(started)
    flags = ("order-date",) if name.startswith("MedicationRequest") else ()
    return replace(blank, date=day, reason=None, resources=(name,), flags=flags)


def _names(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(entry.reference for entry in entries)


# --- amounts a day ------------------------------------------------------------------------------------------

Ends = tuple[Decimal, Decimal] | None


def _amounts(current: Sequence[Entry]) -> dict[str, Fact]:
    calcium = [
        (entry.reference, _calcium_a_day(entry.product, entry.doses)) for entry in current if "calcium" in entry.classes
    ]
    vitamin = [
        (entry.reference, _vitamin_d_a_day(entry.product, entry.doses)) for entry in current if "vitd" in entry.classes
    ]
    mesna = [
        (entry.reference, _mesna_a_day(entry.product, entry.doses)) for entry in current if _counts(entry, "mesna")
    ]
    oral = [(entry.reference, entry.doses.route) for entry in current if _counts(entry, "mesna")]
    days = max((entry.day for entry in current if entry.day), default=None)
    return {
        "meds.calcium_daily": _sum("meds.calcium_daily", calcium, days),
        "meds.vitd_daily": _sum("meds.vitd_daily", vitamin, days),
        "meds.mesna_daily": _sum("meds.mesna_daily", mesna, days),
        "meds.mesna_oral": _mesna_oral(oral, days),
    }


def _sum(path: str, parts: Sequence[tuple[str, Ends]], day: dt.date | None) -> Reading:
    """Add the amounts of a day; where one of several is not told, the sum is "at least"."""
    blank: Reading = _blank(path)
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
    blank: Finding = _blank("meds.mesna_oral")
    names = tuple(name for name, _ in routes)
    if any(route.value == "PO" for _, route in routes):
        return replace(blank, value=True, reason=None, date=day, resources=names)
    if any(not route.is_known for _, route in routes):
        return replace(blank.forget("missing"), resources=names)
    return replace(blank, value=False, reason=None, date=day if routes else None, resources=names)


# --- drafts count as current --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A drafted drug as `with_drafted` needs it: the order, and the drug and dosing it was read from."""

    order: Order
    product: Identified
    doses: dosing.Dosing


def with_drafted(medications: Medications, drafted: Sequence[Drafted], *, context: ReadingContext) -> dict[str, Fact]:
    """
    Give the `meds.*` facts with drafted calcium, vitamin D and mesna counted in ("current or drafted").

    Other drafted drugs are not therapy yet, except for what interacts with a drug drafted beside it:
    inhibitors and inducers of CYP3A4. An unselected draft counts too: it is signed in the same session.
    """
    counted = {"calcium", "vitd", "mesna", "cyp3a4_inhibitor", "cyp3a4_inducer"}
    extra = [
        Entry(
            reference=item.order.reference,
            kind="request",
            product=item.product,
            standing="current",
            doses=item.doses,
            classes=_classes(item.product, item.doses) & counted,
            day=context.today,
        )
        for item in drafted
        if _classes(item.product, item.doses) & counted
    ]
    if not extra:
        return dict(medications.changes)
    entries = [*medications.entries, *extra]
    changes = dict(medications.changes)
    for name in sorted({name for entry in extra for name in entry.classes}):
        changes[FINDINGS[name]] = _finding(
            FINDINGS[name], [entry for entry in entries if _counts(entry, name)], context
        )
    changes |= _amounts([entry for entry in entries if entry.is_current])
    return changes


def melphalan_given(medications: Medications) -> tuple[Dose, ...]:
    """Give the melphalan infusions that were given; of an order in force without one, the day that it is for."""
    found: list[Dose] = []
    for entry in medications.entries:
        if "melphalan" not in entry.classes or entry.doses.route.value in {"PO", "SC", "IM", "ID", "other"}:
            continue
        found += entry.given
        if entry.kind == "request" and entry.standing == "current" and not entry.given and entry.day is not None:
            mg = entry.doses.dose_mg.value
            found.append(Dose(date=entry.day, kind="order-date", mg=mg, resources=(entry.reference,)))
    return tuple(sorted(found, key=lambda dose: dose.date))


def taken(medications: Medications, drafted: Sequence[Drafted]) -> tuple[Taken, ...]:
    """Give each drug that is taken or stands ordered, and each drafted one, by the name it was recorded under."""
    current = [
        Taken(
            name=entry.product.label,
            drugs=entry.product.drugs,
            classes=entry.classes,
            day=entry.day,
            resources=(entry.reference,),
        )
        for entry in medications.entries
        if entry.is_current and entry.classes
    ]
    new = [
        Taken(
            name=item.product.label,
            drugs=item.product.drugs,
            classes=_classes(item.product, item.doses),
            resources=(item.order.reference,),
        )
        for item in drafted
    ]
    return (*current, *new)


# --- courses ------------------------------------------------------------------------------------------------

_STRENGTH: tuple[DoseKind, ...] = ("administration", "event", "billed", "dispense-start", "order-date")


def _courses(entries: Sequence[Entry], context: ReadingContext) -> Courses:
    by_class: dict[BmaClass, list[Entry]] = defaultdict(list)
    agents = [entry for entry in entries if "bma" in entry.classes]
    told = {entry.reference: _class_of(entry) for entry in agents}
    for entry in agents:
        by_class[_adopted(entry, agents, told)].append(entry)
    items = [course for drug in sorted(by_class) for course in _runs(drug, by_class[drug], context)]
    whole = KEY in context.delivered and KEY not in context.truncated
    return Courses(
        items=tuple(items),
        delivered=whole and not context.unidentified,
        cut=KEY in context.cut,
        unidentified=context.unidentified if whole else (),
    )


def _class_of(entry: Entry) -> BmaClass:
    doses = entry.doses
    verdict = bma_class(
        entry.product,
        doses.dose_mg.value,
        route=doses.route.value if isinstance(doses.route.value, str) else None,
        interval_days=doses.interval_days.value,
    )
    assert verdict is not None, entry.reference  # noqa: S101 - only entries of class bma come here
    return verdict.drug


def _adopted(entry: Entry, agents: Sequence[Entry], told: Mapping[str, BmaClass]) -> BmaClass:
    """A dose of denosumab without amount is of the class of its order, or of the only class there is."""
    own = told[entry.reference]
    if own != "denosumab-unspecified":
        return own
    for name in entry.belongs_to:
        if (ordered := told.get(name)) in {"denosumab-120", "denosumab-60"} and ordered is not None:
            return ordered
    others: set[BmaClass] = {
        told[other.reference]
        for other in agents
        if "denosumab" in other.product.drugs and told[other.reference] != "denosumab-unspecified"
    }
    return others.pop() if len(others) == 1 and entry.kind != "request" else own


@dataclass(frozen=True, slots=True)
class _Piece:
    """Something on a course's time line: from when to when, and what it is."""

    start: dt.date
    end: dt.date
    entry: Entry | None
    dose: Dose | None


def _runs(drug: BmaClass, entries: Sequence[Entry], context: ReadingContext) -> list[Course]:
    """Cut one class into runs: a gap of more than six months starts a new one, unless an order continues another."""
    gap = int(COURSES_GUIDANCE.limits(context.today, None).course_gap.value)
    doses = _one_dose_each([dose for entry in entries for dose in entry.given])
    pieces = [_Piece(dose.date, dose.date, None, dose) for dose in doses]
    undated: list[Entry] = []
    for entry in entries:
        if entry.kind in {"administration", "billed"}:
            continue
        if entry.day is None:
            undated.append(entry)
        else:
            end = context.today if entry.is_current else min(entry.ends or entry.day, context.today)
            pieces.append(_Piece(entry.day, max(end, entry.day), entry, None))
    pieces.sort(key=lambda piece: (piece.start, piece.end))
    runs: list[list[_Piece]] = []
    last, orders = dt.date.min, set[str]()  # of the newest run: its end, and which orders it holds
    for piece in pieces:
        belongs_to = piece.entry.belongs_to if piece.entry else ()
        if runs and ((piece.start - last).days <= gap or not orders.isdisjoint(belongs_to)):
            runs[-1].append(piece)
        else:
            runs.append([piece])
            last, orders = dt.date.min, set()
        last = max(last, piece.end)
        if piece.entry:
            orders.add(piece.entry.reference)
    if undated:  # an order without any date belongs to what is newest
        if not runs:
            return [_course(drug, [], undated, context)]
        return [_course(drug, run, undated if run is runs[-1] else [], context) for run in runs]
    return [_course(drug, run, [], context) for run in runs]


def _one_dose_each(doses: Sequence[Dose]) -> list[Dose]:
    """Join what tells of the same dose: every administration is one, a weaker trace within three days belongs to it."""
    found: list[Dose] = []
    places: dict[int, list[int]] = {}  # by the number of the day
    for dose in sorted(doses, key=lambda dose: (_STRENGTH.index(dose.kind), dose.date, dose.resources)):
        day = dose.date.toordinal()
        near = [place for days in _NEARBY for place in places.get(day + days, ())]
        twin = min((place for place in near if _same_dose(found[place], dose)), default=None)
        if twin is None:
            places.setdefault(day, []).append(len(found))
            found.append(dose)
        else:
            known = found[twin]
            found[twin] = replace(
                known, mg=known.mg if known.mg is not None else dose.mg, resources=(*known.resources, *dose.resources)
            )
    return sorted(found, key=lambda dose: dose.date)


_NEARBY = range(-TOGETHER_WITHIN.days, TOGETHER_WITHIN.days + 1)


def _same_dose(known: Dose, other: Dose) -> bool:
    if known.kind == other.kind:
        return known.date == other.date
    return abs(known.date - other.date) <= TOGETHER_WITHIN


def _course(drug: BmaClass, run: Sequence[_Piece], undated: Sequence[Entry], context: ReadingContext) -> Course:
    real = [piece.dose for piece in run if piece.dose]
    orders = [piece.entry for piece in run if piece.entry] + list(undated)
    doses = [*real, *_weak_doses(orders, real, context)]
    doses.sort(key=lambda dose: dose.date)
    standing = _standing(orders, real)
    newest = max(orders, key=lambda entry: (entry.day or dt.date.min, entry.reference), default=None)
    firm = [dose.date for dose in doses if dose.kind != "order-date"] or [
        entry.day for entry in orders if entry.day and entry.day <= context.today
    ]
    active = standing in {"active", "on-hold"}
    ends = [entry.ends for entry in orders if entry.ends] + [dose.date for dose in doses]
    told = [dose.mg for dose in doses if dose.mg is not None]
    order_mg = newest.doses.dose_mg.value if newest else None
    interval = newest.doses.interval_days.value if newest else None
    names = (*(entry.reference for entry in orders), *(name for dose in real for name in dose.resources))
    return Course(
        drug=drug,
        status=standing,
        started=min(firm, default=None),
        ended=None if active else max((day for day in ends if day <= context.today), default=None),
        doses=tuple(doses),
        dose_mg=order_mg if order_mg is not None else told[-1] if told else None,
        interval_days=interval,
        truncated=bool(context.truncated & {KEY, "medicationAdministrations"}),
        resources=tuple(dict.fromkeys(names)),
    )


def _weak_doses(orders: Sequence[Entry], real: Sequence[Dose], context: ReadingContext) -> list[Dose]:
    """
    Give what stands in for doses nobody recorded: a supply that began after the last real one, else order dates.

    An order on hold, reported, or for a day to come is no dose.
    """
    last = max((dose.date for dose in real), default=dt.date.min)
    counted = [
        entry
        for entry in orders
        if entry.kind == "request" and entry.standing in {"current", "past"} and not entry.reported and not entry.given
    ]
    found: list[Dose] = []
    for entry in counted:
        start = entry.supply_starts
        if start is not None and last + TOGETHER_WITHIN < start <= context.today and not _starts_later(entry, context):
            found.append(
                Dose(date=start, kind="dispense-start", mg=entry.doses.dose_mg.value, resources=(entry.reference,))
            )
    if real or found:
        return found
    return [
        Dose(date=entry.day, kind="order-date", mg=entry.doses.dose_mg.value, resources=(entry.reference,))
        for entry in counted
        if entry.day is not None and entry.day <= context.today
    ]


def _starts_later(entry: Entry, context: ReadingContext) -> bool:
    return entry.doses.starts is not None and entry.doses.starts > context.today


def _standing(
    orders: Sequence[Entry], real: Sequence[Dose]
) -> Literal["active", "on-hold", "completed", "stopped", "reported", "unknown"]:
    """Give the course's status: an order that stands before a newer one that ended; what is only told is a question."""
    firm = [entry for entry in orders if not entry.reported]
    if not firm:
        if real:
            return "completed"
        told = [entry for entry in orders if entry.is_current]
        return "reported" if told else "completed" if any(e.standing == "past" for e in orders) else "unknown"
    for standing in ("current", "on-hold"):
        if any(entry.standing == standing and entry.kind != "dispense" for entry in firm):
            return "active" if standing == "current" else "on-hold"
    if all(entry.standing == "unknown" or entry.kind == "dispense" for entry in firm) and not real:
        return "unknown"
    newest = max(firm, key=lambda entry: (entry.day or dt.date.min, entry.reference))
    return "stopped" if newest.stopped else "completed"
