"""Bone protection: who should have a bone-modifying agent, which, and for how long."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Literal

from recommenders.myeloma_staging import GUIDANCE as STAGING
from recommenders.myeloma_staging import evolving, myeloma_class, plasma_cell_disorder, smouldering_risk
from recommenders.patient.advice import (
    Advice,
    Label,
    Phrase,
    Proposal,
    ProposedMedication,
    ProposedService,
    SourceVerdict,
)
from recommenders.patient.courses import (
    GUIDANCE as COURSES,
)
from recommenders.patient.courses import (
    ZOLEDRONIC,
    bma,
    bma_orders,
    days_since_dose,
    dosed_within,
    first_dose,
    months_into,
    sre_during_bma,
)
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.precautions import (
    DENTAL_EXAMINATION,
    applying,
    bare,
    both_supplements,
    jaw_at_risk,
    noted,
    recent_dental_check,
)
from recommenders.patient.renal import ibandronate_dose, renal_deterioration, zoledronic_dose
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import CHART_HOOKS, guidance
from recommenders.vocabulary.logic import (
    NO,
    YES,
    Condition,
    Criterion,
    any_of,
    at_least,
    decided,
    documented,
    given,
    leaf,
)
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB, ONCOLOGIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Service, Value
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("bone_protection")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from solid_tumours(case)
    yield from hypercalcaemia(case)
    if (case.hook in CHART_HOOKS and may_have_plasma_cells(case)) or case.whole:
        yield from myeloma(case)
        yield from smouldering_or_mgus(case)
        yield from plasma_cell_disease(case)
    yield from starting(case)
    yield from stopping_denosumab(case)


# --- lung cancer and other solid tumours --------------------------------------------------------------------


def solid_tumours(case: Case) -> Iterator[Advice]:
    """BP-001 to BP-007, BP-010 and BP-035: bone metastases of solid tumours."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)

    lung_bone_metastasis = dx.lung_cancer & dx.bone_met
    long_enough_to_benefit = facts.status.life_expectancy >= limits.life_expectancy
    too_short_to_benefit = facts.status.life_expectancy < limits.life_expectancy
    already_protected = drugs.current.any()
    may_start = ~unsafe_to_start(case)
    treated_for_hypercalcaemia = documented(dx.hypercalcaemia_malignancy)

    zoledronic = zoledronic_acid(case, action=1, reasons=("dx.bone_met", "dx.lung_cancer"))
    something_is_not_offered = given(not zoledronic) | ~known(facts.lab.ca_total)
    yield Advice(
        rule="BP-001",
        because=lung_bone_metastasis & long_enough_to_benefit & may_start,
        unless=already_protected,
        points=applying(0, 1, 2, (3, something_is_not_offered), (4, on_osteoporosis_drug(case))),
        proposals=(
            denosumab(action=0, reasons=("dx.bone_met", "dx.lung_cancer")),
            *zoledronic,
            *dental_check(case, action=2),
            *supplements(case, action=3),
            *baseline_laboratory(case, action=4),
        ),
    )
    yield Advice(
        rule="BP-002",
        because=lung_bone_metastasis & ~decided(long_enough_to_benefit) & may_start,
        unless=already_protected,
    )

    outside_the_recommendation = lung_bone_metastasis & too_short_to_benefit & ~treated_for_hypercalcaemia
    if case.hook in CHART_HOOKS:
        yield Advice(rule="BP-003", because=outside_the_recommendation)
    for order in bma_orders(case):
        for_hypercalcaemia = documented(order.indication.is_("hypercalcaemia"))
        yield Advice(
            rule="BP-003",
            because=outside_the_recommendation & ~for_hypercalcaemia,
            indicator="warning",
            order=order.reference,
        )

    for_risk_alone = (
        dx.lung_cancer & ~documented(dx.bone_met) & ~dx.mm & ~dx.smm & ~dx.osteoporosis & ~treated_for_hypercalcaemia
    )
    only_suspected = noted(("bone_met_suspected", dx.bone_met.is_suspected()))
    image_the_bone = Proposal(action=0, items=(ProposedService(service="bone-scan"),), reasons=("dx.lung_cancer",))
    if case.hook in CHART_HOOKS:
        yield Advice(
            rule="BP-004",
            because=for_risk_alone & already_protected,
            indicator="info",
            notes=only_suspected,
            proposals=(image_the_bone,),
        )
    for order in bma_orders(case):
        other_reason = documented(order.indication.one_of("hypercalcaemia", "osteoporosis"))
        yield Advice(
            rule="BP-004",
            because=for_risk_alone & (is_dose_for_cancer(case, order) | already_protected) & ~other_reason,
            notes=only_suspected,
            proposals=(image_the_bone,),
            order=order.reference,
        )

    treated_bone_metastasis = already_protected & dx.bone_met
    yield Advice(rule="BP-005", because=treated_bone_metastasis & sre_during_bma(case))

    interval_already_longer = documented(drugs.interval_days >= limits.interval_extended)
    on_denosumab = drugs.current.includes(DENOSUMAB)
    yield Advice(
        rule="BP-006",
        because=lung_bone_metastasis & already_protected & (drugs.months >= limits.lung_duration),
        unless=interval_already_longer,
        points=applying(0, 1, (2, drugs.months >= limits.lung_duration_end), (3, on_denosumab)),
        fill=months_on_treatment(case),
        proposals=same_bisphosphonate(case, action=0),
    )
    yield Advice(rule="BP-007", because=treated_bone_metastasis)

    yield Advice(
        rule="BP-010",
        because=~dx.lung_cancer & dx.other_solid_cancer & dx.bone_met,
        unless=already_protected,
    )
    yield Advice(rule="BP-035", because=lung_bone_metastasis & facts.meds.ici)


