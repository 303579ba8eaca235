"""Palliative radiotherapy: whether, in how many fractions, and what must be looked at first."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.bone_words import against, bare
from recommenders.patient.fracture_risk import fracture_risks, highest_of
from recommenders.patient.lesions import (
    UPPER_LONG_BONES,
    began,
    bone_key,
    days_ago,
    event_criterion,
    imaged_within,
    imaging,
    in_spine,
    none_if_whole,
    possible_sites,
    shows,
    shows_spine,
    site_word,
    span,
    weight_bearing,
)
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.spine import (
    compressions,
    grade_compresses,
    graded_since_deficit,
    spine_lesion,
    spine_treated,
)
from recommenders.patient.surgery import SPINE_KEY, diagnoses
from recommenders.vocabulary.bones import SPINE_REGIONS, same_bone
from recommenders.vocabulary.facts import Finding, known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Condition, Criterion, Truth, all_of, any_of, documented, given, leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Proposal, Value
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
    facts = case.facts
    courses = [
        event
        for event in facts.sre
        if event.type == "bone-radiotherapy" and (window is None or days_ago(facts, event.date) in span(window))
    ]
    found = any_of(_of_this_place(event, same_bone(event.bone, lesion.bone)) for event in courses)
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
    lesions = targets(case)
    if not lesions:
        yield Advice(rule="RT-001", because=documented(case.facts.dx.bone_met) & _any_painful_unknown(case))
    for target in lesions:
        yield _for_pain(case, target)
        yield from _rows(case, target)
        yield from _without_pain(case, target)
    any_row = any(target.row is not None for target in lesions)
    yield Advice(rule="RT-008", because=given(any_row))


def _any_painful_unknown(case: Case) -> Criterion:
    return case.facts.lesions.any(lambda lesion: lesion.pain.one_of("moderate", "severe"))


def _for_pain(case: Case, target: Target) -> Advice:
    """RT-001: a painful bone is referred, after the surgeon where a surgeon is asked for the same bone."""
    lesion = target.lesion
    about = bone_key(lesion)
    since = lesion.pain.date or lesion.date
    reasons = (*diagnoses(case), "lesions[]")
    consult = (ask("radiation-oncology-consultation", "radiation-oncology-consultation", reasons, about=about),)
    after_surgeon = given(_is_said_of(case, about, "MIRELS-003", "MIRELS-004", "MIRELS-006", "SINS-002", "SURG-026"))
    spinal = given(in_spine(lesion).yes)
    return Advice(
        rule="RT-001",
        because=target.painful,
        unless=target.irradiated | all_asked(case, consult, since),
        about=about,
        holds={
            "mild": given(lesion.pain.value == "mild"),
            "after-surgeon": after_surgeon,
            "after-spine-surgeon": after_surgeon & spinal,
            "spinal": spinal,
        },
        proposals=consult,
    )


def _is_said_of(case: Case, about: str, *rules: str) -> bool:
    """Tell whether one of these rules speaks of the same bone in this call."""
    return any(advice.whole.yes and advice.about == about for rule in rules for advice in case.advices(rule))


def _rows(case: Case, target: Target) -> Iterator[Advice]:
    """RT-002, -003, -004, -012: the row of the consensus table that fits."""
    lesion = target.lesion
    about, spinal = bone_key(lesion), given(in_spine(lesion).yes)
    indicated, palliative = given(target.indicated), given(target.indicated and target.poor.yes)
    reason = _row_reason(case)
    risk = next((one for one in fracture_risks(case) if one.lesion is lesion), None)
    yield Advice(
        rule="RT-002",
        because=indicated & target.poor if target.indicated else NO,
        fill={"row_reason": reason},
        about=about,
        holds={"spinal": spinal},
    )
    yield Advice(
        rule="RT-003",
        because=indicated & ~target.loaded & ~palliative,
        fill={"n": _in_numbers(case, about)},
        about=about,
        holds={"arm-at-risk": given(risk is not None and _is_arm_at_risk(case, lesion))},
    )
    yield Advice(rule="RT-004", because=indicated & target.loaded & ~palliative, about=about, holds={"spinal": spinal})
    yield Advice(
        rule="RT-012",
        because=palliative & target.loaded,
        fill={"row_reason": reason},
        about=about,
        holds={"spinal": spinal},
    )


def _row_reason(case: Case) -> Fill:
    """Say which part of the table's first row holds."""
    status, limits = case.facts.status, case.limits(GUIDANCE)
    if (status.ecog > limits.poor_status).yes:
        return Phrase("row-ecog", {"ecog": status.ecog})
    return Phrase("row-life", {"life": bare(status.life_expectancy)})


