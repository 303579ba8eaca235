"""Palliative radiotherapy: whether, in how many fractions, and what must be looked at first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService, Service
from recommenders.patient.lesions import (
    UPPER_LONG_BONES,
    began,
    days_ago,
    event_criterion,
    in_spine,
    none_if_whole,
    possible_sites,
    same_place,
    site_word,
    span,
    weight_bearing,
)
from recommenders.surgical_timing import (
    cord_compressed,
    diagnoses,
    fracture_risks,
    grade_compresses,
    graded_since_deficit,
    place,
    spine_lesion,
    spine_treated,
)
from recommenders.vocabulary.facts import Finding
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, Truth, any_of, documented, given, leaf

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Value
    from recommenders.vocabulary.guidance import Limit
    from recommenders.vocabulary.records import Event, Lesion, Order

GUIDANCE = guidance("radiotherapy")


# --- the row of the consensus table for each lesion ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """
    One lesion as a target of radiotherapy.

    `painful` is the indication; `irradiated` says that this lesion had radiotherapy lately; `poor` is row 1 of
    the table (status or prognosis), `loaded` whether the bone bears weight (row 3, else row 2).
    """

    lesion: Lesion
    painful: Criterion
    irradiated: Criterion
    poor: Criterion
    loaded: Criterion

    @property
    def indicated(self) -> bool:
        """Whether radiotherapy for pain is certainly indicated now."""
        return (self.painful & ~self.irradiated).yes

    @property
    def row(self) -> str | None:
        """The table row, by its name; None without an indication or where the bone is not told."""
        if not self.indicated:
            return None
        if self.poor.yes:
            return "single-palliative"
        return "fractionated" if self.loaded.yes else "single-nonweight" if self.loaded.no else None

    @property
    def single_fits(self) -> bool:
        """Whether a single fraction does not contradict the table."""
        return self.row in {"single-palliative", "single-nonweight"}

    @property
    def fractions_fit(self) -> bool:
        """Whether several fractions do not contradict the table; both do where rows 1 and 3 match."""
        return self.row == "fractionated" or (self.row == "single-palliative" and not self.loaded.no)


def targets(case: Case) -> tuple[Target, ...]:
    """Give each lesion as a target, the most painful first and weight-bearing bone before other bone."""
    return case.once(_targets)


def _targets(case: Case) -> tuple[Target, ...]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    poor_status = facts.status.ecog > limits.poor_status
    short_life = facts.status.life_expectancy < limits.short_life_expectancy
    found = [
        Target(
            lesion=lesion,
            painful=_as_metastasis(case, lesion) & _hurts(case, lesion),
            irradiated=_irradiated(case, lesion, limits.recently_irradiated),
            poor=poor_status | short_life,
            loaded=weight_bearing(lesion),
        )
        for lesion in facts.lesions
    ]
    worst = ("severe", "moderate", "mild", "none")

    def rank(target: Target) -> tuple[int, int, str, str]:
        pain = target.lesion.pain.value
        hurts = worst.index(str(pain)) if pain in worst else len(worst)
        return hurts, 0 if target.loaded.yes else 1, site_word(target.lesion.site) or "", target.lesion.id

    return tuple(sorted(found, key=rank))


def _as_metastasis(case: Case, lesion: Lesion) -> Criterion:
    """Bone metastasis is on record; where it is not, a lesion of myeloma raises no question about it."""
    bone_metastasis = case.facts.dx.bone_met
    return documented(bone_metastasis) if lesion.nature.value == "myeloma" else bone_metastasis.criterion()


def _hurts(case: Case, lesion: Lesion) -> Criterion:
    """Pain that needs relief, in a lesion that is not known to be benign."""
    needs_relief = lesion.pain.one_of("moderate", "severe") | (lesion.pain.is_("mild") & case.facts.clin.motion_limited)
    return needs_relief & ~documented(lesion.nature.is_("benign"))


def _irradiated(case: Case, lesion: Lesion, window: Limit | None = None) -> Criterion:
    """Whether this lesion was irradiated (lately); unknown where radiotherapy of bone does not tell its place."""
    facts, word = case.facts, site_word(lesion.site)
    courses = [
        event
        for event in facts.sre
        if event.type == "bone-radiotherapy" and (window is None or days_ago(facts, event.date) in span(window))
    ]
    found = any_of(_of_this_place(event, same_place(event.site, word)) for event in courses)
    return none_if_whole(facts, found, "sre[].type", "procedures")


def _of_this_place(event: Event, here: Truth) -> Criterion:
    if here is True:
        return event_criterion(event)
    shown = Finding(name="sre[].site", value=event.site, date=began(event), resources=event.resources)
    return leaf(Condition(shown.name, "is", "same-place", shown, here))


# --- the rules ----------------------------------------------------------------------------------------------


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _external_beam(case)
    yield from _radionuclide(case)
    yield from _response(case)
    yield from _cord(case)
    for order in case.orders_at_hand:
        if "bone-radiotherapy" in order.kinds:
            yield _fractionation(case, order)


def _external_beam(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    lesions = targets(case)
    consult = _ask("radiation-oncology-consultation", (*diagnoses(case), "lesions[]"))
    not_lung = () if facts.dx.lung_cancer.value is True else (Phrase("other-tumour"),)
    if not lesions:
        yield Advice(rule="RT-001", because=documented(facts.dx.bone_met) & _any_painful_unknown(case))

    for target in lesions:
        lesion = target.lesion
        here = Phrase("lesion-at", {"site": place(lesion.site)})
        indicated, palliative = given(target.indicated), given(target.indicated and target.poor.yes)

        yield Advice(
            rule="RT-001",
            because=target.painful,
            unless=target.irradiated,
            indicator="warning" if lesion.pain.value == "severe" else "info",
            notes=(here, *not_lung),
            proposals=(consult,),
        )
        both_parts = (facts.status.ecog > limits.poor_status) & (
            facts.status.life_expectancy < limits.short_life_expectancy
        )
        yield Advice(
            rule="RT-002",
            because=indicated & target.poor if target.indicated else NO,
            points=(0, 1, 2) if both_parts.yes else (0, 1, 2, 3),
            notes=(_which_part(case, lesion),) if palliative.yes else (),
        )
        yield Advice(
            rule="RT-003",
            because=indicated & ~target.loaded & ~palliative,
            notes=(here, *_fracture_first(case, lesion)),
        )
        yield Advice(rule="RT-004", because=indicated & target.loaded & ~palliative, notes=(here,))
        yield Advice(rule="RT-012", because=palliative & target.loaded, notes=(here,))

        little_pain = lesion.pain.one_of("none", "mild")
        worth_preventing = any_of(
            (
                lesion.cortical_fraction >= limits.prophylactic_cortex,
                lesion.size >= limits.prophylactic_size,
                lesion.type.is_("osteolytic"),
            )
        )
        prophylaxis = Advice(
            rule="RT-005",
            because=_as_metastasis(case, lesion)
            & target.loaded
            & little_pain
            & worth_preventing
            & ~documented(lesion.nature.is_("benign"))
            & ~documented(facts.status.life_expectancy < limits.short_life_expectancy),
            unless=_irradiated(case, lesion),
            notes=(here, *not_lung),
            proposals=(consult,),
        )
        yield prophylaxis
        considered = given(target.indicated or prophylaxis.whole.yes)
        yield Advice(rule="RT-006", because=considered & lesion.soft_tissue_mass, notes=(here,))
        yield Advice(
            rule="RT-007",
            because=considered & documented(facts.dx.bone_met_isolated | in_spine(lesion)),
            notes=(here,),
        )

    any_row = any(target.row is not None for target in lesions)
    # the line on "the usual single dose" is left out: the source names 8, 12 and 16 Gy alike and prefers none
    yield Advice(rule="RT-008", because=given(any_row), points=(1,))


def _any_painful_unknown(case: Case) -> Criterion:
    return case.facts.lesions.any(lambda lesion: lesion.pain.one_of("moderate", "severe"))


def _which_part(case: Case, lesion: Lesion) -> Phrase:
    """Say which part of the table's first row holds, and what of the other."""
    limits, status = case.limits(GUIDANCE), case.facts.status
    poor_status = status.ecog > limits.poor_status
    short_life = status.life_expectancy < limits.short_life_expectancy
    if poor_status.yes and short_life.yes:
        key = "row-both-parts"
    elif poor_status.yes:
        key = "row-ecog-only" if short_life.no else "row-ecog-other-unknown"
    else:
        key = "row-life-only" if poor_status.no else "row-life-other-unknown"
    return Phrase(key, {"site": place(lesion.site)})


