"""
Which lines of a population could bring their patient into scope: a superset, in one look at each line.

Nine of ten patients of a hospital are none of our business. What can make one our business stands in a Condition that
is read at all, in a few kinds of Observation, in the conclusion of a report, or, at an order, in the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.delivery.index import ObservationIndex
from fhir_mapping.terms import codes, dictionary, drug_names, drugs, exact, heads, names
from fhir_mapping.terms.site import NO_SITE
from fhir_mapping.words import targets

if TYPE_CHECKING:
    from fhir_mapping.terms.heads import Codeable
    from fhir_mapping.terms.site import SiteMapping

CHART_TYPES = frozenset({"Condition", "Observation", "DiagnosticReport"})
"""Resource types that can bring a chart into scope."""
ORDER_TYPES = frozenset({"MedicationRequest", "ServiceRequest"})
"""And those that can do it as orders at hand."""

SCOPE_TOPICS = frozenset(
    {"lesion", "lytic", "tumor-size", "histology", "metastatic-history", "m-category", "spread", "stage"}
)
"""What kinds of Observation can state a disease, or a lesion that is one; a laboratory result cannot."""
SCOPE_TARGETS = ("dx.", "ever.", "local.ortho_first_presentation", "mm.phase", "sarcoma.")
MOST_REMEMBERED = 50_000


class Line(msgspec.Struct, gc=False):
    """What the screen reads of a line: elements stay bytes until they are met for the first time."""

    resourceType: str = ""  # noqa: N815 - FHIR's own names
    subject: heads.Ref | None = None
    patient: heads.Ref | None = None
    id: str | int | None = None
    code: msgspec.Raw = msgspec.Raw()
    component: msgspec.Raw = msgspec.Raw()
    conclusionCode: msgspec.Raw = msgspec.Raw()  # noqa: N815 - FHIR's own names
    contained: msgspec.Raw = msgspec.Raw()
    extension: msgspec.Raw = msgspec.Raw()
    medicationCodeableConcept: msgspec.Raw = msgspec.Raw()  # noqa: N815 - FHIR's own names


line_of = msgspec.json.Decoder(Line).decode
"""Decode a line; raises one of `exact.BROKEN`."""
_codeable = msgspec.json.Decoder(heads.Codeable | list[heads.Codeable]).decode
_parts = msgspec.json.Decoder(list[heads.Part]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Screen:
    """The screen of one site; it remembers what it has seen of codes and words."""

    def __init__(self, site: SiteMapping = NO_SITE) -> None:
        self._table = site.table()
        self._index = ObservationIndex(self._table, site)
        self._seen: dict[str, dict[bytes, bool]] = {}
        self._results = self._seen.setdefault("Observation", {})
        self._unread: dict[bytes, tuple[str, str] | None] = {}

    def may_concern(self, raw: bytes | msgspec.Raw, *, orders: bool = False) -> bool:
        """
        Tell whether a line could bring its patient into scope; with `orders` also as an order at hand.

        True for a line that cannot be read: nobody knows what it says.
        """
        try:
            line = line_of(raw)
        except exact.BROKEN:
            return True
        return self.concerns(line, orders=orders)

    def concerns(self, line: Line, *, orders: bool = False) -> bool:
        """Tell the same of a line that is decoded already."""
        if line.resourceType == "Observation" and not line.component:
            # most of a hospital are results; the same few thousand codes come again and again
            found = self._results.get(bytes(line.code))
            if found is not None:
                return found
        try:
            return self._concerns(line, orders=orders)
        except exact.BROKEN:  # an element of odd shape
            return True

    def _concerns(self, line: Line, *, orders: bool) -> bool:
        kind = line.resourceType
        if kind == "Observation":
            found = self._remembered(kind, line.code)
            return found or (bool(line.component) and self._remembered("component", line.component))
        if kind == "Condition":
            return self._remembered(kind, line.code) or HISTOLOGY in bytes(line.extension)
        if kind == "DiagnosticReport":
            return self._remembered("Condition", line.conclusionCode) or any(
                self.may_concern(inner) for inner in (_raws(line.contained) if line.contained else ())
            )
        if orders and kind == "MedicationRequest":
            told = line.medicationCodeableConcept
            return bytes(told) in _NOTHING or self._remembered("drug", told)
        return orders and kind == "ServiceRequest" and self._remembered(kind, line.code)

    def _remembered(self, kind: str, element: msgspec.Raw) -> bool:
        seen, key = self._seen.setdefault(kind, {}), bytes(element)
        found = seen.get(key)
        if found is None:
            if len(seen) > MOST_REMEMBERED:
                seen.clear()
                self._index.forget_if_large()
            found = seen[key] = self._looked_at(kind, element)
        return found

    def _looked_at(self, kind: str, element: msgspec.Raw) -> bool:
        if bytes(element) in _NOTHING:
            return False
        if kind == "component":
            return any(self._states_disease(part.code) for part in _parts(element))
        concept = _codeable(element)
        return self._states_disease(concept) if kind == "Observation" else self._known(concept, kind)

    def _states_disease(self, concept: Codeable | list[Codeable] | None) -> bool:
        found = self._index.slots(concept)
        return any(slot.topic in SCOPE_TOPICS or slot.target.startswith(SCOPE_TARGETS) for slot in found)

    def unread(self, raw: bytes | msgspec.Raw) -> tuple[str, str, str] | None:
        """Give type, system and code of a result that no rule can read for its local code; None for any other."""
        try:
            line = line_of(raw)
        except exact.BROKEN:
            return None
        if line.resourceType != "Observation" or line.component or not line.code:
            return None
        key = bytes(line.code)
        if key not in self._unread:
            if len(self._unread) > MOST_REMEMBERED:
                self._unread.clear()
            self._unread[key] = self._local_code(line.code)
        found = self._unread[key]
        return None if found is None else (line.resourceType, *found)

    def _local_code(self, element: msgspec.Raw) -> tuple[str, str] | None:
        """Give system and code of a concept that no rule reads, where the code is a local one."""
        try:
            concept = _codeable(element)
        except exact.BROKEN:
            return None
        if self._index.slots(concept):
            return None
        for coding in heads.codings(concept):
            code = codes.code_text(coding.code)
            if code and len(code) <= LONGEST_CODE and not codes.is_standard(coding.system) and " " not in code:
                return (coding.system or "")[:LONGEST_SYSTEM], code
        return None

    def _known(self, concept: Codeable | list[Codeable], kind: str) -> bool:
        """Tell whether a code, or words beside it, could mean something to a reader of this kind."""
        if any(self._lookup(coding, kind) for coding in heads.codings(concept)):
            return True
        return any(
            self._speaks(kind, said)
            for codeable in heads.codeables(concept)
            for said in (codeable.text, *(coding.display for coding in heads.codings(codeable)))
            if said
        )

    def _lookup(self, coding: heads.Coding, kind: str) -> bool:
        code = codes.code_text(coding.code)
        if not code:
            return False
        if kind == "Condition" and self._table.is_malignancy(coding.system, code):
            return True
        return any(
            not kinds.isdisjoint(KINDS_OF[kind]) and match.concept not in HARMLESS
            for match, kinds in self._table.lookup(coding.system or "", code)
        )

    def _speaks(self, kind: str, said: str) -> bool:
        if kind != "Condition":
            return targets.mentions(said) or any(one.key for one in drug_names.mentions(said))
        return targets.occurs(said, *TERMS) or any(
            match.concept not in HARMLESS or self._table.is_malignancy(match.system, match.code)
            for match in names.titled(said, "Condition")
        )


_NOTHING = frozenset({b"", b"null", b"[]"})


KINDS_OF = {
    "Condition": frozenset({"Condition"}),
    "ServiceRequest": frozenset({"ServiceRequest", "Procedure"}),
    "drug": frozenset(drugs.KINDS),
}
"""Kinds of the code table that mean something in a resource of a type."""
_DISEASES = [rule for rule in dictionary.DIAGNOSES if rule.malignant]
TERMS = (
    *dict.fromkeys(term for rule in _DISEASES for term in rule.terms),
    "myeloma",
    "mgus",
    "smouldering_myeloma",
    "cancer_word",
)
"""What words of a Condition can name a disease of ours."""
_NO_TUMOUR = frozenset(
    {"hypertension", "heart_failure", "atrial_fibrillation", "coagulopathy", "dic", "thrombocytopenia"}
    | {"renal_impairment", "acute_kidney_injury", "nephrotic_syndrome", "vesicoureteral_reflux_TRAP"}
    | {"haematuria_absent_TRAP", "dehydration", "calcium_metabolism_disorder", "hypocalcaemia", "hypomagnesaemia"}
    | {"hypophosphataemia", "hypoparathyroidism", "vitamin_d_deficiency", "bisphosphonate_long_term_use"}
    | {"atypical_femoral_fracture", "atypical_femoral_fracture_proxy", "avascular_necrosis_bone", "osteonecrosis_jaw"}
    | {"osteonecrosis_drug_induced_other", "jaw_inflammatory_condition", "dental_abscess", "dental_caries"}
    | {"periodontitis", "functional_paraparesis_TRAP", "pregnancy", "not_pregnant", "lactation", "anxiety"}
    | {"adjustment_disorder", "depression", "distress", "suicidal_ideation", "limited_prognosis"}
    | {"palliative_care_encounter", *(f"ecog_answer_{grade}" for grade in range(5))}
)
"""Diagnoses that are read by no rule of a disease: they name no tumour and no place where one might be."""
HARMLESS = _NO_TUMOUR | frozenset(
    concept for rule in dictionary.DIAGNOSES if not rule.malignant for concept in rule.concepts | rule.suspect_concepts
).difference(*(rule.concepts | rule.suspect_concepts for rule in _DISEASES))
"""
Diagnoses that make nobody a patient of ours, though the table knows them: pneumonia, osteoporosis, hypertension.

A concept that is not named here counts as one that may: who adds one to the table need not think of the screen.
"""
HISTOLOGY = b"histology"
LONGEST_CODE, LONGEST_SYSTEM = 64, 200
