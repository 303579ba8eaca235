"""Bone protection: who should have a bone-modifying agent, which, and for how long."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase, Proposal, ProposedService, SourceVerdict
from recommenders.patient.bone_agents import (
    CALCIUM,
    agent_offered,
    calcium_known_for_an_order,
    denosumab,
    denosumab_recently,
    is_dose_for_cancer,
    kidneys_forbid_zoledronic_acid,
    months_on_treatment,
    on_osteoporosis_drug,
    same_bisphosphonate,
    supplements,
    unsafe_to_start,
    waits_for_calcium,
    zoledronic_acid,
    zoledronic_acid_for_hypercalcaemia,
    zoledronic_recently,
)
from recommenders.patient.cancer import any_cancer
from recommenders.patient.checklist import CheckItem, calcium_and_creatinine, electrolytes, imaging
from recommenders.patient.courses import GUIDANCE as COURSES
from recommenders.patient.courses import (
    ZOLEDRONIC,
    at_hand,
    bma,
    bma_orders,
    days_since_dose,
    event_during_bma,
    first_dose,
    milestone,
    sre_during_bma,
)
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.explanations import explanations
from recommenders.patient.myeloma_bone import (
    SWITCHABLE,
    bone_risk_tier,
    examinations_read,
    imaged_since,
    is_after,
    markers_still_high,
    smouldering_verdicts,
    stop_criteria,
)
from recommenders.patient.myeloma_class import may_have_plasma_cells, myeloma_class
from recommenders.patient.myeloma_risk import high_by_mayo
from recommenders.patient.precautions import (
    asked_for,
    bare,
    is_minor,
    kidneys_failing,
    not_asked_for,
    services,
    trimmed,
)
from recommenders.patient.renal import zoledronic_dose
from recommenders.patient.trends import evolving
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import CHART_HOOKS, guidance
from recommenders.vocabulary.logic import NO, Criterion, all_of, any_of, decided, documented, given
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB, ONCOLOGIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Service, Value

GUIDANCE = guidance("bone_protection")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from solid_tumours(case)
    yield from treated_bone_metastases(case)
    yield from hypercalcaemia(case)
    if (case.hook in CHART_HOOKS and may_have_plasma_cells(case)) or case.whole:
        yield from myeloma(case)
        yield from myeloma_on_treatment(case)
        yield from smouldering_or_mgus(case)
        yield from plasma_cell_disease(case)
    yield from starting(case)
    yield from stopping_denosumab(case)


# --- lung cancer and other solid tumours --------------------------------------------------------------------

LUNG = ("dx.bone_met", "dx.lung_cancer")


def solid_tumours(case: Case) -> Iterator[Advice]:
    """BP-001 to BP-004 and BP-010: who with a solid tumour should have a bone-modifying agent."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, already_protected = facts.dx, case.once(bma).current.any()

    lung_bone_metastasis = dx.lung_cancer & dx.bone_met
    long_enough_to_benefit = facts.status.life_expectancy >= limits.life_expectancy
    too_short_to_benefit = facts.status.life_expectancy < limits.life_expectancy
    may_start = ~unsafe_to_start(case)
    done = already_protected | waits_for_calcium(case)
    agents = (denosumab(LUNG), *zoledronic_acid(case, LUNG), *supplements(case))
    treated_for_hypercalcaemia = documented(dx.hypercalcaemia_malignancy)

    yield Advice(
        rule="BP-001",
        because=lung_bone_metastasis & long_enough_to_benefit & may_start,
        unless=done,
        holds={
            "osteoporosis-drug": on_osteoporosis_drug(case),
            "agent-offered": agent_offered(case),
            "calcium-unknown": ~calcium_known_for_an_order(case),
            "kidneys-failing": kidneys_failing(case),
        },
        proposals=agents,
    )
    yield Advice(
        rule="BP-002",
        because=lung_bone_metastasis & ~decided(long_enough_to_benefit) & may_start,
        unless=done,
        proposals=agents,
    )

    outside_the_recommendation = lung_bone_metastasis & too_short_to_benefit & ~treated_for_hypercalcaemia
    months_left: Mapping[str, Fill] = {"life_expectancy": bare(trimmed(facts.status.life_expectancy))}
    if case.hook in CHART_HOOKS:
        yield Advice(rule="BP-003", because=outside_the_recommendation, holds={"no-indication": NO}, fill=months_left)
    for order in bma_orders(case):
        for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
        yield Advice(
            rule="BP-003",
            because=outside_the_recommendation & ~for_hypercalcaemia,
            holds={"no-indication": ~known(order.indication)},
            fill=months_left,
            order=order.reference,
        )

    for_risk_alone = all_of(
        (
            dx.lung_cancer,
            ~documented(dx.bone_met),
            ~dx.mm,
            ~dx.smm,
            ~dx.osteoporosis,
            ~treated_for_hypercalcaemia,
        )
    )
    suspected = dx.bone_met.is_suspected()
    asked = asked_for(case, "bone-scan")
    image_the_bone = () if asked.yes else (services("bone-scan", "bone-scan", reasons=("dx.lung_cancer",)),)
    if case.hook in CHART_HOOKS:
        yield Advice(
            rule="BP-004",
            because=for_risk_alone & already_protected,
            unless=asked,
            holds={"only-suspected": suspected, "not-recorded": ~suspected, "no-indication": NO},
            proposals=image_the_bone,
        )
    for order in bma_orders(case):
        other_reason = documented(order.indication.one_of("hypercalcaemia", "osteoporosis"))
        yield Advice(
            rule="BP-004",
            because=for_risk_alone & (is_dose_for_cancer(case, order) | already_protected) & ~other_reason,
            unless=asked,
            holds={
                "only-suspected": suspected,
                "not-recorded": ~suspected,
                "no-indication": ~known(order.indication),
            },
            proposals=image_the_bone,
            order=order.reference,
        )

    yield Advice(
        rule="BP-010",
        because=~dx.lung_cancer & dx.other_solid_cancer & dx.bone_met,
        unless=already_protected,
    )


