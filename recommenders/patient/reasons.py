"""What stands behind a card in one line: the facts that decided, each with its day and the limit it crossed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recommenders.patient.courses import bma
from recommenders.patient.lesions import bone_key, imaging
from recommenders.vocabulary.dictionary import DICTIONARY, LABELS
from recommenders.vocabulary.facts import Fact
from recommenders.vocabulary.guidance import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from recommenders.patient.advice import Advice, Case, Fill, Value
    from recommenders.vocabulary.logic import Condition, Criterion
    from recommenders.vocabulary.records import Lesion, Order

_PATHS = {spec.name: path for path, spec in reversed(DICTIONARY.items())} | {path: path for path in DICTIONARY}
_SIDE = {"<": "below", "<=": "below", ">": "above", ">=": "above"}
_MODALITIES = ("xray", "ct", "mri", "spect", "pet")


@dataclass(frozen=True, slots=True)
class Reason:
    """
    One fact of a card's first line.

    `label` is a name of the fact dictionary's labels; `value` a fact, a computed value or what fills a brace (None:
    the label says it all); `limit` the number that it crossed.
    """

    label: str
    value: Fact | Fill | None = None
    day: dt.date | None = None
    limit: Limit | None = None


def reasons(case: Case, advice: Advice, names: Iterable[str], values: Mapping[str, Value]) -> tuple[Reason, ...]:
    """
    Give what is known of the facts that a rule names in `why`, in their order; unknown ones are left out.

    A name is a fact, a component of the order (`order.dose_mg`) or of the lesion (`lesions[].pain`) that the advice is
    about, an imaging study (`img.mri`), a computed value, something of the bone agent (`bma.current`), or a fill that
    the rule gives itself.
    """
    limits = {name: limit for name, limit in _limits(advice).items() if not name.startswith("order.")}
    found = ((name, _reason(case, advice, name, values)) for name in names)
    return tuple(
        replace(reason, limit=limits[name]) if name in limits else reason
        for name, reason in found
        if reason is not None
    )


def newest_day(case: Case, advice: Advice, names: Iterable[str]) -> dt.date | None:
    """Give the newest day of the facts that a rule names; None where none of them has a day."""
    found = (_reason(case, advice, name, {}) for name in names)
    return max((reason.day for reason in found if reason is not None and reason.day is not None), default=None)


def known_reason(name: str) -> bool:
    """Tell whether a name can be a reason at all, whatever the rule gives (a check at load)."""
    kind, _, rest = name.partition(".")
    return (
        name in _PATHS
        or name in _OF_COURSES
        or name in LABELS
        or kind in {"order", "lesions[]"}
        or (kind == "img" and rest.split(".")[0] in _MODALITIES)
    )


def _limits(advice: Advice) -> Mapping[str, Limit]:
    """The limit that each fact crossed; a fact that lies inside a band crossed none."""
    sides: dict[str, dict[str, Limit]] = {}
    for condition in _asserted(advice.because):
        if condition.relation in _SIDE and isinstance(condition.limit, Limit):
            for name in {condition.fact, _PATHS.get(condition.fact, condition.fact)}:
                sides.setdefault(name, {}).setdefault(_SIDE[condition.relation], condition.limit)
    return {name: next(iter(found.values())) for name, found in sides.items() if len(found) == 1}


def _asserted(criterion: Criterion) -> Iterator[Condition]:
    """The true conditions of a rule that say what is the case; what an exemption rests on crossed no limit."""
    if criterion.condition is not None and criterion.yes:
        yield criterion.condition
    elif criterion.op in {"all", "any", "count"}:
        for part in criterion.parts:
            if part.yes:
                yield from _asserted(part)


def supporting(advice: Advice, most: int) -> tuple[Reason, ...]:
    """Give the facts that a rule's condition rests on, where it names none that is known; at most so many."""
    found: dict[str, Reason] = {}
    for condition in _asserted(advice.because):
        fact = condition.evidence
        if isinstance(fact, Fact) and fact.is_known and fact.resources and condition.fact in LABELS:
            found.setdefault(condition.fact, Reason(condition.fact, fact, fact.date))
    return tuple(found.values())[:most]


