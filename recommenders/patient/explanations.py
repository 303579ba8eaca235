"""What else than myeloma could explain a CRAB sign: "if attributable", with the causes that the chart names."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.advice import Label, Phrase
from recommenders.patient.myeloma_class import myeloma_class
from recommenders.vocabulary.facts import Finding
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.patient.advice import Case, Fill
    from recommenders.patient.myeloma_class import DefiningEvent
    from recommenders.vocabulary.facts import Fact

GUIDANCE = guidance("myeloma_staging")


@dataclass(frozen=True, slots=True)
class Explanations:
    """The events that are there, and for each (by its letter) what else on record could explain it."""

    events: tuple[DefiningEvent, ...]
    causes: Mapping[str, tuple[Fact, ...]]

    @property
    def explained(self) -> tuple[DefiningEvent, ...]:
        """The events for which something else is on record."""
        return tuple(event for event in self.events if self.causes.get(event.letter))

    @property
    def some(self) -> Criterion:
        """Whether at least one event could have another cause; never unknown."""
        return given(bool(self.explained))

    @property
    def all(self) -> Criterion:
        """Whether each event could have another cause; an event of the marrow, light chains or MRI has none."""
        return given(bool(self.events) and len(self.explained) == len(self.events))

    @property
    def fill(self) -> Mapping[str, Fill]:
        """The signs in question and their other causes, as `{sign}` and `{other_cause}`."""
        signs = tuple(event.shown.short for event in self.explained if event.shown)
        causes = {cause.name: cause for event in self.explained for cause in self.causes[event.letter]}
        return {"sign": signs, "other_cause": tuple(_said(cause) for cause in causes.values())}


def _said(cause: Fact) -> Phrase | Label:
    name = Label(cause.name)
    return name if cause.date is None else Phrase("cause-of-day", {"cause": name, "day": cause.date})


def explanations(case: Case) -> Explanations:
    """Look for other causes of the events that are there; to be asked for as `case.once(explanations)`."""
    events = case.once(myeloma_class).certain_events
    return Explanations(events, {event.letter: causes_of(case, event.letter) for event in events})


def causes_of(case: Case, letter: str) -> tuple[Fact, ...]:
    """
    Give what on record could explain an event, by its letter: anaemia A, kidney R, calcium C, bone B.

    Chronic kidney disease counts only where it is older than the plasma-cell disorder by at least 90 days; a ferritin
    below the laboratory's own limit counts as lack of iron.
    """
    facts = case.facts
    paths: list[str] = GUIDANCE.tables["other_causes"].get(letter, [])
    named = [fact for path in paths if isinstance(fact := facts.fact(path), Finding) and fact.value is True]
    if letter == "B":
        # another cancer explains a hole in the bone only where it has gone there
        return tuple(named) if facts.dx.bone_met.value is True else ()
    older = tuple(fact for fact in named if fact.name != facts.cause.ckd.name or _is_older(case, fact))
    ferritin = facts.lab.ferritin
    low = ferritin.reference_low is not None and (ferritin < ferritin.reference_low).yes
    return (*older, ferritin) if letter == "A" and low else older


def _is_older(case: Case, disease: Finding) -> bool:
    facts = case.facts
    days = [fact.date for fact in (facts.dx.mm, facts.dx.smm, facts.dx.mgus, facts.mm.onset_date) if fact.date]
    days += [
        result.date for path in ("mm.m_protein", "mm.kappa") for result in facts.series.get(path, ()) if result.date
    ]
    if disease.date is None or not days:
        return False
    return min(days) - disease.date >= dt.timedelta(int(case.limits(GUIDANCE).kidney_disease_before.value))
