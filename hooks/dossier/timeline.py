"""One time axis of a patient: doses, radiotherapy, operations and events as marks, laboratory series under them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.wording import SIGNS, fixed, label, number, unit
from hooks.dossier.reading import said
from hooks.dossier.texts import texts
from hooks.reference.safe import plain
from recommenders.patient.series import history
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.facts import Reading, replace
from recommenders.vocabulary.guidance import Limit, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.logic import Condition, Criterion

SERIES = (
    "lab.ca_corr",
    "lab.ca_total",
    "lab.creatinine",
    "lab.crcl",
    "mm.m_protein",
    "mm.kappa",
    "mm.lambda_",
    "mm.flcr",
    "lab.hb",
)
"""The laboratory series that are drawn, in their order."""

MOST_LIMITS = 4
"""Limit lines of one series: the nearest above and below its newest result; all of them stand in the table."""

STATES = ("fired", "suppressed", "superseded", "undecided", "not met")


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened on a day, or from a day to another one; `planned` for a draft order."""

    day: dt.date
    text: str
    until: dt.date | None = None
    planned: bool = False
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """Marks of one kind; `kind` is dose, radiotherapy, operation, event or imaging; `last` says when the last was."""

    kind: str
    title: str
    marks: tuple[Mark, ...]
    last: str


@dataclass(frozen=True, slots=True)
class Look:
    """One rule's look at a result: which sign and limit it asked about, and whether that held."""

    rule: str
    asked: str
    holds: str
    state: str


