"""The second look at an export reads only what the first one noted, and finds all that it would find without notes."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from fhir_mapping.delivery.screening import Screen
from hooks.replay import parting, places, sources
from hooks.replay.parting import Looking, Spool, parted, screened, shared, wanted_records
from hooks.replay.sources import Record, Slice, records, slices, survey
from tests.fhir import condition, patient
from tests.replay import people

Json = dict[str, Any]
SCREEN = Screen()
LINES = [json.dumps(one).encode() for person in people(10) for one in person]
MEDICATION = b'{"resourceType":"Medication","id":"m1","code":{"text":"zoledronic acid"}}'
ODD = [
    b"",
    b"not json at all",
    b"{}",
    b'{"resourceType":"Condition","subject":{"reference":"Patient/pop-7-1"},"code":{"te',
    b'{"resourceType":"Observation","subject":{"reference":"Group\\/7"}}',
    b'{"resourceType":"Condition","subject":{"reference":"Patient\\/pop-7-2"},"code":{"text":"x"}}',
    b'{"subject":{"reference":"Patient/pop-7-3"},"resourceType":"Claim"}',
    b'{"subject":{"type":"Patient","reference":"https://x/Patient/pop-7-3/_history/2"},"resourceType":"Procedure"}',
    b'{"resourceType":"Observation","subject":"Patient/pop-7-4"}',
    b'{"resourceType":"Observation","subject":[{"reference":"Patient/pop-7-4"}]}',
    MEDICATION,
    json.dumps(
        {
            "resourceType": "Bundle",
            "entry": [
                {"resource": patient(id="pop-7-5")},
                {"resource": condition("c", {"text": "x"}, subject={"reference": "Patient/pop-7-6"})},
                {"resource": {"resourceType": "Medication", "id": "m2"}},
            ],
        }
    ).encode(),
]


def mixed(dice: random.Random) -> bytes:
    """Give lines of many patients in any order, odd ones among them, the last one with or without its end."""
    found = [*dice.sample(LINES, 120), *dice.sample(ODD, dice.randrange(len(ODD)))]
    dice.shuffle(found)
    return b"\n".join(found) + dice.choice((b"", b"\n", b"\r\n"))


def both(one: Slice, wanted: frozenset[str], notes: Path) -> tuple[list[Record], list[Record]]:
    """Give the records of the wanted with the notes of a first look, and without."""
    screened(one, SCREEN, Looking(), notes)
    return list(wanted_records(one, wanted, notes)), list(wanted_records(one, wanted))


@pytest.mark.parametrize("seed", range(12))
def test_with_notes_and_without_the_same_lines_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(places, "_ENTRIES", dice.choice((2, 8, 1 << 16)))  # written in pieces
    body = mixed(dice)
    if dice.random() < 0.3:
        (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(body))
    else:
        (tmp_path / "a.ndjson").write_bytes(body)
    wanted = frozenset(f"pop-7-{number}" for number in dice.sample(range(10), 3))
    met = 0
    for one in slices(survey([tmp_path]).files, dice.choice((700, 5000, 1 << 20))):
        with_notes, without = both(one, wanted, tmp_path / "notes")
        assert with_notes == without
        assert with_notes == [each for each in records(one, kinds=parting.OWN) if each.patient in wanted]
        met += len(with_notes)
    assert met


def test_patients_whose_marks_are_the_same_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "mark_of", lambda _: 7)
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(LINES))
    (one,) = slices(survey([tmp_path]).files)
    with_notes, without = both(one, frozenset({"pop-7-3"}), tmp_path / "notes")
    assert with_notes == without
    assert {each.patient for each in with_notes} == {"pop-7-3"}


def test_only_what_is_wanted_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\n".join([*LINES, b'{"resourceType":"Claim"}', MEDICATION]))
    (one,) = slices(survey([tmp_path]).files)
    screened(one, SCREEN, Looking(), tmp_path / "notes")
    mine = list(wanted_records(one, frozenset({"pop-7-3"}), tmp_path / "notes"))
    marks = {places.UNTOLD, places.mark_of("pop-7-3")}
    told = list(sources.lines_within(one, places.spans(tmp_path / "notes", marks)))
    assert len(told) == len(mine) > 0
    nobody_s = list(sources.lines_within(one, places.spans(tmp_path / "notes", {places.NOBODY})))
    assert [line.strip() for _, line in nobody_s] == [b'{"resourceType":"Claim"}']


@pytest.mark.parametrize("seed", range(6))
def test_a_packed_file_that_is_damaged_gives_the_same_lines_twice(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    packed = bytearray(gzip.compress(b"\n".join(LINES * 3)))
    place = dice.randrange(len(packed) // 3, len(packed))
    if seed % 2:
        packed[place] ^= 0xFF
    else:
        del packed[place:]
    (tmp_path / "a.ndjson.gz").write_bytes(packed)
    (one,) = slices(survey([tmp_path]).files)
    seen = screened(one, SCREEN, Looking(), tmp_path / "notes")
    assert [why for _, _, why in seen.faults][-1:] == ["file ends early"]
    wanted = frozenset(f"pop-7-{number}" for number in range(10))
    again = list(wanted_records(one, wanted, tmp_path / "notes"))
    own = sum(count for kind, count in seen.kinds.items() if kind in parting.OWN)
    assert len([each for each in again if not each.fault]) == own > 0


def test_medications_are_found_by_the_notes(tmp_path: Path) -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "o",
        "subject": {"reference": "Patient/pop-7-3"},
        "medicationReference": {"reference": "Medication/m1"},
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ndjson").write_bytes(b"\n".join([*LINES, MEDICATION, json.dumps(order).encode(), *LINES]))
    (one,) = slices(survey([tmp_path / "in"]).files)
    screened(one, SCREEN, Looking(), tmp_path / "notes")
    (tmp_path / "spool").mkdir()
    spool = Spool(tmp_path / "spool", 1)
    found = parted(one, frozenset({"pop-7-3"}), spool, frozenset(), tmp_path / "notes")
    shared([(one, tmp_path / "notes")], found.medications, spool)
    ((_, lines),) = parting.lines_of_part(tmp_path / "spool", 0)
    assert MEDICATION in [raw for _, raw in lines]


def test_what_is_noted_names_nobody_and_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(LINES))
    (one,) = slices(survey([tmp_path]).files)
    screened(one, SCREEN, Looking(), tmp_path / "notes")
    assert (tmp_path / "notes").stat().st_mode & 0o777 == 0o600
    assert b"pop" not in (tmp_path / "notes").read_bytes()