# --- hypercalcaemia -----------------------------------------------------------------------------------------


def hypercalcaemia(case: Case) -> Iterator[Advice]:
    """BP-011 and BP-013: raised calcium in cancer."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, calcium = facts.dx, facts.lab.ca_corr

    cancer = dx.lung_cancer | dx.mm | dx.other_solid_cancer
    severe_as_reported = documented(facts.lab.ca_corr_mg_dl >= limits.severe_hypercalcaemia_mg_dl)
    severe = (calcium >= limits.severe_hypercalcaemia) | severe_as_reported
    raised = (calcium > case.limits(COMMON).hypercalcaemia) & (calcium < limits.severe_hypercalcaemia)
    uncorrected = noted(("uncorrected", given("uncorrected" in calcium.flags)))
    zoledronic = zoledronic_for_hypercalcaemia(case, action=1)

    yield Advice(
        rule="BP-011",
        because=cancer & severe,
        points=applying(0, 1, 2, (3, given(not zoledronic)), (4, severe_as_reported)),
        fill={"ca_corrected_mmol_l": bare(calcium)},
        notes=uncorrected,
        proposals=(
            Proposal(action=0, items=(ProposedService(service="hydration", priority="urgent"),), reasons=CALCIUM),
            *zoledronic,
        ),
    )
    yield Advice(
        rule="BP-013",
        because=cancer & raised & ~case.fired("BP-011"),
        fill={"ca_corrected_mmol_l": bare(calcium)},
        notes=uncorrected,
    )


CALCIUM = ("lab.ca_total", "dx.hypercalcaemia_malignancy")


def zoledronic_for_hypercalcaemia(case: Case, action: int) -> tuple[Proposal, ...]:
    """Give zoledronic acid once, where the label's limits and the site's precautions allow it; else nothing."""
    facts, limits = case.facts, case.limits(GUIDANCE)

    kidneys_allow_it = (facts.lab.creatinine <= limits.hypercalcaemia_creatinine) & ~facts.other.dialysis
    grown_up = facts.patient.age >= limits.adult_age
    just_treated = dosed_within(case, ZOLEDRONIC, limits.hypercalcaemia_retreatment) | dosed_within(
        case, DENOSUMAB, limits.denosumab_still_acts
    )
    being_ordered = given(bool(bma_orders(case)))
    if not (kidneys_allow_it & grown_up & ~jaw_at_risk(facts) & ~just_treated & ~being_ordered).yes:
        return ()
    once = ProposedMedication(
        drug="zoledronic",
        dose=limits.hypercalcaemia_dose.value,
        route="IV",
        infusion_min=PROPOSED["infusion_minutes"],
        once=True,
    )
    return (Proposal(action=action, items=(once,), reasons=CALCIUM),)


# --- active myeloma -----------------------------------------------------------------------------------------


def myeloma(case: Case) -> Iterator[Advice]:
    """BP-020, BP-023, BP-024, BP-026, BP-027 and BP-030: active myeloma."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed = case.once(myeloma_class)
    stop = case.once(stop_criteria)

    active_myeloma = dx.mm | computed.is_active_mm
    already_protected = drugs.current.any()
    treated_before = drugs.past.any()
    on_denosumab = drugs.current.includes(DENOSUMAB)
    two_years_done = drugs.months >= limits.two_years
    less_than_two_years = drugs.months < limits.two_years

    yield Advice(
        rule="BP-024",
        because=active_myeloma & ~already_protected & treated_before & less_than_two_years & ~documented(stop.met),
        points=applying(0, 1, (2, drugs.past.includes(DENOSUMAB))),
        fill=months_on_treatment(case),
        notes=noted(("order_date", last_date_is_of_an_order(case))),
    )

    finished_course = treated_before & two_years_done
    coded_as_precursor = (dx.smm | dx.mgus) & ~dx.mm
    computed_only = computed.is_active_mm & ~dx.mm & ~coded_as_precursor
    yield Advice(
        rule="BP-020",
        because=active_myeloma & ~documented(treated_before & stop.met) & ~unsafe_to_start(case),
        unless=already_protected,
        indicator="info" if finished_course.yes else "warning",
        points=applying(0, 1, 2, 3, (4, coded_as_precursor)),
        notes=noted(
            ("if_confirmed", computed_only),
            ("finished_course", finished_course),
            ("replace_do_not_add", on_osteoporosis_drug(case)),
        ),
        proposals=(
            *zoledronic_acid(case, action=0, reasons=MYELOMA),
            denosumab(action=1, reasons=MYELOMA),
            *dental_check_and_supplements(case, action=2),
        ),
    )

    monthly_for_two_years = active_myeloma & already_protected & two_years_done
    interval_already_longer = drugs.interval_days > limits.monthly
    yield Advice(
        rule="BP-023",
        because=monthly_for_two_years,
        unless=interval_already_longer,
        points=applying(0, (1, on_denosumab), 2),
        fill=months_on_treatment(case),
        proposals=same_bisphosphonate(
            case, action=0, interval_days=PROPOSED["bisphosphonate_longer_interval_days"], reasons=MYELOMA
        ),
    )

    only_the_calcium = stop.calcium & ~documented(stop.efficacy | stop.jaw | stop.kidneys)
    yield Advice(
        rule="BP-026",
        because=(dx.mm | dx.smm) & already_protected & stop.met,
        indicator="info" if only_the_calcium.yes else "warning",
        points=applying(0, 1, 2, (3, stop.calcium), (4, on_denosumab)),
        notes=noted(("only_calcium", only_the_calcium)),
    )

    very_good_response = facts.mm.response.one_of("VGPR", "CR", "sCR")
    only_stable = stop.stable & ~documented(stop.normal_markers)
    only_normal_markers = stop.normal_markers & ~documented(stop.stable)
    yield Advice(
        rule="BP-027",
        because=active_myeloma & already_protected & very_good_response & less_than_two_years,
        points=applying(0, (1, only_stable | only_normal_markers), 2),
        notes=noted(("only_stable", only_stable), ("only_normal_markers", only_normal_markers)),
    )

    treatable_by_switch = drugs.current.includes(SWITCHABLE)
    yield Advice(
        rule="BP-030",
        because=active_myeloma & treatable_by_switch & (markers_still_high(case) | facts.mm.bmd_decreased),
    )


