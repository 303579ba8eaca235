"""
The plasma-cell family among the Conditions: myeloma, smouldering myeloma, MGUS, and D47.2, which may be any of them.

A contradiction asks and mutes nothing: the stronger sign is kept, the weaker one is marked as contradictory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.diagnoses.statements import Statement, in_state, says, settle
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import ICD10_CM
from fhir_mapping.terms.dictionary import MYELOMA
from recommenders.vocabulary.facts import Fact, Finding, Reading, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.diagnoses.diagnosis import Diagnosis
    from fhir_mapping.terms.dictionary import DiagnosisRule

MM = dictionary.DiagnosisRule(
    fact="dx.mm",
    concepts=MYELOMA,
    terms=("multiple_myeloma",),
    beside=frozenset({"malignancy_unspecified", "other_solid_cancer"}),
    malignant=True,
)
_SMM = dictionary.DiagnosisRule(
    fact="dx.smm", concepts=frozenset({"smouldering_myeloma"}), terms=("smouldering_myeloma",), beside=MYELOMA
)
_MGUS = dictionary.DiagnosisRule(fact="dx.mgus", concepts=frozenset({"mgus"}), terms=("mgus",))
FAMILY = MYELOMA | {"smouldering_myeloma", "mgus", "monoclonal_gammopathy_nos", "plasma_cell_leukaemia"}
"""Concepts that speak of a plasma-cell disorder."""
_TERMS = {"multiple_myeloma", "smouldering_myeloma", "mgus"}
_NEW_DAYS = 180
"""So long a myeloma counts as newly diagnosed (specification §1.2)."""
_CLONAL_MARROW, _MUCH_M_PROTEIN = Decimal(10), Decimal(30)
"""From here on (%, g/L) it is no MGUS (IMWG 2014)."""


def is_of_family(one: Diagnosis) -> bool:
    """Tell whether a Condition speaks of a plasma-cell disorder at all."""
    return bool(one.concepts & FAMILY) or not _TERMS.isdisjoint(one.spoken)


@dataclass(slots=True)
class PlasmaCells:
    """What the Conditions say of the family; `used` names those that said something."""

    context: ReadingContext
    notes: Notes
    changes: dict[str, Fact] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    _statements: dict[str, list[Statement]] = field(default_factory=lambda: {"dx.mm": [], "dx.smm": [], "dx.mgus": []})
    _flags: list[str] = field(default_factory=list)

    def read(self, diagnoses: Sequence[Diagnosis], marrow: Reading, m_protein: Reading) -> None:
        """Settle the three diagnoses; `marrow` and `m_protein` decide whether D47.2 can be MGUS."""
        for one in diagnoses:
            if is_of_family(one) or "myeloma" in one.spoken:
                self._read(one)
        for rule in (MM, _SMM, _MGUS):
            settled = settle(rule, self._statements[rule.fact], self.context)
            if settled is not None:
                self.changes[rule.fact] = settled
        mm = self.changes.get("dx.mm")
        if isinstance(mm, Finding) and mm.value is True:
            self.changes["dx.mm"] = replace(mm, flags=tuple(dict.fromkeys((*mm.flags, *self._flags))))
            self._onset()
        coded = [one for one in diagnoses if _is_cm_d472(one) and one.state == "current"]
        self._gammopathy(coded)
        self._contradicted(coded, marrow, m_protein)
        self._both_classes()

    def _read(self, one: Diagnosis) -> None:
        smouldering = "smouldering_myeloma" in one.concepts or one.spoken.get("smouldering_myeloma") == "present"
        myeloma = bool(one.concepts & MYELOMA)
        if smouldering and (myeloma or "mgus" in one.concepts or one.spoken.get("multiple_myeloma") == "present"):
            self._as_smouldering(one)
            return
        if "monoclonal_gammopathy_nos" in one.concepts:
            self._take(_MGUS, Statement("suspected", one))
        for rule in (MM, _SMM, _MGUS):
            found = says(rule, one, remission_counts=rule is MM)
            if rule is MM and found is None and not one.concepts and one.spoken.get("myeloma") == "suspected":
                found = Statement("suspected", one, from_text=True)
            if found is not None:
                self._take(rule, found)
        if myeloma and (one.status == "remission" or "multiple_myeloma_remission" in one.concepts):
            self._flags.append("in-remission")
        if myeloma and (one.status in {"relapse", "recurrence"} or "multiple_myeloma_relapse" in one.concepts):
            self._flags.append("relapse")

    def _take(self, rule: DiagnosisRule, statement: Statement) -> None:
        self._statements[rule.fact].append(statement)
        self.used.add(statement.diagnosis.item.name)

    def _as_smouldering(self, one: Diagnosis) -> None:
        """
        One Condition that is smouldering myeloma and something else of the family too: the smouldering decides.

        ICD-10-CM has no code for it, so that it stands beside D47.2 or C90.0; its SNOMED code or its words say more.
        """
        worded = "smouldering_myeloma" in one.concepts and one.spoken.get("multiple_myeloma") == "present"
        if one.concepts & MYELOMA or worded:
            self.notes.add(one.item.name, "coding-conflict: coded or worded as smouldering and as active myeloma")
        told = "smouldering_myeloma" in one.concepts or one.concepts & MYELOMA
        claim = in_state("present", one, from_text=not told, rule=_SMM, remission_counts=False)
        self._take(_SMM, claim if claim is not None else Statement("historical", one))

    # --- when it began ---

    def _onset(self) -> None:
        blank = dictionary.blank_moment("mm.onset_date")
        present = [one.diagnosis for one in self._statements["dx.mm"] if one.says == "present"]
        onsets = sorted(
            ((one.onset, one.item.name) for one in present if one.onset is not None),
            key=lambda told: (told[0].day, told[0].last, told[1]),
        )
        today = self.context.today
        if onsets and onsets[0][0].precision == "year" and (today - onsets[0][0].last).days <= _NEW_DAYS:
            # "2026" alone tells neither a new disease nor one of long ago
            self.changes["mm.onset_date"] = replace(blank, resources=(onsets[0][1],), flags=("onset-only-a-year",))
        elif onsets:
            stamp, name = onsets[0]
            flags = ("onset-only-a-year",) if stamp.precision == "year" else ()
            self.changes["mm.onset_date"] = replace(blank, date=stamp.day, reason=None, resources=(name,), flags=flags)
        else:
            self.changes["mm.onset_date"] = replace(
                blank, resources=tuple(one.item.name for one in present), flags=("recorded-onset-not-told",)
            )

    # --- what disagrees ---

    def _gammopathy(self, coded: Sequence[Diagnosis]) -> None:
        """ICD-10-CM has no code for smouldering myeloma: its D47.2 may hide one."""
        if coded and "dx.smm" not in self.changes:
            names = tuple(one.item.name for one in coded)
            blank = dictionary.blank_finding("dx.smm")
            self.changes["dx.smm"] = replace(blank, value=None, reason="suspected", resources=names)

    def _contradicted(self, coded: Sequence[Diagnosis], marrow: Reading, m_protein: Reading) -> None:
        """D47.2 beside more marrow or M-protein than MGUS may have is asked for."""
        mgus = self.changes.get("dx.mgus")
        if not coded or not isinstance(mgus, Finding) or mgus.value is not True:
            return
        if (marrow >= _CLONAL_MARROW).yes or (m_protein >= _MUCH_M_PROTEIN).yes:
            self.changes["dx.mgus"] = replace(mgus, value=None, reason="contradictory")
            for one in coded:
                self.notes.add(
                    one.item.name, "coded as monoclonal gammopathy, but marrow or M-protein say more: ask which it is"
                )

    def _both_classes(self) -> None:
        mm = [one.diagnosis for one in self._statements["dx.mm"] if one.says == "present"]
        smm = [one.diagnosis for one in self._statements["dx.smm"] if one.says == "present"]
        if not mm or not smm:
            return
        first_mm = min((one.since for one in mm if one.since), key=dates.order, default=None)
        for one in smm:
            progressed = first_mm is not None and one.since is not None and one.since.day < first_mm.day
            if not progressed:
                self.notes.add(
                    one.item.name, "coding-conflict: smouldering beside active myeloma, not earlier: ask which applies"
                )


def _is_cm_d472(one: Diagnosis) -> bool:
    """Tell whether a Condition's only word for a gammopathy is the code of ICD-10-CM."""
    mgus = [match for match in one.matches if match.concept == "mgus"]
    return bool(mgus) and all(match.system == ICD10_CM for match in mgus)
