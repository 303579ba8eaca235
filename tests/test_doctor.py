"""`oncobone doctor`: can a FHIR server give us what we need, and does its draft help once edited as it says."""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from hooks.reference import samples
from hooks.reference.guessing import guess
from hooks.reference.validating import Unmapped
from hooks.tools.cli import main
from tests.fhir_servers import Handler, as_json, serving, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("day_of_the_tests")

LAB = "http://hospital.example/lab"
LOCAL_CODES = {
    "2160-0": ("KREA", "Creatinine, fasting"),
    "17861-6": ("CA", "Calcium total, fasting"),
    "1751-7": ("ALB", "Albumin BCG"),
    "29463-7": ("GEW", "Body weight on admission"),
}
"""What this hospital calls four results, instead of LOINC: a code of its own, and words that no table of ours has."""

PATIENTS = ("s01", "s05", "s06", "s24")


def local_chart() -> list[dict[str, Any]]:
    """Four sample charts in a hospital's own codes, with half of the lists missing."""
    chart: list[dict[str, Any]] = []
    for sample in samples.samples():
        if sample.patient_id in PATIENTS:
            for resource in json.loads(json.dumps(sample.resources)):
                if resource["resourceType"] == "Observation":
                    in_local_codes(resource)
                chart.append(resource)
    return chart


def in_local_codes(resource: dict[str, Any]) -> None:
    for coding in resource["code"].get("coding", ()):
        if coding["code"] in LOCAL_CODES:
            code, words = LOCAL_CODES[coding["code"]]
            resource["code"] = {"coding": [{"system": LAB, "code": code, "display": words}]}
            return


class Hospital:
    """A small FHIR server: reads and searches by patient, pages, and no lists beyond these kinds."""

    def __init__(self, chart: list[dict[str, Any]], *, kinds: tuple[str, ...], page: int = 3) -> None:
        self.chart = chart
        self.kinds = kinds
        self.page = page
        self.base = ""

    def __call__(self, handler: Handler) -> None:
        parts = urlsplit(handler.path)
        path, query = parts.path.removeprefix("/fhir/"), parse_qs(parts.query)
        if path == "metadata":
            handler.send(as_json(self.statement()))
        elif path.partition("/")[0] not in self.kinds:
            handler.send(as_json({"resourceType": "OperationOutcome"}), 404)
        elif "/" in path:
            found = [each for each in self.chart if f"{each['resourceType']}/{each['id']}" == path]
            handler.send(as_json(found[0]) if found else b"{}", 200 if found else 404)
        else:
            handler.send(as_json(self.search(path, query)))

    def search(self, kind: str, query: dict[str, list[str]]) -> dict[str, Any]:
        found = [each for each in self.chart if each["resourceType"] == kind]
        if patient := query.get("patient", [""])[0]:
            found = [each for each in found if each["subject"]["reference"] == f"Patient/{patient}"]
        size = int(query.get("_count", [str(self.page)])[0])
        start = int(query.get("_from", ["0"])[0])
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        if page := found[start : start + size]:
            bundle["entry"] = [{"resource": each} for each in page]
        if start + size < len(found):
            of = f"patient={patient}&" if patient else ""
            url = f"{self.base}/{kind}?{of}_count={size}&_from={start + size}"
            bundle["link"] = [{"relation": "next", "url": url}]
        return bundle

    def statement(self) -> dict[str, Any]:
        resources = [
            {
                "type": kind,
                "interaction": [{"code": "read"}, {"code": "search-type"}],
                "searchParam": [{"name": "patient", "type": "reference"}],
            }
            for kind in self.kinds
        ]
        return {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "kind": "instance",
            "fhirVersion": "4.0.1",
            "rest": [{"mode": "server", "resource": resources}],
        }


@contextmanager
def hospital(*kinds: str) -> Iterator[str]:
    built = Hospital(local_chart(), kinds=kinds or ("Patient", "Condition", "Observation", "MedicationRequest"))
    with serving(built) as server:
        built.base = server.base
        yield server.base