def _in_numbers(case: Case, about: str) -> Fill:
    risk = highest_of(case, about)
    if risk is None:
        return ""
    return risk.score.lowest if risk.score.is_told else f"{risk.score.lowest}–{risk.score.highest}"


def _is_arm_at_risk(case: Case, lesion: Lesion) -> bool:
    """Tell whether an arm bone may break: it is reviewed by surgery before it is irradiated."""
    limits = case.limits(GUIDANCE)
    if not set(possible_sites(lesion.site)) <= set(UPPER_LONG_BONES):
        return False
    scores = [risk.score for risk in fracture_risks(case) if risk.lesion is lesion and risk.applies.yes]
    return any(
        score.lowest >= limits.surgical_review_from.value or score.highest >= limits.surgical_review_if_possible.value
        for score in scores
    )


def _without_pain(case: Case, target: Target) -> Iterator[Advice]:
    """RT-005 to -007: what may be discussed of a bone that hurts little, and what goes with any of them."""
    facts, limits, lesion = case.facts, case.limits(GUIDANCE), target.lesion
    about = bone_key(lesion)
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
        about=about,
    )
    yield prophylaxis
    considered = given(target.indicated or prophylaxis.whole.yes)
    yield Advice(rule="RT-006", because=considered & lesion.soft_tissue_mass, about=about)
    yield Advice(
        rule="RT-007", because=considered & documented(facts.dx.bone_met_isolated | in_spine(lesion)), about=about
    )


# --- radionuclides ------------------------------------------------------------------------------------------


def _radionuclide(case: Case) -> Iterator[Advice]:
    """RT-009: counts, the tumour board and what comes after, before a radionuclide is given."""
    yield _before_radionuclide(case, None, case.facts.meds.radionuclide_planned.criterion())
    for order in case.orders_at_hand:
        if "radionuclide" in order.kinds:
            yield _before_radionuclide(case, order, given(holds=True))


def _before_radionuclide(case: Case, order: Order | None, planned: Criterion) -> Advice:
    facts, limits = case.facts, case.limits(GUIDANCE)
    window = limits.count_at_chart if order is None else limits.count_at_order
    counts = (facts.lab.platelets, facts.lab.wbc, facts.lab.anc)
    recent = [count for count in counts if count.within(window, facts.as_of).yes]
    counted = given(any(count is facts.lab.platelets for count in recent) and len(recent) > 1)
    imaged = max((study.date for study in imaging(facts) if study.date), default=None)
    mdt = facts.mdt.last_date
    discussed = known(mdt) & given(mdt.date is not None and (imaged is None or mdt.date >= imaged))
    systemic = documented(facts.meds.antineoplastic) | given(
        any("antineoplastic" in other.kinds for other in case.facts.orders if other is not order)
    )
    test = (ask("complete-blood-count", "blood-count", diagnoses(case)),) if counted.no else ()
    ordered = all_asked(case, test)
    listed = tuple(Phrase("count", {"item": Phrase(f"count-{one.name}"), "value": one}) for one in recent)
    day = max((one.date for one in recent if one.date), default=None)
    return Advice(
        rule="RT-009",
        because=planned,
        unless=all_of((counted | ordered, discussed, ~systemic)),
        fill={
            "radionuclide": _radionuclide_of(order),
            "counts": Phrase("counts", {"list": listed, "day": day}) if day else Phrase("counts-ordered"),
            "systemic": Phrase("systemic-therapy"),
        },
        order=order.reference if order is not None else None,
        holds={
            "no-count": ~counted & ~ordered,
            "systemic": systemic,
            "not-discussed": ~discussed & ~documented(facts.dx.lung_cancer),
            "lung-cancer": ~discussed & documented(facts.dx.lung_cancer),
        },
        proposals=not_asked(case, test),
    )


