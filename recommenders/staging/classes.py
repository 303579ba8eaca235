"""The class: which plasma-cell disorder it is, beside the coded one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal
from recommenders.patient.cancer import coded_precursor
from recommenders.patient.explanations import explanations
from recommenders.patient.myeloma_class import myeloma_class, over_months, plasma_cell_disorder
from recommenders.patient.myeloma_models import must_know
from recommenders.patient.myeloma_risk import smouldering_risk
from recommenders.patient.precautions import trimmed
from recommenders.patient.services import ask_together, asked_lately
from recommenders.staging.parts import GUIDANCE, abnormal_genes
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.logic import Criterion, all_of, any_of, decided, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recommenders.patient.advice import Case, Fill, Service
    from recommenders.patient.explanations import Explanations
    from recommenders.patient.myeloma_class import DefiningEvent, MyelomaClass
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.logic import Logical


def class_rules(case: Case) -> Iterator[Advice]:
    """MM-001 to MM-006, MM-013 and MM-014: which plasma-cell disorder it is, beside the coded one."""
    facts = case.facts
    dx, found, why = facts.dx, case.once(myeloma_class), case.once(explanations)
    events, coded_below = found.certain_events, coded_precursor(facts)
    words = class_words(case, found, why)
    attributable = {
        "explained": why.all,
        "one-explained": why.some,
        "urgent": given(any(event.letter in {"C", "R"} for event in events)),
    }
    consulted = asked_lately(case, "haematology-consultation")

    yield Advice(
        rule="MM-001",
        because=found.active,
        unless=consulted & ~dx.mm,
        holds={"restaged": documented(coded_below), "coded": documented(dx.mm), **attributable},
        fill=words,
        proposals=tuple(confirming(case, "MM-001")),
    )
    yield Advice(
        rule="MM-002",
        because=case.once(plasma_cell_disorder) & any_of(event.criterion for event in found.events),
        fill={"events": tuple(event.shown.short for event in events if event.shown)},
    )
    yield Advice(
        rule="MM-003",
        because=coded_below & documented(found.active),
        unless=consulted,
        holds=attributable,
        fill=words,
        proposals=tuple(confirming(case, "MM-003")),
    )
    yield Advice(
        rule="MM-004",
        because=found.smouldering,
        holds={"coded-mgus": documented(dx.mgus) & ~documented(dx.smm), "as-coded": documented(dx.smm)},
        fill={"why_smm": tuple(_why_smouldering(case))},
    )
    yield Advice(
        rule="MM-005",
        because=found.mgus,
        holds={"coded-smm": documented(dx.smm), "as-coded": documented(dx.mgus) & ~documented(dx.smm)},
    )
    yield incomplete(case, found)
    yield Advice(
        rule="MM-013",
        because=(dx.mm | dx.smm) & (facts.cyto.high_risk_riss | facts.cyto.gain1q),
        fill={"cyto": abnormal_genes(facts)},
    )
    missing = found.active.missing()
    yield Advice(
        rule="MM-014",
        because=dx.mm & ~documented(found.active) & facts.mm.phase.is_("newly-diagnosed"),
        holds={"not-met": given(not missing)},
        fill={"missing": tuple(Label(name) for name in missing)},
    )


def class_words(case: Case, found: MyelomaClass, why: Explanations) -> Mapping[str, Fill]:
    """Give what fills the sentences about active disease: the events, the marrow, and what could explain them."""
    facts, events = case.facts, found.certain_events
    by_biopsy = facts.mm.plasmacytoma_biopsy.criterion().yes
    return {
        "events": tuple(_beside_the_marrow(case, events)),
        "marrow": Phrase("plasmacytoma") if by_biopsy else Phrase("marrow", {"value": trimmed(facts.mm.bmpc)}),
        "urgent_event": tuple(event.shown.short for event in events if event.shown and event.letter in {"C", "R"}),
        "class_coded": coded_class(facts),
        **why.fill,
    }


def _beside_the_marrow(case: Case, events: Sequence[DefiningEvent]) -> Iterator[Fill]:
    """Name the events for a sentence that gives the marrow already: of that one only the limit that it reached."""
    others = [event for event in events if event.letter != "S"]
    if events and not others:
        yield Phrase("full-marrow", {"limit": case.limits(GUIDANCE).mde_marrow.value})
    yield from (event.shown.short for event in others if event.shown)


def coded_class(facts: Facts) -> Phrase:
    """Name the class as coded: smouldering myeloma before MGUS, which is then its past."""
    return Phrase("class-smm" if facts.dx.smm.criterion().yes else "class-mgus")


def confirming(case: Case, rule: str) -> Iterator[Proposal]:
    """Give what confirms an active myeloma: haematology, and the two tests that its stage will need."""
    facts = case.facts
    reasons = tuple(
        event.shown.value.name for event in case.once(myeloma_class).certain_events if event.shown and rule == "MM-003"
    )
    yield ask_together("haematology", "haematology-consultation", reasons=reasons)
    stage_known = facts.mm.b2m.is_known and facts.lab.ldh.is_known
    if not stage_known and not asked_lately(case, "b2-microglobulin", "ldh").yes:
        yield ask_together("stage-tests", "b2-microglobulin", "ldh")
    anaemic = any(event.letter == "A" for event in case.once(myeloma_class).certain_events)
    if anaemic and not facts.lab.ferritin.is_known and not asked_lately(case, "ferritin").yes:
        yield ask_together("ferritin", "ferritin")


def _why_smouldering(case: Case) -> Iterator[Fill]:
    mm, limits = case.facts.mm, case.limits(GUIDANCE)
    for key, value, there in (
        ("m-protein", mm.m_protein, mm.m_protein >= limits.smm_m_protein),
        ("urine-m-protein", mm.urine_m_protein, mm.urine_m_protein >= limits.smm_urine_m_protein),
        ("marrow", mm.bmpc, mm.bmpc >= limits.clonal_marrow),
    ):
        if there.yes:
            yield Phrase(key, {"value": trimmed(value)})


def incomplete(case: Case, found: MyelomaClass) -> Advice:
    """MM-006: in a coded precursor, what was never measured or is overdue, so that active disease is not excluded."""
    facts = case.once(over_months)
    dx, lab, mm = facts.dx, facts.lab, facts.mm
    # a marrow once examined is not taken again every year
    marrow_examined = mm.bmpc.reason == "stale"
    for_smouldering: tuple[Logical, ...] = (
        *(() if marrow_examined else (must_know(mm.bmpc),)),
        must_know(mm.m_protein),
        *(event.criterion for event in found.events if not (event.letter == "S" and marrow_examined)),
    )
    for_mgus = tuple(must_know(reading) for reading in (mm.m_protein, mm.flcr, lab.ca_total, lab.creatinine, lab.hb))
    # what was done and not read is neither due nor done
    names = {name for item in (*for_smouldering, *for_mgus) for name in item.criterion().missing()}
    unread = {name for name in names if facts.fact(name).reason == "unread"}
    smouldering_open = dx.smm & (given(bool(unread)) | ~all_of(decided(item) for item in for_smouldering))
    mgus_open = dx.mgus & ~all_of(decided(item) for item in for_mgus)
    asked = (*(for_smouldering if smouldering_open.yes else ()), *(for_mgus if mgus_open.yes else ()))
    missing = tuple(dict.fromkeys(name for item in asked for name in item.criterion().missing()))

    tests: Mapping[str, Service] = GUIDANCE.tables["test_for"]
    due = tuple(
        name for name in missing if name not in unread and not (name in tests and asked_lately(case, tests[name]).yes)
    )
    needed = {tests[name] for name in due if name in tests}
    return Advice(
        rule="MM-006",
        because=~dx.mm & ~documented(found.active) & (smouldering_open | mgus_open),
        unless=given(not due and not unread),
        holds={
            "mgus": documented(dx.mgus) & ~documented(dx.smm),
            "unread": given(bool(unread and due)),
            "only-unread": given(bool(unread and not due)),
        },
        fill={
            "class_coded": coded_class(facts),
            "tests_due": tuple(Label(name) for name in due),
            "unread": tuple(Label(name) for name in sorted(unread)),
        },
        proposals=tuple(_due_tests(case, needed)),
    )


def _due_tests(case: Case, needed: set[Service]) -> Iterator[Proposal]:
    blood: tuple[Service, ...] = ("calcium", "creatinine", "blood-count", "m-protein")
    if needed & {*blood, "albumin"}:
        yield ask_together("blood", *blood)
    if "free-light-chains" in needed:
        yield ask_together("light-chains", "free-light-chains")
    if "bone-marrow" in needed:
        yield ask_together("marrow", "bone-marrow")
    if "low-dose-ct" in needed and not (case.once(smouldering_risk).applies & imaging_due(case)).yes:
        yield ask_together("low-dose-ct", "low-dose-ct")


def imaging_due(case: Case) -> Criterion:
    """Tell whether neither MRI nor PET-CT tells of the skeleton; unknown where one was done and not read."""
    mm = case.facts.mm
    return ~known(mm.mri_focal) & ~known(mm.pet_focal_active)


def not_excluded(found: MyelomaClass) -> tuple[Fill, ...]:
    """Name the defining events of which nobody knows whether they are there."""
    return tuple(Phrase(f"event-word-{event.letter}") for event in found.unknown_events)
