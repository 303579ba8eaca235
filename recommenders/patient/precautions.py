"""What goes with every bone-modifying agent: the jaw, the teeth, calcium and vitamin D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import ProposedMedication
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Criterion, documented, given

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.guidance import Limit

GUIDANCE = guidance("monitoring")


def jaw_at_risk(facts: Facts) -> Criterion:
    """Tell whether osteonecrosis of the jaw is confirmed or suspected."""
    return facts.onj.status.one_of("suspected", "confirmed") | facts.onj.status.is_suspected()


def recent_dental_check(case: Case) -> Criterion:
    """Tell whether a dental examination is on record from the last 6 months; unknown where its list was not whole."""
    return case.facts.dental.last_exam.within(case.limits(GUIDANCE).dental_check, case.facts.as_of)


def calcium_too_high_for_supplements(case: Case) -> Criterion:
    """
    Tell whether calcium and vitamin D are out of the question; never unknown.

    Corrected calcium above 2.60 mmol/L or above the laboratory's own upper limit (of two contradictory results
    the higher), or hypercalcaemia of malignancy on record.
    """
    return case.once(_calcium_too_high)


def _calcium_too_high(case: Case) -> Criterion:
    careful = case.cautious("highest")
    calcium = careful.lab.ca_corr
    above_range = calcium > careful.lab.ca_uln.value if careful.lab.ca_uln.value is not None else NO
    too_high = (calcium > case.limits(GUIDANCE).upper_normal_calcium) | above_range
    return documented(too_high) | documented(careful.dx.hypercalcaemia_malignancy)


def supplements_lacking(case: Case) -> Criterion:
    """Tell whether calcium or vitamin D is not taken; never unknown, for what is not on record is not taken."""
    meds = case.facts.meds
    return ~documented(meds.calcium) | ~documented(meds.vitd)


def calcium_tablets(case: Case) -> ProposedMedication:
    """Give the calcium supplement that the sources name, by mouth, mg per day."""
    return ProposedMedication(
        drug="calcium-oral",
        dose=case.limits(GUIDANCE).calcium_supplement.value,
        route="PO",
        times_per_day=GUIDANCE.tables["supplements"]["times_per_day"],
    )


def vitamin_d_tablets(case: Case) -> ProposedMedication:
    """Give the vitamin D supplement that the sources name, by mouth, IU per day."""
    return ProposedMedication(
        drug="vitamin-d-oral",
        dose=case.limits(GUIDANCE).vitamin_d_supplement.value,
        route="PO",
        times_per_day=GUIDANCE.tables["supplements"]["times_per_day"],
    )


def both_supplements(case: Case) -> tuple[ProposedMedication, ...]:
    """Give calcium and vitamin D when neither is taken and calcium allows it; else nothing."""
    return case.once(_both_supplements)


def _both_supplements(case: Case) -> tuple[ProposedMedication, ...]:
    meds = case.facts.meds
    if (~meds.calcium & ~meds.vitd & ~calcium_too_high_for_supplements(case)).yes:
        return (calcium_tablets(case), vitamin_d_tablets(case))
    return ()


def may_be_normal(reading: Reading, limit: Limit) -> Criterion:
    """Tell whether a low calcium may be normal once corrected: albumin is unknown and it is not below a limit."""
    return uncorrected(reading) & documented(reading >= limit)


def uncorrected(reading: Reading) -> Criterion:
    """Tell whether a corrected calcium is not corrected at all, because albumin is not known; never unknown."""
    return given(reading.is_known and "uncorrected" in reading.flags)


def kidneys_failing(case: Case) -> Criterion:
    """Tell whether the clearance is known to be below 30 mL/min, or dialysis is on record; never unknown."""
    return case.once(_kidneys_failing)


def _kidneys_failing(case: Case) -> Criterion:
    facts = case.facts
    return documented((facts.lab.crcl < case.limits(GUIDANCE).severe_renal_impairment) | facts.other.dialysis)


def is_minor(case: Case) -> Criterion:
    """Tell whether the patient is known to be under 18: what is written for adults is not advised; never unknown."""
    return documented(case.facts.patient.age < case.limits(COMMON).adult_age)


# --- how it is said -----------------------------------------------------------------------------------------


def trimmed(reading: Reading) -> Reading:
    """Give the reading without needless decimals, for a sentence: 62 %, not 62.0 %."""
    if reading.rounded is None:
        return reading
    return replace(reading, low=reading.rounded, high=reading.rounded, decimals=None)


def bare(reading: Reading) -> Reading:
    """Give the reading without its unit, for a sentence that writes the unit itself."""
    return replace(reading, unit="1")