def _radionuclide_of(order: Order | None) -> Phrase:
    """Name the ordered nuclide by the mass number that its order names."""
    named = re.search(r"(?<!\d)(89|223|153)(?!\d)", order.label) if order is not None else None
    return Phrase(f"radionuclide-{named[1]}" if named else "radionuclide")


# --- afterwards ---------------------------------------------------------------------------------------------


def _response(case: Case) -> Iterator[Advice]:
    """RT-010: pain that is still there two weeks after the last fraction, in the bone that was treated."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    after, until = int(limits.relief_expected.value), int(limits.relief_looked_for.value)
    for event in facts.sre:
        if event.type != "bone-radiotherapy":
            continue
        ended = event.date or event.start
        if ended is None:
            undated = Finding(name="sre[].date", resources=event.resources)
            hurts = documented(facts.lesions.any(lambda x: x.pain.one_of("moderate", "severe")))
            yield Advice(rule="RT-010", because=hurts & leaf(Condition(undated.name, "known", None, undated, None)))
            continue
        if not after <= (facts.as_of - ended).days <= until:
            continue
        for lesion in facts.lesions:
            if same_bone(event.bone, lesion.bone) is False:
                continue  # another bone was irradiated
            yield _still_painful(case, event, lesion, ended)


def _still_painful(case: Case, event: Event, lesion: Lesion, ended: dt.date) -> Advice:
    facts, limits = case.facts, case.limits(GUIDANCE)
    about, spinal = bone_key(lesion), in_spine(lesion)
    reasons = (*diagnoses(case), "lesions[]")
    felt = lesion.pain.date or lesion.date
    still = given(felt is not None and (felt - ended).days >= limits.relief_expected.value)
    imaged = imaged_within(
        facts,
        ("xray", "ct", "mri", "pet"),
        limits.relief_looked_for,
        lambda study: shows_spine(study) if spinal.yes else shows(study, lesion.bone),
        felt + dt.timedelta(1) if felt is not None else None,  # what showed the painful lesion is not the answer to it
    )
    fractured = documented(facts.pathological_fracture.current)
    stable = imaged & lesion.trend.one_of("stable", "improving") & ~fractured
    by_mri = spinal.yes and facts.local.mri_contraindicated.value is not True
    image = ask("mri-of-the-spine", "mri-spine", reasons) if by_mri else ask("ct-of", "ct", reasons, about=about)
    consult = ask(
        "interventional-radiology-consultation", "interventional-radiology-consultation", reasons, about=about
    )
    offered: tuple[Proposal, ...] = (consult,) if stable.yes else () if imaged.yes else (image,)
    done = imaged & ~documented(stable)
    return Advice(
        rule="RT-010",
        because=event_criterion(event) & lesion.pain.one_of("moderate", "severe") & still,
        unless=done | all_asked(case, offered, felt),
        fill={"rt_days": (facts.as_of - (began(event) or ended)).days},
        about=about,
        holds={
            "spinal": given(spinal.yes),
            "stable-since": documented(stable),
            "cement": documented(stable) & given(_is_said_of(case, about, "SURG-034")),
        },
        proposals=not_asked(case, offered, felt),
    )


# --- the cord -----------------------------------------------------------------------------------------------


def _cord(case: Case) -> Iterator[Advice]:
    """RT-011: compression of the cord is called at once, to both."""
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    reassured = documented(grade.one_of("0", "1a", "1b") & graded_since_deficit(case))
    deficit_unexplained = documented(deficit) & documented(spine_lesion(case)) & ~reassured
    coded = [event for event in compressions(case) if not _is_settled(case, event)]
    listed = any_of(event_criterion(event) for event in coded)
    newest = (
        None if any(event.date is None for event in coded) else max((e.date for e in coded if e.date), default=None)
    )
    findings = (
        (documented(grade_compresses(case)), grade.date),
        (listed, newest),
        (deficit_unexplained, deficit.date),
    )
    treated = [spine_treated(case, since, radiotherapy=True) for finding, since in findings if finding.yes]
    all_treated = bool(treated) and all(done.yes for done in treated)
    since = max((day for finding, day in findings if finding.yes and day is not None), default=None)
    no_mri = documented(facts.local.mri_contraindicated)
    has_mri = imaged_within(facts, ("mri",), case.limits(GUIDANCE).relief_looked_for, shows_spine, since)
    image = () if (no_mri | has_mri).yes else (ask("whole-spine-mri-today", "mri-whole-spine", reasons, urgent=True),)
    both = (
        ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True),
        ask("urgent-radiation-oncology-consultation", "radiation-oncology-consultation", reasons, urgent=True),
    )
    yield Advice(
        rule="RT-011",
        because=any_of(finding for finding, _ in findings),
        unless=any_of(treated) if all_treated else NO,
        fill={"cord_reason": _cord_reason(grade_compresses(case).yes, newest, deficit_unexplained.yes)},
        about=SPINE_KEY,
        holds={
            "undated-and-treated": given(listed.yes and newest is None and _treated_some_day(case)),
            "graded-1c": documented(deficit) & documented(spine_lesion(case)) & documented(grade.is_("1c")),
            "no-mri": no_mri,
            "against": given(bool(against(case))),
        },
        proposals=not_asked(case, (*image, *both), since),
    )


def _is_settled(case: Case, event: Event) -> bool:
    """Tell whether a newer grade without contact of the cord, with no other sign of a deficit, answers an entry."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    harmless = grade.one_of("0", "1a", "1b").yes and not (
        deficit.value is True and deficit.resources != event.resources
    )
    return harmless and event.date is not None and grade.date is not None and grade.date > event.date


