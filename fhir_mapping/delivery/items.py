"""One resource that carries a fact, and what it is called: `Type/id`, whatever way it was referred to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.delivery.notes import usual_name
from fhir_mapping.delivery.resources import readable
from fhir_mapping.terms import codes, exact, heads
from fhir_mapping.terms.exact import ResourceFaultError

if TYPE_CHECKING:
    import datetime as dt

    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.heads import Head
    from recommenders.vocabulary.facts import Reason


class Item(msgspec.Struct, eq=False, gc=False):
    """
    One resource that carries a fact: its bytes, and its tidy copy once somebody reads it.

    `name` is `Type/id`; `stamp` when it was true, `dated_by` the element that told, `issued` when it was
    released.
    """

    kind: str
    name: str
    key: str
    raw: msgspec.Raw | bytes
    status: str = ""
    stamp: Stamp | None = None
    dated_by: str = ""
    issued: Stamp | None = None
    flags: tuple[str, ...] = ()
    ranged: bool = False
    """Whether a fact it carries is judged by the laboratory's own range."""
    is_faulty: bool = False
    """Whether it was found to be unreadable: then nobody knows what it says."""
    _copy: dict[str, Any] | None = None

    def _words(self) -> tuple[str, ...]:
        """Give the words by which a code is told, where they are judged: a result's are known by name."""
        if self.kind == "Observation":
            return ()
        code = heads.head_of(self.raw).code
        said = [one.text for one in heads.codeables(code)]
        said += [coding.display for coding in heads.codings(code)]
        return tuple(each for each in said if each)

    def copy(self, timezone: dt.tzinfo, notes: Notes) -> dict[str, Any] | None:
        """Give the tidy, validated copy; None, noted, when the resource cannot be used."""
        if self._copy is None and not self.is_faulty:
            try:
                notes.spend(self.kind, self.raw, self._words())
                without = _NOTHING if self.ranged or self.kind != "Observation" else _RANGE
                respelled: list[str] = []
                resource, neat = exact.neatly(self.raw)
                self._copy = readable(resource, timezone, without=without, respelled=respelled, neat=neat)
                for element in respelled:
                    notes.add(self.name, f"date-respelled: {element} is not written as FHIR has it")
            except ResourceFaultError as error:
                self.is_faulty = True
                notes.add(self.name, str(error))
        return self._copy


_NOTHING: frozenset[str] = frozenset()
_RANGE = frozenset({"referenceRange"})
JUDGED_BY_RANGE = frozenset(
    {
        "lab.ca_total",
        "lab.ca_corr",
        "lab.alp",
        "lab.balp",
        "lab.ldh",
        "lab.hb",
        "bone.ctx",
        "bone.pinp",
        "bone.ntx",
        "pain.nrs",
    }
)
"""Facts whose reference range rules ask for (a faces scale tells by it how far it goes)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """
    What one code of an Observation is for.

    `topic` names the reader, `target` the fact path (or concept), `rank` how much it is to be trusted
    (1 standard code … 4 text), `concept`/`system`/`code` what matched.
    """

    topic: str
    target: str
    rank: int
    concept: str
    system: str = ""
    code: str = ""


class Candidate(msgspec.Struct, eq=False, gc=False):
    """One value that may become a fact: the item, which component of it (None: itself), and its slot."""

    item: Item
    slot: Slot
    part: int | None = None
    stamp: Stamp | None = None
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Aside:
    """A result that is on record and does not count: why, which, and of when."""

    reason: Reason
    name: str
    day: dt.date | None


def name_of(kind: str, head: Head) -> str:
    """Give `Type/id` of a resource, without letting odd characters of an id through."""
    number = codes.code_text(head.id)
    if not number:
        return f"{kind} without id"
    return usual_name(f"{kind}/{number}")


def is_patient(reference: str, patient_id: str) -> bool:
    """Tell whether a reference is to this patient: `Patient/x`, an address ending so, or a version of it."""
    text_of_reference = reference.strip().partition("/_history/")[0].rstrip("/")
    if text_of_reference == f"urn:uuid:{patient_id}":
        return True
    before, slash, number = text_of_reference.rpartition("/")
    return bool(slash) and number == patient_id and (before == "Patient" or before.endswith("/Patient"))


def relative(reference: str) -> str:
    """Give `Type/id` of a reference that may be an address or a version of one."""
    parts = reference.strip().partition("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:])
