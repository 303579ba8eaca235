"""Myeloma and smouldering myeloma: class, stage and risk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService
from recommenders.patient.cancer import coded_precursor
from recommenders.patient.myeloma_models import (
    Item,
    Stage,
    Tally,
    above_upper_limit,
    count,
    graded,
    group,
    group_told,
    iss,
    must_know,
    possible_groups,
    riss,
    told,
)
from recommenders.patient.series import RATIO, history
from recommenders.vocabulary.facts import Finding, Reading, known, round_half_up
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Condition, Criterion, Logical, all_of, any_of, decided, documented, leaf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from recommenders.patient.advice import Case, Fill, Service, Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Limit, Limits

GUIDANCE = guidance("myeloma_staging")

ClassWord = Literal["active-mm", "smm", "mgus", "undetermined"]
Move = Callable[[Reading, Reading], tuple[Decimal, Decimal]]
"""How far a marker moved between an earlier and the newest result: the least and the most it can be."""

CHANGE_DECIMALS = {"g/L": 1, "1": 1, "%": 2}
"""A change is as exact as its marker; two decimals keep apart any two percentages of whole µmol/L."""


# --- myeloma-defining events --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arm:
    """One way in which an event can be there: the phrase that says so, what must hold, and the value shown."""

    key: str
    criterion: Criterion
    value: Reading
    limit: Decimal
    beside: Reading | None = None

    @property
    def short(self) -> Phrase:
        """The event in a few words, with its value."""
        return Phrase(f"event-{self.key}", {"value": self.value, **self._beside()})

    @property
    def line(self) -> Phrase:
        """The event on a line of its own: value, date, limit."""
        fill: dict[str, Fill] = {"value": self.value, "limit": self.limit, **self._beside()}
        return Phrase(f"event-line-{self.key}", {**fill, "date": day_of(self.value)})

    def _beside(self) -> dict[str, Fill]:
        return {} if self.beside is None else {"beside": self.beside}


@dataclass(frozen=True, slots=True)
class DefiningEvent:
    """One myeloma-defining event: `letter` C, R, A, B, S, Li or M, and the ways in which it can be there."""

    letter: str
    arms: tuple[Arm, ...]

    @property
    def criterion(self) -> Criterion:
        """Whether the event is there."""
        return any_of(arm.criterion for arm in self.arms)

    @property
    def shown(self) -> Arm | None:
        """The first way in which it certainly is there."""
        return next((arm for arm in self.arms if arm.criterion.yes), None)


def defining_events(case: Case) -> tuple[DefiningEvent, ...]:
    """Give the myeloma-defining events of IMWG 2014, in the order C, R, A, B, S, Li, M (rule MM-002)."""
    limits = case.limits(GUIDANCE)
    lab, mm = case.facts.lab, case.facts.mm

    high_calcium = Arm("calcium", lab.ca_corr > limits.mde_calcium, lab.ca_corr, limits.mde_calcium.value)
    weak_kidneys = Arm("clearance", lab.crcl < limits.mde_clearance, lab.crcl, limits.mde_clearance.value)
    high_creatinine = Arm(
        "creatinine", lab.creatinine > limits.mde_creatinine, lab.creatinine, limits.mde_creatinine.value
    )
    anaemia = Arm("anaemia", lab.hb < limits.mde_haemoglobin, lab.hb, limits.mde_haemoglobin.value)
    lytic_bone = Arm(
        "lytic", mm.lytic_lesions >= limits.mde_lytic_lesions, mm.lytic_lesions, limits.mde_lytic_lesions.value
    )
    full_marrow = Arm("marrow", mm.bmpc >= limits.mde_marrow, mm.bmpc, limits.mde_marrow.value)
    light_chains = Arm(
        "light-chains",
        (mm.flcr >= limits.mde_light_chain_ratio) & (mm.flc_involved >= limits.mde_light_chain_involved),
        mm.flcr,
        limits.mde_light_chain_ratio.value,
        beside=mm.flc_involved,
    )
    focal_lesions = Arm("mri", mm.mri_focal > limits.mde_mri_focal, mm.mri_focal, limits.mde_mri_focal.value)
    return (
        DefiningEvent("C", (high_calcium, *_above_reference(case.facts, limits))),
        DefiningEvent("R", (weak_kidneys, high_creatinine)),
        DefiningEvent("A", (anaemia, *_below_reference(case.facts, limits))),
        DefiningEvent("B", (lytic_bone,)),
        DefiningEvent("S", (full_marrow,)),
        DefiningEvent("Li", (light_chains,)),
        DefiningEvent("M", (focal_lesions,)),
    )


def _above_reference(facts: Facts, limits: Limits) -> Iterator[Arm]:
    upper = facts.lab.ca_uln.rounded
    if facts.lab.ca_uln.is_known and upper is not None:
        edge = upper + limits.mde_calcium_above_upper.value
        yield Arm("calcium-reference", facts.lab.ca_corr > edge, facts.lab.ca_corr, edge)


def _below_reference(facts: Facts, limits: Limits) -> Iterator[Arm]:
    lower = facts.lab.hb.reference_low
    if facts.lab.hb.is_known and lower is not None:
        edge = lower - limits.mde_haemoglobin_below_lower.value
        yield Arm("anaemia-reference", facts.lab.hb < edge, facts.lab.hb, edge)


def day_of(fact: Reading) -> Fill:
    """Give a reading's date for a wording."""
    return fact.date.isoformat() if fact.date else Phrase("no-date")


