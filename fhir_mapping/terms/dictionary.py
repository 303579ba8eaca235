"""How each fact is read: `facts.toml`, loaded and checked once at import."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.terms import units
from fhir_mapping.terms.codes import shipped_rows
from fhir_mapping.words.fold import fold
from fhir_mapping.words.targets import TARGETS
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = Decimal(1_000_000_000)
"""No measurement we read is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRule:
    """How a number is read; see the head of `facts.toml`."""

    fact: str
    unit: str
    concepts: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    analyte: str = ""
    low: Decimal = Decimal(0)
    high: Decimal = LARGEST
    reader: Literal["", "ecog", "pain", "life-expectancy"] = ""
    flag: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)
    behind: frozenset[str] = frozenset()
    series: bool = False
    negative_is_zero: bool = False
    highest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRule:
    """
    How a yes/no or a word is read from Observations.

    `tests` are results that tell it by their answer or, where `above` gives a limit (value, unit) for the concept, by
    a number above that.
    """

    fact: str
    local: str = ""
    concepts: tuple[str, ...] = ()
    one_change: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    above: Mapping[str, tuple[Decimal, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRule:
    """
    How a Condition states a fact.

    `beside` are concepts that name only a place or a class, and beside which the words decide (C41 and "osteosarcoma");
    `suspect_*` leave it open whether the fact is meant; `dated_by_onset` facts age by onset, else recording;
    older than `stale_after` days they are unknown; `yes_only` never says no.
    """

    fact: str
    concepts: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    suspect_concepts: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    terms: tuple[str, ...] = ()
    suspect_terms: tuple[str, ...] = ()
    malignant: bool = False
    metastasis: bool = False
    dated_by_onset: bool = False
    stale_after: int | None = None
    yes_only: bool = False
    signs: frozenset[str] = field(init=False)
    """Concepts, codes and terms of which a Condition must show one to speak of the fact at all."""

    def __post_init__(self) -> None:
        """Gather the signs."""
        told = (*self.concepts, *self.suspect_concepts, *self.codes, *self.terms, *self.suspect_terms)
        object.__setattr__(self, "signs", frozenset(told))


def _load() -> dict[str, Any]:
    return tomllib.loads(files("fhir_mapping.terms").joinpath("facts.toml").read_text("utf-8"))


_TABLE = _load()


def _reading(row: Mapping[str, Any]) -> ReadingRule:
    low, high = (Decimal(edge) for edge in row.get("range", ("0", str(LARGEST))))
    return ReadingRule(
        fact=row["fact"],
        unit=DICTIONARY[row["fact"]].unit,
        concepts=tuple(row.get("concepts", ())),
        local=tuple(row.get("local", ())),
        names=tuple(units.fold(name) for name in row.get("names", ())),
        analyte=row.get("analyte", ""),
        low=low,
        high=high,
        reader=row.get("reader", ""),
        flag=row.get("flag", ""),
        flags=row.get("flags", {}),
        behind=frozenset(row.get("behind", ())),
        series=row.get("series", False),
        negative_is_zero=row.get("negative_is_zero", False),
        highest=row.get("highest", False),
    )


def _diagnosis(row: Mapping[str, Any]) -> DiagnosisRule:
    return DiagnosisRule(
        fact=row["fact"],
        concepts=frozenset(row.get("concepts", ())),
        codes=frozenset(row.get("codes", ())),
        suspect_concepts=frozenset(row.get("suspect_concepts", ())),
        beside=frozenset(row.get("beside", ())),
        terms=tuple(row.get("terms", ())),
        suspect_terms=tuple(row.get("suspect_terms", ())),
        malignant=row.get("malignant", False),
        metastasis=row.get("metastasis", False),
        dated_by_onset=row.get("dated_by_onset", False),
        stale_after=row.get("stale_after"),
        yes_only=row.get("yes_only", False),
    )


READINGS: Mapping[str, ReadingRule] = MappingProxyType({row["fact"]: _reading(row) for row in _TABLE["readings"]})
"""Fact path -> how the number is read."""
FINDINGS: Mapping[str, FindingRule] = MappingProxyType(
    {
        row["fact"]: FindingRule(
            fact=row["fact"],
            local=row.get("local", ""),
            concepts=tuple(row.get("concepts", ())),
            one_change=frozenset(row.get("one_change", ())),
            names=tuple(units.fold(name) for name in row.get("names", ())),
            tests=tuple(row.get("tests", ())),
            above={concept: (Decimal(edge), unit) for concept, (edge, unit) in row.get("above", {}).items()},
        )
        for row in _TABLE["findings"]
    }
)
"""Fact path -> how the finding is read."""
MOMENTS: Mapping[str, str] = MappingProxyType({row["local"]: row["fact"] for row in _TABLE["moments"]})
"""Local code -> fact path of something that happened on a day."""
MYELOMA = frozenset(
    {
        "multiple_myeloma",
        "multiple_myeloma_remission",
        "multiple_myeloma_relapse",
        "myeloma_light_chain",
        "myeloma_non_secretory",
        "myeloma_kidney",
        "morph_myeloma",
    }
)
"""Concepts that are multiple myeloma."""
DIAGNOSES: tuple[DiagnosisRule, ...] = tuple(_diagnosis(row) for row in _TABLE["diagnoses"])
LOOK_ALIKES: Mapping[str, str] = MappingProxyType(
    {concept: row["reason"] for row in _TABLE["look_alikes"] for concept in row["concepts"]}
)
"""Concept -> why it is recognised and not used."""
READ_IN: Mapping[str, str] = MappingProxyType(
    {path: module for module, paths in _TABLE["read_in"].items() for path in paths}
)
"""Fact path, or group of facts -> the module that reads it without a row of the table."""
SILENCE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {path: tuple(keys) for path, keys in _TABLE["silence"].items()}
)
_WORDS: Mapping[str, Mapping[str, str]] = {
    path: {fold(said).strip(): word for said, word in table.items()} for path, table in _TABLE["words"].items()
}
NAMES: Mapping[str, str] = MappingProxyType(
    {name: rule.fact for rule in READINGS.values() for name in rule.names}
    | {name: rule.fact for rule in FINDINGS.values() for name in rule.names}
)
"""Folded result name -> fact path, for feeds that send names only."""
WRITTEN_NAMES: Mapping[str, str] = MappingProxyType(
    {name: row["fact"] for table in ("readings", "findings") for row in _TABLE[table] for name in row.get("names", ())}
)
"""Result name as written in the table -> fact path."""


def silence_keys(path: str) -> tuple[str, ...]:
    """Give the prefetch keys that must have come whole before silence about a fact means no."""
    return SILENCE.get(path) or SILENCE.get(path.partition(".")[0], ())


def _closed() -> Mapping[tuple[str, ...], tuple[str, ...]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for path, spec in DICTIONARY.items():
        if spec.closed:
            found.setdefault(silence_keys(path), []).append(path)
    return MappingProxyType({keys: tuple(paths) for keys, paths in found.items()})


CLOSED = _closed()
"""`silence_keys` -> the paths of the closed-world facts that have these."""


def word_of(path: str, allowed: tuple[str, ...], said: str) -> str | None:
    """Give the word of a fact's list that an answer means; None when it is none of them."""
    folded = fold(said).strip()
    for word in allowed:
        if folded == word.lower() or folded == word.lower().replace("-", " "):
            return word
    return _WORDS.get(path, {}).get(folded)


_BLANK = Facts(as_of=dt.date.min)


@cache
def blank(path: str) -> Fact:
    """Give the unknown (or closed-world) fact at a path, as the dictionary declares it."""
    return _BLANK.fact(path)


def blank_reading(path: str) -> Reading:
    """Give the unknown number at a path."""
    found = blank(path)
    if not isinstance(found, Reading):
        raise TypeError(f"{path} is no number.")
    return found


def blank_finding(path: str) -> Finding:
    """Give the unknown (or closed-world) finding at a path."""
    found = blank(path)
    if not isinstance(found, Finding):
        raise TypeError(f"{path} is no finding.")
    return found


def blank_moment(path: str) -> Moment:
    """Give the unknown day at a path."""
    found = blank(path)
    if not isinstance(found, Moment):
        raise TypeError(f"{path} is no day.")
    return found


def _check() -> None:
    """Fail at import when the table names a fact, concept, analyte or term that does not exist, or nothing to read."""
    concepts = {row[0] for row in shipped_rows()}
    analytes = {analyte for analyte, _ in units.factors()}
    for reading in READINGS.values():
        if not (reading.concepts or reading.local or reading.names):
            raise ValueError(f"facts.toml: {reading.fact} has nothing to be read from; give concepts, local or names.")
        if reading.analyte and reading.analyte not in analytes:
            raise ValueError(f"facts.toml: {reading.fact}: {reading.analyte!r} is no analyte of conversions.csv.")
    named = [(rule.fact, rule.concepts) for rule in READINGS.values()]
    named += [(rule.fact, (*rule.concepts, *rule.tests, *rule.above)) for rule in FINDINGS.values()]
    named += [(rule.fact, (*rule.concepts, *rule.suspect_concepts, *rule.beside)) for rule in DIAGNOSES]
    named += [("look_alikes", tuple(LOOK_ALIKES))]
    for fact, used in named:
        if fact != "look_alikes" and fact not in DICTIONARY:
            raise ValueError(f"facts.toml: {fact!r} is not in the fact dictionary.")
        if missing := sorted(set(used) - concepts):
            raise ValueError(f"facts.toml: {fact}: {missing[0]!r} is not a concept of codes.csv.")
    _check_that_each_fact_is_read()
    for rule in DIAGNOSES:
        if missing := sorted({*rule.terms, *rule.suspect_terms} - set(TARGETS)):
            raise ValueError(f"facts.toml: {rule.fact}: {missing[0]!r} is not a target of targets.toml.")


def _check_that_each_fact_is_read() -> None:
    read = {*READINGS, *FINDINGS, *MOMENTS.values(), *(rule.fact for rule in DIAGNOSES), *READ_IN}
    for path, spec in DICTIONARY.items():
        if not (spec.derived or path in read or path.partition(".")[0] in read):
            raise ValueError(
                f"facts.toml: nothing is read into {path}; give it a row in [[readings]], [[findings]], [[moments]] or"
                " [[diagnoses]], or name the module that reads it in [read_in]."
            )


_check()
