"""`oncobone validate`: what would be used of a request or a Bundle, what not, and the exit codes 0, 1, 2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from hooks.reference import samples
from hooks.tools.cli import main

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("day_of_the_tests")


def validate(sent: Any, *arguments: str) -> Result:
    text = sent if isinstance(sent, str) else json.dumps(sent)
    return CliRunner().invoke(main, ["validate", "-", *arguments], input=text)


def told(sent: Any, *arguments: str) -> Any:
    return json.loads(validate(sent, "--json", *arguments).stdout)


def bundle_of(name: str) -> dict[str, Any]:
    entries = [{"resource": resource} for resource in samples.sample(name).resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def observation(number: int, **members: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"x-{number}",
        "status": "final",
        "subject": {"reference": "Patient/s01"},
        "effectiveDateTime": "2026-11-20",
    } | members


def with_observation(**members: Any) -> dict[str, Any]:
    bundle = bundle_of("lung-silent-bone-metastasis")
    bundle["entry"].append({"resource": observation(1, **members)})
    return bundle


def test_a_good_bundle_is_fine_and_each_fact_is_told_with_value_unit_date_resource_and_code() -> None:
    done = validate(bundle_of("lung-silent-bone-metastasis"), "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["fine"]
    weight = next(row for row in report["used"] if row["fact"] == "patient.weight")
    assert weight["value"] > 30
    assert weight["unit"] == "kg"
    assert weight["date"].startswith("2026-")
    assert weight["resources"][0].startswith("Observation/")
    assert weight["code"] == "http://loinc.org|29463-7"


@pytest.mark.parametrize("name", [sample.name for sample in samples.samples() if not sample.only])
def test_a_request_and_the_bundle_of_the_same_patient_give_the_same_facts(name: str) -> None:
    request = samples.request_for(name, "patient-view")
    assert told(request)["used"] == told(bundle_of(name))["used"]


def test_a_local_code_that_nobody_knows_is_named_with_its_unit_and_count() -> None:
    local = {"coding": [{"system": "http://h.example/lab", "code": "ZZ9", "display": "Zonk"}]}
    bundle = with_observation(code=local, valueQuantity={"value": 1, "unit": "mmol/L"})
    bundle["entry"].append({"resource": observation(2, code=local, valueQuantity={"value": 2, "unit": "mmol/L"})})
    done = validate(bundle, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["unmapped"] == [
        {
            "kind": "Observation",
            "system": "http://h.example/lab",
            "code": "ZZ9",
            "text": "Zonk",
            "unit": "mmol/L",
            "count": 2,
            "local": True,
        }
    ]


def test_a_site_mapping_makes_a_local_code_known(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(
        '[[mapping.codes]]\nsystem = "http://h.example/lab"\ncode = "PHO"\nconcept = "lab.phosphate"\n', "utf-8"
    )
    local = {"coding": [{"system": "http://h.example/lab", "code": "PHO"}]}
    bundle = with_observation(code=local, valueQuantity={"value": 1.1, "unit": "mmol/L"})
    without, mapped = told(bundle), told(bundle, "--config", str(config))
    assert "lab.phosphate" not in {row["fact"] for row in without["used"]}
    phosphate = next(row for row in mapped["used"] if row["fact"] == "lab.phosphate")
    assert phosphate["value"] == 1.1
    assert mapped["unmapped"] == []


def test_a_standard_code_that_no_rule_needs_is_named_and_is_no_fault() -> None:
    sodium = {"coding": [{"system": "http://loinc.org", "code": "2951-2"}], "text": "sodium"}
    done = validate(with_observation(code=sodium, valueQuantity={"value": 140, "unit": "mmol/L"}), "--json")
    assert done.exit_code == 0
    assert [(row["code"], row["local"]) for row in json.loads(done.stdout)["unmapped"]] == [("2951-2", False)]


def test_all_of_two_hundred_unread_results_are_counted() -> None:
    bundle = bundle_of("lung-silent-bone-metastasis")
    for number in range(200):
        code = {"coding": [{"system": "http://h.example/lab", "code": f"Q{number % 4}"}]}
        bundle["entry"].append({"resource": observation(number, code=code)})
    rows = [row for row in told(bundle)["unmapped"] if row["local"]]
    assert [row["count"] for row in rows] == [50, 50, 50, 50]


@pytest.mark.parametrize(
    ("quantity", "member"),
    [({"value": 2.2}, "without_unit"), ({"value": 2.2, "unit": "zorkmids"}, "unknown_units")],
)
def test_a_result_without_a_unit_or_with_an_unknown_one_is_named(quantity: dict[str, Any], member: str) -> None:
    calcium = {"coding": [{"system": "http://loinc.org", "code": "17861-6"}]}
    done = validate(with_observation(code=calcium, valueQuantity=quantity), "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report[member] in (["Observation/x-1"], {"zorkmids": 1})
    assert "lab.ca_total" in {row["fact"] for row in report["unusable"]}


@pytest.mark.parametrize("page", [{"link": [{"relation": "next", "url": "urn:more"}]}, {"total": 900}])
def test_a_page_that_goes_on_is_told_to_be_a_part(page: dict[str, Any]) -> None:
    whole = bundle_of("lung-silent-bone-metastasis") | {"type": "searchset"}
    reasons = {row["resource"]: row["reason"] for row in told(whole | page)["notes"]}
    assert reasons["prefetch/observations"].startswith("list-cut")
    assert "prefetch/observations" not in {row["resource"] for row in told(whole)["notes"]}


def test_a_resource_of_another_patient_is_left_out_with_its_reason() -> None:
    calcium = {"coding": [{"system": "http://loinc.org", "code": "17861-6"}]}
    strange = with_observation(
        code=calcium, subject={"reference": "Patient/somebody"}, valueQuantity={"value": 2.2, "unit": "mmol/L"}
    )
    report = told(strange)
    assert [row["resource"] for row in report["left_out"]] == ["Observation/x-1"]
    assert "other-patient" in report["left_out"][0]["reason"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("not JSON", "not JSON"),
        ("[]", "no JSON object"),
        ({"hook": "tea-time"}, "hook: must be one of patient-view"),
        ({"hook": "patient-view"}, "hookInstance is missing"),
        ({"resourceType": "Bundle", "type": "collection"}, "must hold one Patient, and it holds 0"),
    ],
)
def test_what_the_service_would_refuse_is_refused_in_plain_words(sent: Any, words: str) -> None:
    done = validate(sent)
    assert done.exit_code == 1
    assert words in done.stderr
    refused = validate(sent, "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["fine"] is False


def test_two_patients_in_one_bundle_are_refused() -> None:
    bundle = bundle_of("mgus")
    bundle["entry"] += bundle_of("hypercalcaemia")["entry"]
    assert "it holds 2" in validate(bundle).stderr


def test_a_needed_list_that_is_missing_is_said() -> None:
    request = samples.request_for("mgus")
    del request["prefetch"]["conditions"]
    done = validate(request)
    assert done.exit_code == 1
    assert "prefetch.conditions" in done.stdout


def test_wrong_use_is_exit_code_2() -> None:
    assert CliRunner().invoke(main, ["validate"]).exit_code == 2
    assert CliRunner().invoke(main, ["validate", "/no/such/file"]).exit_code == 2


def test_a_charts_text_cannot_steer_the_terminal() -> None:
    nasty = {"coding": [{"system": "http://h.example/lab", "code": "N"}], "text": "\u001b[2J\u202egone"}
    out = validate(with_observation(code=nasty)).stdout
    assert "gone" in out
    assert "\u001b" not in out
    assert "\u202e" not in out


def test_a_standard_code_that_may_well_carry_a_fact_is_a_loss_and_comes_first_with_its_line(tmp_path: Path) -> None:
    unknown = {
        "coding": [{"system": "http://loinc.org", "code": "99999-9", "display": "Creatinine [Moles/volume] in Blood"}]
    }
    bundle = with_observation(code=unknown, valueQuantity={"value": 120, "unit": "umol/L"})
    sodium = {"coding": [{"system": "http://loinc.org", "code": "2951-2"}], "text": "sodium"}
    bundle["entry"].append({"resource": observation(2, code=sodium, valueQuantity={"value": 140, "unit": "mmol/L"})})
    done = validate(bundle, "--json")
    assert done.exit_code == 1
    first = json.loads(done.stdout)["unmapped"][0]
    assert (first["code"], first["perhaps"], first["local"]) == ("99999-9", "lab.creatinine", False)
    config = tmp_path / "site.toml"
    config.write_text(f"[mapping]\n{first['mapping']}\n", encoding="utf-8")
    mapped = told(bundle, "--config", str(config))
    assert "99999-9" not in {row["code"] for row in mapped["unmapped"]}
    assert "Lost" in validate(bundle).stdout


def test_no_guess_stands_beside_a_standard_code_that_says_what_it_is() -> None:
    both = {
        "coding": [
            {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"},
            {"system": "http://h.example/lab", "code": "CREA", "display": "Creatinine"},
        ]
    }
    (row,) = told(with_observation(code=both, valueQuantity={"value": 80, "unit": "/min"}))["unmapped"]
    assert row["code"] == "8867-4"
    assert "perhaps" not in row


def test_references_by_full_url_are_kept() -> None:
    bundle = bundle_of("lung-silent-bone-metastasis")
    drug = {
        "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "77655"}],
        "text": "zoledronic acid",
    }
    bundle["entry"] += [
        {
            "fullUrl": "urn:uuid:6f4c1a3e-0000-4000-8000-000000000001",
            "resource": {"resourceType": "Medication", "id": "zol", "code": drug},
        },
        {
            "resource": {
                "resourceType": "MedicationRequest",
                "id": "order",
                "status": "active",
                "intent": "order",
                "subject": {"reference": "Patient/s01"},
                "authoredOn": "2026-11-01",
                "medicationReference": {"reference": "urn:uuid:6f4c1a3e-0000-4000-8000-000000000001"},
            }
        },
    ]
    assert told(bundle)["lists"]["courses"] == 1
