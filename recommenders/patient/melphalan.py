"""Melphalan orders at hand: the dose by body surface, over one day and over consecutive days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.vocabulary.facts import exactly, replace
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Criterion, any_of, documented, given
from recommenders.vocabulary.records import Order

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.records import Dose

GUIDANCE = guidance("myeloma_treatment")
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class MelphalanOrder:
    """
    One melphalan order at hand.

    `mg_m2` is the dose of one day per m², `figures` every figure that it was written in, `high_dose` whether it is one.
    `total_mg_m2` and `days` are the sum over consecutive days with the other drafts and with this order's own days.
    """

    order: Order
    mg_m2: Reading
    figures: tuple[Reading, ...]
    high_dose: Criterion
    total_mg_m2: Reading
    days: int


def melphalan_orders(case: Case) -> tuple[MelphalanOrder, ...]:
    """Give the melphalan orders at hand; to be asked for as `case.once(melphalan_orders)`."""
    drafts = [_Daily.of(case, order) for order in case.facts.orders if "melphalan" in order.kinds]
    drafts += [_Daily.given(case, dose) for dose in case.facts.melphalan_given if not _is_drafted(dose, drafts)]
    found: list[MelphalanOrder] = []
    for draft in drafts:
        if draft.order is not None and draft.order.at_hand:
            together = [other for other in drafts if _adjoins(case, draft, other, drafts)]
            total, days = _sum(draft, together)
            found.append(MelphalanOrder(draft.order, draft.figures[0], draft.figures, draft.high_dose, total, days))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Daily:
    """
    One draft, or one dose given, with its dose per m² on one day, its days, and whether it counts towards a sum.

    `order` is None for a dose that was given, or ordered before this call.
    """

    order: Order | None
    figures: tuple[Reading, ...]
    high_dose: Criterion
    counts: bool
    first: dt.date | None
    days: int

    @staticmethod
    def of(case: Case, order: Order) -> _Daily:
        limits, figures = case.limits(GUIDANCE), _per_m2(order, case.facts)
        # the route of an order is often not told: only an order known to be no infusion is left alone
        by_another_way = documented(order.route.one_of("PO", "SC", "IM", "ID", "other"))
        high = ~by_another_way & any_of(figure >= limits.high_dose_melphalan for figure in figures)
        counts = ~by_another_way & (figures[0] >= limits.melphalan_counted)
        days = order.treatment_days.value if order.treatment_days.is_known else None
        return _Daily(order, figures, high, counts.yes, order.starts, int(days) if days else 1)

    @staticmethod
    def given(case: Case, dose: Dose) -> _Daily:
        blank = Order(reference="")
        written = blank.dose_mg if dose.mg is None else exactly(blank.dose_mg, dose.mg, resources=dose.resources)
        figures = _per_m2(replace(blank, dose_mg=written), case.facts)
        counts = figures[0] >= case.limits(GUIDANCE).melphalan_counted
        return _Daily(None, figures, NO, counts.yes, dose.date, 1)

    @property
    def last(self) -> dt.date | None:
        """The last day of it."""
        return None if self.first is None else self.first + dt.timedelta(self.days - 1)


def _is_drafted(dose: Dose, drafts: list[_Daily]) -> bool:
    """Whether a draft is for the same day: then it is the dose that was given."""
    return any(draft.first and draft.last and draft.first <= dose.date <= draft.last for draft in drafts)


def _adjoins(case: Case, one: _Daily, other: _Daily, drafts: list[_Daily]) -> bool:
    """Tell whether two drafts run on consecutive days, others between them counted; undated ones do."""
    if one is other:
        return True
    if not (one.counts and other.counts):
        return False
    if one.first is None or other.first is None:
        return one.order is not None and other.order is not None
    limits = case.limits(GUIDANCE)
    gap = dt.timedelta(1 + int(limits.melphalan_days_apart.value))
    dated = sorted((d for d in drafts if d.counts and d.first), key=lambda draft: draft.first or dt.date.min)
    run: list[_Daily] = []
    for draft in dated:
        end = max((earlier.last for earlier in run if earlier.last), default=None)
        if run and end is not None and draft.first is not None and draft.first - end > gap:
            if one in run:
                break
            run = []
        run.append(draft)
    return one in run and other in run


def _sum(draft: _Daily, together: list[_Daily]) -> tuple[Reading, int]:
    """Give the mg/m² of all days together, and how many days they are."""
    parts = [(one.figures[0], one.days) for one in together]
    days = sum(number for _, number in parts)
    blank = draft.figures[0]
    if any(not figure.is_known or figure.low is None or figure.high is None for figure, _ in parts):
        return replace(blank, low=None, high=None, reason=blank.reason or "inputs"), days
    low = sum((figure.low * number for figure, number in parts if figure.low is not None), start=ZERO)
    high = sum((figure.high * number for figure, number in parts if figure.high is not None), start=ZERO)
    names = tuple(dict.fromkeys(name for figure, _ in parts for name in figure.resources))
    return replace(blank, low=low, high=high, resources=names), days


def by_actual_surface(case: Case, melphalan: MelphalanOrder) -> Criterion:
    """
    Tell whether the ordered milligrams come from the body surface by actual weight; never unknown.

    So it is when the order says mg/m² and the milligrams beside it (if any) are that times the actual surface, or when
    mg ÷ actual surface is one of the usual doses per m².
    """
    area, order, limits = case.facts.patient.bsa, melphalan.order, case.limits(GUIDANCE)
    if not area.is_known or area.value is None:
        return given(False)
    share = limits.melphalan_same_within.value / 100
    dose = order.dose_mg.value if order.dose_mg.is_known else None
    if order.dose_mg_m2.is_known and order.dose_mg_m2.value is not None:
        return given(dose is None or _near(dose, order.dose_mg_m2.value * area.value, share))
    if dose is None:
        return given(False)
    return given(
        any(_near(dose / area.value, Decimal(usual), share) for usual in GUIDANCE.tables["melphalan"]["usual"])
    )


def _near(value: Decimal, other: Decimal, share: Decimal) -> bool:
    return abs(value - other) <= other * share


def _per_m2(order: Order, facts: Facts) -> tuple[Reading, ...]:
    """Give the ordered dose per m², the best figure first: as ordered, then the ordered mg ÷ body surface."""
    area = facts.patient.bsa
    as_ordered = (order.dose_mg_m2,) if order.dose_mg_m2.is_known else ()
    doses = [dose for dose in (order.dose_mg, order.largest_dose_mg) if dose.is_known]
    computed = tuple(
        replace(
            order.dose_mg_m2,
            low=dose.low / area.high,
            high=dose.high / area.low,
            reason=None,
            date=area.date,
            resources=tuple(dict.fromkeys((*dose.resources, *area.resources))),
            flags=(*dose.flags, *area.flags),
        )
        for dose in doses
        if area.is_known and area.low and area.high and dose.low is not None and dose.high is not None
    )
    if as_ordered or computed:
        return as_ordered + computed
    lacks = (*(() if doses else (order.dose_mg.name,)), *(() if area.is_known else area.lacks or (area.name,)))
    return (replace(order.dose_mg_m2, lacks=lacks),)