@dataclass(frozen=True, slots=True)
class Point:
    """One result: its day, its height on the chart, how it is written, and the rules that looked at it."""

    day: dt.date
    height: float
    text: str
    looks: tuple[Look, ...] = ()
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """
    One limit: its height, its direction ("<"), how it is written, who says so, and which rules ask about it.

    `crossed` says that the comparison holds for the value that a rule which holds looked at.
    """

    height: float
    sign: str
    text: str
    source: str
    where: str
    rules: tuple[str, ...]
    crossed: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One laboratory series ready to be drawn; `lines` are drawn, `limits` are all that rules ask about."""

    path: str
    title: str
    unit: str
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    limits: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The axis from its first to its last day (the day of the evaluation), with what stands on it."""

    first: dt.date
    last: dt.date
    lanes: tuple[Lane, ...]
    panels: tuple[Panel, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.lanes and not self.panels


def timeline_of(assessment: Assessment, speaker: Speaker, series: Mapping[str, Sequence[Reading]]) -> Timeline:
    """
    Put what happened and what was measured on one axis; what has no day is not on it.

    `series` are all earlier results by fact path; those that the rules had are only what they can need.
    """
    told = replace(assessment.facts, series={path: tuple(found) for path, found in series.items()})
    lanes = tuple(_lanes(assessment, speaker))
    looked = _looked_at(assessment)
    drawn = {path: panel for path in SERIES if (panel := _panel(path, told, speaker, looked)) is not None}
    if "lab.ca_corr" in drawn and len(drawn.get("lab.ca_total", drawn["lab.ca_corr"]).points) == 1:
        drawn.pop("lab.ca_total", None)  # a single total calcium says nothing beside the corrected one
    panels = tuple(drawn.values())
    days = [mark.day for lane in lanes for mark in lane.marks] + [p.day for panel in panels for p in panel.points]
    first = min(days, default=assessment.as_of)
    last = max([assessment.as_of, *days])
    return Timeline(min(first, last - dt.timedelta(90)), last, lanes, panels)


# --- marks --------------------------------------------------------------------------------------------------


def _lanes(assessment: Assessment, speaker: Speaker) -> Iterator[Lane]:
    t = texts(speaker.language)
    marks: dict[tuple[str, str], list[Mark]] = {}
    for title, mark in _doses(assessment, speaker):
        marks.setdefault(("dose", title), []).append(mark)
    for kind, mark in _events(assessment, speaker):
        marks.setdefault((kind, t[f"lane_{kind}"]), []).append(mark)
    for (kind, title), found in marks.items():
        found.sort(key=lambda mark: mark.day)
        past = [mark for mark in found if not mark.planned]
        last = t["last_on"].format(day=speaker.day(past[-1].until or past[-1].day)) if past else ""
        yield Lane(kind, title, tuple(found), last)


def _doses(assessment: Assessment, speaker: Speaker) -> Iterator[tuple[str, Mark]]:
    t = texts(speaker.language)
    titles: dict[str, str] = {}
    for course in assessment.facts.courses:
        title = titles.setdefault(course.drug, said(speaker, course.drug))
        for dose in course.doses:
            mg = dose.mg or course.dose_mg
            text = f"{title}{f' {number(mg)} mg' if mg is not None else ''} ({t['dose_' + dose.kind]})"
            yield title, Mark(dose.date, text, planned=dose.kind == "order-date", resources=dose.resources)
    for order in assessment.facts.orders:
        if order.is_bma and order.drug is not None:
            title = titles.setdefault(order.drug, said(speaker, order.drug))
            dose_text = plain(speaker.value(order.dose_mg)) if order.dose_mg.is_known else ""
            text = t["drafted"].format(what=f"{title} {dose_text}".strip())
            yield title, Mark(order.starts or assessment.as_of, text, planned=True, resources=(order.reference,))


def _events(assessment: Assessment, speaker: Speaker) -> Iterator[tuple[str, Mark]]:
    kinds = {"bone-radiotherapy": "radiotherapy", "bone-surgery": "operation"}
    for event in assessment.facts.sre:
        day = event.start or event.date
        if day is None:
            continue
        text = said(speaker, event.type, event.side, event.site)
        if event.dose_gy is not None:
            text += f", {number(event.dose_gy)} Gy" + (f" / {event.fractions}" if event.fractions else "")
        until = event.date if event.date is not None and event.date > day else None
        yield kinds.get(event.type, "event"), Mark(day, text, until, resources=event.resources)
    for study in assessment.facts.studies:
        if study.date is not None:
            text = said(speaker, study.modality, study.site, study.result)
            yield "imaging", Mark(study.date, text, resources=study.resources)


# --- series -------------------------------------------------------------------------------------------------

Looked = dict[tuple[str, str], list[tuple["Verdict", "Condition"]]]


def _looked_at(assessment: Assessment) -> Looked:
    """Which conditions of which rules look at which reading, by the fact's name and unit (calcium has two)."""
    found: Looked = {}
    for verdict in sorted(assessment.verdicts.values(), key=lambda one: STATES.index(one.state)):
        for condition in _conditions(verdict.criterion):
            if isinstance(condition.evidence, Reading) and condition.relation in SIGNS:
                found.setdefault((condition.fact, condition.evidence.unit), []).append((verdict, condition))
    return found


def _conditions(criterion: Criterion) -> Iterator[Condition]:
    if criterion.condition is not None:
        yield criterion.condition
    for part in criterion.parts:
        yield from _conditions(part)


def _panel(path: str, facts: Facts, speaker: Speaker, looked: Looked) -> Panel | None:
    spec = DICTIONARY[path]
    looks = looked.get((spec.name, spec.unit), [])
    points = tuple(
        Point(
            reading.date,
            height,
            fixed(reading),
            _looks(reading, looks, speaker),
            reading.resources,
        )
        for reading in history(facts, path)
        if reading.date is not None and reading.date <= facts.as_of and (height := _height(reading)) is not None
    )
    if not points:
        return None
    limits = _limits(looks, speaker)
    return Panel(
        path,
        plain(label(spec.name, speaker.language)),
        unit(spec.unit, speaker.language),
        points,
        _nearest(limits, points),
        limits,
    )


def _height(reading: Reading) -> float | None:
    """Where a result is drawn: an interval at the end that is told."""
    for value in (reading.rounded, reading.high if reading.low == 0 else reading.low, reading.high):
        if value is not None:
            return float(value)
    return None


def _looks(reading: Reading, looks: Sequence[tuple[Verdict, Condition]], speaker: Speaker) -> tuple[Look, ...]:
    found: dict[tuple[str, str], Look] = {}
    for verdict, condition in looks:
        seen = condition.evidence
        if isinstance(seen, Reading) and (seen.date, seen.low, seen.high) == (reading.date, reading.low, reading.high):
            asked = f"{SIGNS[condition.relation]} {plain(speaker.limit(condition.limit))}"
            holds = {True: "yes", False: "no", None: "unknown"}[condition.holds]
            found.setdefault((verdict.rule, asked), Look(verdict.rule, asked, holds, verdict.state))
    return tuple(found.values())


def _limits(looks: Sequence[tuple[Verdict, Condition]], speaker: Speaker) -> tuple[Line, ...]:
    """The limits that rules ask about; one line for a number and direction, with all the rules that ask."""
    found: dict[tuple[float, str], Line] = {}
    for verdict, condition in looks:
        limit = condition.limit
        if not isinstance(limit, Limit):
            continue
        key = (float(limit.value), SIGNS[condition.relation])
        crossed = verdict.state == "fired" and condition.holds is True
        if key in found:
            rules = tuple(dict.fromkeys((*found[key].rules, verdict.rule)))
            found[key] = replace(found[key], rules=rules, crossed=crossed or found[key].crossed)
            continue
        source = sources()[limit.source].label.text(speaker.language)
        text = number(limit.value)
        found[key] = Line(key[0], key[1], text, source, limit.where, (verdict.rule,), crossed)
    return tuple(sorted(found.values(), key=lambda line: line.height))


def _nearest(limits: Sequence[Line], points: Sequence[Point]) -> tuple[Line, ...]:
    """The limits to draw: those that are crossed first, then the nearest to the newest result."""
    newest = points[-1].height
    by_height: Mapping[float, Line] = {line.height: line for line in sorted(limits, key=lambda line: line.crossed)}
    ranked = sorted(by_height.values(), key=lambda line: (not line.crossed, abs(line.height - newest)))
    return tuple(sorted(ranked[:MOST_LIMITS], key=lambda line: line.height))
