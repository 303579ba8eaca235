"""What a calculated fact has of its inputs: their newest day, their resources and flags, and what it lacks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeVar

from recommenders.vocabulary.facts import Fact, Reading, replace

F = TypeVar("F", bound=Fact)


def unknown_for(fact: F, *inputs: Fact, reason: Literal["inputs", "not-applicable"] = "inputs") -> F:
    """Give a calculated fact as unknown, with the names of the inputs that it lacks."""
    lacks = tuple(dict.fromkeys(name for i in inputs if not i.is_known for name in i.lacks or (i.name,)))
    return replace(fact, reason=reason, lacks=lacks)


def newest_day(*facts: Fact) -> dt.date | None:
    """Give the newest day of these facts; None when none has one."""
    return max((fact.date for fact in facts if fact.date is not None), default=None)


def resources_of(*facts: Fact) -> tuple[str, ...]:
    """Give the resources behind these facts, each once."""
    return tuple(dict.fromkeys(name for fact in facts for name in fact.resources))


def flags_of(*facts: Fact) -> tuple[str, ...]:
    """Give the flags of these facts, each once."""
    return tuple(dict.fromkeys(flag for fact in facts for flag in fact.flags))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The ends of an interval in arithmetic."""

    low: Decimal
    high: Decimal


def bounds_of(fact: Reading) -> Bounds | None:
    """Give the ends of a number; None when it is unknown or open on a side."""
    if not fact.is_known or fact.low is None or fact.high is None:
        return None
    return Bounds(fact.low, fact.high)
