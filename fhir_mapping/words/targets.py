"""The targets of `targets.toml`: which words are looked for in a text, and whether one occurs at all."""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from fhir_mapping.words.fold import compiled, fold

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

LONGEST, MENTIONS = 20_000, 50
"""So many characters of a text are read, and so many mentions of one target."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    One thing that texts may speak of.

    `risky`: texts speak of its danger as often as of itself. `covers` names targets whose hits inside a hit of this
    one are none ("smouldering multiple myeloma" is no multiple myeloma).
    """

    name: str
    pattern: re.Pattern[str]
    risky: bool = False
    covers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mention:
    """A target found in a folded text, at `start:end`."""

    target: str
    start: int
    end: int


def _load() -> dict[str, Target]:
    table = tomllib.loads(files("fhir_mapping.words").joinpath("targets.toml").read_text("utf-8"))
    return {
        name: Target(
            name, compiled("|".join(row["patterns"])), row.get("risky", False), frozenset(row.get("covers", ()))
        )
        for name, row in table.items()
    }


TARGETS: Mapping[str, Target] = MappingProxyType(_load())
"""Target by name."""
_ANY = compiled("|".join(f"(?:{target.pattern.pattern})" for target in TARGETS.values()))


def mentions(text: str) -> bool:
    """Tell quickly whether any target occurs at all."""
    return _ANY.search(fold(text[:LONGEST])) is not None


def occurs(text: str, *names: str) -> bool:
    """Tell whether any of these targets occurs at all."""
    folded = fold(text[:LONGEST])
    return any(TARGETS[name].pattern.search(folded) is not None for name in names)


def find(folded: str) -> list[Mention]:
    """Give every mention of every target in a folded text, in order of place."""
    if not _ANY.search(folded):
        return []
    found = [
        Mention(name, hit.start(), hit.end())
        for name, target in TARGETS.items()
        for hit in itertools.islice(target.pattern.finditer(folded), MENTIONS)
    ]
    covering = [one for one in found if TARGETS[one.target].covers]
    if covering:
        found = [one for one in found if not any(_covers(other, one) for other in covering)]
    return sorted(found, key=lambda one: (one.start, one.end, one.target))


def _covers(one: Mention, other: Mention) -> bool:
    return other.target in TARGETS[one.target].covers and one.start < other.end and other.start < one.end
