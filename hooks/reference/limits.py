"""Which limits each rule asks about: found by asking all of them about a patient of whom nothing is known."""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, get_args

from recommenders.assessing.assessment import seen_at
from recommenders.assessing.topics import TOPICS
from recommenders.patient.advice import Case
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.guidance import ROOMS, Limit, guidance, read_toml
from recommenders.vocabulary.records import BmaClass, Lesion, Lesions, Order, OrderKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.vocabulary.guidance import Hook, LimitEntry
    from recommenders.vocabulary.logic import Criterion

HOOKS: tuple[Hook, ...] = ("patient-view", "order-sign")
"""One of each kind: the rules of the others ask about the same."""


@cache
def limits_asked() -> Mapping[str, frozenset[tuple[str, str]]]:
    """Give, by rule, the limits that its condition compares with, as (name, source) pairs."""
    found: dict[str, set[tuple[str, str]]] = {}
    for hook in HOOKS:
        facts = Facts(as_of=dt.date.max.replace(year=9000), lesions=Lesions((Lesion(id="any"),)), orders=_orders(hook))
        case = Case(seen_at(facts, hook), hook, whole=True)
        for topic in TOPICS:
            for advice in topic.rules(case):
                case.hear(advice, ())
                asked = found.setdefault(advice.rule, set())
                asked.update((limit.name, limit.source) for limit in _limits(advice.whole))
    return {rule: frozenset(asked) for rule, asked in found.items()}


def _orders(hook: Hook) -> tuple[Order, ...]:
    """A draft order of each kind, and of each bone-modifying agent."""
    if hook == "patient-view":
        return ()
    kinds = (Order(reference=f"kind/{kind}", kinds=(kind,), drug=kind) for kind in get_args(OrderKind) if kind != "bma")
    agents = (Order(reference=f"agent/{drug}", kinds=("bma",), drug=drug) for drug in get_args(BmaClass))
    return (*kinds, *agents)


def _limits(criterion: Criterion) -> Iterator[Limit]:
    if criterion.condition is not None and isinstance(criterion.condition.limit, Limit):
        yield criterion.condition.limit
    for part in criterion.parts:
        yield from _limits(part)


def limits_of(rule: str) -> tuple[tuple[str, LimitEntry], ...]:
    """Give the dated entries of the limits that a rule asks about, as (`topic.name`, entry)."""
    asked = limits_asked().get(rule, frozenset())
    return tuple(
        (f"{file}.{name}", entry)
        for file in _files()
        for name, entries in guidance(file).entries.items()
        for entry in entries
        if (name, entry.source) in asked
    )


@cache
def _files() -> tuple[str, ...]:
    """The guidance files that hold limits: those of topics, and those that several topics share."""
    house = resources.files("recommenders")
    found = [file.name.removesuffix(".toml") for room in ROOMS for file in house.joinpath(room).iterdir()]
    return tuple(sorted(name for name in found if "." not in name and _is_data(name) and read_toml(name).get("limits")))


def _is_data(name: str) -> bool:
    house = resources.files("recommenders")
    return any(house.joinpath(room, f"{name}.toml").is_file() for room in ROOMS)