MYELOMA = ("dx.mm", "dx.smm", "dx.mgus")
SWITCHABLE = ONCOLOGIC & BISPHOSPHONATES


@dataclass(frozen=True, slots=True)
class StopCriteria:
    """What speaks for stopping a bone-modifying agent (BP-026, Qiao Shukai), item by item."""

    stable: Criterion
    normal_markers: Criterion
    jaw: Criterion
    calcium: Criterion
    kidneys: Criterion

    @property
    def efficacy(self) -> Criterion:
        """Stable bone disease and normal markers, together (the source does not say "and" or "or")."""
        return self.stable & self.normal_markers

    @property
    def met(self) -> Criterion:
        """The efficacy items together, or one serious adverse reaction."""
        return any_of((self.efficacy, self.jaw, self.calcium, self.kidneys))


def stop_criteria(case: Case) -> StopCriteria:
    """Work out the stop criteria; to be asked for as `case.once(stop_criteria)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    on_bisphosphonate = case.once(bma).current.includes(BISPHOSPHONATES)
    return StopCriteria(
        stable=facts.lesions.all(
            lambda lesion: (lesion.stable_months > limits.stable_for) & lesion.imaging.one_of("mri", "pet-ct")
        ),
        normal_markers=facts.bone.markers_persistently_normal.criterion(),
        jaw=facts.onj.status.is_("confirmed"),
        calcium=facts.lab.ca_corr < limits.hypocalcaemia,
        kidneys=on_bisphosphonate & renal_deterioration(case, facts),
    )


def markers_still_high(case: Case) -> Criterion:
    """Tell whether β-CTX is above the laboratory's range after at least 3 months on the bisphosphonate."""
    ctx, limits = case.facts.bone.ctx, case.limits(GUIDANCE)
    courses = [course for course in case.once(bma).current.courses if course.drug in SWITCHABLE]
    long_enough = months_into(courses, ctx) >= limits.marker_response
    if not ctx.is_known or ctx.reference_high is None:
        # without the laboratory's range nobody can tell what is high
        return leaf(Condition(ctx.name, ">", "ULN", ctx, None)) & long_enough
    return (ctx > ctx.reference_high) & long_enough


