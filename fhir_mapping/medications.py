"""Medication of the past and present: which drugs are current, and the courses of bone-modifying agents (§8.1–8.4)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements import dosing
from fhir_mapping.elements.amounts import words
from fhir_mapping.elements.daily_amounts import amounts_a_day
from fhir_mapping.elements.drug_courses import courses_of
from fhir_mapping.elements.medication_entries import (
    KEY,
    UNIDENTIFIED,
    Entry,
    blank_of,
    classes_of,
    counts_as,
    entry_of,
    names_of,
    reference_of,
)
from fhir_mapping.elements.products import note
from fhir_mapping.service_orders import read_service
from fhir_mapping.terms.drugs import (
    Identified,
)
from recommenders.patient.courses import GUIDANCE as COURSES_GUIDANCE
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.facts import Fact, Finding, Moment, replace
from recommenders.vocabulary.records import Courses, Dose, Taken

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fhir_mapping.delivery.context import Note, ReadingContext
    from recommenders.vocabulary.records import Order

FINDINGS: dict[str, str] = {
    "calcium": "meds.calcium",
    "vitd": "meds.vitd",
    "glucocorticoid": "meds.glucocorticoid",
    "antiangiogenic": "meds.antiangiogenic",
    "nephrotoxic": "meds.nephrotoxic",
    "nsaid": "meds.nsaid",
    "thiazide": "meds.thiazide",
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
        entry = entry_of(resource, name, context, notes)
        if entry is not None:
            entries.append(entry)
    nobody_knows = tuple(sorted({one.resource for one in notes if one.reason.startswith(f"{UNIDENTIFIED}:")}))
    context = replace(context, unidentified=nobody_knows)
    planned = [found for resource in resources if (found := _planned_radionuclide(resource, context))]
    entries = _without_contradicted(entries, notes)
    entries.sort(key=lambda entry: (entry.day or dt.date.min, entry.reference))
    return Medications(
        changes=_changes(entries, context) | _planned(entries, planned, context),
        courses=courses_of(entries, context),
        notes=tuple(dict.fromkeys(notes)),
        entries=tuple(entries),
    )


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
        changes[path] = _finding(path, [entry for entry in entries if counts_as(entry, name)], context)
    myeloma = [entry for entry in entries if "antimyeloma" in entry.classes]
    changes["mm.ever_antimyeloma"] = _ever(myeloma, context)
    changes["mm.antimyeloma_start"] = _start(myeloma, context)
    current = [entry for entry in entries if entry.is_current]
    changes |= amounts_a_day(current)
    return changes


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
    return {path: replace(blank_of(path), value=True, reason=None, resources=(*standing, *services))}


def silence(path: str, context: ReadingContext) -> Finding:
    """Give what an empty medication list says: no; unknown when it did not come, or only a part of it."""
    blank: Finding = blank_of(path)
    assert DICTIONARY[path].closed, path  # noqa: S101 - a mistake in the table above, found at the first call
    if KEY not in context.delivered or KEY in context.truncated:
        return blank.forget("list-cut" if KEY in context.cut else "not-delivered")
    if context.unidentified:
        return replace(blank.forget("unidentified"), resources=context.unidentified)
    return blank  # of a closed fact that is no


def _finding(path: str, entries: Sequence[Entry], context: ReadingContext) -> Finding:
    if not entries:
        return silence(path, context)
    blank: Finding = blank_of(path)
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
        return silence(path, context) if not entries else blank_of(path).forget("suspected")
    days = [entry.day for entry in taken if entry.day]
    found: Finding = replace(
        blank_of(path), value=True, reason=None, date=max(days, default=None), resources=names_of(taken)
    )
    return found


def _start(entries: Sequence[Entry], context: ReadingContext) -> Moment:
    blank: Moment = blank_of("mm.antimyeloma_start")
    started: list[tuple[dt.date, str]] = []
    for entry in entries:
        days = [dose.date for dose in entry.given] or ([entry.day] if entry.day else [])
        started += [(day, entry.reference) for day in days if day <= context.today]
    if not started:
        return blank
    day, name = min(started)
    flags = ("order-date",) if name.startswith("MedicationRequest") else ()
    return replace(blank, date=day, reason=None, resources=(name,), flags=flags)


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
            classes=classes_of(item.product, item.doses) & counted,
            day=context.today,
        )
        for item in drafted
        if classes_of(item.product, item.doses) & counted
    ]
    if not extra:
        return dict(medications.changes)
    entries = [*medications.entries, *extra]
    changes = dict(medications.changes)
    for name in sorted({name for entry in extra for name in entry.classes}):
        changes[FINDINGS[name]] = _finding(
            FINDINGS[name], [entry for entry in entries if counts_as(entry, name)], context
        )
    changes |= amounts_a_day([entry for entry in entries if entry.is_current])
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
            classes=classes_of(item.product, item.doses),
            resources=(item.order.reference,),
        )
        for item in drafted
    ]
    return (*current, *new)
