"""Looks into one call: what was found, what was not, and how each rule came out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hooks.cards.cards import answer
from hooks.cards.identity import CallIdentity
from hooks.cards.undecided import missing_lines
from hooks.cards.wording import LANGUAGES, SIGNS, Language, Speaker, has_phrase, number, word
from hooks.cards.wording import frame as frame_phrase
from hooks.console.texts import texts
from hooks.errors import Refused
from hooks.reference.explaining import not_looked_at
from hooks.reference.safe import plain
from hooks.services import find_services
from recommenders.vocabulary.facts import Fact

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping
    from decimal import Decimal

    from fhir_mapping.chart import Mapped
    from fhir_mapping.delivery.context import Note
    from hooks.views import Desk
    from recommenders.assessing.assessment import Assessment
    from recommenders.vocabulary.logic import Condition, Criterion
    from recommenders.vocabulary.records import Course, Event, Order, Study


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
class Branch:
    """One node of a verdict tree: what joins its parts, or a condition in words, and how it came out."""

    holds: str
    text: str
    parts: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule with its verdict and the tree behind it."""

    rule: str
    summary: str
    state: str
    recommender: str
    lacks: str
    changes: tuple[str, ...]
    trees: tuple[Branch, ...]


@dataclass(slots=True)
class Inspection:
    """All that the console shows beside the answer itself; `refusal` when the call could not be judged."""

    refusal: str | None = None
    assessment: Assessment | None = None
    facts: list[FactRow] = field(default_factory=list)
    lists: list[ListRow] = field(default_factory=list)
    rules: list[RuleRow] = field(default_factory=list)
    not_looked_at: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    other: Mapping[str, Any] | None = None

    def of(self, state: str) -> list[FactRow]:
        """Give the facts in a state."""
        return [row for row in self.facts if row.state == state]


def inspect(desk: Desk, body: bytes, services: Mapping[str, str], language: Language) -> Inspection:
    """Judge a request as the service does, and keep what there is to see. A refused call says why."""
    found = Inspection()
    try:
        service = find_services(desk.services, services.get(_hook_of(body), next(iter(services.values()), "")))
        chosen, judged = desk.judge(body, service)
    except Refused as refused:
        found.refusal = refused.diagnostics
        return found
    assessment = judged.assessment
    found.assessment = assessment
    found.notes = list(judged.mapped.notes)
    found.unavailable = sorted(assessment.facts.unavailable)
    identity = CallIdentity(chosen.id, judged.call.hook, judged.call.hook_instance, judged.call.patient_id)
    other = next(name for name in LANGUAGES if name != language)
    found.other = answer(assessment, judged.mapped.notes, language=other, call=identity, drafts=judged.mapped.drafts)
    speaker = Speaker(assessment, language)
    found.facts = list(_facts(judged.mapped, assessment, speaker))
    found.lists = list(_lists(assessment, speaker))
    found.rules = list(_rules(assessment, speaker))
    found.not_looked_at = list(not_looked_at(judged))
    return found


def _hook_of(body: bytes) -> str:
    """Give the hook that a text names, only to choose the service; the real reading is the protocol's."""
    try:
        hook = json.loads(body).get("hook")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return hook if isinstance(hook, str) else ""


# --- facts --------------------------------------------------------------------------------------------------


def _facts(mapped: Mapped, assessment: Assessment, speaker: Speaker) -> Iterator[FactRow]:
    codes: dict[str, list[str]] = {}
    for used in mapped.used:
        if used.code:
            codes.setdefault(used.fact, []).append(f"{used.system}|{used.code}" if used.system else used.code)
    for spec, fact in assessment.facts.known_facts():
        yield _fact_row(spec.path, fact, speaker, (), codes.get(spec.path, ()))
    for place, lesion in enumerate(assessment.facts.lesions, 1):
        for name in ("site", "type", "cortical_fraction", "size", "pain", "nature", "soft_tissue_mass", "trend"):
            yield _fact_row(f"lesions[{place}].{name}", getattr(lesion, name), speaker, lesion.resources)


def _fact_row(
    name: str, fact: Fact, speaker: Speaker, resources: tuple[str, ...] = (), codes: Iterable[str] = ()
) -> FactRow:
    state = "found" if fact.is_known else "missing"
    if fact.is_known and not (fact.resources or resources or fact.flags):
        state = "silent"
    return FactRow(
        name=name,
        label=speaker.labels((fact.name,)),
        value=plain(speaker.value(fact)),
        date=_day(fact.date),
        resources=", ".join(fact.resources or (resources if state == "found" else ())),
        remark=_remark(fact, speaker),
        codes=", ".join(dict.fromkeys(codes)),
        state=state,
    )


