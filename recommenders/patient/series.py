"""Results over time: one marker's history, and the small table in which several stand side by side."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from recommenders.patient.light_chains import involved_of_chains
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Reading, replace
from recommenders.vocabulary.guidance import guidance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recommenders.patient.advice import Case

GUIDANCE = guidance("myeloma_staging")
RATIO = "mm.flcr"


@dataclass(frozen=True, slots=True)
class Row:
    """One day; a reading for each column, None where nothing was measured that day."""

    date: dt.date
    readings: tuple[Reading | None, ...]


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """
    Several markers by day, oldest first: `paths` are the columns, `left_out` counts rows that found no place.

    The first rows are the earliest ones that a comparison may have used, so rows are left out in the middle.
    """

    paths: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: int = 0


def history(facts: Facts, path: str) -> tuple[Reading, ...]:
    """
    Give a marker's known results with a date, oldest first, the current one included.

    `path` is the fact's place in the dictionary (`lab.hb`). The light-chain ratio `mm.flcr` is made from the
    results of the same day. Two different results of the same moment contradict each other: neither counts.
    """
    results = _ratios(facts) if path == RATIO else _results(facts, path)
    return tuple(_without_contradictions(results))


def _results(facts: Facts, path: str) -> list[Reading]:
    known = list(facts.series.get(path, facts.series.get(DICTIONARY[path].name, ())))
    current = facts.fact(path)
    if isinstance(current, Reading):
        known.append(current)
    return [reading for reading in known if reading.is_known and reading.date is not None]


def _ratios(facts: Facts) -> list[Reading]:
    """Involved ÷ uninvolved, day by day: as told, from both chains of a day, or from a reported kappa/lambda."""
    blank = Facts(as_of=facts.as_of).mm
    told = {reading.date: reading for reading in _results(facts, RATIO)}
    chains = {
        path: {reading.date: reading for reading in history(facts, path)}
        for path in ("mm.kappa", "mm.lambda_", "mm.flc_ratio_kl")
    }
    days = sorted({day for by_day in chains.values() for day in by_day if day is not None})
    for day in days:
        found = involved_of_chains(
            chains["mm.kappa"].get(day, blank.kappa),
            chains["mm.lambda_"].get(day, blank.lambda_),
            chains["mm.flc_ratio_kl"].get(day, blank.flc_ratio_kl),
            blank.flcr,
        )
        if found.is_known:
            told.setdefault(day, replace(found, date=day))
    return list(told.values())


def _without_contradictions(results: Iterable[Reading]) -> Iterator[Reading]:
    def when(reading: Reading) -> tuple[dt.date, str]:
        return reading.date or dt.date.min, reading.moment.isoformat() if reading.moment else ""

    for _, same in groupby(sorted(results, key=when), key=when):
        together = list(same)
        if len({(reading.low, reading.high) for reading in together}) == 1:
            yield together[0]


def series_table(case: Case, paths: Iterable[str]) -> SeriesTable:
    """
    Put markers side by side, by day, oldest first.

    It reaches as far back as trends look (`limits.look_back`, from the newest result on), and is at most
    `tables.series.rows` long.
    """
    columns = tuple(paths)
    found = {path: history(case.facts, path) for path in columns}
    days = sorted({reading.date for readings in found.values() for reading in readings if reading.date})
    span = dt.timedelta(int(case.limits(GUIDANCE).look_back.value))
    days = [day for day in days if days[-1] - day <= span]
    by_day = {path: {reading.date: reading for reading in readings} for path, readings in found.items()}
    rows = [Row(day, tuple(by_day[path].get(day) for path in columns)) for day in days]
    longest = int(GUIDANCE.tables["series"]["rows"])
    kept = _ends(rows, longest)
    return SeriesTable(columns, tuple(kept), len(rows) - len(kept))


def _ends(rows: list[Row], longest: int) -> list[Row]:
    # the earliest and the newest results carry a trend; what is in excess goes from between them
    if len(rows) <= longest:
        return rows
    half = longest // 2
    return [*rows[:half], *rows[half - longest :]]


def columns_of(rule: str) -> tuple[str, ...]:
    """Give the markers that carry a rule's verdict, as columns for `series_table`; none for most rules."""
    columns: dict[str, list[str]] = GUIDANCE.tables["series"]["columns"]
    return tuple(columns.get(rule, ()))