# --- smouldering myeloma and MGUS ---------------------------------------------------------------------------


def smouldering_or_mgus(case: Case) -> Iterator[Advice]:
    """BP-021, BP-022 and BP-025: smouldering myeloma by source, and MGUS."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)
    computed = case.once(myeloma_class)
    sources = case.once(smouldering_verdicts)

    smouldering = (dx.smm | computed.is_smm) & ~computed.is_active_mm
    already_protected = drugs.current.any()

    yield Advice(
        rule="BP-021",
        because=smouldering & sources.any_supports & ~unsafe_to_start(case),
        unless=already_protected,
        verdicts=(
            SourceVerdict(line=0, criterion=sources.mayo),
            SourceVerdict(line=1, criterion=sources.imwg),
            SourceVerdict(line=3, criterion=sources.nccn),
            SourceVerdict(line=4, criterion=sources.cn2022),
        ),
        proposals=(
            *zoledronic_acid(case, action=0, reasons=MYELOMA),
            denosumab(action=0, reasons=MYELOMA),
        ),
    )

    # MGUS still on the list beside smouldering myeloma is its past: the verdicts decide
    only_mgus = (dx.mgus | computed.is_mgus) & ~(dx.smm | computed.is_smm)
    lower_risk = (dx.smm | computed.is_smm) & sources.all_against
    yield Advice(
        rule="BP-022",
        because=(only_mgus | lower_risk) & ~dx.mm & ~computed.is_active_mm & ~documented(dx.bone_met),
        points=applying(0, (1, dx.osteoporosis), 2),
    )

    yield Advice(
        rule="BP-025",
        because=smouldering & already_protected & (drugs.months >= limits.two_years),
        fill=months_on_treatment(case),
        proposals=(
            Proposal(
                action=0,
                items=(
                    ProposedService(service="m-protein"),
                    ProposedService(service="free-light-chains"),
                    ProposedService(service="mri-whole-body"),
                ),
                reasons=MYELOMA,
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class SmoulderingVerdicts:
    """Whether each source that S001 quotes supports bone protection in this smouldering myeloma."""

    mayo: Criterion
    imwg: Criterion
    nccn: Criterion
    cn2022: Criterion

    @property
    def any_supports(self) -> Criterion:
        """Whether at least one source supports it."""
        return any_of((self.mayo, self.imwg, self.nccn, self.cn2022))

    @property
    def all_against(self) -> Criterion:
        """Whether no source supports it; unknown as long as one verdict is."""
        return ~self.any_supports


def smouldering_verdicts(case: Case) -> SmoulderingVerdicts:
    """Judge each source by its own words; to be asked for as `case.once(smouldering_verdicts)`."""
    mm, cyto, limits = case.facts.mm, case.facts.cyto, case.limits(GUIDANCE)

    mri_focal_lesion = mm.mri_focal >= limits.focal_lesion
    focal_lesion = mri_focal_lesion | mm.pet_focal_active
    bone_damage = focal_lesion | (mm.lytic_lesions >= limits.lytic_lesion)
    twenty_two_twenty = at_least(
        int(limits.imwg_factors.value),
        (
            mm.bmpc >= limits.imwg_marrow,
            mm.m_protein >= limits.imwg_m_protein,
            mm.flcr >= limits.imwg_light_chain_ratio,
        ),
    )
    return SmoulderingVerdicts(
        mayo=mm.on_antimyeloma.criterion(),
        imwg=twenty_two_twenty | focal_lesion | mm.bone_metabolic_abnormal,
        nccn=bone_damage | cyto.gain1q | cyto.del17p,
        cn2022=((mm.bmpc >= limits.cn_marrow) & mri_focal_lesion)
        | (mm.flcr >= limits.cn_light_chain_ratio)
        | mm.pet_focal_active,
    )


# --- any plasma-cell disease --------------------------------------------------------------------------------


def plasma_cell_disease(case: Case) -> Iterator[Advice]:
    """BP-028, BP-029, BP-031 and BP-033: what the bones of a patient with plasma-cell disease tell."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm, drugs = facts.dx, facts.mm, case.once(bma)
    myeloma_or_smouldering = dx.mm | dx.smm

    seen_during_treatment = dated_after(mm.pet_suvmax, drugs.start_date) | dated_after(
        mm.pet_suvmax, mm.antimyeloma_start
    )
    yield Advice(
        rule="BP-028",
        because=myeloma_or_smouldering & mm.pet_focal_active & (mm.pet_suvmax > limits.suvmax),
        indicator="warning" if seen_during_treatment.yes else "info",
    )

    tier = case.once(bone_risk_tier)
    if_high = Proposal(action=0, items=(ProposedService(service="orthopaedic-consultation"),), reasons=MYELOMA)
    yield Advice(
        rule="BP-029",
        because=(myeloma_or_smouldering | dx.mgus) & tier.is_told,
        indicator="warning" if tier.word == "high" else "info",
        fill={"tier": Phrase(f"tier_{tier.word}")} if tier.word else {},
        points=applying(
            (0, given(tier.word in {"low", "mid"})),
            (1, given(tier.word == "mid")),
            (2, tier.high),
            (3, given(tier.word in {"mid", "high"})),
            (4, tier.at_least | tier.moderate_pain_decides),
        ),
        notes=noted(("at_least_mid", tier.at_least), ("moderate_as_low", tier.moderate_pain_decides)),
        proposals=(if_high,) if tier.word == "high" else (),
    )

    yield Advice(rule="BP-031", because=dx.mm & dx.osteoporosis & (facts.patient.age >= limits.older_age))

    trend = case.once(evolving)
    yield Advice(
        rule="BP-033",
        because=myeloma_or_smouldering & (trend.m_protein | trend.flc),
        points=applying(0, 1, 2, (3, dx.mm)),
        proposals=(Proposal(action=0, items=(ProposedService(service="low-dose-ct"),), reasons=MYELOMA),),
    )