def _reason(case: Case, advice: Advice, name: str, values: Mapping[str, Value]) -> Reason | None:
    if name in advice.fill:
        return _of_fill(name, advice.fill[name])
    if name in _PATHS:
        return _of_fact(name, case.facts.fact(_PATHS[name]))
    if name in _OF_COURSES:
        return _OF_COURSES[name](case)
    kind, _, component = name.partition(".")
    if kind == "order":
        order = order_of(case, advice)
        return _of_component(name, order, component) if order else None
    if kind == "lesions[]":
        lesion = lesion_of(case, advice)
        return _of_component(name, lesion, component) if lesion else None
    if kind == "img":
        return _of_study(case, component.split(".")[0])
    value = values.get(name, advice.values.get(name))
    return Reason(name, value) if value is not None else None


def _of_fact(name: str, fact: Fact) -> Reason | None:
    if not fact.is_known and fact.reason != "contradictory":
        return None
    return Reason(fact.name if fact.name in LABELS else name, fact, fact.date)


def _of_fill(name: str, fill: Fill) -> Reason | None:
    if isinstance(fill, Fact):
        return _of_fact(name, fill)
    return Reason(name, fill) if fill not in ("", ()) else None


def _of_component(name: str, whole: Order | Lesion, component: str) -> Reason | None:
    found = getattr(whole, component, None)
    if isinstance(found, Fact):
        return _of_fact(name, found) if found.is_known else None
    return Reason(name, found) if isinstance(found, str | int) and found else None


def order_of(case: Case, advice: Advice) -> Order | None:
    """Give the draft order that an advice is about."""
    return next((order for order in case.facts.orders if order.reference == advice.order), None)


def lesion_of(case: Case, advice: Advice) -> Lesion | None:
    """Give the lesion that an advice is about: the newest entry of that bone."""
    if advice.about is None:
        return case.facts.lesions.items[0] if len(case.facts.lesions) == 1 else None
    return case.once(_newest_of_each_bone).get(advice.about)


def _newest_of_each_bone(case: Case) -> Mapping[str | None, Lesion]:
    found: dict[str | None, Lesion] = {}
    for lesion in case.facts.lesions:
        key = bone_key(lesion)
        if key not in found or (lesion.date or dt.date.min) > (found[key].date or dt.date.min):
            found[key] = lesion
    return found


def _of_study(case: Case, modality: str) -> Reason | None:
    days = [study.date for study in imaging(case.facts) if study.modality == modality and study.date]
    return Reason(f"img.{modality}", None, max(days)) if days else None


def _agent(case: Case, which: str) -> Reason | None:
    drugs = case.once(bma)
    members = getattr(drugs, which).courses
    if not members:
        return None
    last = max((course.last_dose.date for course in members if course.last_dose), default=None)
    return Reason(f"bma.{which}", tuple(dict.fromkeys(course.drug for course in members)), last)


def _of_run(case: Case, name: str) -> Reason | None:
    fact = getattr(case.once(bma), name)
    return Reason(f"bma.{name}", fact, None) if fact.is_known else None


_OF_COURSES: Mapping[str, Callable[[Case], Reason | None]] = {
    "bma.current": lambda case: _agent(case, "current"),
    "bma.any": lambda case: _agent(case, "any"),
    "bma.start_date": lambda case: _of_run(case, "start_date"),
    "bma.months": lambda case: _of_run(case, "months"),
    "bma.interval_days": lambda case: _of_run(case, "interval_days"),
    "bma.last_dose_date": lambda case: _of_run(case, "last_dose_date"),
}


def all_names() -> Iterator[str]:
    """Yield the names of the bone agent's own reasons."""
    yield from _OF_COURSES
