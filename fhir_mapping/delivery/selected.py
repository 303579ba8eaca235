"""What was found of all that was delivered: each resource once, in its newest version."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhir_mapping.delivery.timing import version
from fhir_mapping.terms.decode import TooManyEntriesError

if TYPE_CHECKING:
    import datetime as dt

    import msgspec

    from fhir_mapping.delivery.items import Aside, Candidate, Item
    from fhir_mapping.delivery.notes import Notes

READ_AT_MOST = 5_000
"""So many resources, results aside, are read: a chart has a few hundred, and each costs a third of a millisecond."""


@dataclass(slots=True)
class Selected:
    """
    What was found: candidates per target (results), items per resource type (the others), and what came of each key.

    `topics` are those of a target's candidates, `worded` the targets of which some was found by words, not by a code.
    `aside` are results that do not count, per fact; `unidentified` the resources, per key, of which nobody can tell
    what they are; `by_name` the items by `Type/id`; `by_reference` what is not read of itself and may be referred to.
    """

    candidates: dict[str, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    topics: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    worded: set[str] = field(default_factory=set)
    items: dict[str, list[Item]] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    truncated: set[str] = field(default_factory=set)
    cut: dict[str, dt.date | None] = field(default_factory=dict)
    unavailable: set[str] = field(default_factory=set)
    aside: dict[str, list[Aside]] = field(default_factory=dict)
    unidentified: dict[str, list[str]] = field(default_factory=dict)
    by_reference: dict[str, msgspec.Raw | bytes] = field(default_factory=dict)
    by_name: dict[str, Item] = field(default_factory=dict)
    _replaced: set[str] = field(default_factory=set)
    _kept: int = 0

    def keep(self, item: Item, notes: Notes) -> Item | None:
        """Keep an item once: the same resource delivered twice counts once, of two versions the newer."""
        if not item.name.endswith(" without id"):
            known = self.by_name.setdefault(item.name, item)
            if known is not item:
                if bytes(known.raw) == bytes(item.raw):
                    return None
                return self._newer(known, item, notes)
        if item.kind == "Observation":
            return item  # results are looked for by what they may become
        if item.kind != "Patient":
            self._kept += 1
            if self._kept > READ_AT_MOST:
                raise TooManyEntriesError(
                    f"More than {READ_AT_MOST} resources to be read besides results; send fewer at a time."
                )
        self.items.setdefault(item.kind, []).append(item)
        return item

    def _newer(self, known: Item, item: Item, notes: Notes) -> Item | None:
        notes.add(item.name, "delivered in two versions: the newer one is used")
        if version(item.raw) <= version(known.raw):
            return None
        self.by_name[item.name] = item
        self._replaced.add(item.name)
        if item.kind != "Observation":
            self.items[item.kind].append(item)
        return item

    def take_out_replaced(self) -> None:
        """Take out the versions that a newer one has replaced, all at once: there may be thousands."""
        if not self._replaced:
            return

        def stays(item: Item) -> bool:
            return item.name not in self._replaced or self.by_name[item.name] is item

        for items in self.items.values():
            items[:] = [item for item in items if stays(item)]
        for candidates in self.candidates.values():
            candidates[:] = [candidate for candidate in candidates if stays(candidate.item)]