TierWord = Literal["low", "mid", "high"]


@dataclass(frozen=True, slots=True)
class BoneRiskTier:
    """Huang Chen's tier of myeloma bone disease: what puts a patient high, mid or low (BP-029)."""

    high: Criterion
    mid: Criterion
    low: Criterion
    moderate_pain: Criterion

    @property
    def is_low(self) -> Criterion:
        """Whether it is low: something speaks for it, and nothing for more."""
        return (self.low | self.moderate_pain) & ~self.high & ~self.mid

    @property
    def is_told(self) -> Criterion:
        """Whether there is a tier to tell; a lytic lesion is at least mid, whatever the pain."""
        return any_of((self.high, self.mid, self.is_low))

    @property
    def at_least(self) -> Criterion:
        """Whether it is at least mid, because what would make it high is not known; never unknown."""
        return given(self.mid.yes and self.high.unknown)

    @property
    def moderate_pain_decides(self) -> Criterion:
        """Whether only moderate pain, which the source does not place, makes it low; never unknown."""
        return given(self.word == "low" and not self.low.yes)

    @property
    def word(self) -> TierWord | None:
        """Low, mid or high; None when it cannot be told or nothing speaks for any tier."""
        if self.high.yes:
            return "high"
        if self.mid.yes:
            return "mid"
        return "low" if self.is_low.yes else None