def treated_bone_metastases(case: Case) -> Iterator[Advice]:
    """BP-005 to BP-007 and BP-035: bone metastases on a bone-modifying agent."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    lung_bone_metastasis, already_protected = dx.lung_cancer & dx.bone_met, drugs.current.any()

    treated_bone_metastasis = already_protected & dx.bone_met
    event = event_during_bma(case)
    yield Advice(
        rule="BP-005",
        because=treated_bone_metastasis & sre_during_bma(case),
        fill={"event": Phrase(f"event-{event.type}"), "event_date": event.date} if event and event.date else {},
    )

    milestones = (milestone(case, limits.lung_duration), milestone(case, limits.lung_duration_end))
    yield Advice(
        rule="BP-006",
        because=lung_bone_metastasis & already_protected & (drugs.months >= limits.lung_duration),
        unless=documented(drugs.interval_days >= limits.interval_extended),
        holds={
            "denosumab": drugs.current.includes(DENOSUMAB),
            "bisphosphonate": drugs.current.includes(BISPHOSPHONATES),
        },
        fill=months_on_treatment(case),
        new=given(any(is_new(case, day) for day in milestones)),
        proposals=tuple(same_bisphosphonate(case, "longer-interval")),
    )
    yield Advice(rule="BP-007", because=treated_bone_metastasis)
    yield Advice(rule="BP-035", because=lung_bone_metastasis & facts.meds.ici)


def is_new(case: Case, day: dt.date | None) -> bool:
    """Tell whether something of that day is recent enough to be said unasked."""
    span = dt.timedelta(int(case.limits(COMMON).result_is_new.value))
    return day is not None and dt.timedelta(0) <= case.facts.as_of - day <= span


# --- hypercalcaemia -----------------------------------------------------------------------------------------


def hypercalcaemia(case: Case) -> Iterator[Advice]:
    """BP-011 and BP-013: raised calcium in cancer; a bone metastasis is one by itself."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    calcium, cancer = facts.lab.ca_corr, any_cancer(facts)

    severe_as_reported = documented(facts.lab.ca_corr_mg_dl >= limits.severe_hypercalcaemia_mg_dl)
    severe = (calcium >= limits.severe_hypercalcaemia) | severe_as_reported
    raised = (calcium > case.limits(COMMON).hypercalcaemia) & (calcium < limits.severe_hypercalcaemia)
    zoledronic = tuple(zoledronic_acid_for_hypercalcaemia(case, "zoledronic-acid"))
    supplement_orders = at_hand(case, "calcium", "vitamin-d")
    orders = supplement_orders or at_hand(case, "bma")
    about: Mapping[str, Fill] = {
        "ca_corrected_mmol_l": bare(calcium),
        "ca_corrected_mg_dl": bare(facts.lab.ca_corr_mg_dl),
    }

    yield Advice(
        rule="BP-011",
        because=cancer & severe,
        holds={
            "supplement-ordered": given(bool(supplement_orders)),
            "agent-ordered": given(bool(bma_orders(case))),
            "milligrams": severe_as_reported & documented(calcium < limits.severe_hypercalcaemia),
            "zoledronic-acid-fits": given(bool(zoledronic)),
            "kidneys-failing": documented(kidneys_forbid_zoledronic_acid(case)),
            "zoledronic-acid-recent": documented(zoledronic_recently(case)),
            "denosumab-recent": documented(denosumab_recently(case)),
        },
        fill=about,
        order=orders[0] if orders else None,
        beside=orders[1:],
        proposals=(*rehydration(case), *zoledronic),
    )
    yield Advice(
        rule="BP-013",
        because=all_of((cancer, raised, ~severe_as_reported)),
        holds={"supplement-ordered": given(bool(supplement_orders))},
        fill=about,
        order=orders[0] if orders else None,
        beside=orders[1:],
    )


