"""Courses of bone-modifying agents, put together from orders and the doses that went in (§8.4)."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fhir_mapping.elements.medication_entries import KEY, Entry
from fhir_mapping.terms.bma_classes import bma_class
from recommenders.patient.courses import GUIDANCE as COURSES_GUIDANCE
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.records import Course, Courses, Dose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from recommenders.vocabulary.records import BmaClass, DoseKind

TOGETHER_WITHIN = dt.timedelta(days=3)
"""An administration, its order and its bill within three days are one dose."""


# --- courses ------------------------------------------------------------------------------------------------

_STRENGTH: tuple[DoseKind, ...] = ("administration", "event", "billed", "dispense-start", "order-date")


def courses_of(entries: Sequence[Entry], context: ReadingContext) -> Courses:
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
