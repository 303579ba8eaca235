"""The history of each rule: the edition it came with, and what later ones changed of it."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from recommenders.vocabulary.guidance import Wording

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of the guidance: its name, its first day, the rules that came with it, and those that it changed."""

    name: str
    day: dt.date
    new: frozenset[str]
    changes: Mapping[str, Wording]


@dataclass(frozen=True, slots=True)
class Step:
    """One step in the history of a rule: the edition and its day, and what changed; None where the rule began."""

    edition: str
    day: dt.date
    change: Wording | None


@cache
def editions() -> tuple[Edition, ...]:
    """Give the editions, oldest first."""
    data = tomllib.loads(resources.files("hooks.reference").joinpath("editions.toml").read_text(encoding="utf-8"))
    return tuple(
        Edition(
            row["name"],
            row["day"],
            frozenset(row["new"]),
            {rule: Wording.model_validate(words) for rule, words in row.get("rules", {}).items()},
        )
        for row in data["edition"]
    )


def history_of(rule: str) -> tuple[Step, ...]:
    """Give the history of a rule, its beginning first."""
    known = editions()
    began = next((one for one in known if rule in one.new), known[0])
    changes = (
        Step(one.name, one.day, one.changes[rule]) for one in known if one.day >= began.day and rule in one.changes
    )
    return (Step(began.name, began.day, None), *changes)
