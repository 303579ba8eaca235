"""Whether a drug or a problem on record is one that rules know, another one, or one that nobody can identify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.terms import codes, drug_names, drugs, heads, names
from fhir_mapping.words import plain, targets

if TYPE_CHECKING:
    from fhir_mapping.terms.codes import CodeTable
    from fhir_mapping.terms.heads import Head

_DRUG_KINDS = frozenset(drugs.KINDS)
_LISTS_ALL_DRUGS = frozenset({codes.ATC})
"""Systems in which a substance has one code of its own: a code that is not in our table is another drug."""
LISTS_ALL_DISEASES = frozenset({codes.ICD10, codes.ICD10_CM, codes.ICD10_CN})


class Carrying:
    """Looks at codes and words; answers on words are remembered for the call."""

    def __init__(self, table: CodeTable) -> None:
        self.table = table
        self._condition_words: dict[str, bool] = {}
        self._drug_words: dict[str, bool] = {}

    def drug(self, head: Head) -> bool:
        """Tell whether a medication resource names a drug that rules know, leaves it to a reference, or to a guess."""
        coded = head.medicationCodeableConcept
        if coded is None or coded == [] or self.is_unidentified(coded, _LISTS_ALL_DRUGS):
            return True
        for coding in heads.codings(coded):
            code = codes.code_text(coding.code)
            if code and any(kinds & _DRUG_KINDS for _, kinds in self.table.lookup(coding.system or "", code)):
                return True
        for codeable in heads.codeables(coded):
            for said in (codeable.text, *(coding.display for coding in heads.codings(codeable))):
                if said:
                    known = self._drug_words.get(said)
                    if known is None:
                        known = self._drug_words[said] = bool(drug_names.mentions(said))
                    if known:
                        return True
        return False

    def condition(self, head: Head) -> bool:
        """Tell whether a Condition names a diagnosis that rules know, by code or in words."""
        for coding in heads.codings(head.code):
            code = codes.code_text(coding.code)
            if code and any("Condition" in kinds for _, kinds in self.table.lookup(coding.system or "", code)):
                return True
            if self.table.is_malignancy(coding.system, code):
                return True
        for codeable in heads.codeables(head.code):
            for said in (codeable.text, *(coding.display for coding in heads.codings(codeable))):
                if said:
                    known = self._condition_words.get(said)
                    if known is None:
                        known = self._condition_words[said] = targets.mentions(said) or bool(
                            names.titled(said, "Condition")
                        )
                    if known:
                        return True
        return False

    @staticmethod
    def is_cut(kind: str, head: Head) -> bool:
        """Tell whether its name is longer than is looked at: what stands behind may be what is looked for."""
        limit = plain.LONGEST_NAME if kind.startswith(("Medication", "Allergy")) else targets.LONGEST
        return any(
            len(said) > limit
            for codeable in (*heads.codeables(head.code), *heads.codeables(head.medicationCodeableConcept))
            for said in (codeable.text, *(coding.display for coding in heads.codings(codeable)))
            if said
        )

    def is_unidentified(self, coded: heads.Codeable | list[heads.Codeable] | None, complete: frozenset[str]) -> bool:
        """
        Tell whether nobody can say what is meant: no words, and no code that our table, or a system that lists
        everything under the code that it must have, would know.
        """
        for codeable in heads.codeables(coded):
            if codeable.text or any(coding.display for coding in heads.codings(codeable)):
                return False
        for coding in heads.codings(coded):
            code = codes.code_text(coding.code)
            if code and (
                codes.normal_system(coding.system or "") in complete or self.table.lookup(coding.system or "", code)
            ):
                return False
        return True
