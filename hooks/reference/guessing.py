"""Guesses what an unread code may stand for: only by a name that is all but the same, in a unit that fits."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fhir_mapping.terms import dictionary, units
from fhir_mapping.terms.codes import shipped_rows
from recommenders.vocabulary.dictionary import DICTIONARY, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.reference.validating import Unmapped

CLOSE = 0.88
"""How alike two names must be (0 to 1); every guess stays a comment until a person has checked it."""

_BY_THE_WAY: frozenset[str] = frozenset(
    word
    for line in (
        "serum plasma blood ser plas level s p b in of or by the a total mass moles volume concentration",
        "enzymatic jaffe compensated automated auto manual measured edta bcg bcp venous fasting test result",
        "测定 检测 含量 浓度 水平 血 血清 血浆 酶法 定量",
    )
    for word in line.split()
)
"""Words that say where and how something was measured, and not what."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a code may stand for: the concept or fact, and how alike the names are (0 to 1)."""

    concept: str
    label: str
    likeness: float


@lru_cache(maxsize=4096)
def guess(each: Unmapped) -> Guess | None:
    """
    Guess what a code stands for, from its words and unit; None when nothing is alike enough.

    For results the unit must be one that the fact can be converted from. It is a guess for a person to check.
    """
    said = [_words(text) for text in (each.text, each.code) if text]
    best: Guess | None = None
    for concept, label, names in _candidates(each):
        likeness = max((_alike(one, name) for one in said for name in names), default=0.0)
        if likeness >= CLOSE and (best is None or likeness > best.likeness):
            best = Guess(concept, label, likeness)
    return best


def _candidates(each: Unmapped) -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    if each.kind == "Observation":
        for path, names in _names_of_readings():
            if _fits(each.unit, dictionary.READINGS[path]):
                yield path, LABELS.get(DICTIONARY[path].name, (path, path))[0], names
        return
    kinds = "Medication" if each.kind.startswith("Medication") else each.kind
    for concept, names in _names_of_concepts(kinds):
        yield concept, concept.replace("_", " "), names


@cache
def _names_of_readings() -> list[tuple[str, list[tuple[str, ...]]]]:
    found = []
    for path, rule in dictionary.READINGS.items():
        if path in DICTIONARY:
            said = (*LABELS.get(DICTIONARY[path].name, ()), path.partition(".")[2], *rule.names, *rule.concepts)
            found.append((path, list(dict.fromkeys(_words(name) for name in said))))
    return found


@cache
def _names_of_concepts(kinds: str) -> list[tuple[str, list[tuple[str, ...]]]]:
    named: dict[str, set[tuple[str, ...]]] = {}
    for concept, of, _, _, display in shipped_rows():
        if kinds in of and not concept.endswith("_TRAP"):
            named.setdefault(concept, {_words(concept)}).add(_words(display))
    return [(concept, sorted(names)) for concept, names in named.items()]


def _fits(unit: str, rule: dictionary.ReadingRule) -> bool:
    """Tell whether a result in this unit can be the fact; one without a unit only if the fact has none."""
    if not unit:
        return rule.unit.startswith("{") or rule.unit == "1"
    known = units.spelled(unit)
    return known is not None and units.convert(Decimal(1), known, rule.unit, rule.analyte) is not None


def _words(text: str) -> tuple[str, ...]:
    """Give the comparable form of a name: its words in order, without what says where and how it was measured."""
    found = re.findall(r"[a-z]+|[0-9]+|[一-鿿]+", text.lower().replace("_", " "))
    found = [
        re.sub(r"(?:测定|检测|含量|浓度|水平)$", "", re.sub(r"^(?:血清|血浆)", "", word)) or word for word in found
    ]
    plain = [word for word in found if word not in _BY_THE_WAY]
    return tuple(plain or found)


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    if not one or not other:
        return 0.0
    if set(one) == set(other):
        return 1.0
    # in any order: "calcium, total" and "total calcium"
    return difflib.SequenceMatcher(None, " ".join(sorted(one)), " ".join(sorted(other))).ratio()