def rehydration(case: Case) -> Iterator[Proposal]:
    """Give the hydration protocol, unless it is running or ordered."""
    if not asked_for(case, "hydration").yes:
        item = ProposedService(service="hydration", priority="urgent")
        yield Proposal(button="hydration", items=(item,), reasons=CALCIUM)


# --- active myeloma -----------------------------------------------------------------------------------------

MYELOMA = ("dx.mm", "dx.smm", "dx.mgus")


def myeloma(case: Case) -> Iterator[Advice]:
    """BP-020 and BP-024: active myeloma without bone protection."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed, stop = case.once(myeloma_class), case.once(stop_criteria)

    active_myeloma = dx.mm | computed.is_active_mm
    already_protected, treated_before = drugs.current.any(), drugs.past.any()
    very_good_response = facts.mm.response.one_of("VGPR", "CR", "sCR")
    stopped_as_allowed = all_of(
        (
            given(drugs.last_drug in ZOLEDRONIC),
            drugs.months >= limits.imwg_stop_from,
            very_good_response,
        )
    )
    yield Advice(
        rule="BP-024",
        because=all_of(
            (
                active_myeloma,
                ~already_protected,
                treated_before,
                drugs.months < limits.two_years,
                ~documented(stop.met),
                ~unsafe_to_start(case),
            )
        ),
        holds={"stop-allowed": stopped_as_allowed, "denosumab-last": given(drugs.last_drug in DENOSUMAB)},
        fill=months_on_treatment(case),
    )

    by_results_only = computed.is_active_mm & ~documented(dx.mm)
    may_be_something_else = by_results_only & case.once(explanations).all
    yield Advice(
        rule="BP-020",
        because=all_of(
            (
                active_myeloma,
                ~documented(may_be_something_else),
                ~documented(treated_before & stop.met),
                ~unsafe_to_start(case),
            )
        ),
        unless=already_protected | waits_for_calcium(case),
        holds={
            "course-finished": treated_before & (drugs.months >= limits.two_years),
            "by-results-only": by_results_only,
            "osteoporosis-drug": on_osteoporosis_drug(case),
            "agent-offered": agent_offered(case),
            "calcium-unknown": ~calcium_known_for_an_order(case),
        },
        fill=months_on_treatment(case),
        proposals=(*zoledronic_acid(case, MYELOMA), denosumab(MYELOMA), *supplements(case)),
    )


def myeloma_on_treatment(case: Case) -> Iterator[Advice]:
    """BP-023, BP-026, BP-027 and BP-030: active myeloma on bone protection."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed, stop = case.once(myeloma_class), case.once(stop_criteria)

    active_and_protected = (dx.mm | computed.is_active_mm) & drugs.current.any()
    on_denosumab = drugs.current.includes(DENOSUMAB)
    very_good_response = facts.mm.response.one_of("VGPR", "CR", "sCR")

    yield Advice(
        rule="BP-023",
        because=active_and_protected & (drugs.months >= limits.two_years),
        unless=drugs.interval_days > limits.monthly,
        holds={"denosumab": on_denosumab, "no-deep-response": ~documented(very_good_response)},
        fill=months_on_treatment(case),
        proposals=tuple(
            same_bisphosphonate(
                case,
                "every-12-weeks",
                GUIDANCE.tables["proposed"]["bisphosphonate_longer_interval_days"],
                MYELOMA,
            )
        ),
    )

    kidneys = documented(stop.kidneys)
    stable_months = [lesion.stable_months for lesion in facts.lesions if lesion.stable_months.is_known]
    shortest = min(stable_months, key=lambda stable: stable.low or 0, default=None)
    yield Advice(
        rule="BP-026",
        because=(dx.mm | dx.smm) & drugs.current.any() & stop.met,
        holds={
            "kidneys": kidneys,
            "jaw": documented(stop.jaw),
            "low-calcium": documented(stop.calcium),
            "zoledronic-acid-kidneys": kidneys & drugs.current.includes(ZOLEDRONIC),
            "stable-on-denosumab": documented(stop.efficacy) & on_denosumab,
            "stable-and-deep-response": documented(stop.efficacy) & very_good_response,
        },
        fill={} if shortest is None else {"stable_months": bare(shortest)},
    )
    yield Advice(
        rule="BP-027",
        because=active_and_protected & very_good_response & (drugs.months < limits.two_years),
        fill=months_on_treatment(case),
    )

    still_high = markers_still_high(case)
    yield Advice(
        rule="BP-030",
        because=all_of(
            (
                active_and_protected,
                ~is_minor(case),
                drugs.current.includes(SWITCHABLE),
                still_high | facts.mm.bmd_decreased,
            )
        ),
        holds={"only-bone-density": documented(facts.mm.bmd_decreased) & ~documented(still_high)},
        new=given(is_new(case, facts.bone.ctx.date)),
    )


