"""Bisphosphonates and the kidney: the dose that a clearance allows, and when creatinine has risen too far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import documented

if TYPE_CHECKING:
    from decimal import Decimal

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.logic import Criterion

GUIDANCE = guidance("renal")


def zoledronic_dose(case: Case, crcl: Reading) -> Decimal | None:
    """
    Give the single dose of zoledronic acid, in mg, that the label's table has for a clearance in mL/min.

    None below 30 mL/min and on dialysis (not recommended), and when the clearance is unknown or spans two
    bands. Not for hypercalcaemia of malignancy, where the label does not reduce. Source: X:ZOM.
    """
    limits = case.limits(GUIDANCE)
    if documented(case.facts.other.dialysis).yes:
        return None
    if (crcl > limits.zoledronic_full_dose_above).yes:
        return limits.zoledronic_full_dose.value
    if ((crcl >= limits.zoledronic_second_band_from) & (crcl <= limits.zoledronic_full_dose_above)).yes:
        return limits.zoledronic_second_dose.value
    if ((crcl >= limits.zoledronic_third_band_from) & (crcl < limits.zoledronic_second_band_from)).yes:
        return limits.zoledronic_third_dose.value
    if ((crcl >= limits.zoledronic_lowest_clearance) & (crcl < limits.zoledronic_third_band_from)).yes:
        return limits.zoledronic_fourth_dose.value
    return None


def ibandronate_dose(case: Case, crcl: Reading) -> Decimal | None:
    """
    Give the single intravenous dose of ibandronate, in mg, for a clearance in mL/min.

    Below 30 mL/min and on haemodialysis it is the largest one at all acceptable: 2 mg, or not recommended.
    None when the clearance is unknown or spans two bands. Source: X:IBA.
    """
    limits = case.limits(GUIDANCE)
    if (documented(case.facts.other.dialysis) | (crcl < limits.ibandronate_lowest_clearance)).yes:
        return limits.ibandronate_lowest_dose.value
    if (crcl >= limits.ibandronate_full_dose_from).yes:
        return limits.ibandronate_full_dose.value
    if ((crcl >= limits.ibandronate_lowest_clearance) & (crcl < limits.ibandronate_full_dose_from)).yes:
        return limits.ibandronate_reduced_dose.value
    return None


def renal_deterioration(case: Case, facts: Facts) -> Criterion:
    """
    Tell whether creatinine has risen since its baseline by more than the zoledronic acid label allows.

    `facts` are the case's, or `case.cautious()` for a safety rule. Whole µmol/L: +44 from a baseline below
    124, +88 from one of 124 or more. Unknown without a baseline. Source: X:ZOM.
    """
    limits = case.limits(GUIDANCE)
    baseline, rise = facts.lab.creatinine_baseline, facts.lab.creatinine_rise
    from_normal = (baseline < limits.normal_baseline_below) & (rise >= limits.rise_from_normal)
    from_raised = (baseline >= limits.normal_baseline_below) & (rise >= limits.rise_from_raised)
    return from_normal | from_raised
