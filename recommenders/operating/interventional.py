"""Interventional treatment: ablation and cement, and what makes cement dangerous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.operating.parts import GUIDANCE, TABLES
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.lesions import event_criterion, lies_in, none_if_whole
from recommenders.patient.services import ask, not_asked
from recommenders.patient.surgery import diagnoses, hurts, surgery
from recommenders.vocabulary.bones import same_bone
from recommenders.vocabulary.logic import NO, Criterion, all_of, any_of, documented

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.records import Event, Lesion


def _cement_risks(case: Case) -> Mapping[str, Criterion]:
    """Give the contraindications to osteoplasty, each in its parts."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    status = facts.status
    return {
        "cement-neuro": status.severe_neuro_disease.criterion(),
        "cement-unfit": ~status.fit_for_surgery,
        "cement-coagulopathy": status.coagulopathy_uncontrolled.criterion(),
        "cement-invasion": facts.local.invades_critical_structures.criterion(),
        "cement-infection": status.active_infection.criterion(),
        "cement-many": facts.dx.bone_met_count > limits.many_metastases,
        "cement-diffuse": facts.dx.diffuse_metastases.criterion(),
    }


def interventional(case: Case) -> Iterator[Advice]:
    """SURG-032 to SURG-035: what helps a painful bone where surgery does not fit or radiotherapy was given."""
    facts = case.facts
    unsuitable = ~facts.status.fit_for_surgery | surgery(case).contraindicated
    for lesion in facts.lesions:
        found = any_of(event_criterion(event) for event in _irradiated_before(case, lesion))
        earlier = none_if_whole(facts, found, "sre[].type", "procedures")
        yield Advice(
            rule="SURG-032",
            because=documented(facts.dx.bone_met) & documented(hurts(lesion) & (unsuitable | earlier)),
            fill={"no_surgery": Phrase("irradiated-before" if earlier.yes else "unfit")},
            about=lesion.bone.whole.key,
        )
    yield Advice(rule="SURG-033", because=case.fired("SURG-032"))

    risks = _cement_risks(case)
    any_risk = any_of(risks.values())
    first = any_of(
        (
            documented(facts.spine.escc.one_of("1c", "2", "3")),
            documented(facts.spine.neuro_deficit),
            case.fired("MIRELS-004"),
        )
    )
    suited = [_suits_cement(lesion) & ~first for lesion in facts.lesions]
    for lesion, suits in zip(facts.lesions, suited, strict=True):
        yield Advice(rule="SURG-034", because=suits & ~documented(any_risk), about=lesion.bone.whole.key)
    yield Advice(
        rule="SURG-035",
        because=documented(any_of(suited)) & any_risk,
        fill={"list": _present(risks), "procedure": ""},
        holds={"bleeding-or-infection": NO, "check-today": NO, "any-other": NO},
    )


def _irradiated_before(case: Case, lesion: Lesion) -> list[Event]:
    longest = case.limits(GUIDANCE).after_radiotherapy.value
    return [
        event
        for event in case.facts.sre
        if event.type == "bone-radiotherapy"
        and same_bone(event.bone, lesion.bone) is True
        and event.date is not None
        and (case.facts.as_of - event.date).days > longest
    ]


def _present(risks: Mapping[str, Criterion]) -> tuple[Fill, ...]:
    return tuple(Phrase(words) for words, present in risks.items() if present.yes)


def cement_at_the_order(case: Case) -> Iterator[Advice]:
    """SURG-035 at an order of osteoplasty."""
    facts = case.facts
    if not any("osteoplasty" in order.kinds for order in case.orders_at_hand):
        return
    risks = _cement_risks(case)
    dangerous = documented(facts.status.coagulopathy_uncontrolled | facts.status.active_infection)
    bleeding = documented(facts.status.coagulopathy_uncontrolled)
    tests = (ask("coagulation-tests-and-platelet", "coagulation-tests", diagnoses(case)),) if bleeding.yes else ()
    for order in case.orders_at_hand:
        if "osteoplasty" in order.kinds:
            yield Advice(
                rule="SURG-035",
                because=any_of(risks.values()),
                fill={"list": _present(risks), "procedure": order.label or Phrase("cement")},
                order=order.reference,
                holds={"bleeding-or-infection": dangerous, "check-today": dangerous, "any-other": ~dangerous},
                proposals=not_asked(case, tests),
            )


def _suits_cement(lesion: Lesion) -> Criterion:
    where = lies_in(lesion.site, TABLES["osteoplasty_bones"], "osteoplasty-bone")
    return all_of((lesion.type.is_("osteolytic"), hurts(lesion), where))
