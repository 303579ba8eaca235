"""Why something that came was not used: collected while reading, said once each, counted where there are many."""

from __future__ import annotations

import re
from collections import Counter
from heapq import nsmallest
from typing import TYPE_CHECKING

from fhir_mapping.delivery.context import Note
from fhir_mapping.terms import exact
from fhir_mapping.terms.exact import ResourceFaultError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

NOT_READ = "not read: no code that a rule uses"
SUPERSEDED = "superseded by a newer result"
TOO_LONG = "too-long: only the beginning of its text was read"
_COUNTED = frozenset({NOT_READ, SUPERSEDED})
_NAMELESS = " without id"
NAMED_AT_MOST = 100
"""So many resources of one reason are named one by one; the rest is counted."""

_USUAL_ID = r"(?!None$)[A-Za-z0-9\-._|]{1,128}"
_USUAL_NAME = re.compile(rf"[A-Za-z]{{1,40}}/{_USUAL_ID}$")
is_usual_id = re.compile(_USUAL_ID).fullmatch
"""Tell whether an id is as FHIR has it: a name with it needs no `usual_name`."""


class Notes:
    """Collects why things were not used; the same words twice are said once, and long lists are counted."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        """By reason, the resources it was said of, as often as it was."""
        self._counts: Counter[str] = Counter()
        self._left = exact.MAX_WORK_OF_A_CALL
        self._uncounted: list[tuple[str, msgspec.Raw | bytes]] = []
        self._at_most = 0
        """More than the work of what is uncounted."""
        self._heard: set[tuple[str, ...]] = set()

    def add(self, resource: str, reason: str) -> None:
        """Note a reason for one resource (`Type/id`) or prefetch key."""
        self._found.setdefault(reason, []).append(resource)

    def add_each(self, resources: Iterable[str], reason: str) -> None:
        """Note one reason for each of several resources."""
        if named := list(resources):
            self._found.setdefault(reason, []).extend(named)

    def add_all(self, resources: Iterable[str], reason: str) -> None:
        """Note one reason for many resources: the first hundred by name, the others counted."""
        names = set(resources)
        for name in _first(names):
            self.add(usual_name(name), reason)
        self._counts[reason] += max(0, len(names) - NAMED_AT_MOST)

    def spend(self, kind: str, raw: msgspec.Raw | bytes, words: tuple[str, ...] = ()) -> None:
        """
        Take note of the work that a resource costs, which is more when its words are new.

        Raises `ResourceFaultError` when a call has had its share.
        """
        if words and words not in self._heard:
            self._heard.add(words)
            self._left -= exact.NEW_WORDS
        self._uncounted.append((kind, raw))
        self._at_most += exact.most_work_of_a_call(kind, raw)
        if self._at_most > self._left:  # most calls are so far from it that nothing need be counted
            self._left -= sum(exact.work_of_a_call(*one) for one in self._uncounted)
            self._uncounted, self._at_most = [], 0
            if self._left < 0:
                raise ResourceFaultError("too-long: this call holds more than can be read in its time")

    def sorted(self) -> tuple[Note, ...]:
        """Give all notes in a fixed order; of each reason the first hundred by name, then a count."""
        named: list[Note] = []
        counted: list[Note] = []
        more = Counter[str](self._counts)
        for reason in sorted(self._found):
            resources = set(self._found[reason])
            more[reason] += max(0, len(resources) - NAMED_AT_MOST)
            said = counted if reason in _COUNTED else named
            said += [Note(name, self._times(name, reason)) for name in _first(resources)]
        named.sort(key=lambda note: (note.resource, note.reason))
        rest = [Note("prefetch", f"{more[reason]} more resources: {reason}") for reason in sorted(more) if more[reason]]
        return (*named, *counted, *rest)

    def _times(self, resource: str, reason: str) -> str:
        if not resource.endswith(_NAMELESS):
            return reason
        count = self._found[reason].count(resource)
        return f"{reason} ({count} times)" if count > 1 else reason


def _first(names: set[str]) -> list[str]:
    """Give those that are named one by one, in order."""
    if len(names) > _MANY:
        return nsmallest(NAMED_AT_MOST, names)
    return sorted(names)[:NAMED_AT_MOST]


_MANY = 5_000
"""From here on the first hundred are found sooner than all are put in order."""


def usual_name(name: str) -> str:
    """Give a resource's name without letting odd characters of an id through."""
    if _USUAL_NAME.match(name):
        return name
    kind, _, number = name.partition("/")
    if number in {"", "None"}:
        return f"{kind} without id"
    return f"{re.sub(r'[^A-Za-z]', '', kind)[:40]}/{re.sub(r'[^A-Za-z0-9._|-]', '_', number)[:64]}"
