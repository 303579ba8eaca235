"""Which servers send the Medications along with the orders that refer to them, as far as they have told us."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED_S: Final = 3600.0
METADATA: Final = "metadata"
MOST_BASES: Final = 1000
_HOLDERS = ("MedicationRequest", "MedicationAdministration")


class _Resource(msgspec.Struct):
    type: str | None = None
    includes: list[str] | None = msgspec.field(name="searchInclude", default=None)


class _Rest(msgspec.Struct):
    resource: list[_Resource] | None = None


class _Statement(msgspec.Struct):
    rest: list[_Rest] | None = None


_STATEMENT = msgspec.json.Decoder(_Statement)


class Includes:
    """
    What CapabilityStatements say of `_include`, by base, for an hour.

    A statement is asked for only when a call had to read Medications one by one: then the next call asks for them in
    the same search.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, frozenset[str]]] = {}

    def knows(self, base: str) -> bool:
        """Tell whether the server has told us lately."""
        with self._lock:
            told = self._told.get(base)
            return told is not None and self._clock() < told[0]

    def learn(self, base: str, statement: bytes) -> None:
        """Take note of a CapabilityStatement; one that cannot be read allows nothing."""
        try:
            rests = _STATEMENT.decode(statement).rest or ()
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            rests = ()
        found = {
            one.type
            for rest in rests
            for one in rest.resource or ()
            if one.type in _HOLDERS and {"*", f"{one.type}:medication"} & set(one.includes or ())
        }
        with self._lock:
            if len(self._told) >= MOST_BASES:
                self._told.clear()
            self._told[base] = (self._clock() + REMEMBERED_S, frozenset(kind for kind in found if kind))

    def extended(self, base: str, query: str) -> str:
        """Give a search with `_include` where the server is known to have it."""
        kind = query.partition("?")[0]
        with self._lock:
            told = self._told.get(base)
            offers = told is not None and self._clock() < told[0] and kind in told[1]
        return f"{query}&_include={kind}:medication" if offers else query


INCLUDES: Final = Includes()