def doctor(base: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--fhir", base, *arguments])


def report(base: str, *arguments: str) -> Any:
    return json.loads(doctor(base, "--json", *arguments).stdout)


def edited_as_it_says(draft: str) -> str:
    """What an engineer does: keep the guesses that are right, delete the rest, take away the '# '."""
    right = {"KREA": "lab.creatinine", "CA": "lab.ca_total", "ALB": "lab.albumin", "GEW": "patient.weight"}
    kept = []
    for block in draft.split("\n\n"):
        code = re.search(r'^# code = "(\w+)"$', block, re.MULTILINE)
        if code and code[1] in right:
            lines = [line.removeprefix("# ") for line in block.splitlines() if not line.startswith("##")]
            kept.append(re.sub(r'concept = ".*"', f'concept = "{right[code[1]]}"', "\n".join(lines)))
    return "\n\n".join(kept) + "\n"


def test_the_draft_once_edited_as_it_says_raises_the_score(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    with hospital() as base:
        before = report(base)
        config.write_text(edited_as_it_says(before["mapping_draft"]), encoding="utf-8")
        after = report(base, "--config", str(config))
    assert before["patients"] == after["patients"] == len(PATIENTS)
    assert after["score"] > before["score"] + 0.1
    found = {row["fact"]: row["found"] for row in after["coverage"]}
    for fact in ("lab.creatinine", "lab.albumin", "patient.weight"):
        assert found[fact] >= 3, fact
    assert not {row["code"] for row in after["unmapped"] if row["local"]} & {"KREA", "CA", "ALB", "GEW"}


def test_the_guesses_for_these_codes_are_right_as_they_stand(tmp_path: Path) -> None:
    with hospital() as base:
        perhaps = {row["code"]: row.get("perhaps") for row in report(base)["unmapped"] if row["local"]}
    assert perhaps["KREA"] == "lab.creatinine"
    assert perhaps["ALB"] == "lab.albumin"
    assert perhaps["CA"] == "lab.ca_total"
    assert perhaps["GEW"] is None  # no name of ours is all but the same, and nothing else is guessed


def test_a_draft_that_nobody_edited_changes_nothing() -> None:
    with hospital() as base:
        assert tomllib.loads(report(base)["mapping_draft"]) == {}


def test_codes_not_mapped_are_counted_with_their_unit() -> None:
    with hospital() as base:
        rows = {row["code"]: row for row in report(base)["unmapped"] if row["local"]}
    creatinine = [
        each
        for each in local_chart()
        if each["resourceType"] == "Observation" and each["code"].get("coding", [{}])[0].get("code") == "KREA"
    ]
    told = sum(row["count"] for code, row in rows.items() if code == "KREA")
    assert 0 < told <= len(creatinine)
    assert rows["KREA"]["unit"]


def test_what_the_server_cannot_give_is_named() -> None:
    with hospital() as base:
        told = report(base)
        searches = {row["key"]: row for row in told["searches"]}
    assert told["fit"]
    assert searches["conditions"]["offered"]
    assert searches["conditions"]["answered"] == len(PATIENTS)
    assert searches["procedures"]["offered"] is False
    assert searches["procedures"]["answered"] == 0
    assert searches["procedures"]["problems"] == {"not-found": len(PATIENTS)}
    assert told["paging"] == "works"


def test_all_pages_are_read() -> None:
    with hospital() as base:
        searches = {row["key"]: row for row in report(base)["searches"]}
    assert searches["observations"]["resources"] == len(
        [e for e in local_chart() if e["resourceType"] == "Observation"]
    )


def test_a_server_without_conditions_is_not_fit_and_the_exit_code_says_so() -> None:
    with hospital("Patient", "Observation") as base:
        done = doctor(base)
    assert done.exit_code == 1
    assert "cannot work with this server" in done.stdout
    assert re.search(r"conditions \(needed\): 0 of \d", done.stdout)


def test_a_server_that_is_not_there_is_told_in_plain_words() -> None:
    done = doctor("http://127.0.0.1:9/fhir", "--patient", "s01")
    assert done.exit_code == 1
    assert "no CapabilityStatement (connection)" in done.stdout
    nobody = doctor("http://127.0.0.1:9/fhir")
    assert nobody.exit_code == 1
    assert "--patient ID" in nobody.stderr


@pytest.mark.parametrize("base", ["ftp://x/fhir", "no base", "http://user:pw@127.0.0.1/fhir"])
def test_what_is_no_fhir_base_is_refused(base: str) -> None:
    done = doctor(base, "--patient", "s01")
    assert done.exit_code == 1
    assert "must be a FHIR base" in done.stderr
    assert "pw@" not in done.output


def test_wrong_use_is_exit_code_2() -> None:
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 2


def test_the_token_is_sent_and_never_told() -> None:
    built = Hospital(local_chart(), kinds=("Patient", "Condition", "Observation"))
    with serving(built) as server:
        built.base = server.base
        done = doctor(server.base, "--token", "canary-token", "--patient", "s01")
        sent = {headers["Authorization"] for _, headers in server.seen}
    assert sent == {"Bearer canary-token"}
    assert "canary-token" not in done.output


def test_the_report_holds_no_patient_id_and_no_value(tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    with hospital() as base:
        done = doctor(base, "--draft", str(draft))
    for patient in PATIENTS:
        assert not re.search(rf"\b{patient}\b", done.stdout + draft.read_text(encoding="utf-8"))
    assert draft.read_text(encoding="utf-8").startswith("# A draft of this site's mapping")


def test_named_patients_are_looked_at_and_no_others() -> None:
    with hospital() as base:
        assert report(base, "--patient", "s06", "--patient", "s05")["patients"] == 2
        assert doctor(base, "--patient", "Patient/s06").exit_code == 1


@pytest.mark.parametrize(
    ("text", "unit", "fact"),
    [
        ("Haemoglobin (EDTA)", "g/dL", "lab.hb"),
        ("Platelets automated", "10*9/L", "lab.platelets"),
        ("血红蛋白测定", "g/L", "lab.hb"),
        ("Zonk", "mmol/L", None),
        ("Creatinine", "zorkmid/fortnight", None),
        ("Creatinine", "", None),
        ("Creatinine urine", "umol/L", None),
        ("Creatinine clearance ratio", "umol/L", None),
        ("Haemoglobin A1c", "g/L", None),
        ("Calcium ionised", "mmol/L", "lab.ca_ionised"),
        ("Mean platelet volume", "fL", None),
        ("Total calcium", "mmol/L", "lab.ca_total"),
    ],
)
def test_guesses_go_by_words_and_unit(text: str, unit: str, fact: str | None) -> None:
    found = guess(Unmapped("Observation", LAB, "X1", text, unit))
    assert (found.concept if found else None) == fact


def test_no_fact_is_guessed_whose_unit_cannot_be() -> None:
    found = guess(Unmapped("Observation", LAB, "X1", "Creatinine", "kg"))
    assert found is None or found.concept != "lab.creatinine"


@pytest.mark.parametrize(
    ("token", "answer", "words"),
    [
        (None, 401, "wants an access token (401), and none was sent"),
        ("x", 401, "does not accept the access token"),
        ("x", 403, "lacks the scope"),
        ("x", 404, "no such thing (404)"),
    ],
)
def test_the_doctor_says_the_cure_in_the_services_own_words(token: str | None, answer: int, words: str) -> None:
    with serving(status(answer)) as server:
        done = doctor(server.base, "--patient", "s01", *(["--token", token] if token else []))
    assert done.exit_code == 1
    assert words in done.stdout


def test_without_a_token_the_doctor_reads_as_the_service_would(tmp_path: Path) -> None:
    built = Hospital(local_chart(), kinds=("Patient", "Condition", "Observation"))
    with serving(built) as server:
        built.base = server.base
        assert report(server.base, "--patient", "s01")["fit"]
        assert all("Authorization" not in headers for _, headers in server.seen)
        server.seen.clear()
        strict = tmp_path / "strict.toml"
        strict.write_text("fhir_anonymous = false\n", encoding="utf-8")
        refused = doctor(server.base, "--patient", "s01", "--config", str(strict))
        assert refused.exit_code == 1
        assert "holds no access token" in refused.stdout
        assert server.seen == []
