"""What goes with every bone-modifying agent: the jaw, the teeth, calcium and vitamin D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Phrase, ProposedMedication, ProposedService
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, YES, Criterion, documented

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.logic import Logical

GUIDANCE = guidance("monitoring")

DENTAL_EXAMINATION = ProposedService(service="dental-examination")


def jaw_at_risk(facts: Facts) -> Criterion:
    """Tell whether osteonecrosis of the jaw is confirmed or suspected."""
    return facts.onj.status.one_of("suspected", "confirmed") | facts.onj.status.is_suspected()


def recent_dental_check(case: Case) -> Criterion:
    """Tell whether a dental examination is on record from the last 6 months; never unknown."""
    return documented(case.facts.dental.last_exam.within(case.limits(GUIDANCE).dental_check, case.facts.as_of))


def calcium_too_high_for_supplements(case: Case) -> Criterion:
    """
    Tell whether calcium and vitamin D are out of the question; never unknown.

    Corrected calcium above 2.60 mmol/L or above the laboratory's own upper limit (of two contradictory results
    the higher), or hypercalcaemia of malignancy on record.
    """
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
    meds = case.facts.meds
    if (~meds.calcium & ~meds.vitd & ~calcium_too_high_for_supplements(case)).yes:
        return (calcium_tablets(case), vitamin_d_tablets(case))
    return ()


# --- how it is said -----------------------------------------------------------------------------------------


def applying(*places: int | tuple[int, Logical]) -> tuple[int, ...]:
    """Give the places of the lines to show: a bare place always, one with a criterion where that certainly holds."""
    pairs = ((place, YES) if isinstance(place, int) else place for place in places)
    return tuple(place for place, applies in pairs if applies.criterion().yes)


def noted(*notes: tuple[str, Logical]) -> tuple[Phrase, ...]:
    """Give the extra lines whose criterion certainly holds."""
    return tuple(Phrase(key) for key, applies in notes if applies.criterion().yes)


def bare(reading: Reading) -> Reading:
    """Give the reading without its unit, for a sentence that writes the unit itself."""
    return replace(reading, unit="1")
