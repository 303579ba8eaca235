"""What several results of one time say together: which of them count, and when they contradict each other."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import dates
from fhir_mapping.terms.codes import text_of
from recommenders.vocabulary.facts import Fact, Finding, Reading, replace, round_half_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.delivery.notes import Notes

Told = tuple["Candidate", Fact]
"""A result, and the fact that was read from it."""


# --- which are of one time ----------------------------------------------------------------------------------


Days = dict[dt.date, list["Candidate"]]
"""Candidates by their day, of which there may be hundreds; those without one at the first day there is."""
UNDATED = dt.date.min


def by_day(candidates: Sequence[Candidate]) -> Days:
    """Give candidates by their day."""
    days: Days = {}
    for one in candidates:
        day = UNDATED if one.stamp is None else one.stamp.day
        if day in days:
            days[day].append(one)
        else:
            days[day] = [one]
    return days


def by_time(days: Days) -> Iterator[list[Candidate]]:
    """
    Yield candidates in groups of one time, the newest first; the best of a group stands first.

    Only the days that somebody asks for are put in order: of most facts that is the newest.
    """
    for day in sorted(days, reverse=True):
        if len(days[day]) == 1:
            yield days[day]
            continue
        rest = sorted(days[day], key=order, reverse=True)
        while rest:
            top = rest[0].stamp
            yield [one for one in rest if dates.same_time(one.stamp, top)]
            rest = [one for one in rest if not dates.same_time(one.stamp, top)]


def order(candidate: Candidate) -> tuple[Any, ...]:
    """Give the sort key of "the newest wins"; at the end trust and place, so that the order of arrival is nothing."""
    item = candidate.item
    place = -1 if candidate.part is None else candidate.part
    return (*dates.order(candidate.stamp, item.status, item.issued, item.name), -_trust(candidate), -place)


def _status(candidate: Candidate) -> int:
    return dates.STATUS_RANK.get(candidate.item.status.strip(), 0)


def _trust(candidate: Candidate) -> int:
    """Give how little a value is to be trusted beside others of its time: code, then component, local, text."""
    rank = candidate.slot.rank
    return rank * 10 + candidate.behind + (1 if rank == 1 and candidate.part is not None else 0)


# --- what they say together ---------------------------------------------------------------------------------


def settled(
    told: Sequence[Told],
    notes: Notes,
    *,
    highest: bool,
    resource_of: Callable[[Candidate], Mapping[str, Any] | None],
) -> Fact:
    """
    Give the one fact of results of one time (at least one, the best first).

    Corrected before amended before final, a standard code before a local one; equal values are one; values that
    differ make the fact `contradictory`, except where several may stand beside each other (`highest` of a rule,
    pains of several places, bands of one protein).
    """
    readable = [pair for pair in told if _tells(pair[1])]
    for candidate, fact in told:
        if not _tells(fact):
            notes.add(candidate.item.name, _EXPLAINED.get(fact.reason or "", str(fact.reason)))
    if not readable:
        return told[0][1]
    if len(readable) > 1:
        readable = _most_trusted(_best_status(readable, notes), notes)
    (leader, first), *others = readable
    if all(same_value(fact, first) for _, fact in others):
        for candidate, _ in others:
            if candidate.item is not leader.item:
                notes.add(candidate.item.name, f"the same result as {leader.item.name}")
        return first
    one = _one_of_several(readable, highest=highest, resource_of=resource_of)
    if one is not None:
        return one
    for candidate, _ in readable:
        notes.add(candidate.item.name, f"contradictory: another value of {first.name} at the same time")
    return contradiction([fact for _, fact in readable])


_EXPLAINED = {
    "unit": "unit: no unit, or none that can be converted",
    "implausible": "implausible: check value and unit",
    "masked": "masked: withheld on purpose",
    "no-value": "no-value",
}


def _tells(fact: Fact) -> bool:
    return fact.is_known or is_open(fact)


def is_open(fact: Fact) -> bool:
    """Tell whether a finding is unknown only in part (an ESCC grade `1` is 1a, 1b or 1c)."""
    return isinstance(fact, Finding) and bool(fact.possible)


def _best_status(readable: Sequence[Told], notes: Notes) -> list[Told]:
    best = max(_status(candidate) for candidate, _ in readable)
    for candidate, _ in readable:
        if _status(candidate) < best:
            notes.add(candidate.item.name, "superseded by a corrected result of the same time")
    return [pair for pair in readable if _status(pair[0]) == best]


def _most_trusted(readable: Sequence[Told], notes: Notes) -> list[Told]:
    """Give those of the best code, and what is told in words: words may contradict a code, a lesser code may not."""
    trusted = min(_trust(candidate) for candidate, _ in readable)
    spoken = [pair for pair in readable if pair[0].slot.rank == 4 and _trust(pair[0]) > trusted]
    for candidate, _ in readable:
        if candidate.slot.rank != 4 and _trust(candidate) > trusted:
            notes.add(candidate.item.name, "superseded by a better coded result of the same time")
    return [pair for pair in readable if _trust(pair[0]) == trusted] + spoken


def _one_of_several(
    readable: Sequence[Told], *, highest: bool, resource_of: Callable[[Candidate], Mapping[str, Any] | None]
) -> Fact | None:
    """Give the number that speaks for several which do not contradict each other; None where they do."""
    numbers = [fact for _, fact in readable if isinstance(fact, Reading)]
    first = readable[0][1]
    if not isinstance(first, Reading):
        return None
    if highest:
        return max(numbers, key=lambda fact: (fact.high or Decimal(0), fact.low or Decimal(0)))
    top = max(numbers, key=lambda fact: fact.high or Decimal(0))
    if first.name == "pain.nrs" and _are_of_places(readable, resource_of):
        return replace(top, flags=(*top.flags, "worst-of-several-places"))
    if first.name == "mm.m_protein" and _are_bands(readable):
        return replace(top, flags=(*top.flags, "largest-of-several-bands"))
    return None


def _are_of_places(readable: Sequence[Told], resource_of: Callable[[Candidate], Mapping[str, Any] | None]) -> bool:
    """Tell whether pain scores of one time are of different body sites each: then they are pains of lesions."""
    places = [text_of((resource_of(candidate) or {}).get("bodySite")) for candidate, _ in readable]
    return all(places) and len(set(places)) == len(places)


def _are_bands(readable: Sequence[Told]) -> bool:
    """Tell whether values are coded as single bands or are components of one panel: bands are never added."""
    if all(candidate.slot.concept == "m_protein_serum_band" for candidate, _ in readable):
        return True
    return all(candidate.part is not None and candidate.item is readable[0][0].item for candidate, _ in readable)


# --- equal and different ------------------------------------------------------------------------------------


def same_value(one: Fact, other: Fact) -> bool:
    """Tell whether two facts say the same, as exactly as the fact is kept."""
    if isinstance(one, Reading) and isinstance(other, Reading):
        return _ends(one) == _ends(other)
    if isinstance(one, Finding) and isinstance(other, Finding):
        return (one.value, one.possible) == (other.value, other.possible)
    return one == other


def _ends(fact: Reading) -> tuple[Any, ...]:
    def rounded(end: Decimal | None) -> Decimal | None:
        return end if end is None or fact.decimals is None else round_half_up(end, fact.decimals)

    return rounded(fact.low), rounded(fact.high), fact.low_open, fact.high_open


def contradiction(facts: Sequence[Fact]) -> Fact:
    """Give the fact as unknown, with all rival values and where they came from."""
    first = facts[0]
    names = tuple(dict.fromkeys(name for fact in facts for name in fact.resources))
    sent = "; ".join(dict.fromkeys(fact.sent for fact in facts if fact.sent)) or None
    if isinstance(first, Reading):
        numbers = [fact for fact in facts if isinstance(fact, Reading)]
        rivals = {end for fact in numbers for end in (fact.low, fact.high) if end is not None}
        return replace(
            first,
            low=None,
            high=None,
            low_open=False,
            high_open=False,
            rivals=tuple(sorted(rivals)),
            rivals_sent=_as_sent(numbers),
            resources=names,
            sent=sent,
            sent_value=None,
            reason="contradictory",
        )
    return replace(first.forget("contradictory"), resources=names, sent=sent)


def _as_sent(numbers: Sequence[Reading]) -> tuple[str, ...]:
    """Give the results as they were written, the lowest first; nothing where one of them has no text."""
    in_order = sorted(numbers, key=lambda one: (one.low is None, one.low))
    return tuple(dict.fromkeys(one.sent for one in in_order if one.sent)) if all(one.sent for one in numbers) else ()