def bone_risk_tier(case: Case) -> BoneRiskTier:
    """Work out the tier, whatever the diagnosis; to be asked for as `case.once(bone_risk_tier)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    return BoneRiskTier(
        high=facts.pathological_fracture.current | facts.lesions.any(lambda lesion: lesion.pain.is_("severe")),
        mid=any_of(
            (
                facts.lesions.any(lambda lesion: lesion.type.is_("osteolytic")),
                facts.mm.lytic_lesions >= limits.lytic_lesion,
                facts.pathological_fracture.minor_bone,
            )
        ),
        low=facts.mm.bmd_decreased | facts.lesions.any(lambda lesion: lesion.pain.is_("mild")),
        moderate_pain=facts.lesions.any(lambda lesion: lesion.pain.is_("moderate")),
    )


# --- starting and stopping, whatever the disease ------------------------------------------------------------


def starting(case: Case) -> Iterator[Advice]:
    """BP-008, BP-009, BP-032 and BP-036: what belongs to a start that is advised or being ordered."""
    start_in_myeloma = case.fired("BP-020") | case.fired("BP-021")
    start_advised = case.fired("BP-001") | start_in_myeloma
    yield Advice(rule="BP-008", because=start_advised)

    yield from checklist(case, start_advised)

    if may_have_plasma_cells(case) or case.whole:
        yield from starting_in_myeloma(case, start_in_myeloma)


def starting_in_myeloma(case: Case, start_in_myeloma: Criterion) -> Iterator[Advice]:
    """BP-032 and BP-036: kidneys and high risk, where a start is advised in a plasma-cell disorder."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)

    computed = case.once(myeloma_class)
    weak_kidneys = (facts.lab.crcl < limits.reduced_clearance) | facts.other.dialysis
    very_weak_kidneys = (facts.lab.crcl < limits.severe_renal_impairment) | facts.other.dialysis
    yield Advice(
        rule="BP-032",
        because=(dx.mm | computed.is_active_mm)
        & weak_kidneys
        & (start_in_myeloma | drugs.current.includes(BISPHOSPHONATES)),
        points=applying(0, (1, very_weak_kidneys), 2),
    )

    high_risk = dx.mm | (dx.smm & (case.once(smouldering_verdicts).imwg | high_risk_by_mayo(case)))
    yield Advice(rule="BP-036", because=start_in_myeloma & high_risk, unless=drugs.current.any())


def checklist(case: Case, start_advised: Criterion) -> Iterator[Advice]:
    """BP-009: what is still missing before a first dose, advised or being ordered."""
    lab = case.facts.lab
    imaging = CheckItem(imaging_on_record(case), Phrase("imaging"), (imaging_for(case),))
    laboratory = (
        CheckItem(
            known(lab.ca_corr),
            Label("lab.ca_total"),
            ("calcium",) if known(lab.albumin).yes else ("calcium", "albumin"),
        ),
        CheckItem(known(lab.creatinine), Label("lab.creatinine"), ("creatinine",)),
        CheckItem(known(lab.phosphate), Label("lab.phosphate"), ("phosphate",)),
        CheckItem(known(lab.magnesium), Label("lab.magnesium"), ("magnesium",)),
    )
    missing = [item for item in (imaging, *laboratory) if not item.there.yes]
    laboratory_ordered_as_one = case.fired("BP-001").yes and nothing_measured(case)
    to_order = [item for item in missing if not (laboratory_ordered_as_one and item in laboratory)]

    complete = ~any_of(~item.there for item in (imaging, *laboratory))
    notes = (Phrase("missing_items", {"items": tuple(item.name for item in missing)}),) if missing else ()
    tests = tuple(ProposedService(service=test) for item in to_order for test in item.tests)
    proposals = (Proposal(action=0, items=tests),) if tests else ()
    if case.hook in CHART_HOOKS:
        yield Advice(rule="BP-009", because=start_advised, unless=complete, notes=notes, proposals=proposals)
    for order in bma_orders(case):
        yield Advice(
            rule="BP-009",
            because=first_dose(case, order),
            unless=complete,
            notes=notes,
            proposals=proposals,
            order=order.reference,
        )


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One item of the checklist: whether it is there, its name, and the tests to order when it is not."""

    there: Criterion
    name: Label | Phrase
    tests: tuple[Service, ...]


def stopping_denosumab(case: Case) -> Iterator[Advice]:
    """BP-034: stopping or spacing denosumab."""
    drugs = case.once(bma)

    on_denosumab = drugs.current.includes({"denosumab-120"})
    told_to_stop_or_space = case.fired("BP-023") | case.fired("BP-026") | case.fired("BP-006")
    denosumab_before = drugs.past.includes(DENOSUMAB)
    off_for_long = days_since_dose(case, ONCOLOGIC & DENOSUMAB) > case.limits(COURSES).current_after_last_dose
    another_being_ordered = given(any(order.drug not in DENOSUMAB for order in bma_orders(case)))
    unprotected = ~drugs.any.any() & ~another_being_ordered
    yield Advice(
        rule="BP-034",
        because=(on_denosumab & told_to_stop_or_space) | (denosumab_before & off_for_long & unprotected),
        notes=noted(("order_date", denosumab_before & last_date_is_of_an_order(case))),
    )


# --- clinical ideas that several rules share ----------------------------------------------------------------


def may_have_plasma_cells(case: Case) -> bool:
    """Tell whether rules on plasma-cell disorders could be anything but "not met" here."""
    return not case.once(plasma_cell_disorder).no


def unsafe_to_start(case: Case) -> Criterion:
    """Tell whether the record forbids a start: jaw osteonecrosis, low calcium, a child; never unknown."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    return any_of(
        (
            documented(jaw_at_risk(facts)),
            documented(facts.lab.ca_corr < limits.hypocalcaemia),
            documented(facts.patient.age < limits.adult_age),
        )
    )


