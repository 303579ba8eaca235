"""
Which lines of a population could bring their patient into scope: a superset, in one look at each line.

Nine of ten patients of a hospital are none of our business. What can make one our business stands in a Condition that
is read at all, in a few kinds of Observation, in the conclusion of a report, or, at an order, in the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.delivery.selection import ObservationIndex
from fhir_mapping.terms import codes, decode, dictionary, drugs
from fhir_mapping.terms.site import NO_SITE
from fhir_mapping.words import text

if TYPE_CHECKING:
    from fhir_mapping.terms.decode import Codeable
    from fhir_mapping.terms.site import SiteMapping

CHART_TYPES = frozenset({"Condition", "Observation", "DiagnosticReport"})
"""Resource types that can bring a chart into scope."""
ORDER_TYPES = frozenset({"MedicationRequest", "ServiceRequest"})
"""And those that can do it as orders at hand."""

SCOPE_TOPICS = frozenset({"lesion", "lytic", "tumor-size", "histology", "metastatic-history", "m-category", "stage"})
"""What kinds of Observation can state a disease, or a lesion that is one; a laboratory result cannot."""
SCOPE_TARGETS = ("dx.", "ever.", "local.ortho_first_presentation", "mm.phase", "sarcoma.")
MOST_REMEMBERED = 50_000


class Line(msgspec.Struct, gc=False):
    """What the screen reads of a line."""

    resourceType: str = ""  # noqa: N815 - FHIR's own names
    code: decode.Codeable | list[decode.Codeable] | None = None
    component: list[decode.Part] | decode.Part | None = None
    conclusionCode: list[decode.Codeable] | decode.Codeable | None = None  # noqa: N815 - FHIR's own names
    contained: list[msgspec.Raw] | None = None
    extension: list[msgspec.Raw] | None = None
    medicationCodeableConcept: decode.Codeable | list[decode.Codeable] | None = None  # noqa: N815 - FHIR's own names


_decode_line = msgspec.json.Decoder(Line).decode


class Screen:
    """The screen of one site; it remembers what it has seen of codes and words."""

    def __init__(self, site: SiteMapping = NO_SITE) -> None:
        self._table = site.table()
        self._index = ObservationIndex(self._table, site)
        self._coded: dict[tuple[str, str | None, str | int | None], bool] = {}
        self._worded: dict[tuple[str, str], bool] = {}

    def may_concern(self, raw: bytes | msgspec.Raw, *, orders: bool = False) -> bool:
        """
        Tell whether a line could bring its patient into scope; with `orders` also as an order at hand.

        True for a line that cannot be read: nobody knows what it says.
        """
        try:
            line = _decode_line(raw)
        except decode.BROKEN:
            return True
        return self._concerns(line, orders=orders)

    def _concerns(self, line: Line, *, orders: bool) -> bool:
        kind = line.resourceType
        if kind == "Observation":
            return self._states_disease(line)
        if kind == "Condition":
            return self._known(line.code, "Condition") or any(HISTOLOGY in bytes(one) for one in line.extension or ())
        if kind == "DiagnosticReport":
            return self._known(line.conclusionCode, "Condition") or any(
                self.may_concern(inner) for inner in line.contained or ()
            )
        if orders and kind == "MedicationRequest":
            return line.medicationCodeableConcept in (None, []) or self._known(line.medicationCodeableConcept, "drug")
        return orders and kind == "ServiceRequest" and self._known(line.code, "ServiceRequest")

    def _states_disease(self, line: Line) -> bool:
        parts = line.component
        listed = parts if isinstance(parts, list) else [parts] if parts is not None else []
        found = [*self._index.slots(line.code), *(slot for part in listed for slot in self._index.slots(part.code))]
        return any(slot.topic in SCOPE_TOPICS or slot.target.startswith(SCOPE_TARGETS) for slot in found)

    def unread(self, raw: bytes | msgspec.Raw) -> tuple[str, str, str] | None:
        """Give type, system and code of a result that no rule can read for its local code; None for any other."""
        try:
            line = _decode_line(raw)
        except decode.BROKEN:
            return None
        if line.resourceType != "Observation" or line.component is not None or self._index.slots(line.code):
            return None
        for coding in decode.codings(line.code):
            code = codes.code_text(coding.code)
            if code and len(code) <= LONGEST_CODE and not codes.is_standard(coding.system) and " " not in code:
                return line.resourceType, (coding.system or "")[:LONGEST_SYSTEM], code
        return None

    def _known(self, concept: Codeable | list[Codeable] | None, kind: str) -> bool:
        """Tell whether a code, or words beside it, could mean something to a reader of this kind."""
        if len(self._coded) > MOST_REMEMBERED or len(self._worded) > MOST_REMEMBERED:
            self._coded.clear()
            self._worded.clear()
        for coding in decode.codings(concept):
            key = (kind, coding.system, coding.code)
            known = self._coded.get(key)
            if known is None:
                known = self._coded[key] = self._lookup(coding, kind)
            if known:
                return True
        for codeable in decode.codeables(concept):
            for said in (codeable.text, *(coding.display for coding in decode.codings(codeable))):
                if said and self._speaks(kind, said):
                    return True
        return False

    def _lookup(self, coding: decode.Coding, kind: str) -> bool:
        code = codes.code_text(coding.code)
        if not code:
            return False
        return any(
            not kinds.isdisjoint(KINDS_OF[kind]) and match.concept not in HARMLESS
            for match, kinds in self._table.lookup(coding.system or "", code)
        )

    def _speaks(self, kind: str, said: str) -> bool:
        known = self._worded.get((kind, said))
        if known is None:
            speaks = text.occurs(said, *TERMS) if kind == "Condition" else _names_a_kind_of_order(said)
            known = self._worded[kind, said] = speaks
        return known


def _names_a_kind_of_order(said: str) -> bool:
    return text.mentions(said) or any(one.key for one in drugs.mentions(said))


KINDS_OF = {
    "Condition": frozenset({"Condition"}),
    "ServiceRequest": frozenset({"ServiceRequest", "Procedure"}),
    "drug": frozenset(drugs.KINDS),
}
"""Kinds of the code table that mean something in a resource of a type."""
_DISEASES = [rule for rule in dictionary.DIAGNOSES if rule.malignant]
TERMS = (*dict.fromkeys(term for rule in _DISEASES for term in rule.terms), "myeloma", "mgus", "smouldering_myeloma")
"""What words of a Condition can name a disease of ours."""
HARMLESS = frozenset(
    concept for rule in dictionary.DIAGNOSES if not rule.malignant for concept in rule.concepts | rule.suspect_concepts
).difference(*(rule.concepts | rule.suspect_concepts for rule in _DISEASES))
"""Diagnoses that rules read in a patient of ours, and that make nobody one: pneumonia, osteoporosis, a fracture."""
HISTOLOGY = b"histology"
LONGEST_CODE, LONGEST_SYSTEM = 64, 200
