"""Sums of graded items, in which a missing item makes a range instead of a guess."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.vocabulary.facts import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.vocabulary.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedItem:
    """
    One item of a score: the fact it is graded from, and the points it may give.

    `answers` holds what can still be said of it, each with its points: one answer when it is told, several
    while it is open. An answer is a word that the topic's wording knows.
    """

    fact: Fact
    answers: Mapping[str, int]

    @property
    def is_told(self) -> bool:
        """Whether only one number of points is left."""
        return self.lowest == self.highest

    @property
    def lowest(self) -> int:
        """The fewest points that it may give."""
        return min(self.answers.values())

    @property
    def highest(self) -> int:
        """The most points that it may give."""
        return max(self.answers.values())


@dataclass(frozen=True, slots=True)
class Score:
    """A sum of graded items; `lowest` and `highest` are what it can still become."""

    name: str
    items: tuple[GradedItem, ...]

    @property
    def lowest(self) -> int:
        """The sum with every open item at its fewest points."""
        return sum(item.lowest for item in self.items)

    @property
    def highest(self) -> int:
        """The sum with every open item at its most points."""
        return sum(item.highest for item in self.items)

    @property
    def is_told(self) -> bool:
        """Whether every item is told, so that the sum is one number."""
        return all(item.is_told for item in self.items)

    @property
    def open_items(self) -> tuple[GradedItem, ...]:
        """The items that are not told yet."""
        return tuple(item for item in self.items if not item.is_told)

    @property
    def total(self) -> Reading:
        """
        The sum as a reading: an interval while items are open, which then names them in `lacks`.

        Comparing it gives yes or no as soon as the whole range lies on one side of the limit.
        """
        return Reading(
            name=self.name,
            unit="{score}",
            decimals=0,
            low=Decimal(self.lowest),
            high=Decimal(self.highest),
            reason=None,
            date=max((item.fact.date for item in self.items if item.fact.date), default=None),
            resources=tuple(dict.fromkeys(name for item in self.items for name in item.fact.resources)),
            lacks=tuple(dict.fromkeys(item.fact.name for item in self.open_items)),
        )

    def if_answered(self, item: GradedItem) -> Iterator[tuple[str, int, int]]:
        """Yield, for each answer that an open item may still get, the word and the lowest and highest sum then."""
        for word, points in item.answers.items():
            yield word, self.lowest - item.lowest + points, self.highest - item.highest + points