def on_osteoporosis_drug(case: Case) -> Criterion:
    """Tell whether an antiresorptive of osteoporosis strength is on record (it does not protect from SREs)."""
    return case.once(bma).any.includes((DENOSUMAB | BISPHOSPHONATES) - ONCOLOGIC)


def is_dose_for_cancer(case: Case, order: Order) -> Criterion:
    """Tell whether an order has the dose used against cancer, not against osteoporosis (BP-004)."""
    limits = case.limits(GUIDANCE)
    if order.drug in {"denosumab-120", "incadronate", "pamidronate"}:
        return YES
    if order.drug == "denosumab-unspecified":
        return order.dose_mg >= limits.oncologic_denosumab
    if order.drug == "zoledronic":
        return order.dose_mg >= limits.oncologic_zoledronic
    if order.drug == "ibandronate":
        return (order.dose_mg >= limits.oncologic_ibandronate) & order.route.is_("IV")
    return NO


def imaging_on_record(case: Case) -> Criterion:
    """
    Tell whether the bone was imaged: a confirmed metastasis, or a study or lesion of the last 180 days.

    MRI and PET-CT findings of myeloma are such studies. Unknown only where a list of studies was cut.
    """
    facts, limits = case.facts, case.limits(GUIDANCE)
    span = dt.timedelta(int(limits.recent_imaging.value))
    studies = [study.date for study in facts.studies if study.date]
    lesions = [lesion.date for lesion in facts.lesions if lesion.date and lesion.imaging.is_known]
    recent = any(facts.as_of - day <= span for day in (*studies, *lesions))
    mm = facts.mm
    findings: tuple[Fact, ...] = (mm.mri_focal, mm.pet_focal_active, mm.lytic_lesions)
    return any_of(
        (
            documented(facts.dx.bone_met),
            given(recent or (None if facts.is_cut("observations", "procedures") else False)),
            *(finding.within(limits.recent_imaging, facts.as_of) for finding in findings),
        )
    )


def imaging_for(case: Case) -> Service:
    """Give the study to ask for: myeloma does not light up in a bone scan."""
    dx = case.facts.dx
    if not may_have_plasma_cells(case):
        return "bone-scan"
    plasma_cells = dx.mm | dx.smm | dx.mgus | case.once(myeloma_class).is_active_mm
    return "mri-whole-body" if plasma_cells.yes else "bone-scan"


def high_risk_by_mayo(case: Case) -> Criterion:
    """Tell whether SMM-002 comes out as high risk (two or more of 20/2/20, strictly above)."""
    risk = case.once(smouldering_risk)
    return risk.applies & risk.mayo_2018.reaches(case.limits(STAGING).mayo_2018_high.value)


def dated_after(fact: Fact, start: Fact) -> Criterion:
    """Tell whether a fact is dated after the day on which something started; unknown without both dates."""
    if fact.date is None or start.date is None:
        return given(None)
    return given(fact.date > start.date)


def last_date_is_of_an_order(case: Case) -> Criterion:
    """Tell whether all that is known of the last dose is the date of an order; never unknown."""
    last = case.once(bma).last_dose(ONCOLOGIC)
    return given(last is not None and last.kind == "order-date")


def months_on_treatment(case: Case) -> Mapping[str, Fill]:
    """Give the months for a sentence; a lower bound when older history was not delivered."""
    return {"bma_months": bare(case.once(bma).months)}