# --- smouldering myeloma and MGUS ---------------------------------------------------------------------------


def smouldering_or_mgus(case: Case) -> Iterator[Advice]:
    """BP-021, BP-022 and BP-025: smouldering myeloma by source, and MGUS."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed, sources = case.once(myeloma_class), case.once(smouldering_verdicts)

    smouldering = (dx.smm | computed.is_smm) & ~computed.is_active_mm
    already_protected = drugs.current.any()

    verdicts = {"mayo": sources.mayo, "imwg": sources.imwg, "nccn": sources.nccn, "cn2022": sources.cn2022}
    yield Advice(
        rule="BP-021",
        because=smouldering & sources.any_supports & ~unsafe_to_start(case),
        unless=already_protected,
        verdicts=tuple(
            SourceVerdict(line=line, criterion=verdict)
            for line, verdict in zip((0, 1, 3, 4), verdicts.values(), strict=True)
        ),
        fill={
            "sources_for": tuple(Phrase(f"source-{name}") for name, verdict in verdicts.items() if verdict.yes),
            "sources_against": tuple(Phrase(f"source-{name}") for name, verdict in verdicts.items() if verdict.no)
            or Phrase("none"),
        },
    )

    lower_risk = (dx.smm | computed.is_smm) & sources.all_against
    yield Advice(
        rule="BP-022",
        because=all_of(
            (
                dx.mgus | computed.is_mgus | lower_risk,
                ~dx.mm,
                ~computed.is_active_mm,
                ~documented(dx.bone_met),
                examinations_read(case),
            )
        ),
        holds={
            "osteoporosis": documented(dx.osteoporosis),
            "smouldering": documented(lower_risk),
        },
    )

    two_years = milestone(case, limits.two_years)
    tests: tuple[Service, ...] = ("m-protein", "free-light-chains")
    tested = all_of(is_after(fact, two_years) for fact in (facts.mm.m_protein, facts.mm.flcr))
    imaged = any_of(is_after(fact, two_years) for fact in (facts.mm.mri_focal, facts.mm.pet_focal_active))
    tested |= asked_for(case, *tests)
    imaged |= asked_for(case, "mri-whole-body") | asked_for(case, "pet-ct")
    yield Advice(
        rule="BP-025",
        because=smouldering & already_protected & (drugs.months >= limits.two_years),
        unless=documented(tested & imaged),
        fill=months_on_treatment(case),
        proposals=(
            *(() if tested.yes else (services("tests", *tests, reasons=MYELOMA),)),
            *(() if imaged.yes else (services("mri", "mri-whole-body", reasons=MYELOMA),)),
        ),
    )


# --- any plasma-cell disease --------------------------------------------------------------------------------


def plasma_cell_disease(case: Case) -> Iterator[Advice]:
    """BP-028, BP-029, BP-031 and BP-033: what the bones of a patient with plasma-cell disease tell."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm, drugs = facts.dx, facts.mm, case.once(bma)
    myeloma_or_smouldering = dx.mm | dx.smm

    seen_during_treatment = any_of(
        is_after(mm.pet_suvmax, start.date) for start in (drugs.start_date, mm.antimyeloma_start) if start.is_known
    )
    yield Advice(
        rule="BP-028",
        because=myeloma_or_smouldering & mm.pet_focal_active & (mm.pet_suvmax > limits.suvmax),
        holds={"not-on-treatment": ~seen_during_treatment},
        fill={"pet_date": mm.pet_suvmax.date} if mm.pet_suvmax.date else {},
        new=given(is_new(case, mm.pet_suvmax.date)),
    )

    tier = case.once(bone_risk_tier)
    yield Advice(
        rule="BP-029",
        because=(myeloma_or_smouldering | dx.mgus) & tier.is_told,
        holds={"high": given(tier.word == "high"), "mid": given(tier.word == "mid")},
        fill={"tier": Phrase(f"tier_{tier.word}")} if tier.word else {},
    )

    yield Advice(rule="BP-031", because=dx.mm & dx.osteoporosis & (facts.patient.age >= limits.older_age))

    trend = case.once(evolving)
    risen = [change for change in trend.flagged if change.key in {"m-protein", "flc"}]
    newest = max((change.newest.date for change in risen if change.newest.date), default=None)
    asked = any_of(asked_for(case, service) for service in SKELETON)
    yield Advice(
        rule="BP-033",
        because=myeloma_or_smouldering & (trend.m_protein | trend.flc),
        unless=imaged_since(case, newest) | asked,
        holds={"evolving-smouldering": documented(case.criterion("SMM-006"))},
        fill={
            "marker_change": tuple(
                Phrase(f"marker-{change.key}", {"from": bare(trimmed(change.earlier)), "to": trimmed(change.newest)})
                for change in risen
            ),
            "change_since": min((change.earlier.date for change in risen if change.earlier.date), default=""),
        },
        proposals=() if asked.yes else (services("low-dose-ct", "low-dose-ct", reasons=MYELOMA),),
    )


