"""Skeletal lesions, one item each: entered under the local code, or told by mCODE tumour and metastasis resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.skeleton import entries, identity, lytic, metastases, tumours
from fhir_mapping.terms import dates
from fhir_mapping.terms.decode import TooManyEntriesError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.records import Lesion

MOST_ENTRIES, MOST_LESIONS = 2_000, 200
"""A patient with many lesions has some dozens; each is judged by a score of its own."""


def read(reader: ObservationReader, conditions: ConditionReader, structures: Iterable[Item]) -> tuple[Lesion, ...]:
    """
    Give all lesions, newest first, in a fixed order; entries about one lesion are one (`skeleton.identity`).

    Raises `TooManyEntriesError` above 200 lesions or 2,000 entries about them.
    """
    sent = sorted(
        reader.candidates("lesions", "lesion"), key=lambda one: (dates.order(one.stamp), one.item.name), reverse=True
    )
    if len(sent) > MOST_ENTRIES:
        raise TooManyEntriesError(f"More than {MOST_ENTRIES} entries about bone lesions; send fewer at a time.")
    found = [lesion for candidate in sent if (lesion := entries.entered(candidate, reader)) is not None]
    continued = {one.item.name: before for one in sent if (before := identity.continues(one, reader))}
    in_bone = tumours.in_bone(reader, structures)
    on_films = lytic.seen(reader)
    lytic.count(on_films, reader, conditions)
    found = identity.joined(sorted((*found, *in_bone, *on_films), key=_newest_first), continued)
    added = {name for name, before in continued.items() if before.startswith(identity.ADDED_BY_FORM)}
    found = identity.of_one_place(found, {one.id for one in in_bone} | set(continued.values()), added)
    found += metastases.of_conditions(conditions, found)
    if len(found) > MOST_LESIONS:
        raise TooManyEntriesError(f"More than {MOST_LESIONS} bone lesions; send fewer at a time.")
    return tuple(sorted(found, key=_newest_first))


def _newest_first(lesion: Lesion) -> tuple[int, str]:
    return -(lesion.date.toordinal() if lesion.date else 0), lesion.id
