"""What must be known before a dose: creatinine and weight, calcium, and which of two differing results is right."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.ordering.parts import (
    GUIDANCE,
    ZOLEDRONIC,
    asked_for,
    by_mouth,
    filled,
    pieces,
    shown,
    shown_day,
)
from recommenders.patient import remarks
from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService, Why
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.precautions import supplements_lacking
from recommenders.patient.renal import (
    clearance_at,
    creatinine_limit_umol_l,
    ibandronate_dose,
    weight_limit_kg,
    zoledronic_dose,
)
from recommenders.patient.services import ask_together
from recommenders.vocabulary.facts import exactly, known
from recommenders.vocabulary.logic import NO, Condition, Criterion, all_of, any_of, documented, given, leaf
from recommenders.vocabulary.records import BISPHOSPHONATES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact, Reading
    from recommenders.vocabulary.records import Order

WITH_A_TABLE = frozenset({"zoledronic", "ibandronate"})


def kidneys_and_calcium_known(case: Case, order: Order) -> Iterator[Advice]:
    """Yield what one order of a bone-modifying agent still needs to be known."""
    if order.drug in BISPHOSPHONATES:
        yield from case.asked(_creatinine_needed, "DOSE-010", of=order)
    yield from case.asked(_calcium_needed, "DOSE-011", of=order)
    yield from case.asked(_below_the_laboratorys_limit, "DOSE-012", of=order)
    yield from case.asked(_contradictory, "DOSE-023", of=order)


# --- the kidneys --------------------------------------------------------------------------------------------


def _creatinine_needed(case: Case, order: Order) -> Iterator[Advice]:
    facts, recorded = case.cautious(), case.facts
    patient, lab = facts.patient, facts.lab
    if not case.may_hold(~known(lab.crcl)):
        return
    gaps = remarks.clearance_gaps(facts)
    if is_contradictory(recorded.lab.creatinine).yes:
        gaps = [name for name in gaps if name != lab.creatinine.name]  # DOSE-023 speaks of it
    child = documented(patient.age < case.limits(GUIDANCE).adult_age)
    measured, weighed = given(lab.creatinine.is_known), given(patient.weight.is_known)
    sex_told = given(patient.sex.is_known)
    adult_with_table = given(order.drug in WITH_A_TABLE) & ~child & sex_told
    dose = order.dose_mg.value if order.dose_mg.is_known else None
    creatinine_limit = None if measured.yes else creatinine_limit_umol_l(case, order.drug, dose)
    weight_limit = weight_limit_kg(case, order.drug, dose) if measured.yes and not weighed.yes else None
    yield Advice(
        rule="DOSE-010",
        because=~by_mouth(order) & ~known(lab.crcl) & ~documented(facts.other.dialysis) & (child | given(bool(gaps))),
        unless=asked_for(case, "body-weight" if measured.yes else "creatinine"),
        holds={
            "child-measured": child & measured,
            "child": child & ~measured,
            "stale": _is(lab.creatinine, "stale"),
            "unusable": _is(lab.creatinine, "implausible", "unit"),
            "not-told": is_there_in_part(lab.creatinine),
            "creatinine-known": measured,
            "creatinine-limit": adult_with_table & weighed & given(creatinine_limit is not None),
            "weight-limit": adult_with_table & measured & given(weight_limit is not None),
        },
        fill=filled(
            {
                "creatinine_limit_umol_l": creatinine_limit,
                "weight_limit_kg": weight_limit,
                "lab.creatinine": shown(lab.creatinine),
                "creatinine_last": last_result(case, "lab.creatinine"),
                "sent": lab.creatinine.sent,
                "why": Why(lab.creatinine),
                "gap": tuple(Label(name) for name in gaps if name != lab.creatinine.name) or None,
            }
        ),
        proposals=tuple(_kidney_tests(facts, recorded)),
        order=order.reference,
    )


def last_result(case: Case, path: str) -> Fill:
    """Give the newest result although it is too old: its value with the day, as far as they are told."""
    fact = case.facts.fact(path)
    earlier = [reading for reading in case.facts.series.get(path, ()) if reading.is_known and reading.date]
    newest = max(earlier, key=lambda reading: reading.date or dt.date.min, default=None)
    value: Fill | None = fact.sent if newest is None else newest
    day = fact.date if newest is None else newest.date
    if value is None:
        return shown_day(day)
    return Phrase("value-of-day", {"value": value, "day": shown_day(day)})


def is_there_in_part(fact: Fact) -> Criterion:
    """Tell whether a result may be there and is not known for another reason than age, value or unit: say which."""
    said_otherwise = {None, "missing", "inputs", "stale", "implausible", "unit"}
    return given(fact.reason not in said_otherwise)


def _is(fact: Fact, *reasons: str) -> Criterion:
    """Tell whether a fact is unknown for one of these reasons; never unknown."""
    return given(fact.reason in reasons)


def _kidney_tests(facts: Facts, recorded: Facts) -> Iterator[Proposal]:
    if not facts.lab.creatinine.is_known and not is_contradictory(recorded.lab.creatinine).yes:
        yield ask_together("creatinine", "creatinine")
    if not facts.patient.weight.is_known:
        yield Proposal(button="weight", items=(ProposedService(service="body-weight"),))


# --- calcium ------------------------------------------------------------------------------------------------


def _calcium_needed(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    calcium, ionised = facts.lab.ca_total, facts.lab.ca_ionised
    if not case.may_hold(~known(calcium)):
        return
    ionised_suffices = given(bool(limits.ionised_calcium_suffices.value)) & known(ionised)
    yield Advice(
        rule="DOSE-011",
        because=~known(calcium) & ~is_contradictory(case.facts.lab.ca_total) & ~ionised_suffices,
        unless=asked_for(case, "calcium"),
        holds={
            "stale": _is(calcium, "stale"),
            "unusable": _is(calcium, "implausible", "unit"),
            "not-told": is_there_in_part(calcium),
            "ionised-only": given(ionised.is_known),
        },
        fill=filled({"sent": calcium.sent, "why": Why(calcium), "ca_last": last_result(case, "lab.ca_total")}),
        proposals=(ask_together("calcium", "calcium", "albumin"),),
        order=order.reference,
    )


def _below_the_laboratorys_limit(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    calcium, lacking = facts.lab.ca_corr, supplements_lacking(case)
    because = (calcium >= limits.hypocalcaemia) & _below_own_range(facts)
    if not case.may_hold(because):
        return
    yield Advice(
        rule="DOSE-012",
        because=because,
        holds={"no-supplements": lacking, "on-supplements": ~lacking},
        fill={"ca_corrected_mmol_l": shown(calcium), "lab.ca_lln": shown(facts.lab.ca_lln)},
        proposals=(ask_together("calcium", "calcium", "albumin"),),
        values=pieces({"ca_corrected_mmol_l": calcium.rounded}),
        order=order.reference,
    )


def _below_own_range(facts: Facts) -> Criterion:
    """
    Whether corrected calcium is below the laboratory's own limit.

    A calcium that came without a range is not asked about; without any calcium it is open.
    """
    calcium, lower_limit = facts.lab.ca_corr, facts.lab.ca_lln
    if lower_limit.is_known and lower_limit.rounded is not None:
        return calcium < lower_limit.rounded
    if calcium.is_known:
        return known(lower_limit)
    return leaf(Condition(calcium.name, "<", lower_limit.name, calcium, None))


# --- two results of the same time ---------------------------------------------------------------------------


def is_contradictory(reading: Reading) -> Criterion:
    """Tell whether two results of the same time differ; never unknown."""
    return leaf(Condition(reading.name, "is", "contradictory", reading, reading.reason == "contradictory"))


@dataclass(frozen=True, slots=True)
class Rivals:
    """Two differing results: the lower and the higher one, and what either leads to for the ordered drug (dose, mg)."""

    reading: Reading
    low: Decimal
    high: Decimal
    dose_at_low: Decimal | None = None
    dose_at_high: Decimal | None = None
    same_verdict: bool = False

    @property
    def doses_differ(self) -> bool:
        """Whether both lead to a dose, and to another one."""
        return None not in {self.dose_at_low, self.dose_at_high} and self.dose_at_low != self.dose_at_high


def _contradictory(case: Case, order: Order) -> Iterator[Advice]:
    lab, limits = case.facts.lab, case.limits(GUIDANCE)
    either_differs = any_of((is_contradictory(lab.creatinine), is_contradictory(lab.ca_total)))
    if not case.may_hold(either_differs):
        return
    creatinine = _creatinine_rivals(case, order) if is_contradictory(lab.creatinine).yes else None
    calcium = _calcium_rivals(case) if is_contradictory(lab.ca_total).yes else None
    leading = creatinine or calcium
    low_calcium = given(calcium.low < limits.hypocalcaemia.value) if calcium is not None else NO
    yield Advice(
        rule="DOSE-023",
        because=either_differs,
        unless=_both_asked_for(case, creatinine, calcium),
        holds={
            "decides-nothing": given(
                leading is not None and all(one.same_verdict for one in (creatinine, calcium) if one is not None)
            ),
            "calcium": given(creatinine is None and calcium is not None),
            "two-doses": given(creatinine is not None and creatinine.doses_differ),
            "maybe-low-calcium": low_calcium & given(creatinine is None),
        },
        fill=_rivals_shown(leading),
        proposals=(
            *((ask_together("creatinine", "creatinine"),) if creatinine is not None else ()),
            *((ask_together("calcium", "calcium", "albumin"),) if calcium is not None else ()),
        ),
        order=order.reference,
    )


def _both_asked_for(case: Case, creatinine: Rivals | None, calcium: Rivals | None) -> Criterion:
    """Tell whether each of the differing tests is being repeated."""
    wanted: list[Criterion] = [] if creatinine is None else [asked_for(case, "creatinine")]
    wanted += [] if calcium is None else [asked_for(case, "calcium")]
    return all_of(wanted) if wanted else NO


def _rivals_shown(found: Rivals | None) -> dict[str, Fill]:
    if found is None:
        return {}
    reading = found.reading
    return {
        "value_low": exactly(reading, found.low),
        "value_high": exactly(reading, found.high),
        "result_day": shown_day(reading.date),
    } | filled({"dose_low": found.dose_at_low, "dose_high": found.dose_at_high})


def _creatinine_rivals(case: Case, order: Order) -> Rivals | None:
    """Compare what the two creatinines lead to: the dose of the drug's table, and the side of 30 mL/min."""
    creatinine, severe = case.facts.lab.creatinine, case.limits(GUIDANCE).severe_renal_impairment
    if not creatinine.rivals:
        return None
    low, high = min(creatinine.rivals), max(creatinine.rivals)
    at_low, at_high = clearance_at(case, low), clearance_at(case, high)
    if at_low is None or at_high is None:
        return Rivals(creatinine, low, high)
    dose_of = zoledronic_dose if order.drug in ZOLEDRONIC else ibandronate_dose if order.drug == "ibandronate" else None
    doses = (None, None) if dose_of is None else (dose_of(case, at_low), dose_of(case, at_high))
    same_side = (at_low < severe).holds == (at_high < severe).holds
    return Rivals(creatinine, low, high, *doses, same_verdict=same_side and doses[0] == doses[1])


def _calcium_rivals(case: Case) -> Rivals | None:
    """Compare what the two calciums say: both low, both normal or both high."""
    calcium = case.facts.lab.ca_total
    if not calcium.rivals:
        return None
    low, high = min(calcium.rivals), max(calcium.rivals)
    edges = (case.limits(GUIDANCE).hypocalcaemia.value, case.limits(COMMON).hypercalcaemia.value)
    own_limit = calcium.reference_low
    sides = [
        tuple(value < edge for edge in (*edges, *(() if own_limit is None else (own_limit,)))) for value in (low, high)
    ]
    return Rivals(calcium, low, high, same_verdict=sides[0] == sides[1])