def _fracture_first(case: Case, lesion: Lesion) -> Iterator[Phrase]:
    """An arm bone that may break is reviewed by surgery before it is irradiated."""
    from_borderline = case.limits(GUIDANCE).surgical_review_from
    may_become_high = case.limits(GUIDANCE).surgical_review_if_possible
    if not set(possible_sites(lesion.site)) <= set(UPPER_LONG_BONES):
        return
    for risk in fracture_risks(case):
        if risk.lesion is not lesion or not risk.applies.yes:
            continue
        score = risk.score
        fill: dict[str, Fill] = {"site": place(lesion.site), "n": score.lowest}
        if score.lowest >= from_borderline.value and score.is_told:
            yield Phrase("fracture-review-first-told", fill)
        elif score.lowest >= from_borderline.value or score.highest >= may_become_high.value:
            yield Phrase("fracture-review-first", fill | {"min": score.lowest, "max": score.highest})


def _radionuclide(case: Case) -> Iterator[Advice]:
    facts = case.facts
    lab = facts.lab
    counts = (lab.platelets, lab.wbc, lab.anc, lab.hb)
    recent = tuple(Phrase("count", {"item": Label(count.name), "value": count}) for count in counts if count.is_known)
    missing = tuple(Label(count.name) for count in counts if not count.is_known)
    notes = (
        *((Phrase("counts", {"list": recent}),) if recent else ()),
        *((Phrase("counts-missing", {"list": missing}),) if missing else ()),
        *((Phrase("chemotherapy-current"),) if facts.meds.antineoplastic.value is True else ()),
    )
    proposals = (_ask("blood-count", diagnoses(case)),) if missing else ()
    yield Advice(rule="RT-009", because=facts.meds.radionuclide_planned.criterion(), notes=notes, proposals=proposals)
    for order in case.orders_at_hand:
        if "radionuclide" in order.kinds:
            yield Advice(
                rule="RT-009", because=given(holds=True), notes=notes, proposals=proposals, order=order.reference
            )


