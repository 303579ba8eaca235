"""Smouldering myeloma: the risk by the published models, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService
from recommenders.patient.explanations import causes_of
from recommenders.patient.myeloma_class import myeloma_class
from recommenders.patient.myeloma_models import group_told, told
from recommenders.patient.myeloma_risk import high_by_mayo, high_by_score, smouldering_risk
from recommenders.patient.precautions import trimmed
from recommenders.patient.services import ask_together, asked_lately, not_asked_lately
from recommenders.patient.trends import evolving
from recommenders.staging.classes import imaging_due, not_excluded
from recommenders.staging.parts import GUIDANCE, count_of, groups_in_words, is_narrowed, number, percent
from recommenders.vocabulary.logic import all_of, any_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Service
    from recommenders.vocabulary.dictionary import Facts


def risk_rules(case: Case) -> Iterator[Advice]:
    """SMM-001 to SMM-004: the published models, as values or as the ranges that missing inputs leave."""
    facts, tables = case.facts, GUIDANCE.tables
    smm, found = case.once(smouldering_risk), case.once(myeloma_class)
    ratio: dict[str, Fill] = {"flc_ratio_involved": facts.mm.flcr}
    event_open = given(bool(found.unknown_events))

    yield Advice(
        rule="SMM-001",
        because=smm.applies & smm.mayo_2008.told(),
        fill={**ratio, "n": count_of(smm.mayo_2008), "mayo2008_factors": number(smm.mayo_2008)},
    )
    groups = tables["mayo_2018_groups"]
    yield Advice(
        rule="SMM-002",
        because=smm.applies & group_told(smm.mayo_2018, groups),
        holds={"not-excluded": event_open & ~documented(high_by_mayo(case))},
        has_range=is_narrowed(smm.mayo_2018, groups),
        fill={
            **ratio,
            "n": count_of(smm.mayo_2018),
            "risk": groups_in_words(smm.mayo_2018, groups, "risk"),
            "p": percent(smm.mayo_2018, groups),
            "mayo2018_risk": groups_in_words(smm.mayo_2018, groups, "group"),
        },
    )
    groups = tables["imwg_2020_groups"]
    yield Advice(
        rule="SMM-003",
        because=smm.applies & smm.imwg_factors.told(),
        holds={"not-excluded": event_open & ~documented(high_by_mayo(case))},
        has_range=is_narrowed(smm.imwg_factors, groups),
        fill={
            **ratio,
            "n": count_of(smm.imwg_factors),
            "p": percent(smm.imwg_factors, groups),
            "imwg2020_factors": number(smm.imwg_factors),
            "imwg2020_2y_risk_pct": percent(smm.imwg_factors, groups),
        },
    )
    groups, limits = tables["imwg_score_groups"], case.limits(GUIDANCE)
    high_without_fish = smm.imwg_base.exceeds(limits.imwg_score_high.value)
    yield Advice(
        rule="SMM-004",
        because=all_of((smm.applies, smm.imwg_base.told(), told(smm.cytogenetics) | high_without_fish)),
        holds={"not-excluded": event_open & ~documented(high_by_score(case))},
        has_range=is_narrowed(smm.imwg_score, groups),
        fill={
            **ratio,
            "s": number(smm.imwg_score),
            "g": groups_in_words(smm.imwg_score, groups, "group"),
            "p": percent(smm.imwg_score, groups),
            "imwg_score": number(smm.imwg_score),
            "imwg_score_risk": groups_in_words(smm.imwg_score, groups, "group"),
        },
    )


def follow_up(case: Case) -> Iterator[Advice]:
    """SMM-005 to SMM-010: imaging, change over time, and what follows from the risk."""
    facts, tables = case.facts, GUIDANCE.tables
    mm, gene = facts.mm, facts.gene
    smm, found, trend = case.once(smouldering_risk), case.once(myeloma_class), case.once(evolving)
    open_events = not_excluded(found)
    event_open = given(bool(open_events))
    flags = tuple(
        Phrase(
            f"flag-{change.key}", {"change": trimmed(change.change), "since": change.earlier.date or Phrase("no-date")}
        )
        for change in trend.flagged
    )

    yield Advice(
        rule="SMM-005",
        because=smm.applies & imaging_due(case),
        unless=asked_lately(case, "mri-whole-body") | asked_lately(case, "pet-ct"),
        holds={"mri-contraindicated": documented(facts.local.mri_contraindicated)},
        proposals=tuple(_imaging(facts)),
    )
    repeated: tuple[Service, ...] = ("m-protein", "free-light-chains", "blood-count", "creatinine")
    other_causes = [
        Label(cause.name)
        for letter, flag in (("R", trend.creatinine), ("A", trend.hb))
        if flag.yes
        for cause in causes_of(case, letter)
    ]
    only_blood = ~documented(trend.m_protein | trend.flc)
    yield Advice(
        rule="SMM-006",
        because=smm.applies & trend.any,
        unless=asked_lately(case, *repeated),
        holds={"not-excluded": event_open, "explained": only_blood & given(bool(other_causes))},
        fill={"flags": flags, "mde_unknown": open_events, "other_cause": tuple(dict.fromkeys(other_causes))},
        proposals=(ask_together("repeat", *repeated),) if not_asked_lately(case, repeated) else (),
    )
    yield Advice(rule="SMM-007", because=smm.applies)
    telling = (gene.kras, gene.nras, gene.myc, mm.circulating_pc)
    yield Advice(
        rule="SMM-008",
        because=smm.applies & documented(any_of(telling)),
        fill={"biology": tuple(Label(fact.name) for fact in telling if fact.criterion().yes)},
    )

    high = high_by_mayo(case) | high_by_score(case)
    referred = asked_lately(case, "haematology-consultation")
    groups = tables["mayo_2018_groups"]
    yield Advice(
        rule="SMM-009",
        because=smm.applies & (high | trend.confirmed),
        unless=referred,
        holds={
            "only-changing": ~documented(high),
            "not-excluded": event_open,
            "not-referred": ~referred,
            "no-daratumumab": ~documented(facts.meds.daratumumab),
        },
        fill={
            "basis": tuple(_basis(case, flags)),
            "flags": flags,
            "mde_unknown": open_events,
            "mayo2018_risk": groups_in_words(smm.mayo_2018, groups, "group"),
            "imwg_score": number(smm.imwg_score),
        },
        proposals=() if referred.yes else (ask_together("haematology", "haematology-consultation"),),
    )
    not_high = group_told(smm.mayo_2018, groups) & ~high_by_mayo(case)
    yield Advice(
        rule="SMM-010",
        because=all_of((smm.applies, not_high, ~high_by_score(case), found.no_event, ~trend.any)),
        fill={
            "n": count_of(smm.mayo_2018),
            "risk": groups_in_words(smm.mayo_2018, groups, "risk"),
            "mayo2018_risk": groups_in_words(smm.mayo_2018, groups, "group"),
        },
    )


def _imaging(facts: Facts) -> Iterator[Proposal]:
    """Give the two ways to see the whole skeleton; one of them is enough."""
    if not facts.local.mri_contraindicated.criterion().yes:
        whole_body = ProposedService(service="mri-whole-body")
        yield Proposal(button="mri", items=(whole_body,), alternative="imaging")
    yield Proposal(button="pet-ct", items=(ProposedService(service="pet-ct"),), alternative="imaging")


def _basis(case: Case, flags: tuple[Fill, ...]) -> Iterator[Fill]:
    """Say why the risk is high: the model that says so, or the marker that moves."""
    smm = case.once(smouldering_risk)
    if high_by_mayo(case).yes:
        yield Phrase("basis-mayo", {"n": count_of(smm.mayo_2018)})
    if high_by_score(case).yes:
        yield Phrase("basis-score", {"s": number(smm.imwg_score)})
    yield from flags
