"""The synthetic population: by seed, readable by the mapping as it is, and nobody's data."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from hooks.replay import population
from hooks.replay.errors import ReplayError
from hooks.replay.sources import survey
from tests.replay import people


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        population.write(tmp_path / name, 8, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_it_is_an_export_that_says_what_was_asked_and_when(tmp_path: Path) -> None:
    population.write(tmp_path, 3, seed=1, day=dt.date(2025, 5, 5))
    found = survey([tmp_path])
    assert found.declared == set(population.TYPES)
    assert found.transaction == "2025-05-05T22:00:00Z"


@pytest.mark.parametrize("number", range(0, 40, 5))
def test_every_resource_is_fhir_r4(number: int) -> None:
    for resource in people(40)[number]:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_ids_are_told_apart_and_nothing_refers_to_another_patient() -> None:
    ids = Counter(f"{one['resourceType']}/{one['id']}" for person in people(40) for one in person)
    assert max(ids.values()) == 1
    for person in people(40):
        who = f"Patient/{person[0]['id']}"
        for one in person[1:]:
            assert (one.get("subject") or one.get("patient") or {}).get("reference") == who


def test_nothing_in_it_is_later_than_its_day(tmp_path: Path) -> None:
    day = dt.date(2026, 3, 1)
    for person in population.population(30, seed=4, day=day, ours=0.5):
        for one in person:
            for element in ("effectiveDateTime", "recordedDate", "authoredOn", "performedDateTime"):
                assert str(one.get(element, ""))[:10] <= day.isoformat(), (one["resourceType"], element)
    del tmp_path


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ReplayError, match="not empty"):
        population.write(tmp_path, 1)
