"""Opening the lists of a body where they stand: most of it is one long list, which need not be gone over twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.terms.decode import LARGEST_OPENED, Envelope, OpenedList
from fhir_mapping.terms.exact import BROKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.terms.decode import Brought, Json

SHORT = 32 * 1024
"""Bytes of a body that is not worth the trouble."""
LOOKED_FOR = 3
"""The first resources of a list, of which one stands nowhere else in the body: some are sent under two keys."""
_STANDS_FOR_IT = b'"taken out"'


class _Lists(msgspec.Struct, gc=False):
    prefetch: dict[str, Envelope | None] | None = None


_decode_lists = msgspec.json.Decoder(_Lists).decode


@dataclass(frozen=True, slots=True)
class Apart:
    """A body whose longest list was taken out: the `rest` is valid JSON, and holds all names that the body does."""

    rest: bytes
    _taken: memoryview
    _lists: Mapping[str, Envelope]

    def put_back(self, prefetch: Mapping[str, Json]) -> Mapping[str, Brought]:
        """Give the prefetch of the rest with its lists as they came, and opened."""
        return {
            key: OpenedList(self._lists[key], self._as_it_came(value)) if key in self._lists else value
            for key, value in prefetch.items()
        }

    def _as_it_came(self, value: Json) -> tuple[Json, ...]:
        before, found, after = bytes(value).partition(_STANDS_FOR_IT)
        return (before, self._taken, after) if found else (value,)


def taken_apart(body: bytes) -> Apart | None:
    """
    Open the lists of a body's prefetch, and take the entries of the longest out of it.

    None for a body that is short, or has a list of unusual form, or of which it is not sure what was taken out. A name
    that stands twice is not looked for here: both are in the rest, where it will be found.
    """
    if not SHORT < len(body) <= LARGEST_OPENED:
        return None
    try:
        prefetch = _decode_lists(body).prefetch or {}
    except BROKEN:
        return None
    lists = {key: one for key, one in prefetch.items() if one is not None and one.resourceType == "Bundle"}
    longest = max((one.entry or [] for one in lists.values()), key=len, default=[])
    texts = (bytes(entry.resource) for entry in longest[:LOOKED_FOR])
    # Where there is one place only that a resource can be, what lies between it and the last is of its list.
    start = next((body.index(text) for text in texts if body.count(text) == 1), None)
    if start is None:
        return None
    last = bytes(longest[-1].resource)
    end = body.index(last, start) + len(last)
    rest = body[:start] + _STANDS_FOR_IT + body[end:]
    return Apart(rest, memoryview(body)[start:end], lists) if rest.count(_STANDS_FOR_IT) == 1 else None