# --- the class ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MyelomaClass:
    """
    The class computed from the chart, set beside the coded diagnosis (specification §1.2, precedence of `mm_class`).

    `as_coded` says that the word is that of the coded diagnosis; `incomplete` that events were not all excluded.
    `active`, `smouldering`, `mgus` are the conditions of MM-001, MM-004, MM-005.
    """

    finding: Finding
    as_coded: bool
    incomplete: bool
    events: tuple[DefiningEvent, ...]
    active: Criterion
    smouldering: Criterion
    mgus: Criterion

    @property
    def word(self) -> str:
        """`active-mm`, `smm`, `mgus` or `undetermined`."""
        return str(self.finding.value)

    @property
    def is_active_mm(self) -> Criterion:
        """Whether the class is active myeloma; never unknown (`undetermined` is a value)."""
        return self.finding.is_("active-mm")

    @property
    def is_smm(self) -> Criterion:
        """Whether the class is smouldering myeloma; never unknown."""
        return self.finding.is_("smm")

    @property
    def is_mgus(self) -> Criterion:
        """Whether the class is MGUS; never unknown."""
        return self.finding.is_("mgus")

    @property
    def defining_events(self) -> tuple[DefiningEvent, ...]:
        """The events that are certainly there."""
        return tuple(event for event in self.events if event.criterion.yes)

    @property
    def no_event(self) -> Criterion:
        """Whether every event is known to be absent."""
        return ~any_of(event.criterion for event in self.events)


