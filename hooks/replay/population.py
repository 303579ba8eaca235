"""
A synthetic population, by seed: our own sample patients among many others, as a Bulk Data export.

For trying, for tests and for the bench. It says how our defaults behave, not how often a disease is.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from hooks.reference import samples
from hooks.reference.samples import moved, sample
from hooks.replay.errors import ReplayError

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]
Mix = Literal["routine", "stories"]

STORY_DAY = samples.STORY_DAY
"""The day of the export, if no other is told."""

TYPES = (
    "Patient",
    "Condition",
    "Observation",
    "MedicationRequest",
    "MedicationAdministration",
    "Procedure",
    "ServiceRequest",
    "AllergyIntolerance",
    "Encounter",
)
"""One file each, also where nothing is in it."""
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
SPREAD_DAYS = 14
JITTER = 0.03
_STEADY = frozenset({"urn:oncobone:facts"})
"""What is entered by hand (grades, scores, lesions) is not shaken: it would tell another story."""


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files("hooks.replay").joinpath("population.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def write(
    to: Path,
    patients: int,
    *,
    seed: int = 0,
    day: dt.date | None = None,
    ours: float = 0.1,
    mix: Mix = "routine",
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """
    Write so many patients to an empty folder, a share `ours` of them with a disease of ours, complete up to `day`.

    `mix` is how often which story is told: as in a hospital (`routine`), or each of our sample patients, all of whom
    have something to be told of, equally often (`stories`).

    The same arguments give the same files; `progress` is told how many are made.

    Raises ReplayError for a folder that is not empty.
    """
    day = day or STORY_DAY
    to.mkdir(parents=True, exist_ok=True)
    if any(to.iterdir()):
        raise ReplayError(f"{to}: is not empty; give an empty folder.")
    with ExitStack() as stack:
        files = {
            kind: stack.enter_context((to / f"{kind}.000.ndjson").open("w", encoding="utf-8", newline="\n"))
            for kind in TYPES
        }
        for done, one in enumerate(population(patients, seed=seed, day=day, ours=ours, mix=mix), 1):
            for resource in one:
                files[resource["resourceType"]].write(json.dumps(resource, ensure_ascii=False) + "\n")
            progress(done)
    asked = f"https://synthetic.example/fhir/$export?_type={','.join(TYPES)}"
    events = (("kickoff", {"exportUrl": asked}), ("status_complete", {"transactionTime": f"{day}T22:00:00Z"}))
    with (to / "log.ndjson").open("w", encoding="utf-8", newline="\n") as log:
        for name, detail in events:
            log.write(json.dumps({"eventId": name, "eventDetail": detail}) + "\n")


def population(
    patients: int, *, seed: int = 0, day: dt.date = STORY_DAY, ours: float = 0.1, mix: Mix = "routine"
) -> Iterator[list[Json]]:
    """Yield the resources of each patient; see `write`."""
    table = _table()
    told: list[dict[str, Any]] = (
        table["ours"] if mix == "routine" else [{"story": one.name, "share": 1} for one in _stories()]
    )
    shares: list[list[float]] = [[row["share"] for row in listed] for listed in (told, table["others"])]
    for number in range(patients):
        dice = random.Random(f"{seed}|{number}")  # noqa: S311 - by seed, to be the same again
        identifier = f"pop-{seed}-{number}"
        if dice.random() < ours:
            row = dice.choices(told, shares[0])[0]
            found = _story(row["story"], dice) if "story" in row else _plain(table["plain"][row["plain"]], dice)
        else:
            found = _plain(dice.choices(table["others"], shares[1])[0], dice)
        found += list(_visits(dice))
        yield [moved(_renamed(one, identifier), (day - STORY_DAY).days) for one in found]


def _stories() -> list[samples.Sample]:
    """Give the sample patients that are of use in a chart: those with all their data, and none that is broken."""
    return [one for one in samples.samples() if not one.only and one.name != "hostile-chart"]


def _renamed(resource: Json, patient: str) -> Json:
    """Make a resource this patient's own."""
    found = copy.deepcopy(resource)
    old = found["id"]
    found["id"] = patient if found["resourceType"] == "Patient" else f"{patient}-{old}"
    if found["resourceType"] != "Patient":
        place = "patient" if found["resourceType"] == "AllergyIntolerance" else "subject"
        found[place] = {"reference": f"Patient/{patient}"}
    _relink(found, patient)
    return found


def _relink(value: Any, patient: str) -> None:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        for one in value:
            _relink(one, patient)
    elif isinstance(value, dict):
        told = value.get("reference")
        kind, _, number = told.partition("/") if isinstance(told, str) else ("", "", "")
        if kind in TYPES and kind != "Patient" and not number.startswith(patient):
            value["reference"] = f"{kind}/{patient}-{number}"
        for one in value.values():
            _relink(one, patient)


def _story(name: str, dice: random.Random) -> list[Json]:
    """Tell a sample patient's story, some days earlier, with laboratory values shaken a little."""
    back = -dice.randrange(SPREAD_DAYS)
    told = sample(name)
    found: list[Json] = []
    for one in told.resources:
        resource: Json = moved(copy.deepcopy(one), back) if one["resourceType"] != "Patient" else copy.deepcopy(one)
        if resource["resourceType"] in TYPES:
            found.append(_shaken(resource, dice))
    return found


