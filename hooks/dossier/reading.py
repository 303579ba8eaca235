"""What was read of a chart: facts with their resources, lists, what was not used and why, what never came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.wording import frame, has_phrase, number, word
from hooks.dossier.texts import texts
from hooks.dossier.trees import why_unknown
from hooks.reference.safe import plain

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping

    from fhir_mapping.chart import Mapped
    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Course, Event, Order, Study

OF_LESIONS = ("site", "type", "cortical_fraction", "size", "pain", "nature", "soft_tissue_mass", "trend")


@dataclass(frozen=True, slots=True)
class FactRow:
    """
    One fact for the table.

    `state` is found, missing (with the reason as `remark`), or silent: taken as no or none because a list that
    came does not mention it. `codes` are what was matched to read it.
    """

    name: str
    label: str
    value: str
    date: str
    resources: str
    remark: str
    codes: str
    state: str


@dataclass(frozen=True, slots=True)
class ListRow:
    """One entry of a list of the chart: a drug over time, an event, a study, an order."""

    kind: str
    what: str
    date: str
    resources: str


@dataclass(frozen=True, slots=True)
class NoteRow:
    """Why resources were not used, or not as they came; equal reasons stand together."""

    reason: str
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """
    All that is told of the data.

    `undelivered` names the lists that did not come with the call, `cut` those of which only a part came; `losses` are
    codes that no rule reads and that may well carry a fact, each with the line for the site's mapping.
    """

    facts: tuple[FactRow, ...] = ()
    lists: tuple[ListRow, ...] = ()
    notes: tuple[NoteRow, ...] = ()
    undelivered: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    losses: tuple[tuple[str, str], ...] = ()

    def of(self, state: str) -> list[FactRow]:
        """Give the facts in a state."""
        return [row for row in self.facts if row.state == state]


def data_of(mapped: Mapped, assessment: Assessment, speaker: Speaker, losses: Iterable[tuple[str, str]] = ()) -> Data:
    """Give what was read, what was not used, and what never came; `losses` as in `Data`."""
    reasons: dict[str, list[str]] = {}
    for note in mapped.notes:
        reasons.setdefault(note.reason, []).append(note.resource)
    return Data(
        facts=tuple(_facts(mapped, assessment, speaker)),
        lists=tuple(_lists(assessment, speaker)),
        notes=tuple(NoteRow(reason, tuple(dict.fromkeys(names))) for reason, names in reasons.items()),
        undelivered=tuple(sorted(assessment.facts.unavailable)),
        cut=tuple(sorted(assessment.facts.cut)),
        losses=tuple(losses),
    )


def _facts(mapped: Mapped, assessment: Assessment, speaker: Speaker) -> Iterator[FactRow]:
    codes: dict[str, list[str]] = {}
    for used in mapped.used:
        if used.code:
            codes.setdefault(used.fact, []).append(f"{used.system}|{used.code}" if used.system else used.code)
    for spec, fact in assessment.facts.known_facts():
        yield _fact_row(spec.path, fact, speaker, (), codes.get(spec.path, ()))
    for place, lesion in enumerate(assessment.facts.lesions, 1):
        for name in OF_LESIONS:
            yield _fact_row(f"lesions[{place}].{name}", getattr(lesion, name), speaker, lesion.resources)


def _fact_row(
    name: str, fact: Fact, speaker: Speaker, resources: tuple[str, ...] = (), codes: Iterable[str] = ()
) -> FactRow:
    state = "found" if fact.is_known else "missing"
    if fact.is_known and not (fact.resources or resources or fact.flags):
        state = "silent"
    return FactRow(
        name=name,
        label=plain(speaker.labels((fact.name,))),
        value=plain(speaker.value(fact)),
        date=_day(fact.date),
        resources=", ".join(fact.resources or (resources if state == "found" else ())),
        remark=_remark(fact, speaker),
        codes=", ".join(dict.fromkeys(codes)),
        state=state,
    )


def _remark(fact: Fact, speaker: Speaker) -> str:
    """Say how a fact was sent and where it comes from, or why it is unknown."""
    if not fact.is_known:
        return why_unknown(fact, speaker)
    flags = (plain(frame(flag, speaker.language)) for flag in fact.flags if has_phrase(flag))
    return speaker.listed([part for part in (fact.sent or "", *flags) if part])


def _day(day: dt.date | None) -> str:
    return day.isoformat() if day else ""


# --- lists --------------------------------------------------------------------------------------------------


def _lists(assessment: Assessment, speaker: Speaker) -> Iterator[ListRow]:
    facts, t = assessment.facts, texts(speaker.language)
    for course in facts.courses:
        yield _course(course, speaker, t)
    for event in facts.sre:
        yield _event(event, speaker, t)
    for study in facts.studies:
        yield _study(study, speaker, t)
    for order in facts.orders:
        yield _order(order, speaker, t)


def said(speaker: Speaker, *words: str | None) -> str:
    """Say some words of closed lists, joined as a list."""
    t = texts(speaker.language)
    return speaker.listed([t.get(f"word_{each}") or plain(word(each, speaker.language)) for each in words if each])


def _course(course: Course, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    last = course.last_dose
    parts = [said(speaker, course.drug, course.status)]
    if course.dose_mg is not None:
        parts.append(f"{number(course.dose_mg)} mg")
    if last is not None:
        parts.append(f"{t['last_dose']} {last.date.isoformat()} ({t['dose_' + last.kind]})")
    span = " – ".join(day for day in (_day(course.started), _day(course.ended)) if day)
    return ListRow(t["list_course"], speaker.listed(parts), span, ", ".join(course.resources))


def _event(event: Event, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    parts = [said(speaker, event.type, event.side, event.site)]
    if event.dose_gy is not None:
        parts.append(f"{number(event.dose_gy)} Gy" + (f" / {event.fractions}" if event.fractions else ""))
    return ListRow(t["list_event"], speaker.listed(parts), _day(event.date), ", ".join(event.resources))


def _study(study: Study, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    told = said(speaker, study.modality, study.site, study.result)
    return ListRow(t["list_study"], told, _day(study.date), ", ".join(study.resources))


def _order(order: Order, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    parts = [order.label or "?", said(speaker, *order.kinds)]
    told = (order.dose_mg, order.daily_mg, order.dose_mg_m2, order.interval_days, order.infusion_min, order.route)
    parts += [f"{plain(speaker.labels((each.name,)))}: {plain(speaker.value(each))}" for each in told if each.is_known]
    return ListRow(t["list_order"], speaker.listed(parts), _day(order.starts), order.reference)
