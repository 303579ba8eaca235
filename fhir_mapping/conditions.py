"""Conditions into diagnoses: confirmed, refuted, suspected or history, from code, extension and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.diagnoses import (
    compression,
    fractures,
    histology,
    jaw,
    malignancy,
    metastases,
    plasmacytoma,
    wellbeing,
)
from fhir_mapping.diagnoses.diagnosis import Diagnosis, read_diagnosis
from fhir_mapping.diagnoses.plasma_cells import PlasmaCells
from fhir_mapping.diagnoses.statements import Statement, says, settle
from fhir_mapping.diagnoses.whereabouts import place_of_condition
from fhir_mapping.findings.prognosis import WITHOUT_NUMBER
from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import Fact, Finding, Reading, replace, stated
from recommenders.vocabulary.records import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.places.sites import Place
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.dictionary import DiagnosisRule

_SPECIAL = frozenset(
    {
        "pathological_fracture.current",
        "clin.nerve_compression",
        "spine.neuro_deficit",
        "dx.hypercalcaemia_malignancy",
        "dx.sts",
        "dx.other_solid_cancer",
    }
)
"""Facts that need more than what each Condition says of them: a module of `diagnoses` settles each."""


class ConditionReader:
    """Reads all Conditions of a patient; the answers gather in `changes` and `events`."""

    def __init__(
        self, items: Iterable[Item], context: ReadingContext, notes: Notes, *, born: Stamp | None = None
    ) -> None:
        self.context = context
        self.notes = notes
        self.changes: dict[str, Fact] = {}
        self.events: list[Event] = []
        self.diagnoses: list[Diagnosis] = [
            found
            for item in sorted(items, key=lambda one: one.name)
            if (found := read_diagnosis(item, context, notes, born=born)) is not None
        ]
        self.fractured: list[Diagnosis] = []
        self._used: set[str] = set()

    def read(self, marrow: Reading, m_protein: Reading) -> None:
        """Read every fact; `marrow` and `m_protein` decide whether D47.2 can be MGUS."""
        signs = {sign for one in self.diagnoses for sign in one.signs()}
        for rule in dictionary.DIAGNOSES:
            if rule.fact not in _SPECIAL and not rule.signs.isdisjoint(signs):
                self.settle(rule)
        family = PlasmaCells(self.context, self.notes)
        family.read(self.diagnoses, marrow, m_protein)
        self.changes |= family.changes
        self._used |= family.used
        fractures.read(self)
        compression.read(self)
        metastases.read(self)
        histology.of_lung(self)
        histology.of_sarcoma(self)
        jaw.read(self)
        wellbeing.distress(self)
        wellbeing.pregnancy(self)
        wellbeing.encephalopathy(self)
        plasmacytoma.read(self)
        malignancy.ever(self)
        malignancy.active(self)
        malignancy.hypercalcaemia(self)
        wellbeing.ecog(self)
        self._name_unused()

    # --- what the modules of `diagnoses` read with ---

    def settle(self, rule: DiagnosisRule) -> Finding | None:
        """Take what all Conditions say of one fact together; None when none of them speaks of it."""
        settled = settle(rule, self.statements(rule), self.context)
        if settled is not None:
            self.changes[rule.fact] = settled
        return settled

    def statements(self, rule: DiagnosisRule) -> list[Statement]:
        """Give what each Condition says of one fact."""
        statements = [found for one in self.diagnoses if (found := says(rule, one)) is not None]
        for statement in statements:
            self.use(statement.diagnosis)
        return statements

    def use(self, diagnosis: Diagnosis) -> None:
        """Remember that a Condition stated a fact: it is not named as unused."""
        self._used.add(diagnosis.item.name)

    def is_true(self, path: str) -> bool:
        """Tell whether a diagnosis is documented."""
        fact = self.changes.get(path)
        return isinstance(fact, Finding) and fact.value is True

    def place_of(self, one: Diagnosis) -> Place:
        """Give the bone that a Condition speaks of."""
        return place_of_condition(one, self.context)

    def event(self, kind: Any, one: Diagnosis, *, active: bool) -> None:  # noqa: ANN401 - one of Event's types
        """Add a skeletal event that a Condition stands for."""
        since, place = one.since, self.place_of(one)
        self.events.append(
            Event(
                type=kind,
                date=since.day if since else None,
                active=active,
                resources=(one.item.name,),
                **place.parts,
            )
        )

    def set_word(self, fact: str, found: Mapping[str, Sequence[str]]) -> None:
        """Set a fact to the one word that was found (word -> resources); of several none counts."""
        blank = dictionary.blank_finding(fact)
        names = tuple(name for listed in found.values() for name in listed)
        if len(found) == 1:
            self.changes[fact] = stated(blank, next(iter(found)), resources=names)
        elif found:
            self.changes[fact] = replace(blank, reason="contradictory", resources=names)

    def _name_unused(self) -> None:
        for one in self.diagnoses:
            if one.item.name in self._used:
                continue
            if one.concepts & {"limited_prognosis", "palliative_care_encounter"}:
                self.notes.add(one.item.name, WITHOUT_NUMBER)
            elif not one.is_trap:
                self.notes.add(one.item.name, "recognised; it states no fact that a rule uses")
