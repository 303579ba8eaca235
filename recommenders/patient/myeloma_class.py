"""Which plasma-cell disorder the chart speaks of: the myeloma-defining events, and the class that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recommenders.patient.advice import Phrase
from recommenders.patient.derived import derive
from recommenders.patient.precautions import trimmed
from recommenders.patient.series import history
from recommenders.vocabulary.facts import Finding, Reading
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import YES, Condition, Criterion, all_of, any_of, documented, leaf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.guidance import Limits

GUIDANCE = guidance("myeloma_staging")

ClassWord = Literal["active-mm", "smm", "mgus", "undetermined"]

# --- myeloma-defining events --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arm:
    """One way in which an event can be there: the phrase that says so, what must hold, and the value shown."""

    key: str
    criterion: Criterion
    value: Reading
    beside: Reading | None = None

    @property
    def short(self) -> Phrase:
        """The event in a few words, with its value."""
        fill: dict[str, Fill] = {"value": trimmed(self.value)}
        beside: dict[str, Fill] = {} if self.beside is None else {"beside": trimmed(self.beside)}
        return Phrase(f"event-{self.key}", {**fill, **beside})


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


def events_of(case: Case) -> tuple[DefiningEvent, ...]:
    """Give the myeloma-defining events of IMWG 2014, in the order C, R, A, B, S, Li, M (rule MM-002)."""
    limits, facts = case.limits(GUIDANCE), case.once(over_months)
    mm = facts.mm

    lytic = mm.lytic_lesions >= limits.mde_lytic_lesions
    chains = (mm.flcr >= limits.mde_light_chain_ratio) & (mm.flc_involved >= limits.mde_light_chain_involved)
    return (
        DefiningEvent("C", tuple(_calcium(facts, limits))),
        DefiningEvent("R", tuple(_kidneys(facts, limits))),
        DefiningEvent("A", tuple(_anaemia(facts, limits))),
        DefiningEvent("B", (Arm("lytic", lytic, mm.lytic_lesions),)),
        DefiningEvent("S", (Arm("marrow", mm.bmpc >= limits.mde_marrow, mm.bmpc),)),
        DefiningEvent("Li", (Arm("light-chains", chains, mm.flcr, mm.flc_involved),)),
        DefiningEvent("M", (Arm("mri", mm.mri_focal > limits.mde_mri_focal, mm.mri_focal),)),
    )


def over_months(case: Case) -> Facts:
    """
    Give the facts with the newest calcium, albumin, creatinine and haemoglobin of the last 120 days.

    What is too old for a dose still tells whether a slow disease has come to an event: the window is that of M-protein
    and light chains. A newest result that cannot be used for another reason is not passed over for an older one.
    """
    facts, span = case.facts, case.limits(GUIDANCE).event_window
    found: dict[str, Fact] = {}
    for path in GUIDANCE.tables["events"]["lasting"]:
        if facts.fact(path).reason == "stale":
            last = next(reversed(history(facts, path)), None)
            if last is not None and last.within(span, facts.as_of).yes:
                found[path] = last
    return derive(facts.with_facts(found), case.site) if found else facts


def _calcium(facts: Facts, limits: Limits) -> Iterator[Arm]:
    corrected, upper = facts.lab.ca_corr, facts.lab.ca_uln.rounded
    yield Arm("calcium", _unless_uncorrected(corrected > limits.mde_calcium, facts), corrected)
    if facts.lab.ca_uln.is_known and upper is not None:
        above_range = corrected > upper + limits.mde_calcium_above_upper.value
        yield Arm("calcium", _unless_uncorrected(above_range, facts), corrected)


def _unless_uncorrected(raised: Criterion, facts: Facts) -> Criterion:
    """Leave it open, where albumin is not known, whether a calcium that looks normal is."""
    if not (raised.no and "uncorrected" in facts.lab.ca_corr.flags):
        return raised
    albumin = facts.lab.albumin
    return raised | leaf(Condition(albumin.name, "known", None, albumin, None))


def _kidneys(facts: Facts, limits: Limits) -> Iterator[Arm]:
    lab = facts.lab
    if lab.egfr.is_known and not lab.crcl.is_known:  # IMWG allows a measured or an estimated clearance
        yield Arm("egfr", lab.egfr < limits.mde_egfr, lab.egfr)
    else:
        yield Arm("clearance", lab.crcl < limits.mde_clearance, lab.crcl)
    high = lab.creatinine > limits.mde_creatinine
    clearance_told = lab.egfr.is_known or lab.crcl.is_known
    yield Arm("creatinine", documented(high) if clearance_told else high, lab.creatinine)


def _anaemia(facts: Facts, limits: Limits) -> Iterator[Arm]:
    hb = facts.lab.hb
    yield Arm("anaemia", hb < limits.mde_haemoglobin, hb)
    if hb.is_known and hb.reference_low is not None:
        yield Arm("anaemia", hb < hb.reference_low - limits.mde_haemoglobin_below_lower.value, hb)


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
    def certain_events(self) -> tuple[DefiningEvent, ...]:
        """The events that are certainly there."""
        return tuple(event for event in self.events if event.criterion.yes)

    @property
    def no_event(self) -> Criterion:
        """Whether every event is known to be absent."""
        return ~any_of(event.criterion for event in self.events)

    @property
    def unknown_events(self) -> tuple[DefiningEvent, ...]:
        """The events of which it cannot be told whether they are there."""
        return tuple(event for event in self.events if event.criterion.unknown)


def plasma_cell_disorder(case: Case) -> Criterion:
    """Tell whether anything on record speaks of a plasma-cell disorder; else nobody is asked for marrow or MRI."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm = facts.dx, facts.mm
    return any_of(
        (
            dx.mm,
            dx.smm,
            dx.mgus,
            dx.plasmacytoma,
            dx.pcl,
            documented(mm.plasmacytoma_biopsy),
            documented(mm.bmpc >= limits.clonal_marrow),
            documented(mm.m_protein > limits.m_protein_none),
            documented(mm.urine_m_protein >= limits.smm_urine_m_protein),
        )
    )


def may_have_plasma_cells(case: Case) -> bool:
    """Tell whether rules on plasma-cell disorders could be anything but "not met" here."""
    return not case.once(plasma_cell_disorder).no


def myeloma_class(case: Case) -> MyelomaClass:
    """Work out the class; to be asked for as `case.once(myeloma_class)`."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mm = facts.dx, facts.mm
    events = events_of(case)
    any_event = any_of(event.criterion for event in events)
    no_event = ~any_event
    concerned = case.once(plasma_cell_disorder)
    if concerned.yes:
        concerned = YES  # what brought somebody here is no reason for the class

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