def _shaken(resource: Json, dice: random.Random) -> Json:
    quantity = resource.get("valueQuantity")
    systems = {coding.get("system") for coding in (resource.get("code") or {}).get("coding", ())}
    if not isinstance(quantity, dict) or type(quantity.get("value")) not in {int, float}:
        return resource
    if resource["resourceType"] == "Observation" and not systems & _STEADY:
        resource["valueQuantity"] = quantity | {
            "value": round(quantity["value"] * dice.uniform(1 - JITTER, 1 + JITTER), 2)
        }
    return resource


# --- plain ones ---------------------------------------------------------------------------------------------


def _day(back: int) -> str:
    return (STORY_DAY - dt.timedelta(back)).isoformat()


def _concept(system: str, code: str, text: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _plain(row: Mapping[str, Any], dice: random.Random) -> list[Json]:
    """Make a patient of some diagnoses with routine results, and a drug that is given as it should be."""
    born = dt.date(dice.randrange(1938, 1986), dice.randrange(1, 13), dice.randrange(1, 28))
    found: list[Json] = [
        {
            "resourceType": "Patient",
            "id": "p",
            "gender": dice.choice(("female", "male")),
            "birthDate": born.isoformat(),
        }
    ]
    since = dice.randrange(120, 900)
    for number, told in enumerate(row["conditions"]):
        found.append(
            {
                "resourceType": "Condition",
                "id": f"c{number}",
                "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
                "code": _concept(*told),
                "onsetDateTime": _day(since),
                "recordedDate": _day(since),
            }
        )
    found += _results(dice)
    if "drug" in row:
        found += _drug(row["drug"], dice)
    if row.get("dental"):
        found.append(
            {
                "resourceType": "Procedure",
                "id": "dental",
                "status": "completed",
                "code": {"text": "Dental examination"},
                "performedDateTime": _day(dice.randrange(20, 150)),
            }
        )
    return found


def _results(dice: random.Random) -> Iterator[Json]:
    for number, row in enumerate(_table()["results"]):
        mean, spread, unit = row["value"]
        own = dice.gauss(mean, spread)
        for time in range(row["times"]):
            back = 3 + time * (360 // row["times"]) + dice.randrange(7)
            yield {
                "resourceType": "Observation",
                "id": f"r{number}-{time}",
                "meta": {"versionId": "1", "lastUpdated": f"{_day(back)}T09:30:00Z"},
                "status": "final",
                "category": [{"coding": [{"system": CATEGORY, "code": "laboratory", "display": "Laboratory"}]}],
                "code": _concept("http://loinc.org", *row["code"]),
                "effectiveDateTime": f"{_day(back)}T08:{dice.randrange(60):02d}:00Z",
                "issued": f"{_day(back)}T09:30:00Z",
                "performer": [{"reference": "Organization/lab", "display": "Synthetic laboratory"}],
                "valueQuantity": {
                    "value": round(own * dice.uniform(1 - JITTER, 1 + JITTER), 2),
                    "unit": unit,
                    "system": "http://unitsofmeasure.org",
                    "code": unit,
                },
            }


def _drug(row: Sequence[Any], dice: random.Random) -> Iterator[Json]:
    system, code, name, dose, interval = row
    last = dice.randrange(1, interval)
    doses = range(last, last + interval * 6, interval)
    milligrams = {"value": dose, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    yield {
        "resourceType": "MedicationRequest",
        "id": "bma",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": _concept(system, code, name),
        "authoredOn": _day(doses[-1]),
        "requester": {"reference": f"Practitioner/synthetic-{dice.randrange(20)}"},
        "dosageInstruction": [
            {
                "timing": {"repeat": {"frequency": 1, "period": interval, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": milligrams}],
            }
        ],
    }
    for number, back in enumerate(doses):
        yield {
            "resourceType": "MedicationAdministration",
            "id": f"bma-{number}",
            "status": "completed",
            "medicationCodeableConcept": _concept(system, code, name),
            "effectiveDateTime": f"{_day(back)}T10:00:00Z",
            "dosage": {"dose": milligrams},
        }
    for text in ("calcium carbonate 600 mg", "vitamin D3 400 IU"):
        yield {
            "resourceType": "MedicationRequest",
            "id": text.split(maxsplit=1)[0],
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": text},
            "authoredOn": _day(doses[-1]),
            "requester": {"reference": f"Practitioner/synthetic-{dice.randrange(20)}"},
        }


def _visits(dice: random.Random) -> Iterator[Json]:
    for number in range(dice.randrange(1, 7)):
        start = f"{_day(dice.randrange(1, 360))}T{dice.randrange(8, 17):02d}:15:00Z"
        yield {
            "resourceType": "Encounter",
            "id": f"visit-{number}",
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "serviceType": {"coding": [{"code": dice.choice(("oncology", "internal-medicine", "orthopaedics"))}]},
            "participant": [{"individual": {"reference": f"Practitioner/synthetic-{dice.randrange(20)}"}}],
            "period": {"start": start, "end": start.replace(":15:", ":55:")},
        }
