"""Myeloma and smouldering myeloma: class, stage and risk."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService
from recommenders.patient.cancer import coded_precursor
from recommenders.patient.explanations import causes_of, explanations
from recommenders.patient.myeloma_class import myeloma_class, over_months, plasma_cell_disorder
from recommenders.patient.myeloma_models import group, group_told, must_know, possible_groups, told
from recommenders.patient.myeloma_risk import high_by_mayo, high_by_score, smouldering_risk, staging
from recommenders.patient.precautions import asked_for, not_asked_for, services, trimmed
from recommenders.patient.trends import evolving
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, all_of, any_of, decided, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recommenders.patient.advice import Case, Fill, Service, Value
    from recommenders.patient.explanations import Explanations
    from recommenders.patient.myeloma_class import DefiningEvent, MyelomaClass
    from recommenders.patient.myeloma_models import Stage, Tally
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Finding, Reading
    from recommenders.vocabulary.logic import Logical

GUIDANCE = guidance("myeloma_staging")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from class_rules(case)
    yield from stage_rules(case)
    yield from risk_rules(case)
    yield from follow_up(case)


# --- class --------------------------------------------------------------------------------------------------


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
    consulted = asked_for(case, "haematology-consultation")

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
        fill={"cyto": _abnormal(facts)},
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
    yield services("haematology", "haematology-consultation", reasons=reasons)
    stage_known = facts.mm.b2m.is_known and facts.lab.ldh.is_known
    if not stage_known and not asked_for(case, "b2-microglobulin", "ldh").yes:
        yield services("stage-tests", "b2-microglobulin", "ldh")
    anaemic = any(event.letter == "A" for event in case.once(myeloma_class).certain_events)
    if anaemic and not facts.lab.ferritin.is_known and not asked_for(case, "ferritin").yes:
        yield services("ferritin", "ferritin")


def _why_smouldering(case: Case) -> Iterator[Fill]:
    mm, limits = case.facts.mm, case.limits(GUIDANCE)
    for key, value, there in (
        ("m-protein", mm.m_protein, mm.m_protein >= limits.smm_m_protein),
        ("urine-m-protein", mm.urine_m_protein, mm.urine_m_protein >= limits.smm_urine_m_protein),
        ("marrow", mm.bmpc, mm.bmpc >= limits.clonal_marrow),
    ):
        if there.yes:
            yield Phrase(key, {"value": trimmed(value)})


def _abnormal(facts: Facts) -> tuple[Label, ...]:
    cyto = facts.cyto
    found: tuple[Finding, ...] = (cyto.del17p, cyto.t4_14, cyto.t14_16, cyto.gain1q)
    return tuple(Label(finding.name) for finding in found if finding.criterion().yes)


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
    smouldering_open = dx.smm & ~all_of(decided(item) for item in for_smouldering)
    mgus_open = dx.mgus & ~all_of(decided(item) for item in for_mgus)
    asked = (*(for_smouldering if smouldering_open.yes else ()), *(for_mgus if mgus_open.yes else ()))
    missing = tuple(dict.fromkeys(name for item in asked for name in item.criterion().missing()))

    tests: Mapping[str, Service] = GUIDANCE.tables["test_for"]
    due = tuple(name for name in missing if name not in tests or not asked_for(case, tests[name]).yes)
    needed = {tests[name] for name in due if name in tests}
    return Advice(
        rule="MM-006",
        because=~dx.mm & ~documented(found.active) & (smouldering_open | mgus_open),
        unless=given(not due),
        holds={"mgus": documented(dx.mgus) & ~documented(dx.smm)},
        fill={"class_coded": coded_class(facts), "tests_due": tuple(Label(name) for name in due)},
        proposals=tuple(_due_tests(case, needed)),
    )


def _due_tests(case: Case, needed: set[Service]) -> Iterator[Proposal]:
    blood: tuple[Service, ...] = ("calcium", "creatinine", "blood-count", "m-protein")
    if needed & {*blood, "albumin"}:
        yield services("blood", *blood)
    if "free-light-chains" in needed:
        yield services("light-chains", "free-light-chains")
    if "bone-marrow" in needed:
        yield services("marrow", "bone-marrow")
    if "low-dose-ct" in needed and not (case.once(smouldering_risk).applies & imaging_due(case)).yes:
        yield services("low-dose-ct", "low-dose-ct")


def imaging_due(case: Case) -> Criterion:
    """Tell whether neither MRI nor PET-CT tells of the skeleton; never unknown."""
    mm = case.facts.mm
    return ~known(mm.mri_focal) & ~known(mm.pet_focal_active)


def not_excluded(found: MyelomaClass) -> tuple[Fill, ...]:
    """Name the defining events of which nobody knows whether they are there."""
    return tuple(Phrase(f"event-word-{event.letter}") for event in found.unknown_events)


# --- stage --------------------------------------------------------------------------------------------------


def stage_rules(case: Case) -> Iterator[Advice]:
    """MM-010 to MM-012: ISS, R-ISS and R2-ISS at diagnosis, as values or as the ranges that missing inputs leave."""
    facts = case.facts
    cyto, found = facts.cyto, case.once(staging)
    groups = GUIDANCE.tables["r2iss_groups"]
    fish = tuple(fact for fact in (cyto.del17p, cyto.t4_14, cyto.t14_16, cyto.gain1q) if not fact.is_known)
    words: dict[str, Fill] = {
        "lab.albumin": _exact(facts.mm.baseline_albumin),
        "lab.ldh": _exact(facts.mm.baseline_ldh),
        "iss": _stage(found.iss),
        "riss": _stage(found.riss),
        "r2iss": _points_and_group(found.r2iss, groups),
        "iss_stage": _stage(found.iss),
        "riss_stage": _stage(found.riss),
        "cyto": _abnormal(facts) or Phrase("nothing-abnormal"),
        "missing": tuple(Label(fact.name) for fact in fish),
    }
    narrowed = given(found.iss.word is None and len(found.iss.possible) < len(("I", "II", "III")))

    yield Advice(
        rule="MM-010",
        because=found.applies & found.iss.told(),
        holds={"no-onset": given(_unconfirmed(facts)), "range": narrowed},
        fill=words,
        proposals=tuple(_stage_tests(case, fish)),
    )
    yield Advice(
        rule="MM-011",
        because=found.applies & found.iss.told() & found.riss.told(),
        holds={"said": documented(found.applies & found.iss.told())},
        fill=words,
    )
    fish_and_ldh = (told(found.ldh_raised), told(cyto.del17p), told(cyto.t4_14), told(cyto.gain1q))
    yield Advice(
        rule="MM-012",
        because=all_of((found.applies, found.iss.told(), *fish_and_ldh)),
        holds={"said": documented(found.applies & found.iss.told())},
        fill={
            **words,
            "r2iss_points": _number(found.r2iss),
            "r2iss_group": _group_word(group(found.r2iss, groups)),
        },
    )


def _stage_tests(case: Case, fish: Sequence[Finding]) -> Iterator[Proposal]:
    facts = case.facts
    newly = documented(facts.mm.phase.is_("newly-diagnosed"))
    if fish and newly.yes and not asked_for(case, "fish").yes:
        yield services("fish", "fish")
    if not facts.mm.baseline_ldh.is_known and newly.yes and not asked_for(case, "ldh").yes:
        yield services("ldh", "ldh")


def _unconfirmed(facts: Facts) -> bool:
    used = (facts.mm.b2m, facts.mm.baseline_albumin, facts.mm.baseline_ldh)
    return any(reading.is_known and "baseline-not-confirmed" in reading.flags for reading in used)


def _exact(reading: Reading) -> Fill:
    return reading.rounded if reading.is_known and reading.rounded is not None else Phrase("not-known")


def _stage(stage: Stage) -> Fill:
    """Give the stage; the stages that are still open as a range; "not known" when all are."""
    if stage.word is not None:
        return stage.word
    lowest, highest = stage.possible[0], stage.possible[-1]
    return (
        Phrase("not-known")
        if (lowest, highest) == ("I", "III")
        else Phrase("between", {"low": lowest, "high": highest})
    )


def _points_and_group(score: Tally, table: Sequence[Mapping[str, Any]]) -> Fill:
    possible = possible_groups(score, table)
    points = {"low": score.lowest, "high": score.highest}
    first, last = _group_word(possible[0]), _group_word(possible[-1])
    if score.value is not None:
        return Phrase("points-of-group", {"points": score.value, "group": first})
    if len(possible) == 1:
        return Phrase("points-of-group", {"points": Phrase("between", points), "group": first})
    return Phrase("points-of-groups", {**points, "first": first, "last": last})


# --- risk of smouldering disease ----------------------------------------------------------------------------


def risk_rules(case: Case) -> Iterator[Advice]:
    """SMM-001 to SMM-004: the published models, as values or as the ranges that missing inputs leave."""
    facts, tables = case.facts, GUIDANCE.tables
    smm, found = case.once(smouldering_risk), case.once(myeloma_class)
    ratio: dict[str, Fill] = {"flc_ratio_involved": facts.mm.flcr}
    event_open = given(bool(found.unknown_events))

    yield Advice(
        rule="SMM-001",
        because=smm.applies & smm.mayo_2008.told(),
        fill={**ratio, "n": _count_of(smm.mayo_2008), "mayo2008_factors": _number(smm.mayo_2008)},
    )
    groups = tables["mayo_2018_groups"]
    yield Advice(
        rule="SMM-002",
        because=smm.applies & group_told(smm.mayo_2018, groups),
        holds={
            "not-excluded": event_open & ~documented(high_by_mayo(case)),
            "range": _is_narrowed(smm.mayo_2018, groups),
        },
        fill={
            **ratio,
            "n": _count_of(smm.mayo_2018),
            "risk": _groups(smm.mayo_2018, groups, "risk"),
            "p": _percent(smm.mayo_2018, groups),
            "mayo2018_risk": _groups(smm.mayo_2018, groups, "group"),
        },
    )
    groups = tables["imwg_2020_groups"]
    yield Advice(
        rule="SMM-003",
        because=smm.applies & smm.imwg_factors.told(),
        holds={
            "not-excluded": event_open & ~documented(high_by_mayo(case)),
            "range": _is_narrowed(smm.imwg_factors, groups),
        },
        fill={
            **ratio,
            "n": _count_of(smm.imwg_factors),
            "p": _percent(smm.imwg_factors, groups),
            "imwg2020_factors": _number(smm.imwg_factors),
            "imwg2020_2y_risk_pct": _percent(smm.imwg_factors, groups),
        },
    )
    groups, limits = tables["imwg_score_groups"], case.limits(GUIDANCE)
    high_without_fish = smm.imwg_base.exceeds(limits.imwg_score_high.value)
    yield Advice(
        rule="SMM-004",
        because=all_of((smm.applies, smm.imwg_base.told(), told(smm.cytogenetics) | high_without_fish)),
        holds={
            "not-excluded": event_open & ~documented(high_by_score(case)),
            "range": _is_narrowed(smm.imwg_score, groups),
        },
        fill={
            **ratio,
            "s": _number(smm.imwg_score),
            "g": _groups(smm.imwg_score, groups, "group"),
            "p": _percent(smm.imwg_score, groups),
            "imwg_score": _number(smm.imwg_score),
            "imwg_score_risk": _groups(smm.imwg_score, groups, "group"),
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
        unless=asked_for(case, "mri-whole-body") | asked_for(case, "pet-ct"),
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
        unless=asked_for(case, *repeated),
        holds={"not-excluded": event_open, "explained": only_blood & given(bool(other_causes))},
        fill={"flags": flags, "mde_unknown": open_events, "other_cause": tuple(dict.fromkeys(other_causes))},
        proposals=(services("repeat", *repeated),) if not_asked_for(case, repeated) else (),
    )
    yield Advice(rule="SMM-007", because=smm.applies)
    telling = (gene.kras, gene.nras, gene.myc, mm.circulating_pc)
    yield Advice(
        rule="SMM-008",
        because=smm.applies & documented(any_of(telling)),
        fill={"biology": tuple(Label(fact.name) for fact in telling if fact.criterion().yes)},
    )

    high = high_by_mayo(case) | high_by_score(case)
    referred = asked_for(case, "haematology-consultation")
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
            "mayo2018_risk": _groups(smm.mayo_2018, groups, "group"),
            "imwg_score": _number(smm.imwg_score),
        },
        proposals=() if referred.yes else (services("haematology", "haematology-consultation"),),
    )
    not_high = group_told(smm.mayo_2018, groups) & ~high_by_mayo(case)
    yield Advice(
        rule="SMM-010",
        because=all_of((smm.applies, not_high, ~high_by_score(case), found.no_event, ~trend.any)),
        fill={
            "n": _count_of(smm.mayo_2018),
            "risk": _groups(smm.mayo_2018, groups, "risk"),
            "mayo2018_risk": _groups(smm.mayo_2018, groups, "group"),
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
        yield Phrase("basis-mayo", {"n": _count_of(smm.mayo_2018)})
    if high_by_score(case).yes:
        yield Phrase("basis-score", {"s": _number(smm.imwg_score)})
    yield from flags


# --- how a score is said ------------------------------------------------------------------------------------


def _group_word(row: Mapping[str, Any] | None, kind: str = "group") -> Fill:
    return Phrase("not-known") if row is None else Phrase(f"{kind}-{row['word']}")


def _groups(score: Tally, table: Sequence[Mapping[str, Any]], kind: str) -> Fill:
    """Name the group; the lowest and the highest that are still possible while it is not told."""
    possible = possible_groups(score, table)
    first, last = _group_word(possible[0], kind), _group_word(possible[-1], kind)
    return first if len(possible) == 1 else Phrase("to", {"low": first, "high": last})


def _is_narrowed(score: Tally, table: Sequence[Mapping[str, Any]]) -> Criterion:
    """Tell whether a score that is not told leaves fewer than all groups open, so that its range says something."""
    return given(len(possible_groups(score, table)) < len(table))


def _count_of(score: Tally) -> Fill:
    """Give the count of factors as "2/3"; "≥ 2 of 3" or a range while an item is unknown."""
    every = len(score.items)
    if score.value is not None:
        return Phrase("count-of", {"n": score.value, "of": every})
    if score.highest == every:
        return Phrase("at-least-of", {"n": score.lowest, "of": every})
    return Phrase("count-of", {"n": Phrase("between", {"low": score.lowest, "high": score.highest}), "of": every})


def _number(score: Tally) -> Fill:
    """Give the points; a range while an item is unknown."""
    return score.value if score.value is not None else Phrase("between", {"low": score.lowest, "high": score.highest})


def _percent(score: Tally, table: Sequence[Mapping[str, Any]]) -> Fill:
    """Give the published progression of the group within two years; a range while the group is not told."""
    possible = possible_groups(score, table)
    low, high = Decimal(possible[0]["two_year_pct"]), Decimal(possible[-1]["two_year_pct"])
    return low if low == high else Phrase("between", {"low": low, "high": high})


# --- values -------------------------------------------------------------------------------------------------


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11), with `_min` and `_max` where one is a range."""
    if case.once(plasma_cell_disorder).no:
        return {}
    found: dict[str, Value] = {"mm_class": case.once(myeloma_class).word}
    ratio = case.facts.mm.flcr
    if ratio.is_known and ratio.rounded is not None:
        found["flc_ratio_involved"] = ratio.rounded
    if case.once(staging).applies.yes:
        found |= _stage_values(case)
    if case.once(smouldering_risk).applies.yes:
        found |= _risk_values(case)
    return found