SKELETON: tuple[Service, ...] = ("low-dose-ct", "mri-whole-body", "pet-ct")


# --- starting and stopping, whatever the disease ------------------------------------------------------------


def starting(case: Case) -> Iterator[Advice]:
    """BP-008, BP-009, BP-032 and BP-036: what belongs to a start that is advised or being ordered."""
    start_pressed = case.fired("BP-001") | case.fired("BP-002") | case.fired("BP-020")
    start_considered = case.fired("BP-021")
    yield Advice(rule="BP-008", because=start_pressed | start_considered)

    yield from checklist(case, start_pressed, start_considered)

    if may_have_plasma_cells(case) or case.whole:
        yield from starting_in_myeloma(case)


def starting_in_myeloma(case: Case) -> Iterator[Advice]:
    """BP-032 and BP-036: kidneys and high risk, where a start is advised in a plasma-cell disorder."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    start_in_myeloma = case.fired("BP-020") | case.fired("BP-021")

    active_myeloma = dx.mm | case.once(myeloma_class).is_active_mm
    weak_kidneys = (facts.lab.crcl < limits.reduced_clearance) | facts.other.dialysis
    failing = kidneys_failing(case)
    yield Advice(
        rule="BP-032",
        because=all_of(
            (active_myeloma, ~is_minor(case), weak_kidneys, start_in_myeloma | drugs.current.includes(BISPHOSPHONATES)),
        ),
        holds={
            "zoledronic-acid-unsuitable": failing & drugs.current.includes(ZOLEDRONIC),
            "no-start-advised": ~documented(case.fired("BP-020")),
            "kidneys-failing": failing,
        },
    )

    high_risk = dx.mm | (dx.smm & (case.once(smouldering_verdicts).imwg | high_by_mayo(case)))
    yield Advice(rule="BP-036", because=start_in_myeloma & high_risk, unless=drugs.current.any())


def checklist(case: Case, start_pressed: Criterion, start_considered: Criterion) -> Iterator[Advice]:
    """
    BP-009: what is still missing before a first dose, advised or being ordered.

    At an order calcium and creatinine have rules of their own (DOSE-010, DOSE-011).
    """
    if case.hook in CHART_HOOKS:
        items = (imaging(case), *calcium_and_creatinine(case), *electrolytes(case))
        start_advised = start_pressed | start_considered
        yield _checklist(case, start_advised, items, only_smouldering=~documented(start_pressed))
    for order in bma_orders(case):
        yield _checklist(case, first_dose(case, order), (imaging(case), *electrolytes(case)), order=order.reference)


def _checklist(
    case: Case,
    first_dose_ahead: Criterion,
    items: tuple[CheckItem, ...],
    *,
    only_smouldering: Criterion = NO,
    order: str | None = None,
) -> Advice:
    missing = [item for item in items if not item.there.yes and not_asked_for(case, item.tests)]
    tests = not_asked_for(case, dict.fromkeys(test for item in missing for test in item.tests))
    names = tuple(item.name for item in missing)
    proposals = (Proposal(button="tests", items=tuple(ProposedService(service=test) for test in tests)),)
    return Advice(
        rule="BP-009",
        because=first_dose_ahead,
        unless=given(not missing),
        holds={"only-smouldering": only_smouldering},
        fill={"items": names},
        proposals=proposals if tests else (),
        order=order,
    )


def stopping_denosumab(case: Case) -> Iterator[Advice]:
    """BP-034: stopping or spacing denosumab."""
    drugs, limits = case.once(bma), case.limits(COURSES)

    on_denosumab = drugs.current.includes({"denosumab-120"})
    told_to_stop_or_space = case.fired("BP-023") | case.fired("BP-026") | case.fired("BP-006")
    denosumab_before = drugs.past.includes(DENOSUMAB)
    since = days_since_dose(case, ONCOLOGIC & DENOSUMAB)
    another_being_ordered = given(any(order.drug not in DENOSUMAB for order in bma_orders(case)))
    unprotected = ~drugs.any.any() & ~another_being_ordered
    yield Advice(
        rule="BP-034",
        because=(on_denosumab & told_to_stop_or_space)
        | (denosumab_before & (since > limits.current_after_last_dose) & unprotected),
        holds={
            "long-ago": ~documented(on_denosumab) & (since > limits.course_gap),
            "spacing-advised": on_denosumab & told_to_stop_or_space,
            "stopped": ~documented(on_denosumab),
        },
    )


# --- computed values ----------------------------------------------------------------------------------------


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
    found: dict[str, Value] = {}
    months = case.once(bma).months.rounded
    if months is not None:
        found["bma_months"] = int(months)
    days = days_since_dose(case, DENOSUMAB | BISPHOSPHONATES).rounded
    if days is not None:
        found["days_since_last_bma"] = int(days)
    dx = case.facts.dx
    tier = case.once(bone_risk_tier).word
    if tier is not None and (dx.mm | dx.smm | dx.mgus).yes:
        found["bone_risk_tier"] = tier
    dose = zoledronic_dose(case, case.facts.lab.crcl)
    if dose is not None:
        found["zoledronic_recommended_dose_mg"] = dose
    return found
