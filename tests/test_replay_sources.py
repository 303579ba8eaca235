"""Exports in the forms in which they come: every resource once, whose it is, and what cannot be read by its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hooks.replay import sources
from hooks.replay.errors import ReplayError
from hooks.replay.sources import Record, records, slices, survey
from tests.fhir import condition, observation, patient
from tests.replay import people, write_lines

Json = dict[str, Any]


def read(*given: Path, size: int = sources.SLICE_BYTES) -> list[Record]:
    return [record for one in slices(survey(given).files, size) for record in records(one)]


def told(found: list[Record]) -> list[tuple[str, str | None, bytes]]:
    return sorted((one.kind, one.patient, one.raw) for one in found if not one.fault)


PEOPLE: list[Json] = [one for person in people(6) for one in person]


@pytest.mark.parametrize("size", [1, 7, 100, 4096, 10_000_000])
def test_a_file_cut_anywhere_gives_each_line_once(tmp_path: Path, size: int) -> None:
    lines = PEOPLE[:40] if size < 100 else PEOPLE
    path = write_lines(tmp_path, lines)
    assert told(read(path, size=size)) == told(read(path))
    assert len(read(path)) == len(lines)


def test_packed_files_and_any_names_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "plain", PEOPLE, "anything.jsonl")
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "1.ndjson.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert told(read(tmp_path / "packed")) == told(read(tmp_path / "plain"))


def test_a_packed_file_that_ends_early_is_said(tmp_path: Path) -> None:
    whole = gzip.compress(write_lines(tmp_path / "x", PEOPLE).read_bytes())
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "1.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    assert [one.fault for one in read(tmp_path / "y") if one.fault] == ["file ends early"]


def test_the_number_of_a_line_is_told_also_in_a_packed_file(tmp_path: Path) -> None:
    (tmp_path / "1.ndjson.gz").write_bytes(gzip.compress(b'{"resourceType":"Basic"}\n\nnot json\n'))
    (bad,) = read(tmp_path)
    (file,) = survey([tmp_path]).files
    assert sources.line_number(file, bad.where) == 3


def test_a_folder_of_smart_fetch_counts_each_file_once_and_knows_what_was_asked_and_deleted(tmp_path: Path) -> None:
    first = tmp_path / "001.2026-11-20"
    write_lines(first, [patient()], "Patient.001.ndjson")
    events = [
        {"eventId": "kickoff", "eventDetail": {"exportUrl": "https://x/$export?_type=Patient,Condition%2CProcedure"}},
        {"eventId": "status_complete", "eventDetail": {"transactionTime": "2026-11-20T08:00:00Z"}},
    ]
    write_lines(first, events, "log.ndjson")
    second = tmp_path / "002.2026-11-21"
    write_lines(second, [{"eventId": "x", "eventDetail": {"transactionTime": "2026-11-21T08:00:00Z"}}], "log.ndjson")
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Condition/c9"}}]}
    write_lines(second / "deleted", [gone], "Condition.ndjson")
    (tmp_path / "Patient.001.ndjson").symlink_to(first / "Patient.001.ndjson")
    found = survey([tmp_path])
    assert len(found.files) == 1
    assert found.declared == {"Patient", "Condition", "Procedure"}
    assert found.deleted == {"Condition/c9"}
    assert found.transaction == "2026-11-21T08:00:00Z"


def test_of_a_type_that_an_export_filters_only_some_were_asked_for(tmp_path: Path) -> None:
    url = "https://x/$export?_type=Patient%2CObservation&_typeFilter=Observation%3Fcategory%3Dlaboratory%252Csurvey"
    write_lines(tmp_path, [patient()])
    write_lines(tmp_path, [{"eventId": "kickoff", "eventDetail": {"exportUrl": url}}], "log.ndjson")
    assert survey([tmp_path]).filtered == {"Observation"}


def test_what_smart_fetch_notes_tells_types_of_which_none_came_and_filters(tmp_path: Path) -> None:
    """A crawl writes no file for a type of which there is none, and its log names no types."""
    told = {
        "filters": {"Patient": [], "Observation": ["category=laboratory"]},
        "done": {"Patient": "2026-11-30T08:26:31Z", "AllergyIntolerance": "2026-11-30T08:27:13Z"},
    }
    write_lines(tmp_path / "001.2026-11-30", [patient()])
    (tmp_path / "001.2026-11-30" / ".metadata").write_text(json.dumps(told))
    (tmp_path / ".metadata").write_text('{"kind": "managed"}')
    found = survey([tmp_path])
    assert found.declared == {"Patient", "AllergyIntolerance"}
    assert found.filtered == {"Observation"}
    assert len(found.files) == 1
    (tmp_path / ".metadata").write_text("not JSON")
    assert survey([tmp_path]).declared == found.declared


def test_a_list_of_what_was_deleted_that_ends_early_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path, [patient()])
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": f"Condition/{'c' * 60}"}}]}
    (tmp_path / "deleted").mkdir()
    (tmp_path / "deleted" / "a.ndjson.gz").write_bytes(gzip.compress(json.dumps(gone).encode())[:-12])
    with pytest.raises(ReplayError, match="cannot be read to its end"):
        survey([tmp_path])


def test_a_manifest_tells_types_and_time_and_is_no_patient_s_data(tmp_path: Path) -> None:
    manifest = {
        "transactionTime": "2026-11-01T00:00:00Z",
        "request": "https://x?_type=Goal",
        "output": [{"type": "Patient"}],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    write_lines(tmp_path, [patient()])
    found = survey([tmp_path])
    assert (set(found.declared), found.transaction, len(found.files)) == ({"Patient"}, "2026-11-01T00:00:00Z", 1)


SYNTHEA = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {"fullUrl": "urn:uuid:p9", "resource": {"resourceType": "Patient", "id": "p9", "birthDate": "1950-01-01"}},
        {
            "fullUrl": "urn:uuid:c1",
            "resource": {"resourceType": "Condition", "id": "c1", "subject": {"reference": "urn:uuid:p9"}},
        },
        {"fullUrl": "urn:uuid:m1", "resource": {"resourceType": "Medication", "id": "m1"}},
        {"fullUrl": "urn:uuid:e1", "resource": {"resourceType": "ExplanationOfBenefit", "id": "e1"}},
    ],
}


def test_a_bundle_keeps_its_addresses_and_gives_all_to_its_patient(tmp_path: Path) -> None:
    (tmp_path / "Ann.json").write_text(json.dumps(SYNTHEA, indent=2))
    found = read(tmp_path)
    assert [(one.kind, one.patient, one.address) for one in found] == [
        ("Patient", "p9", "urn:uuid:p9"),
        ("Condition", "p9", "urn:uuid:c1"),
        ("Medication", "p9", "urn:uuid:m1"),
    ]
    assert all(b"\n" not in one.raw for one in found)


def test_bundles_as_lines_and_single_resources_are_read_too(tmp_path: Path) -> None:
    write_lines(tmp_path, [SYNTHEA, condition("c", {"text": "x"})])
    (tmp_path / "one.json").write_text(json.dumps(observation("o", "2160-0"), indent=1))
    assert sorted(one.kind for one in read(tmp_path)) == [
        "Condition",
        "Condition",
        "Medication",
        "Observation",
        "Patient",
    ]


def test_a_page_of_a_search_says_that_more_of_its_patients_exists(tmp_path: Path) -> None:
    page = {
        "resourceType": "Bundle",
        "link": [{"relation": "next", "url": "x"}],
        "entry": [{"resource": condition("c", {"text": "x"})}],
    }
    (tmp_path / "page.json").write_text(json.dumps(page))
    more = [one for one in read(tmp_path) if one.fault]
    assert [(one.patient, one.address) for one in more] == [("p1", sources.PART)]


def test_a_bad_line_is_told_by_its_place_and_as_far_as_it_goes_whose_it_is(tmp_path: Path) -> None:
    good = json.dumps(condition("c", {"text": "x"}))
    bad = good[: len(good) - 8]
    path = tmp_path / "a.ndjson"
    path.write_text(f"{good}\n{bad}\n\n{{}}\nnot json at all\n{good}\n")
    found = read(path)
    assert [(one.fault, one.patient, one.kind) for one in found] == [
        ("", "p1", "Condition"),
        ("not JSON", "p1", "Condition"),
        ("no resourceType", None, ""),
        ("not JSON", None, ""),
        ("", "p1", "Condition"),
    ]
    assert all(not one.raw for one in found if one.fault)
    assert found[1].where == len(good) + 1


@pytest.mark.parametrize(
    ("reference", "patient_id"),
    [
        ("Patient/a", "a"),
        ("https://x/fhir/Patient/a", "a"),
        ("Patient/a/_history/3", "a"),
        ("Group/a", None),
        ("Patient/", None),
        ("a", None),
        (None, None),
        ("Patient/" + "x" * 200, None),
        ("Patient/a b", None),
    ],
)
def test_whose_a_reference_is(reference: str | None, patient_id: str | None) -> None:
    assert sources.patient_of(reference) == patient_id


def test_the_fingerprint_is_of_the_content_not_of_names_or_order(tmp_path: Path) -> None:
    one, other = (
        write_lines(tmp_path / "1", PEOPLE[:5], "b.ndjson"),
        write_lines(tmp_path / "2", PEOPLE[5:], "a.ndjson"),
    )
    same = survey([other, one]).fingerprint
    assert survey([one, other]).fingerprint == same
    one.rename(tmp_path / "1" / "z.ndjson")
    assert survey([tmp_path / "1", tmp_path / "2"]).fingerprint == same
    other.write_text("{}\n")
    assert survey([tmp_path / "1", tmp_path / "2"]).fingerprint != same


def test_what_is_not_there_or_holds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="no such file"):
        survey([tmp_path / "nowhere"])
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(ReplayError, match="There is no"):
        survey([tmp_path])
