"""Mesna beside ifosfamide: what protects the bladder, how much of it there is, and how much the label gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.remarks import plain
from recommenders.vocabulary.facts import Finding, replace, round_half_up
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, any_of, documented

if TYPE_CHECKING:
    from decimal import Decimal

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("sarcoma")


def protects_bladder(case: Case) -> Criterion:
    """
    Tell whether mesna is among the drafts, selected or not, or the current medication.

    An order by mouth that was written long ago belongs to an earlier cycle and protects nobody; one on hold is not
    current. Unknown where the medication list is.
    """
    drafted = [_drafted(order) for order in case.facts.orders if "mesna" in order.kinds]
    return any_of((*drafted, case.facts.meds.mesna.criterion() & ~_old_and_oral(case)))


def _drafted(order: Order) -> Criterion:
    evidence = Finding(name="meds.mesna", value=True, reason=None, resources=(order.reference,))
    return evidence.criterion()


def _old_and_oral(case: Case) -> Criterion:
    mesna, oral = case.facts.meds.mesna, case.facts.meds.mesna_oral
    return documented(oral) & ~mesna.within(case.limits(GUIDANCE).oral_mesna_counts, case.facts.as_of)


def mesna_per_day(case: Case) -> Reading:
    """Give the mesna of a day, mg: as read with the medication, else the sum of the drafts."""
    told = case.facts.meds.mesna_daily
    if told.is_known:
        return told
    drafts = [order.daily_mg for order in case.facts.orders if "mesna" in order.kinds]
    amounts = [draft.value for draft in drafts if draft.value is not None and draft.is_known]
    if not drafts or len(amounts) < len(drafts):
        return told
    total = sum(amounts, start=amounts[0] * 0)
    return replace(told, low=total, high=total, reason=None, date=case.facts.as_of)


def mesna_share(case: Case) -> Decimal:
    """Give the label's share of the ifosfamide dose: 0.6 all into a vein, 1 with any of it by mouth."""
    limits = case.limits(GUIDANCE)
    by_mouth = documented(case.facts.meds.mesna_oral).yes or any(
        "mesna" in order.kinds and order.route.is_("PO").yes for order in case.facts.orders
    )
    return (limits.mesna_share_with_oral if by_mouth else limits.mesna_share_iv).value


def mesna_required(case: Case, order: Order) -> Decimal | None:
    """Give the labelled amount of mesna for a day of this ifosfamide order, mg; None without its daily dose."""
    daily = order.daily_mg.value if order.daily_mg.is_known else None
    return None if daily is None else plain(round_half_up(mesna_share(case) * daily, 1))


def mesna_beside(case: Case, order: Order) -> Decimal | None:
    """Give one IV dose of mesna for this ifosfamide order, mg; None without its dose, or with a mesna allergy."""
    dose = order.daily_mg if order.daily_mg.is_known else order.dose_mg
    if dose.value is None or not dose.is_known or documented(case.facts.allergy.mesna).yes:
        return None
    return plain(round_half_up(dose.value * case.limits(GUIDANCE).mesna_share_each.value, 0))