def plasma_cell_disorder(case: Case) -> Criterion:
    """Tell whether anything on record speaks of a plasma-cell disorder; else nobody is asked for marrow or MRI."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm = facts.dx, facts.mm
    return any_of(
        (
            dx.mm,
            dx.smm,
            dx.mgus,
            *(finding.is_contradictory() for finding in (dx.mm, dx.smm, dx.mgus)),
            dx.plasmacytoma,
            dx.pcl,
            documented(mm.plasmacytoma_biopsy),
            documented(mm.bmpc >= limits.clonal_marrow),
            documented(mm.m_protein > limits.m_protein_none),
            documented(mm.urine_m_protein >= limits.smm_urine_m_protein),
        )
    )


def myeloma_class(case: Case) -> MyelomaClass:
    """Work out the class; to be asked for as `case.once(myeloma_class)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm = facts.dx, facts.mm
    events = defining_events(case)
    any_event = any_of(event.criterion for event in events)
    no_event = ~any_event
    concerned = case.once(plasma_cell_disorder)

    clonal_marrow = mm.bmpc >= limits.clonal_marrow
    active = concerned & (clonal_marrow | mm.plasmacytoma_biopsy) & any_event

    much_m_protein = (mm.m_protein >= limits.smm_m_protein) | (mm.urine_m_protein >= limits.smm_urine_m_protein)
    smouldering_marrow = clonal_marrow & (mm.bmpc < limits.mde_marrow)
    smouldering = all_of((concerned, much_m_protein | smouldering_marrow, no_event, ~dx.amyloidosis, ~dx.mm))

    some_m_protein = (mm.m_protein > limits.m_protein_none) | dx.mgus
    mgus = all_of(
        (
            concerned,
            mm.m_protein < limits.smm_m_protein,
            ~documented(mm.urine_m_protein >= limits.smm_urine_m_protein),
            ~clonal_marrow,
            no_event,
            ~dx.amyloidosis,
            ~dx.mm,
            some_m_protein,
        )
    )

    open_questions = no_event.unknown or active.unknown or smouldering.unknown or mgus.unknown
    word: ClassWord = "undetermined"
    as_coded = incomplete = False
    shown: tuple[Finding, ...] = ()
    if dx.mm.criterion().yes:
        word, as_coded, shown = "active-mm", True, (dx.mm,)
    elif active.yes:
        word = "active-mm"
    elif smouldering.yes:
        word = "smm"
    elif mgus.yes:
        word = "mgus"
    elif dx.smm.criterion().yes and open_questions:
        word, as_coded, incomplete, shown = "smm", True, True, (dx.smm,)
    elif dx.mgus.criterion().yes and open_questions:
        word, as_coded, incomplete, shown = "mgus", True, True, (dx.mgus,)
    flags = (*(("as-coded",) if as_coded else ()), *(("exclusion-incomplete",) if incomplete else ()))
    finding = Finding(
        name="mm_class",
        value=word,
        reason=None,
        flags=flags or ("derived",),
        date=next((coded.date for coded in shown), None),
        resources=tuple(name for coded in shown for name in coded.resources),
    )
    return MyelomaClass(finding, as_coded, incomplete, events, active, smouldering, mgus)


# --- trends -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One marker's change from an earlier result to the newest one, with the points it was computed from."""

    key: str
    criterion: Criterion
    change: Reading
    earlier: Reading
    newest: Reading


@dataclass(frozen=True, slots=True)
class Evolving:
    """The flags of SMM-006: whether each marker moved, and the changes that were compared."""

    m_protein: Criterion
    flc: Criterion
    creatinine: Criterion
    hb: Criterion
    changes: tuple[Change, ...]

    @property
    def any(self) -> Criterion:
        """Whether at least one marker moved."""
        return any_of((self.m_protein, self.flc, self.creatinine, self.hb))

    @property
    def flagged(self) -> tuple[Change, ...]:
        """The changes that count."""
        return tuple(change for change in self.changes if change.criterion.yes)


def evolving(case: Case) -> Evolving:
    """
    Compare the newest results with earlier ones; to be asked for as `case.once(evolving)`.

    Smouldering disease is compared with the earliest usable result of the look-back; myeloma with the best one
    (a relapse rises from its lowest point, not from diagnosis).
    """
    limits = case.limits(GUIDANCE)
    m_protein = _trend(case, "m-protein", "mm.m_protein", _rise, ">=", limits.evolving_m_protein)
    chains = _trend(case, "flc", RATIO, _rise, ">=", limits.evolving_light_chain_ratio)
    creatinine = _trend(case, "creatinine", "lab.creatinine", _rise_percent, ">", limits.evolving_creatinine)
    haemoglobin = _trend(case, "hb", "lab.hb", _fall, ">=", limits.evolving_haemoglobin)
    found = (m_protein, chains, creatinine, haemoglobin)
    return Evolving(
        m_protein=m_protein[0],
        flc=chains[0],
        creatinine=creatinine[0],
        hb=haemoglobin[0],
        changes=tuple(change for _, change in found if change is not None),
    )


def _trend(
    case: Case, key: str, path: str, move: Move, relation: Literal[">", ">="], limit: Limit
) -> tuple[Criterion, Change | None]:
    newest = case.facts.fact(path)
    blank = Reading(
        name=f"{newest.name}_change", unit=limit.unit, decimals=CHANGE_DECIMALS[limit.unit], lacks=(newest.name,)
    )
    earlier = _earlier(case, newest, history(case.facts, path)) if isinstance(newest, Reading) else ()
    if not earlier or not isinstance(newest, Reading):
        return leaf(Condition(blank.name, relation, limit, blank, None)), None
    compared = earlier if case.facts.dx.mm.criterion().yes else earlier[:1]
    changes: list[Change] = []
    for reading in compared:
        low, high = move(newest, reading)
        change = replace(
            blank,
            low=low,
            high=high,
            reason=None,
            lacks=(),
            date=newest.date,
            resources=tuple(dict.fromkeys((*reading.resources, *newest.resources))),
        )
        moved = change > limit if relation == ">" else change >= limit
        changes.append(Change(key, moved, change, reading, newest))
    greatest = max(changes, key=lambda change: (change.change.low or Decimal(0), change.earlier.date or dt.date.min))
    return any_of(change.criterion for change in changes), greatest


def _earlier(case: Case, newest: Reading, results: tuple[Reading, ...]) -> tuple[Reading, ...]:
    limits = case.limits(GUIDANCE)
    shortest, longest = dt.timedelta(int(limits.apart.value)), dt.timedelta(int(limits.look_back.value))
    if not newest.is_known or newest.date is None:
        return ()
    return tuple(r for r in results if r.date is not None and shortest <= newest.date - r.date <= longest)


def _ends(reading: Reading) -> tuple[Decimal, Decimal]:
    """Give both ends of a known reading, rounded as it is compared."""
    low, high = reading.low or Decimal(0), reading.high or Decimal(0)
    if reading.decimals is None:
        return low, high
    return round_half_up(low, reading.decimals), round_half_up(high, reading.decimals)


def _rise(newest: Reading, earlier: Reading) -> tuple[Decimal, Decimal]:
    (new_low, new_high), (old_low, old_high) = _ends(newest), _ends(earlier)
    return new_low - old_high, new_high - old_low


def _fall(newest: Reading, earlier: Reading) -> tuple[Decimal, Decimal]:
    return _rise(earlier, newest)


def _rise_percent(newest: Reading, earlier: Reading) -> tuple[Decimal, Decimal]:
    (new_low, new_high), (old_low, old_high) = _ends(newest), _ends(earlier)
    if old_low <= 0:
        return Decimal(0), Decimal("Infinity")
    return (new_low - old_high) * 100 / old_high, (new_high - old_low) * 100 / old_low


# --- risk of progression, and stage -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SmoulderingRisk:
    """
    The published models for smouldering myeloma, each as a score.

    `mayo_2008` counts three factors, `mayo_2018` those above 20/2/20, `imwg_factors` these and the cytogenetic
    list as a fourth, `imwg_base` the points without cytogenetics and `imwg_score` those with them.
    """

    applies: Criterion
    mayo_2008: Tally
    mayo_2018: Tally
    cytogenetics: Criterion
    imwg_factors: Tally
    imwg_base: Tally
    imwg_score: Tally


def smouldering_risk(case: Case) -> SmoulderingRisk:
    """Work out the models; to be asked for as `case.once(smouldering_risk)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm, cyto = facts.dx, facts.mm, facts.cyto
    found = case.once(myeloma_class)
    points = GUIDANCE.tables["imwg_points"]
    cytogenetics = any_of((cyto.t4_14, cyto.t14_16, cyto.gain1q, cyto.del13q))
    mayo_2018 = count(
        (
            mm.bmpc > limits.mayo_2018_marrow,
            mm.m_protein > limits.mayo_2018_m_protein,
            mm.flcr > limits.mayo_2018_light_chain_ratio,
        )
    )
    base = Tally(
        (
            *graded(mm.flcr, points["light_chain_ratio"]),
            *graded(mm.m_protein, points["m_protein"]),
            *graded(mm.bmpc, points["marrow"]),
        )
    )
    return SmoulderingRisk(
        applies=(dx.smm | found.is_smm) & ~found.is_active_mm,
        mayo_2008=count(
            (
                mm.bmpc >= limits.mayo_2008_marrow,
                mm.m_protein >= limits.mayo_2008_m_protein,
                mm.flcr >= limits.mayo_2008_light_chain_ratio,
            )
        ),
        mayo_2018=mayo_2018,
        cytogenetics=cytogenetics,
        imwg_factors=mayo_2018.with_item(Item(cytogenetics)),
        imwg_base=base,
        imwg_score=base.with_item(Item(cytogenetics, Decimal(points["cytogenetics"]))),
    )


