"""The multidisciplinary team: who is discussed there, and what changed since the last time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.fracture_risk import threatening_fractures
from recommenders.patient.lesions import happened_within
from recommenders.patient.services import all_asked, ask
from recommenders.patient.surgery import diagnoses, surgical_class
from recommenders.vocabulary.facts import Moment, known
from recommenders.vocabulary.later import Later
from recommenders.vocabulary.logic import Criterion, any_of, documented, given
from recommenders.working_up.parts import GUIDANCE, is_new, named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Proposal


EVENTS = ("pathological-fracture", "spinal-cord-compression", "hypercalcaemia")
"""Skeletal events that ask for the team; radiotherapy and surgery are what it agreed on."""


def team(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, mdt = facts.dx, facts.mdt
    lung_with_bone = dx.lung_cancer & documented(dx.bone_met)
    event_active = happened_within(facts, EVENTS, limits.event_active)
    urgent_surgery = given(surgical_class(case) == "urgent-review")
    fracture_threatens = case.fired("MIRELS-003") | case.fired("MIRELS-004")
    cord_threatened = documented(facts.spine.escc.one_of("1c", "2", "3"))
    soon = (event_active | urgent_surgery).yes
    conference = (ask("request-an-mdt-discussion", "mdt-conference", diagnoses(case), urgent=soon),)
    pressing = any_of((event_active, urgent_surgery, fracture_threatens, cord_threatened))

    yield Advice(
        rule="MDT-001",
        because=lung_with_bone | pressing,
        unless=mdt.last_date.within(limits.mdt_due, facts.as_of) | all_asked(case, conference),
        fill=Later(lambda: {"reasons": tuple(_team_reasons(case))}),
        holds={"only-lung": ~documented(pressing), "no-team": documented(~mdt.available)},
        new=is_new(case, dx.bone_met),
        proposals=conference,
    )

    if case.may_hold(known(mdt.last_date)):
        yield from _changed(case, conference)
    yield Advice(rule="MDT-003", because=case.fired("MDT-001") & documented(~mdt.available))
    yield Advice(rule="MDT-004", because=lung_with_bone)
    yield Advice(
        rule="MDT-005",
        because=dx.lung_cancer & documented(facts.therapy.prior_lines >= limits.refractory_lines),
    )


def _changed(case: Case, conference: tuple[Proposal, ...]) -> Iterator[Advice]:
    """MDT-002: what the last discussion cannot have known."""
    facts, mdt = case.facts, case.facts.mdt
    changes = tuple(_changes_since_meeting(case))
    newest = max(
        (change for change in changes if change[1].yes), key=lambda one: one[2] or facts.as_of.min, default=None
    )
    yield Advice(
        rule="MDT-002",
        because=known(mdt.last_date) & any_of(change for _, change, _ in changes),
        unless=all_asked(case, conference, newest[2] if newest else None),
        fill={
            "change": Phrase(newest[0]) if newest else "",
            "change_date": (newest[2] if newest else None) or Phrase("unknown-day"),
        },
        new=given(newest is not None and newest[2] is not None)
        & given(
            newest is not None
            and newest[2] is not None
            and (facts.as_of - newest[2]).days <= case.limits(COMMON).result_is_new.value
        ),
        proposals=conference,
    )


def _team_reasons(case: Case) -> Iterator[Fill]:
    """Give what asks for the team, each in a word."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    for event in facts.skeletal_events:
        if event.type in EVENTS and event.date and (facts.as_of - event.date).days <= limits.event_active.value:
            yield Phrase(f"event-{event.type}", {"day": event.date})
    for risk in threatening_fractures(case):
        yield Phrase("mirels", {"n": risk.score.lowest, "site": named(risk.lesion.bone)})
    grade = facts.spine.escc
    if grade.value in {"1c", "2", "3"}:
        yield Phrase("escc", {"grade": str(grade.value)})


def _changes_since_meeting(case: Case) -> Iterator[tuple[str, Criterion, dt.date | None]]:
    """
    Yield what the last MDT discussion cannot have known, each with the day it is dated.

    Earlier fracture-risk and cord classes are not on record as a series: a high class recorded after the
    meeting counts as risen.
    """
    facts = case.facts
    meeting = facts.mdt.last_date.date
    progression = facts.local.disease_progression

    def later(day: dt.date | None) -> Criterion:
        return given(meeting is not None and day is not None and day > meeting)

    trends = [x for x in facts.lesions if x.trend.is_known]
    progressing = [x.trend.is_("progressing") & later(x.trend.date or x.date) for x in trends]
    days = [
        progression.date,
        *(x.trend.date or x.date for x, found in zip(trends, progressing, strict=True) if found.yes),
    ]
    yield (
        "change-progression",
        any_of((documented(progression) & later(progression.date), *progressing)),
        max((day for day in days if day is not None), default=None),
    )
    events = [event for event in facts.skeletal_events if later(event.date).yes]
    moments = [Moment(name="sre[].date", date=e.date, reason=None, resources=e.resources) for e in events]
    yield (
        "change-event",
        any_of(known(moment) for moment in moments),
        max((e.date for e in events if e.date), default=None),
    )
    risks = [risk for risk in threatening_fractures(case) if later(risk.total.date).yes]
    yield (
        "change-fracture-risk",
        any_of(later(risk.total.date) for risk in risks),
        max((risk.total.date for risk in risks if risk.total.date), default=None),
    )
    grade = facts.spine.escc
    yield "change-cord", documented(grade.one_of("1c", "2", "3")) & later(grade.date), grade.date
