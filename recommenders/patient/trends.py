"""How the markers of a plasma-cell disorder move: the newest result beside earlier ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from recommenders.patient.myeloma_class import over_months
from recommenders.patient.series import RATIO, history
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Reading, replace, round_half_up
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Condition, Criterion, any_of, leaf

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.guidance import Limit

GUIDANCE = guidance("myeloma_staging")

Move = Callable[[Reading, Reading], tuple[Decimal, Decimal]]
"""How far a marker moved between an earlier and the newest result: the least and the most it can be."""

CHANGE_DECIMALS = {"g/L": 1, "1": 1, "%": 2}
"""A change is as exact as its marker; two decimals keep apart any two percentages of whole µmol/L."""


@dataclass(frozen=True, slots=True)
class Change:
    """One marker's change from an earlier result to the newest one, with the points it was computed from."""

    key: str
    criterion: Criterion
    change: Reading
    earlier: Reading
    newest: Reading


@dataclass(frozen=True, slots=True)
class Evolving:
    """
    The flags of SMM-006: whether each marker moved, and the changes that were compared.

    `creatinine_again` says whether the result before the newest had risen as far: one creatinine rises with thirst, a
    contrast medium or an NSAID as well.
    """

    m_protein: Criterion
    flc: Criterion
    creatinine: Criterion
    hb: Criterion
    changes: tuple[Change, ...]
    creatinine_again: Criterion

    @property
    def any(self) -> Criterion:
        """Whether at least one marker moved."""
        return any_of((self.m_protein, self.flc, self.creatinine, self.hb))

    @property
    def confirmed(self) -> Criterion:
        """Whether a marker moved that one result is enough for, or creatinine in two results."""
        return any_of((self.m_protein, self.flc, self.creatinine & self.creatinine_again, self.hb))

    @property
    def flagged(self) -> tuple[Change, ...]:
        """The changes that count."""
        return tuple(change for change in self.changes if change.criterion.yes)


def evolving(case: Case) -> Evolving:
    """
    Compare the newest results with earlier ones; to be asked for as `case.once(evolving)`.

    Smouldering disease is compared with the earliest usable result of the look-back; myeloma with the best one
    (a relapse rises from its lowest point, not from diagnosis).
    """
    limits, lately = case.limits(GUIDANCE), case.once(over_months)
    creatinine_path = "lab.creatinine"

    def trend(key: str, path: str, move: Move, relation: Literal[">", ">="], limit: Limit) -> Trend:
        return _trend(case, key, lately.fact(path), history(lately, path), move, relation, limit)

    m_protein = trend("m-protein", "mm.m_protein", _rise, ">=", limits.evolving_m_protein)
    chains = trend("flc", RATIO, _rise, ">=", limits.evolving_light_chain_ratio)
    creatinine = trend("creatinine", creatinine_path, _rise_percent, ">", limits.evolving_creatinine)
    haemoglobin = trend("hb", "lab.hb", _fall, ">=", limits.evolving_haemoglobin)
    before = history(lately, creatinine_path)[:-1]
    again = _trend(
        case,
        "creatinine",
        before[-1] if before else Facts(as_of=lately.as_of).lab.creatinine,
        before,
        _rise_percent,
        ">",
        limits.evolving_creatinine,
    )
    found = (m_protein, chains, creatinine, haemoglobin)
    return Evolving(
        m_protein=m_protein[0],
        flc=chains[0],
        creatinine=creatinine[0],
        hb=haemoglobin[0],
        changes=tuple(change for _, change in found if change is not None),
        creatinine_again=again[0],
    )


Trend = tuple[Criterion, Change | None]


def _trend(
    case: Case,
    key: str,
    newest: Fact,
    results: tuple[Reading, ...],
    move: Move,
    relation: Literal[">", ">="],
    limit: Limit,
) -> Trend:
    blank = Reading(
        name=f"{newest.name}_change", unit=limit.unit, decimals=CHANGE_DECIMALS[limit.unit], lacks=(newest.name,)
    )
    earlier = _earlier(case, newest, results) if isinstance(newest, Reading) else ()
    if not earlier or not isinstance(newest, Reading):
        return leaf(Condition(blank.name, relation, limit, blank, None)), None
    compared = earlier if case.facts.dx.mm.criterion().yes else earlier[:1]
    changes: list[Change] = []
    for reading in compared:
        low, high = move(newest, reading)
        change = replace(
            blank,
            low=low,
            high=high,
            reason=None,
            lacks=(),
            date=newest.date,
            resources=tuple(dict.fromkeys((*reading.resources, *newest.resources))),
        )
        moved = change > limit if relation == ">" else change >= limit
        changes.append(Change(key, moved, change, reading, newest))
    greatest = max(changes, key=lambda change: (change.change.low or Decimal(0), change.earlier.date or dt.date.min))
    return any_of(change.criterion for change in changes), greatest


def _earlier(case: Case, newest: Reading, results: tuple[Reading, ...]) -> tuple[Reading, ...]:
    limits = case.limits(GUIDANCE)
    shortest, longest = dt.timedelta(int(limits.apart.value)), dt.timedelta(int(limits.look_back.value))
    if not newest.is_known or newest.date is None:
        return ()
    return tuple(r for r in results if r.date is not None and shortest <= newest.date - r.date <= longest)


def _ends(reading: Reading) -> tuple[Decimal, Decimal]:
    """Give both ends of a known reading, rounded as it is compared."""
    low, high = reading.low or Decimal(0), reading.high or Decimal(0)
    if reading.decimals is None:
        return low, high
    return round_half_up(low, reading.decimals), round_half_up(high, reading.decimals)


def _rise(newest: Reading, earlier: Reading) -> tuple[Decimal, Decimal]:
    (new_low, new_high), (old_low, old_high) = _ends(newest), _ends(earlier)
    return new_low - old_high, new_high - old_low


def _fall(newest: Reading, earlier: Reading) -> tuple[Decimal, Decimal]:
    return _rise(earlier, newest)


def _rise_percent(newest: Reading, earlier: Reading) -> tuple[Decimal, Decimal]:
    (new_low, new_high), (old_low, old_high) = _ends(newest), _ends(earlier)
    if old_low <= 0:
        return Decimal(0), Decimal("Infinity")
    return (new_low - old_high) * 100 / old_high, (new_high - old_low) * 100 / old_low
