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

    `stems`: one of them is in every hit. `risky`: texts speak of its danger as often as of itself. `covers` names
    targets whose hits inside a hit of this one are none ("smouldering multiple myeloma" is no multiple myeloma).
    `means`: it is a way of looking, and the result behind it is of what was looked for ("MRI excluded metastases").
    `lasting`: seen before and unchanged, it is there now ("previously described metastases are stable").
    """

    name: str
    pattern: re.Pattern[str]
    stems: tuple[str, ...]
    risky: bool = False
    covers: frozenset[str] = frozenset()
    means: bool = False
    lasting: bool = False


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
            name,
            compiled("|".join(row["patterns"])),
            tuple(row["stems"]),
            row.get("risky", False),
            frozenset(row.get("covers", ())),
            row.get("means", False),
            row.get("lasting", False),
        )
        for name, row in table.items()
    }


def _by_stem() -> dict[str, tuple[Target, ...]]:
    found: dict[str, list[Target]] = {}
    for target in TARGETS.values():
        for stem in target.stems:
            found.setdefault(stem, []).append(target)
    return {stem: tuple(targets) for stem, targets in found.items()}


TARGETS: Mapping[str, Target] = MappingProxyType(_load())
"""Target by name."""
_BY_STEM = _by_stem()


def _candidates(folded: str) -> dict[str, Target]:
    """Give the targets that can occur: looking for a stem is a hundred times cheaper than for a pattern."""
    return {target.name: target for stem, listed in _BY_STEM.items() if stem in folded for target in listed}


def mentions(text: str) -> bool:
    """Tell quickly whether any target occurs at all."""
    folded = fold(text[:LONGEST])
    return any(target.pattern.search(folded) is not None for target in _candidates(folded).values())


def occurs(text: str, *names: str) -> bool:
    """Tell whether any of these targets occurs at all."""
    folded = fold(text[:LONGEST])
    return any(TARGETS[name].pattern.search(folded) is not None for name in names)


def find(folded: str) -> list[Mention]:
    """Give every mention of every target in a folded text, in order of place."""
    found = [
        Mention(target.name, hit.start(), hit.end())
        for target in _candidates(folded).values()
        for hit in itertools.islice(target.pattern.finditer(folded), MENTIONS)
    ]
    covering = [one for one in found if TARGETS[one.target].covers]
    if covering:
        found = [one for one in found if not any(_covers(other, one) for other in covering)]
    return sorted(found, key=lambda one: (one.start, one.end, one.target))


def _covers(one: Mention, other: Mention) -> bool:
    return other.target in TARGETS[one.target].covers and one.start < other.end and other.start < one.end