def _treated_some_day(case: Case) -> bool:
    """Tell whether the spine was operated or irradiated on a day that is not told."""
    kinds = {"bone-surgery", "bone-radiotherapy"}
    return any(
        event.type in kinds and event.date is None and event.site is not None and _is_spinal_site(event.site)
        for event in case.facts.sre
    )


def _is_spinal_site(site: str) -> bool:
    """Tell whether a site is one of the spine."""
    return site in {*SPINE_REGIONS, "sacrum"}


def _cord_reason(graded: bool, listed: dt.date | None, deficit: bool) -> Fill:
    if graded:
        return Phrase("cord-graded")
    if listed is not None:
        return Phrase("cord-listed", {"day": listed})
    return Phrase("cord-deficit" if deficit else "cord-undated")


# --- an ordered scheme --------------------------------------------------------------------------------------


def _fractionation(case: Case, order: Order) -> Advice:
    """RT-013: compare an ordered scheme with the table rows of the lesions that it may be meant for."""
    meant = [
        target
        for target in targets(case)
        if target.row is not None and same_bone(order.bone, target.lesion.bone) is not False
    ]
    single_contradicts = bool(meant) and not any(target.single_fits for target in meant)
    fractions_contradict = bool(meant) and not any(target.fractions_fit for target in meant)
    if order.rt_stereotactic or not (single_contradicts or fractions_contradict):
        return Advice(rule="RT-013", because=NO, order=order.reference)
    single = case.limits(GUIDANCE).single_fraction.value
    contradicts: Truth = None
    scheme = Finding(name="order.text")
    ordered = ""
    if order.rt_fractions is not None:
        contradicts = single_contradicts if order.rt_fractions == single else fractions_contradict
        dose = "" if order.rt_dose_gy is None else f"{Decimal(order.rt_dose_gy).normalize():f} Gy/"
        ordered = f"{dose}{order.rt_fractions} f"
        scheme = Finding(name="order.text", value=ordered, reason=None)
    rows = any_of(target.poor | target.loaded | ~target.loaded for target in meant)
    palliative = any(target.row == "single-palliative" for target in meant)
    return Advice(
        rule="RT-013",
        because=leaf(Condition("order.text", "is", "contradicts-table", scheme, contradicts)) & rows,
        fill={"ordered_scheme": ordered, "row_reason": _row_reason(case)},
        order=order.reference,
        about=bone_key(meant[0].lesion) if meant else None,
        holds={
            "single-loaded": given(single_contradicts),
            "several-not-loaded": given(fractions_contradict and not palliative),
        },
    )


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11): the table row of the foremost target."""
    row = next((target.row for target in targets(case) if target.row is not None), None)
    return {} if row is None else {"rt_row": row}
