"""The prefetch templates: valid for CDS Hooks 2.0.1 and 3.0 alike, the same for every hook."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from fhir_mapping.terms import queries
from fhir_mapping.terms.queries import (
    KEYS,
    LONGEST_CODES,
    NEEDED,
    QueryError,
    codes_of_results,
    observation_codes,
    templates,
)
from recommenders.vocabulary.guidance import Hook

HOOKS: tuple[Hook, ...] = get_args(Hook)
TOKEN = re.compile(r"\{\{(.*?)\}\}")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_asks_for_the_eight_keys_in_their_order(hook: Hook) -> None:
    assert tuple(templates(hook)) == KEYS
    assert set(KEYS) == {
        "patient",
        "conditions",
        "observations",
        "medications",
        "procedures",
        "allergies",
        "medicationAdministrations",
        "serviceRequests",
    }


def test_only_patient_and_conditions_are_needed() -> None:
    assert NEEDED == ("patient", "conditions")


@pytest.mark.parametrize("hook", HOOKS)
def test_a_template_is_a_relative_read_or_search_with_the_patient_as_its_only_token(hook: Hook) -> None:
    for key, template in templates(hook).items():
        assert re.match(r"[A-Z][A-Za-z]+[/?]", template), key
        assert "://" not in template
        assert "$" not in template
        assert TOKEN.findall(template) == ["context.patientId"]
        assert not re.search(r":(?!in\b)[a-z]", template)


def test_the_patient_is_read_and_the_others_are_searched_by_patient() -> None:
    found = templates("patient-view")
    assert found["patient"] == "Patient/{{context.patientId}}"
    assert found["conditions"] == "Condition?patient={{context.patientId}}"
    assert found["medications"] == "MedicationRequest?patient={{context.patientId}}"
    assert all("?patient={{context.patientId}}" in found[key] for key in KEYS if key != "patient")


def test_observations_are_not_narrowed_unless_the_site_does_so() -> None:
    assert templates("patient-view")["observations"] == "Observation?patient={{context.patientId}}&_sort=-date"
    narrow = {"observations": {"category": "laboratory,vital-signs", "date": "ge2025-01-01", "_count": "500"}}
    assert templates("patient-view", narrow)["observations"] == (
        "Observation?patient={{context.patientId}}&_sort=-date&category=laboratory,vital-signs&date=ge2025-01-01&_count=500"
    )


def test_the_codes_that_rules_read_fit_into_the_queries_of_a_careful_server() -> None:
    values = codes_of_results(["KREA", "a,b"])
    assert 2 <= len(values) <= 4
    assert all(len(value) <= LONGEST_CODES for value in values)
    listed = ",".join(values).split(",")
    assert {"17861-6", "2160-0", "bone-lesion", "KREA", "a%2Cb"} <= set(listed)
    assert len(listed) == len(set(listed))


def test_a_site_can_narrow_by_every_code_that_a_rule_reads() -> None:
    codes = observation_codes().split(",")
    assert "http://loinc.org|17861-6" in codes
    assert codes == sorted(codes)
    assert (
        observation_codes() in templates("order-sign", {"observations": {"code": observation_codes()}})["observations"]
    )


@pytest.mark.parametrize(
    "narrow",
    [
        {"patient": {"gender": "female"}},
        {"everything": {}},
        {"observations": {"code:not": "x"}},
        {"observations": {"code:text": "x"}},
        {"observations": {"_include": "x"}},
        {"observations": {"patient": "someone"}},
        {"observations": {"code": "a&b=c"}},
        {"observations": {"code": "a b"}},
        {"observations": {"code": "{{context.userId}}"}},
        {"observations": {"code": ""}},
    ],
)
def test_a_narrowing_outside_the_safe_subset_is_refused_by_name(narrow: dict[str, dict[str, str]]) -> None:
    with pytest.raises(QueryError, match=next(iter(narrow))):
        templates("patient-view", narrow)


def test_the_templates_are_made_anew_so_nobody_can_change_them_for_others() -> None:
    templates("patient-view")["conditions"] = "x"
    assert templates("patient-view")["conditions"].startswith("Condition?")
    assert queries.KEYS[0] == "patient"
