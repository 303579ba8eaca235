"""The official titles of our own table read, as text, as the same facts as their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fhir_mapping.delivery.index import ObservationIndex
from fhir_mapping.terms import heads, names
from fhir_mapping.terms.codes import STANDARD, shipped_rows
from fhir_mapping.terms.site import NO_SITE
from recommenders.vocabulary.dictionary import DICTIONARY
from tests.fhir import ICD10, ICD10_CM, ICD_O_3, LOINC, SNOMED, chart, condition

if TYPE_CHECKING:
    from recommenders.vocabulary.facts import Fact

SYSTEMS = {SNOMED, ICD10, ICD10_CM, ICD_O_3}
SAME_TITLE: dict[str, dict[tuple[str, str], str]] = {}
"""A folded title -> the codes that bear it. Of the cancers, which differ in their organ only, one in ten."""
for row_number, (row_concept, row_kinds, row_system, row_code, row_display) in enumerate(shipped_rows()):
    if "Condition" not in row_kinds or row_system not in SYSTEMS or not names.titled(row_display, "Condition"):
        continue
    if row_concept.startswith("other_solid_cancer") and row_number % 10:
        continue
    SAME_TITLE.setdefault(row_display.casefold(), {})[row_system, row_code] = row_display
TITLES = sorted(SAME_TITLE)
PARTS = 12
RESULTS = sorted(
    {
        (code, display)
        for _, kinds, system, code, display in shipped_rows()
        if "Observation" in kinds and system == LOINC and len(display) > 3
    }
)


def told(*conditions: dict[str, Any]) -> dict[str, object]:
    """Give the value, or the reason for having none, of every fact that a chart tells."""

    def of(fact: Fact) -> object:
        value = getattr(fact, "value", None)
        return fact.reason if value is None else value

    facts = chart(*conditions).facts
    return {path: of(facts.fact(path)) for path in DICTIONARY}


SILENT = {None, False, "missing"}


def says_all(read: dict[str, object], code: dict[str, object]) -> bool:
    """Tell whether everything that a code tells was read."""
    return all(read[path] == value for path, value in code.items() if value not in SILENT)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_diagnosis_reads_by_its_title_as_by_its_code(part: int) -> None:
    """
    Where editions give one title to several codes, the title says what one of them says.

    What a code says its title says too; a title may name more ("metastatic osteosarcoma to bone").
    """
    for title in TITLES[part::PARTS]:
        rows = SAME_TITLE[title]
        by_code = [
            told(condition("c", {"coding": [{"system": system, "code": code, "display": display}]}))
            for (system, code), display in rows.items()
        ]
        for display in dict.fromkeys(rows.values()):
            read = told(condition("c", {"text": display}))
            assert any(says_all(read, code) for code in by_code), display


@pytest.mark.parametrize(("code", "display"), RESULTS)
def test_a_result_is_known_by_its_title_as_by_its_code(code: str, display: str) -> None:
    index = ObservationIndex(STANDARD, NO_SITE)
    coded = index.slots(heads.Codeable(coding=[heads.Coding(system=LOINC, code=code)]))
    named = index.slots(heads.Codeable(text=display))
    wanted = {slot.target for slot in coded if not slot.target.endswith("_TRAP")}  # a trap's name claims nothing
    assert wanted <= {slot.target for slot in named}
