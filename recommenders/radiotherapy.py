"""Palliative radiotherapy: whether, in how many fractions, and what must be looked at first."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.irradiating.cord import cord
from recommenders.irradiating.radionuclides import radionuclide_rules
from recommenders.irradiating.targets import GUIDANCE, Target, as_metastasis, targets, was_irradiated
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.bone_words import bare
from recommenders.patient.fracture_risk import fracture_risks, highest_of
from recommenders.patient.lesions import (
    UPPER_LONG_BONES,
    began,
    bone_key,
    event_criterion,
    imaged_within,
    in_spine,
    possible_sites,
    shows,
    shows_spine,
)
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.surgery import diagnoses
from recommenders.vocabulary.bones import same_bone
from recommenders.vocabulary.facts import Finding
from recommenders.vocabulary.logic import NO, Condition, Criterion, Truth, any_of, documented, given, leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Proposal, Value
    from recommenders.vocabulary.records import Event, Lesion, Order

__all__ = ["GUIDANCE", "rules", "values"]


# --- the rules ----------------------------------------------------------------------------------------------


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _external_beam(case)
    yield from radionuclide_rules(case)
    yield from _response(case)
    yield from cord(case)
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
    return "" if risk is None else risk.in_numbers


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
        because=as_metastasis(case, lesion)
        & target.loaded
        & little_pain
        & worth_preventing
        & ~documented(lesion.nature.is_("benign"))
        & ~documented(facts.status.life_expectancy < limits.short_life_expectancy),
        unless=was_irradiated(case, lesion),
        about=about,
    )
    yield prophylaxis
    considered = given(target.indicated or prophylaxis.whole.yes)
    yield Advice(rule="RT-006", because=considered & lesion.soft_tissue_mass, about=about)
    yield Advice(
        rule="RT-007", because=considered & documented(facts.dx.bone_met_isolated | in_spine(lesion)), about=about
    )


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