def _response(case: Case) -> Iterator[Advice]:
    """Pain that is still there two weeks after radiotherapy began."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    after, until = int(limits.relief_expected.value), int(limits.relief_looked_for.value)
    for event in facts.sre:
        if event.type != "bone-radiotherapy":
            continue
        start = began(event)
        if start is None:
            undated = Finding(name="sre[].date", resources=event.resources)
            hurts = documented(facts.lesions.any(lambda x: x.pain.one_of("moderate", "severe")))
            yield Advice(rule="RT-010", because=hurts & leaf(Condition(undated.name, "known", None, undated, None)))
            continue
        if not after <= (facts.as_of - start).days <= until:
            continue
        for lesion in facts.lesions:
            if same_place(event.site, site_word(lesion.site)) is False:
                continue  # another bone was irradiated
            yield Advice(
                rule="RT-010",
                because=event_criterion(event)
                & lesion.pain.one_of("moderate", "severe")
                & given(_recorded_after(lesion, start, after)),
                notes=(Phrase("lesion-at", {"site": place(lesion.site)}),),
            )


def _recorded_after(lesion: Lesion, start: dt.date, days: int) -> bool:
    day = lesion.pain.date or lesion.date
    return day is not None and (day - start).days >= days


def _cord(case: Case) -> Iterator[Advice]:
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    reassured = documented(grade.one_of("0", "1a", "1b") & graded_since_deficit(case))
    deficit_unexplained = documented(deficit) & documented(spine_lesion(case)) & ~reassured
    findings = (
        (documented(grade_compresses(case)), grade.date),
        (cord_compressed(case), _compressed_since(case)),
        (deficit_unexplained, deficit.date),
    )
    treated = [spine_treated(case, since, radiotherapy=True) for finding, since in findings if finding.yes]
    all_treated = bool(treated) and all(done.yes for done in treated)
    no_mri = facts.local.mri_contraindicated.value is True
    yield Advice(
        rule="RT-011",
        because=any_of(finding for finding, _ in findings),
        unless=any_of(treated) if all_treated else NO,
        notes=(Phrase("mri-contraindicated"),) if no_mri else (),
        proposals=(
            *(() if no_mri else (_ask("mri-whole-spine", reasons, urgent=True),)),
            _ask("radiation-oncology-consultation", reasons, action=1, urgent=True),
            _ask("spine-surgery-consultation", reasons, action=2, urgent=True),
        ),
    )


def _compressed_since(case: Case) -> dt.date | None:
    """The day of the newest current entry of cord compression; None when one is undated."""
    days = [fact.date for fact in (c.evidence for c in cord_compressed(case).support()) if isinstance(fact, Finding)]
    return None if None in days else max((day for day in days if day is not None), default=None)


def _fractionation(case: Case, order: Order) -> Advice:
    """Compare an ordered scheme with the table rows of the lesions that it may be meant for."""
    meant = [
        target
        for target in targets(case)
        if target.row is not None and same_place(order.site, site_word(target.lesion.site)) is not False
    ]
    single_contradicts = bool(meant) and not any(target.single_fits for target in meant)
    fractions_contradict = bool(meant) and not any(target.fractions_fit for target in meant)
    if order.rt_stereotactic or not (single_contradicts or fractions_contradict):
        return Advice(rule="RT-013", because=NO, order=order.reference)
    single = case.limits(GUIDANCE).single_fraction.value
    contradicts: Truth = None
    scheme = Finding(name="order.text")
    if order.rt_fractions is not None:
        contradicts = single_contradicts if order.rt_fractions == single else fractions_contradict
        dose = "" if order.rt_dose_gy is None else f"{Decimal(order.rt_dose_gy).normalize():f} Gy/"
        scheme = Finding(name="order.text", value=f"{dose}{order.rt_fractions} f", reason=None)
    rows = any_of(target.poor | target.loaded | ~target.loaded for target in meant)
    key = "table-asks-fractionated" if single_contradicts else "table-asks-single"
    return Advice(
        rule="RT-013",
        because=leaf(Condition("order.text", "is", "contradicts-table", scheme, contradicts)) & rows,
        notes=(Phrase(key, {"n": order.rt_fractions}),) if order.rt_fractions is not None else (),
        order=order.reference,
    )


@cache  # made of closed lists: a few, for all patients
def _ask(service: Service, reasons: tuple[str, ...], *, action: int = 0, urgent: bool = False) -> Proposal:
    item = ProposedService(service=service, priority="urgent" if urgent else "routine")
    return Proposal(action=action, items=(item,), reasons=reasons)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11): the table row of the foremost target."""
    row = next((target.row for target in targets(case) if target.row is not None), None)
    return {} if row is None else {"rt_row": row}