def _stage_values(case: Case) -> Iterator[tuple[str, Value]]:
    found = case.once(staging)
    for key, stage in (("iss_stage", found.iss), ("riss_stage", found.riss)):
        if found.iss.word is None and key != "iss_stage":
            return
        if stage.word is not None:
            yield key, stage.word
        elif len(stage.possible) < len(("I", "II", "III")):
            yield f"{key}_min", stage.possible[0]
            yield f"{key}_max", stage.possible[-1]
    yield from _score("r2iss_points", found.r2iss)
    row = group(found.r2iss, GUIDANCE.tables["r2iss_groups"])
    if found.r2iss.value is not None and row is not None:
        yield "r2iss_group", str(row["word"])


def _score(key: str, score: Tally) -> Iterator[tuple[str, Value]]:
    if score.value is not None:
        yield key, score.value
    elif any(not item.criterion.unknown for item in score.items):
        yield f"{key}_min", score.lowest
        yield f"{key}_max", score.highest


def _risk_values(case: Case) -> Iterator[tuple[str, Value]]:
    smm, tables = case.once(smouldering_risk), GUIDANCE.tables
    for key, score in (
        ("mayo2008_factors", smm.mayo_2008),
        ("mayo2018_factors", smm.mayo_2018),
        ("imwg2020_factors", smm.imwg_factors),
        ("imwg_score", smm.imwg_score),
    ):
        yield from _score(key, score)
    if (case.facts.cyto.del17p & ~smm.cytogenetics).yes and smm.imwg_base.value is not None:
        # the review copy of the list has del(17p) where the paper has t(14;16)
        yield "imwg_score_with_del17p", smm.imwg_base.value + Decimal(tables["imwg_points"]["cytogenetics"])
    if (row := group(smm.mayo_2018, tables["mayo_2018_groups"])) is not None:
        yield "mayo2018_risk", str(row["word"])
    if smm.imwg_factors.value is not None and (row := group(smm.imwg_factors, tables["imwg_2020_groups"])):
        yield "imwg2020_2y_risk_pct", Decimal(row["two_year_pct"])
    if smm.imwg_base.told().yes and (row := group(smm.imwg_score, tables["imwg_score_groups"])) is not None:
        yield "imwg_score_risk", str(row["word"])