@dataclass(frozen=True, slots=True)
class Staging:
    """The ISS family at diagnosis; `applies` says whether this patient is to be staged at all."""

    applies: Criterion
    iss: Stage
    ldh_raised: Criterion
    riss: Stage
    r2iss: Tally


def staging(case: Case) -> Staging:
    """Work out ISS, R-ISS and R2-ISS from the values at diagnosis; to be asked for as `case.once(staging)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    mm, cyto = facts.mm, facts.cyto
    points = GUIDANCE.tables["r2iss_points"]
    relapsed_without_onset = documented(mm.phase.is_("relapsed")) & ~known(mm.onset_date)
    stage = iss(mm.b2m, mm.baseline_albumin, limits)
    ldh_raised = above_upper_limit(mm.baseline_ldh)
    return Staging(
        applies=(facts.dx.mm | case.once(myeloma_class).is_active_mm) & ~relapsed_without_onset,
        iss=stage,
        ldh_raised=ldh_raised,
        riss=riss(stage, ldh_raised, cyto.high_risk_riss),
        r2iss=Tally(
            (
                Item(~stage.first, points["iss_2"]),
                Item(stage.third, points["iss_3"] - points["iss_2"]),
                Item(cyto.del17p.criterion(), points["del17p"]),
                Item(ldh_raised, points["ldh"]),
                Item(cyto.t4_14.criterion(), points["t4_14"]),
                Item(cyto.gain1q.criterion(), points["gain1q"]),
            )
        ),
    )


# --- rules --------------------------------------------------------------------------------------------------


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _class_rules(case)
    yield from _stage_rules(case)
    yield from _risk_rules(case)


def _class_rules(case: Case) -> Iterator[Advice]:
    facts = case.facts
    dx, mm = facts.dx, facts.mm
    found = case.once(myeloma_class)
    events = found.defining_events
    named: Fill = tuple(event.shown.short for event in events if event.shown)
    coded_below = coded_precursor(facts)
    disagrees = (Phrase("coded-as-gammopathy"),) if dx.mgus.is_contradictory().yes else ()

    yield Advice(
        rule="MM-001",
        because=found.active,
        indicator="info" if dx.mm.criterion().yes else None,
        fill={"events": named},
        notes=disagrees,
    )
    yield Advice(
        rule="MM-002",
        because=case.once(plasma_cell_disorder) & any_of(event.criterion for event in found.events),
        fill={"list": named, "flc_ratio_involved": mm.flcr},
        notes=tuple(_event_lines(found.events)),
    )
    calcium_or_kidneys = any(event.letter in {"C", "R"} for event in events)
    yield Advice(
        rule="MM-003",
        because=coded_below & documented(found.active),
        fill={"events": _in_few_words(events)},
        points=None if calcium_or_kidneys else (0, 1, 3, 4),
        proposals=(
            Proposal(
                action=0,
                items=(ProposedService(service="haematology-consultation"),),
                reasons=tuple(event.shown.value.name for event in events if event.shown),
            ),
        ),
    )
    yield Advice(rule="MM-004", because=found.smouldering, notes=disagrees)
    yield Advice(rule="MM-005", because=found.mgus)
    yield _incomplete(case, found)
    yield Advice(
        rule="MM-013",
        because=(dx.mm | dx.smm) & (facts.cyto.high_risk_riss | facts.cyto.gain1q),
        fill={"list": tuple(Label(finding.name) for finding in _high_risk_findings(facts))},
    )
    missing = found.active.missing()
    yield Advice(
        rule="MM-014",
        because=dx.mm & ~documented(found.active) & mm.phase.is_("newly-diagnosed"),
        fill={"missing": tuple(Label(name) for name in missing)},
        summary=None if missing else Phrase("coded-active-not-met"),
    )


def _in_few_words(events: Sequence[DefiningEvent]) -> Fill:
    """Name the events: one with its value, several by name, so that the summary keeps room for what to do."""
    if len(events) == 1 and events[0].shown:
        return events[0].shown.short
    names = tuple(Phrase(f"event-word-{event.letter}") for event in events)
    longest = int(GUIDANCE.tables["summary"]["events"])
    return names if len(names) <= longest else (*names[: longest - 1], Phrase("and-more"))


def _event_lines(events: Iterable[DefiningEvent]) -> Iterator[Phrase]:
    for event in events:
        if event.shown:
            yield event.shown.line
        elif event.criterion.unknown:
            yield Phrase(
                "event-line-unknown",
                {
                    "event": Phrase(f"event-name-{event.letter}"),
                    "list": tuple(Label(name) for name in event.criterion.missing()),
                },
            )


def _high_risk_findings(facts: Facts) -> tuple[Finding, ...]:
    cyto = facts.cyto
    return tuple(found for found in (cyto.del17p, cyto.t4_14, cyto.t14_16, cyto.gain1q) if found.criterion().yes)


def _incomplete(case: Case, found: MyelomaClass) -> Advice:
    facts = case.facts
    dx, lab, mm = facts.dx, facts.lab, facts.mm
    needed_for_smm: tuple[Logical, ...] = (
        must_know(mm.bmpc),
        must_know(mm.m_protein),
        *(event.criterion for event in found.events),
    )
    needed_for_mgus = tuple(
        must_know(reading) for reading in (mm.m_protein, mm.flcr, lab.ca_total, lab.creatinine, lab.hb)
    )
    smm_open = dx.smm & ~all_of(decided(item) for item in needed_for_smm)
    mgus_open = (dx.mgus | dx.mgus.is_contradictory()) & ~all_of(decided(item) for item in needed_for_mgus)

    asked = (*(needed_for_smm if smm_open.yes else ()), *(needed_for_mgus if mgus_open.yes else ()))
    missing = tuple(dict.fromkeys(name for item in asked for name in item.criterion().missing()))
    optional = tuple(reading.name for reading in (mm.bmpc, mm.mri_focal) if not reading.is_known)
    notes: list[Phrase] = []
    if found.incomplete:
        notes.append(Phrase("as-coded-incomplete", {"class": Phrase(f"class-{found.word}")}))
    if mgus_open.yes and not smm_open.yes and optional:
        notes.append(Phrase("optional-in-mgus", {"list": tuple(Label(name) for name in optional)}))
    tests: dict[str, Service] = GUIDANCE.tables["test_for"]
    orderable = tuple(name for name in missing if name in tests)
    services = tuple(dict.fromkeys(tests[name] for name in orderable))
    return Advice(
        rule="MM-006",
        because=~dx.mm & ~documented(found.active) & (smm_open | mgus_open),
        fill={"list": tuple(Label(name) for name in missing)},
        points=None if mgus_open.yes else (0, 2),
        notes=tuple(notes),
        proposals=(
            Proposal(
                action=0,
                items=tuple(ProposedService(service=service) for service in services),
                fill={"list": tuple(Label(name) for name in orderable)},
            ),
        )
        if services
        else (),
    )


def _stage_rules(case: Case) -> Iterator[Advice]:
    facts = case.facts
    cyto = facts.cyto
    found = case.once(staging)
    groups = GUIDANCE.tables["r2iss_groups"]
    staged = found.iss.word is not None
    unconfirmed = (Phrase("baseline-not-confirmed"),) if staged and _unconfirmed(facts) else ()
    words: dict[str, Fill] = {
        "lab.albumin": _exact(facts.mm.baseline_albumin),
        "lab.ldh": _exact(facts.mm.baseline_ldh),
        "iss_stage": found.iss.word or Phrase("not-known"),
        "riss_stage": found.riss.word or Phrase("not-known"),
    }

    yield Advice(
        rule="MM-010",
        because=found.applies & found.iss.told(),
        fill={**words, "s": found.iss.word or Phrase("not-known")},
        notes=(*_stage_range("iss", found.iss), *unconfirmed),
    )
    yield Advice(
        rule="MM-011",
        because=found.applies & found.iss.told() & found.riss.told(),
        fill={**words, "s": found.riss.word or Phrase("not-known")},
        notes=(*_stage_range("riss", found.riss), *unconfirmed),
    )
    points = found.r2iss.value
    the_group = group(found.r2iss, groups)
    yield Advice(
        rule="MM-012",
        because=all_of(
            (
                found.applies,
                found.iss.told(),
                told(found.ldh_raised),
                told(cyto.del17p),
                told(cyto.t4_14),
                told(cyto.gain1q),
            )
        ),
        fill={
            **words,
            "p": points if points is not None else Phrase("not-known"),
            "g": _group_word(the_group),
            "r2iss_group": _group_word(the_group),
        },
        notes=(*_score_range("r2iss-range", found.r2iss, groups, _group_word), *unconfirmed),
    )


def _unconfirmed(facts: Facts) -> bool:
    used = (facts.mm.b2m, facts.mm.baseline_albumin, facts.mm.baseline_ldh)
    return any(reading.is_known and "baseline-not-confirmed" in reading.flags for reading in used)


def _exact(reading: Reading) -> Fill:
    return reading.rounded if reading.is_known and reading.rounded is not None else Phrase("not-known")


def _stage_range(name: str, stage: Stage) -> tuple[Phrase, ...]:
    if stage.word is not None or (stage.first.unknown and stage.second.unknown and stage.third.unknown):
        return ()
    return (Phrase(f"{name}-range", {"list": tuple(stage.possible)}),)


def _group_word(row: Mapping[str, Any] | None) -> Fill:
    return Phrase("not-known") if row is None else Phrase(f"group-{row['word']}")


def _score_range(
    key: str, score: Tally, table: Sequence[Mapping[str, Any]], word: Callable[[Mapping[str, Any]], Fill]
) -> Iterator[Phrase]:
    """Say what a score with missing items can still be, unless it is told or still can be anything."""
    possible = possible_groups(score, table)
    if score.value is None and len(possible) < len(table):
        yield Phrase(key, {"low": score.lowest, "high": score.highest, "list": tuple(word(row) for row in possible)})


def _risk_rules(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    mm, gene = facts.mm, facts.gene
    smm = case.once(smouldering_risk)
    trend = case.once(evolving)
    tables = GUIDANCE.tables
    ratio: dict[str, Fill] = {"flc_ratio_involved": mm.flcr}

    factors = smm.mayo_2008.value
    yield Advice(
        rule="SMM-001",
        because=smm.applies & smm.mayo_2008.told(),
        fill={**ratio, "n": factors if factors is not None else Phrase("not-known")},
        points=None if smm.mayo_2008.highest == 0 else (0, 1, 3, 4),
    )

    mayo_2018 = group(smm.mayo_2018, tables["mayo_2018_groups"])
    high_by_mayo = smm.mayo_2018.reaches(limits.mayo_2018_high.value)
    yield Advice(
        rule="SMM-002",
        because=smm.applies & group_told(smm.mayo_2018, tables["mayo_2018_groups"]),
        indicator="warning" if high_by_mayo.yes else None,
        fill={
            **ratio,
            "n": _count_of(smm.mayo_2018),
            "risk": Phrase("not-known") if mayo_2018 is None else Phrase(f"risk-{mayo_2018['word']}"),
            "mayo2018_risk": _group_word(mayo_2018),
        },
        notes=tuple(
            _score_range("mayo-2018-range", smm.mayo_2018, tables["mayo_2018_groups"], _group_word)
            if mayo_2018 is None
            else ()
        ),
        proposals=(_haematology("mm.bmpc", "mm.m_protein"),) if high_by_mayo.yes else (),
    )

    imwg_2020 = group(smm.imwg_factors, tables["imwg_2020_groups"])
    four = smm.imwg_factors.value
    yield Advice(
        rule="SMM-003",
        because=smm.applies & smm.imwg_factors.told(),
        fill={
            **ratio,
            "n": four if four is not None else Phrase("not-known"),
            "p": _percent(imwg_2020),
            "imwg2020_factors": four if four is not None else Phrase("not-known"),
            "imwg2020_2y_risk_pct": _percent(imwg_2020),
        },
        notes=tuple(_score_range("imwg-2020-range", smm.imwg_factors, tables["imwg_2020_groups"], _about)),
    )

    score_groups = tables["imwg_score_groups"]
    scored = group(smm.imwg_score, score_groups)
    high_by_score = smm.imwg_score.exceeds(limits.imwg_score_high.value)
    yield Advice(
        rule="SMM-004",
        because=all_of(
            (
                smm.applies,
                smm.imwg_base.told(),
                told(smm.cytogenetics) | (smm.imwg_base.exceeds(limits.imwg_score_high.value)),
            )
        ),
        indicator="warning" if high_by_score.yes else None,
        fill={
            **ratio,
            "s": _points_of(smm.imwg_score),
            "g": _group_word(scored),
            "p": _percent(scored),
            "imwg_score": _points_of(smm.imwg_score),
            "imwg_score_risk": _group_word(scored),
        },
        notes=tuple(_score_notes(facts, smm, score_groups)),
    )

    whole_body: Service = "low-dose-ct" if facts.local.mri_contraindicated.criterion().yes else "mri-whole-body"
    yield Advice(
        rule="SMM-005",
        because=smm.applies & ~known(mm.mri_focal) & ~known(mm.pet_focal_active),
        proposals=(Proposal(action=0, items=(ProposedService(service=whole_body),)),),
    )
    yield Advice(
        rule="SMM-006",
        because=smm.applies & trend.any,
        fill={"flags": tuple(Phrase(f"flag-{change.key}", {"change": change.change}) for change in trend.flagged)},
        notes=tuple(_trend_line(change) for change in trend.changes),
        proposals=(
            Proposal(
                action=0,
                items=(
                    ProposedService(service="m-protein"),
                    ProposedService(service="free-light-chains"),
                    ProposedService(service="blood-count"),
                    ProposedService(service="creatinine"),
                ),
            ),
        ),
    )
    yield Advice(rule="SMM-007", because=smm.applies)
    telling_biology = (gene.kras, gene.nras, gene.myc, mm.circulating_pc)
    yield Advice(rule="SMM-008", because=smm.applies & documented(any_of(telling_biology)))

    yield Advice(
        rule="SMM-009",
        because=smm.applies & (high_by_mayo | high_by_score | case.fired("SMM-006")),
        indicator="warning" if case.fired("SMM-002").yes and high_by_mayo.yes else None,
        fill={"mayo2018_risk": _group_word(mayo_2018), "imwg_score": _points_of(smm.imwg_score)},
        proposals=(_haematology(),),
    )
    not_high = group_told(smm.mayo_2018, tables["mayo_2018_groups"]) & ~high_by_mayo
    yield Advice(
        rule="SMM-010",
        because=smm.applies & not_high & ~case.fired("SMM-006") & ~case.fired("SMM-009"),
        fill={"mayo2018_risk": _group_word(mayo_2018)},
    )


def _haematology(*reasons: str) -> Proposal:
    return Proposal(action=0, items=(ProposedService(service="haematology-consultation"),), reasons=reasons)


def _count_of(score: Tally) -> Fill:
    """Give the count; "≥ 2 of 3" while an item is unknown."""
    if score.value is not None:
        return score.value
    return Phrase("at-least-of", {"n": score.lowest, "of": len(score.items)})


def _points_of(score: Tally) -> Fill:
    """Give the points; a range while an item is unknown."""
    if score.value is not None:
        return score.value
    return Phrase("from-to", {"low": score.lowest, "high": score.highest})


def _percent(row: Mapping[str, Any] | None) -> Fill:
    return Phrase("not-known") if row is None else Decimal(row["two_year_pct"])


def _about(row: Mapping[str, Any]) -> Fill:
    return Phrase("about-percent", {"p": row["two_year_pct"]})


def _score_notes(facts: Facts, smm: SmoulderingRisk, groups: list[dict[str, Any]]) -> Iterator[Phrase]:
    yield from _score_range("imwg-score-range", smm.imwg_score, groups, _group_word)
    only_del17p = facts.cyto.del17p & ~smm.cytogenetics
    if only_del17p.yes and smm.imwg_base.value is not None:
        with_del17p = smm.imwg_base.with_item(
            Item(facts.cyto.del17p.criterion(), Decimal(GUIDANCE.tables["imwg_points"]["cytogenetics"]))
        )
        row = group(with_del17p, groups)
        yield Phrase("score-with-del17p", {"s": with_del17p.lowest, "g": _group_word(row), "p": _percent(row)})


def _trend_line(change: Change) -> Phrase:
    return Phrase(
        f"trend-line-{change.key}",
        {
            "from": change.earlier,
            "from_date": day_of(change.earlier),
            "to": change.newest,
            "to_date": day_of(change.newest),
            "change": change.change,
            "flag": Phrase(
                "flag-set" if change.criterion.yes else "flag-open" if change.criterion.unknown else "flag-not-set"
            ),
        },
    )


# --- values -------------------------------------------------------------------------------------------------


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
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
    if found.iss.word is None:
        return
    yield "iss_stage", found.iss.word
    if found.riss.word is not None:
        yield "riss_stage", found.riss.word
    row = group(found.r2iss, GUIDANCE.tables["r2iss_groups"])
    if found.r2iss.value is not None and row is not None:
        yield "r2iss_points", found.r2iss.value
        yield "r2iss_group", str(row["word"])


def _risk_values(case: Case) -> Iterator[tuple[str, Value]]:
    smm, tables = case.once(smouldering_risk), GUIDANCE.tables
    for key, score in (
        ("mayo2008_factors", smm.mayo_2008),
        ("mayo2018_factors", smm.mayo_2018),
        ("imwg2020_factors", smm.imwg_factors),
        ("imwg_score", smm.imwg_score),
    ):
        if score.value is not None:
            yield key, score.value
    if (row := group(smm.mayo_2018, tables["mayo_2018_groups"])) is not None:
        yield "mayo2018_risk", str(row["word"])
    if smm.imwg_factors.value is not None and (row := group(smm.imwg_factors, tables["imwg_2020_groups"])):
        yield "imwg2020_2y_risk_pct", Decimal(row["two_year_pct"])
    if smm.imwg_base.told().yes and (row := group(smm.imwg_score, tables["imwg_score_groups"])) is not None:
        yield "imwg_score_risk", str(row["word"])
