"""The official titles of our own table read, as text, as the same facts as their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fhir_mapping.delivery.selection import ObservationIndex
from fhir_mapping.terms import codes, decode
from fhir_mapping.terms.codes import STANDARD, shipped_rows
from fhir_mapping.terms.site import NO_SITE
from recommenders.vocabulary.dictionary import DICTIONARY
from tests.fhir import ICD10, ICD10_CM, ICD_O_3, LOINC, SNOMED, chart, condition

if TYPE_CHECKING:
    from recommenders.vocabulary.facts import Fact

SAME_TITLE: dict[str, dict[tuple[str, str], str]] = {}
for _, row_kinds, row_system, row_code, row_display in shipped_rows():
    if (
        "Condition" in row_kinds
        and row_system in {SNOMED, ICD10, ICD10_CM, ICD_O_3}
        and len(codes.title(row_display)) > 3
    ):
        SAME_TITLE.setdefault(codes.title(row_display), {})[row_system, row_code] = row_display
RESULTS = sorted(
    {
        (code, display)
        for _, kinds, system, code, display in shipped_rows()
        if "Observation" in kinds and system == LOINC and len(codes.title(display)) > 3
    }
)


def told(*conditions: dict[str, Any]) -> dict[str, object]:
    """Give the value, or the reason for having none, of every fact that a chart tells."""

    def of(fact: Fact) -> object:
        value = getattr(fact, "value", None)
        return fact.reason if value is None else value

    facts = chart(*conditions).facts
    return {path: of(facts.fact(path)) for path in DICTIONARY}


@pytest.mark.parametrize("title", SAME_TITLE)
def test_a_diagnosis_reads_by_its_title_as_by_its_code(title: str) -> None:
    """Where editions give one title to several codes, the title says what one of them says."""
    rows = SAME_TITLE[title]
    by_code = [
        told(condition("c", {"coding": [{"system": system, "code": code, "display": display}]}))
        for (system, code), display in rows.items()
    ]
    for display in dict.fromkeys(rows.values()):
        assert told(condition("c", {"text": display})) in by_code


@pytest.mark.parametrize(("code", "display"), RESULTS)
def test_a_result_is_known_by_its_title_as_by_its_code(code: str, display: str) -> None:
    index = ObservationIndex(STANDARD, NO_SITE)
    coded = index.slots(decode.Codeable(coding=[decode.Coding(system=LOINC, code=code)]))
    named = index.slots(decode.Codeable(text=display))
    assert {slot.target for slot in coded} <= {slot.target for slot in named}