# --- proposals ----------------------------------------------------------------------------------------------

PROPOSED: Mapping[str, int] = GUIDANCE.tables["proposed"]


@cache  # made of closed lists: a few, for all patients
def denosumab(action: int, reasons: tuple[str, ...]) -> Proposal:
    """Give denosumab for cancer as one of the alternatives."""
    order = ProposedMedication(
        drug="denosumab",
        dose=Decimal(PROPOSED["denosumab_mg"]),
        route="SC",
        interval_days=PROPOSED["denosumab_interval_days"],
    )
    return Proposal(action=action, items=(order,), alternative="agent", reasons=reasons)


def zoledronic_acid(case: Case, action: int, reasons: tuple[str, ...]) -> tuple[Proposal, ...]:
    """Give zoledronic acid, at the dose that the clearance allows, as one of the alternatives; else nothing."""
    dose = zoledronic_dose(case, case.facts.lab.crcl)
    if dose is None:
        return ()
    order = ProposedMedication(
        drug="zoledronic",
        dose=dose,
        route="IV",
        interval_days=PROPOSED["bisphosphonate_interval_days"],
        infusion_min=PROPOSED["infusion_minutes"],
    )
    fill: Mapping[str, Fill] = {"zoledronic_recommended_dose_mg": dose}
    return (Proposal(action=action, items=(order,), alternative="agent", reasons=reasons, fill=fill),)


def same_bisphosphonate(
    case: Case, action: int, interval_days: int | None = None, reasons: tuple[str, ...] = ()
) -> tuple[Proposal, ...]:
    """
    Give the bisphosphonate that is running once more, at another interval (None: the prescriber's to set).

    Nothing for denosumab (its rebound wants a plan), for two drugs at once, or where no dose can be worked out.
    """
    courses = case.once(bma).current.courses
    if len(courses) != 1:
        return ()
    running, crcl = courses[0], case.facts.lab.crcl
    if running.drug == "zoledronic" and (dose := zoledronic_dose(case, crcl)) is not None:
        order = ProposedMedication(
            drug="zoledronic",
            dose=dose,
            route="IV",
            interval_days=interval_days,
            infusion_min=PROPOSED["infusion_minutes"],
        )
    elif running.drug == "ibandronate" and running.dose_mg == ibandronate_dose(case, crcl) is not None:
        order = ProposedMedication(drug="ibandronate", dose=running.dose_mg, route="IV", interval_days=interval_days)
    elif running.drug == "incadronate" and running.dose_mg is not None:
        order = ProposedMedication(drug="incadronate", dose=running.dose_mg, route="IV", interval_days=interval_days)
    else:
        return ()
    return (Proposal(action=action, items=(order,), reasons=reasons),)


def dental_check(case: Case, action: int) -> tuple[Proposal, ...]:
    """Give a dental examination, unless there was one within 6 months."""
    if recent_dental_check(case).yes:
        return ()
    return (Proposal(action=action, items=(DENTAL_EXAMINATION,)),)


def supplements(case: Case, action: int) -> tuple[Proposal, ...]:
    """Give calcium and vitamin D, where neither is taken and calcium allows it."""
    both = both_supplements(case)
    return (Proposal(action=action, items=both),) if both else ()


def dental_check_and_supplements(case: Case, action: int) -> tuple[Proposal, ...]:
    """Give both under one label, so only where both are called for (MON-001 and SUPP-001 see to each alone)."""
    both = both_supplements(case)
    if recent_dental_check(case).yes or not both:
        return ()
    return (Proposal(action=action, items=(DENTAL_EXAMINATION, *both)),)


def baseline_laboratory(case: Case, action: int) -> tuple[Proposal, ...]:
    """Give the laboratory tests before a first dose as one, where none was done; BP-009 asks for single ones."""
    if not nothing_measured(case):
        return ()
    tests: tuple[Service, ...] = ("calcium", "albumin", "creatinine", "phosphate", "magnesium")
    return (Proposal(action=action, items=tuple(ProposedService(service=test) for test in tests)),)


def nothing_measured(case: Case) -> bool:
    """Tell whether not one of the laboratory tests before a first dose is there."""
    lab = case.facts.lab
    return not any_of(known(r) for r in (lab.ca_total, lab.albumin, lab.creatinine, lab.phosphate, lab.magnesium)).yes


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