def _remark(fact: Fact, speaker: Speaker) -> str:
    """Say how a fact was sent and where it comes from, or why it is unknown."""
    t = texts(speaker.language)
    if fact.is_known:
        parts = [fact.sent or "", *(frame_phrase(flag, speaker.language) for flag in fact.flags if has_phrase(flag))]
        return speaker.listed([part for part in parts if part])
    told = speaker.why_unknown(fact)
    if told:
        return plain(told)
    why = t.get(f"why_{fact.reason}", str(fact.reason))
    return f"{why} ({speaker.labels(fact.lacks)})" if fact.lacks else why


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


def _said(speaker: Speaker, *words: str | None) -> str:
    t = texts(speaker.language)
    return speaker.listed([t.get(f"word_{each}") or plain(word(each, speaker.language)) for each in words if each])


def _course(course: Course, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    last = course.last_dose
    parts = [_said(speaker, course.drug, course.status)]
    if course.dose_mg is not None:
        parts.append(f"{number(course.dose_mg)} mg")
    if last is not None:
        parts.append(f"{t['last_dose']} {last.date.isoformat()} ({t['dose_' + last.kind]})")
    span = " – ".join(day for day in (_day(course.started), _day(course.ended)) if day)
    return ListRow(t["list_course"], speaker.listed(parts), span, ", ".join(course.resources))


def _event(event: Event, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    parts = [_said(speaker, event.type, event.site)]
    if event.dose_gy is not None:
        parts.append(f"{number(event.dose_gy)} Gy" + (f" / {event.fractions}" if event.fractions else ""))
    return ListRow(t["list_event"], speaker.listed(parts), _day(event.date), ", ".join(event.resources))


def _study(study: Study, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    return ListRow(
        t["list_study"],
        _said(speaker, study.modality, study.site, study.result),
        _day(study.date),
        ", ".join(study.resources),
    )


def _order(order: Order, speaker: Speaker, t: Mapping[str, str]) -> ListRow:
    parts = [order.label or "?", _said(speaker, *order.kinds)]
    told = (order.dose_mg, order.daily_mg, order.dose_mg_m2, order.interval_days, order.infusion_min, order.route)
    parts += [f"{speaker.labels((each.name,))}: {plain(speaker.value(each))}" for each in told if each.is_known]
    return ListRow(t["list_order"], speaker.listed(parts), _day(order.starts), order.reference)


# --- rules --------------------------------------------------------------------------------------------------

ORDER_OF_STATES = ("fired", "undecided", "suppressed", "superseded", "not met")


def _rules(assessment: Assessment, speaker: Speaker) -> Iterator[RuleRow]:
    rows = sorted(assessment.verdicts.values(), key=lambda verdict: ORDER_OF_STATES.index(verdict.state))
    for verdict in rows:
        changes = missing_lines(verdict, speaker) if verdict.state == "undecided" else ()
        yield RuleRow(
            verdict.rule,
            plain(speaker.summary(verdict.advices[0], verdict.topic.guidance)),
            verdict.state.replace(" ", "_"),
            frame_phrase(verdict.recommender, speaker.language, "recommenders"),
            speaker.labels(verdict.missing),
            tuple(dict.fromkeys(plain(text) for _, text in changes)),
            tuple(_branch(advice.whole, speaker) for advice in verdict.advices),
        )


def _branch(criterion: Criterion, speaker: Speaker) -> Branch:
    holds = {True: "yes", False: "no", None: "unknown"}[criterion.holds]
    if criterion.condition is not None:
        return Branch(holds, _condition(criterion.condition, speaker))
    joined = texts(speaker.language)[f"op_{criterion.op}"]
    return Branch(holds, joined, tuple(_branch(part, speaker) for part in criterion.parts))


def _condition(condition: Condition, speaker: Speaker) -> str:
    """Say a condition with what it was compared with, also where the fact is unknown."""
    said = plain(speaker.condition(condition))
    evidence = condition.evidence
    if isinstance(evidence, Fact) and not evidence.is_known:
        said += f" ({_remark(evidence, speaker)})"
    asked = _asked(condition, speaker)
    return f"{said} · {asked}" if asked else said


def _asked(condition: Condition, speaker: Speaker) -> str:
    t, limit = texts(speaker.language), condition.limit
    if condition.relation == "known":
        return t["asked_known"]
    if condition.relation == "within":
        return t["asked_within"].format(days=_days(limit))
    if condition.relation in {"is", "in"}:
        if isinstance(limit, bool):
            return t["asked_yes"] if limit else t["asked_no"]
        return f"{t['asked']} {plain(speaker.limit(limit))}"
    if isinstance(condition.evidence, Fact) and condition.evidence.is_known:
        return ""  # the sentence already shows sign and limit
    return f"{t['asked']} {SIGNS[condition.relation]} {plain(speaker.limit(limit))}"


def _days(limit: Any) -> str:  # noqa: ANN401 - a Limit or a plain number of days
    value: Decimal | int = getattr(limit, "value", limit)
    return number(value)
