"""Published stages and risk scores of myeloma: sums of graded items, in which a missing item makes a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recommenders.vocabulary.logic import Condition, Criterion, Logical, Truth, all_of, any_of, counted, leaf

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.guidance import Limits


def told(what: Logical) -> Criterion:
    """Give yes where a criterion can be told either way, and unknown, with what is missing, where it cannot."""
    return any_of((what, ~what))


def must_know(reading: Reading) -> Criterion:
    """Give yes where there is a value, and unknown where there is none (so that it is asked for)."""
    return leaf(Condition(reading.name, "known", None, reading, True if reading.is_known else None))


def above_upper_limit(reading: Reading) -> Criterion:
    """Tell whether a result is above the laboratory's own upper limit; unknown without such a limit."""
    if reading.is_known and reading.reference_high is not None:
        return reading > reading.reference_high
    return leaf(Condition(reading.name, ">", "ULN", reading, None))


# --- sums ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a score: what must hold, and the points it then adds."""

    criterion: Criterion
    points: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Tally:
    """A sum of items; `lowest` and `highest` are what it can still become."""

    items: tuple[Item, ...]

    @property
    def lowest(self) -> Decimal:
        """The sum of what certainly counts."""
        return sum((item.points for item in self.items if item.criterion.yes), Decimal(0))

    @property
    def highest(self) -> Decimal:
        """The sum of what counts or may count."""
        return sum((item.points for item in self.items if not item.criterion.no), Decimal(0))

    @property
    def value(self) -> Decimal | None:
        """The sum, when every item is told."""
        return self.lowest if self.told().yes else None

    def told(self) -> Criterion:
        """Tell whether every item is told; what is missing otherwise."""
        return all_of(told(item.criterion) for item in self.items)

    def reaches(self, points: Decimal) -> Criterion:
        """Tell whether the sum is so many points or more, as far as that can be told."""
        holds: Truth = True if self.lowest >= points else None if self.highest >= points else False
        return counted(holds, tuple(item.criterion for item in self.items))

    def exceeds(self, points: Decimal) -> Criterion:
        """Tell whether the sum is more than so many points, as far as that can be told."""
        holds: Truth = True if self.lowest > points else None if self.highest > points else False
        return counted(holds, tuple(item.criterion for item in self.items))

    def with_item(self, item: Item) -> Tally:
        """Give the score with one more item."""
        return Tally((*self.items, item))


def count(criteria: Iterable[Logical]) -> Tally:
    """Count factors, one point each."""
    return Tally(tuple(Item(factor.criterion()) for factor in criteria))


def graded(reading: Reading, steps: Sequence[Mapping[str, Decimal]]) -> tuple[Item, ...]:
    """
    Give the items of a graded marker.

    `steps` say from above which value on how many points count in all; each item adds what its step has more
    than the one before.
    """
    items: list[Item] = []
    before = Decimal(0)
    for step in sorted(steps, key=lambda step: step["above"]):
        points = Decimal(step["points"])
        items.append(Item(reading > Decimal(step["above"]), points - before))
        before = points
    return tuple(items)


# --- groups of a score --------------------------------------------------------------------------------------

Row = Mapping[str, Any]
"""One published group: `from` so many points on, its `word`, and published risks."""


def possible_groups(score: Tally, table: Sequence[Row]) -> tuple[Row, ...]:
    """Give the groups that the score can still fall into, lowest first."""
    found: list[Row] = []
    for place, row in enumerate(table):
        begins = Decimal(row["from"])
        ends = Decimal(table[place + 1]["from"]) if place + 1 < len(table) else None
        if score.highest >= begins and (ends is None or score.lowest < ends):
            found.append(row)
    return tuple(found)


def group(score: Tally, table: Sequence[Row]) -> Row | None:
    """Give the group, when the lowest and the highest possible score fall into the same one."""
    found = possible_groups(score, table)
    return found[0] if len(found) == 1 else None


def group_told(score: Tally, table: Sequence[Row]) -> Criterion:
    """Tell whether the group can be told; what is missing otherwise."""
    return all_of(told(score.reaches(Decimal(row["from"]))) for row in table[1:])


# --- stages -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage I, II or III, each with what it takes."""

    first: Criterion
    second: Criterion
    third: Criterion

    @property
    def possible(self) -> tuple[str, ...]:
        """The stages that are still open."""
        named = (("I", self.first), ("II", self.second), ("III", self.third))
        return tuple(name for name, criterion in named if not criterion.no)

    @property
    def word(self) -> str | None:
        """The stage, when it is certain."""
        return self.possible[0] if len(self.possible) == 1 else None

    def told(self) -> Criterion:
        """Tell whether the stage is certain; what is missing otherwise."""
        return any_of((self.first, self.second, self.third))


def iss(b2m: Reading, albumin: Reading, limits: Limits) -> Stage:
    """Give the ISS stage from β2-microglobulin (mg/L) and albumin (g/L) at diagnosis (Greipp 2005)."""
    first = (b2m < limits.iss_b2m_low) & (albumin >= limits.iss_albumin)
    third = b2m >= limits.iss_b2m_high
    return Stage(first, ~first & ~third, third)


def riss(stage: Stage, ldh_raised: Criterion, high_risk: Logical) -> Stage:
    """Give the R-ISS stage from ISS, LDH above its upper limit and high-risk cytogenetics (Palumbo 2015)."""
    bad = ldh_raised | high_risk
    first = stage.first & ~bad
    third = stage.third & bad
    return Stage(first, ~first & ~third, third)
