"""A chart as it was known at a moment: nothing of later, ends taken back, and doubt said."""

from __future__ import annotations

import datetime as dt
import json
import random
from functools import cache
from typing import Any

import pytest

from fhir_mapping.chart import PREFETCH_KEYS, read_chart
from fhir_mapping.delivery.context import KEY_OF
from fhir_mapping.delivery.known import as_known, timings
from fhir_mapping.delivery.shapes import ELEMENTS
from hooks.reference.samples import samples
from recommenders.assessing.assessment import assess

UTC = dt.UTC
DAY = dt.datetime(2026, 6, 30, 23, 59, tzinfo=UTC)
ACTIVE = {"coding": [{"code": "active"}]}


def seen(resource: dict[str, Any], moment: dt.datetime = DAY) -> tuple[dict[str, Any] | None, str]:
    found = as_known(json.dumps(resource).encode(), moment)
    return (None if found.raw is None else json.loads(found.raw)), found.why


def condition(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": "c", "clinicalStatus": ACTIVE} | more


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (condition(recordedDate="2026-06-30"), "known"),
        (condition(recordedDate="2026-07-01"), "later"),
        (condition(recordedDate="2026-01-01", onsetDateTime="2026-07"), "later"),
        (condition(onsetDateTime="2026"), "known"),
        (condition(), "assumed"),
        (condition(recordedDate="2026-01-01", clinicalStatus={"coding": [{"code": "resolved"}]}), "hindsight"),
        (condition(recordedDate="2026-01-01", verificationStatus={"coding": [{"code": "refuted"}]}), "hindsight"),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-06-30T23:58:00Z"}, "known"),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-06-30T23:59:01Z"}, "later"),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-06-29", "issued": "2026-07-02T08:00:00Z"}, "later"),
        ({"resourceType": "Observation", "effectiveDateTime": "2026-06-29", "status": "amended"}, "hindsight"),
        (
            {
                "resourceType": "Observation",
                "effectiveDateTime": "2026-06-29",
                "status": "amended",
                "meta": {"lastUpdated": "2026-06-30T08:00:00Z"},
            },
            "known",
        ),
        ({"resourceType": "MedicationRequest", "authoredOn": "2026-05-01", "status": "completed"}, "hindsight"),
        ({"resourceType": "MedicationRequest", "authoredOn": "2026-05-01", "status": "active"}, "known"),
        ({"resourceType": "MedicationRequest", "status": "active"}, "assumed"),
        ({"resourceType": "Patient", "birthDate": "1950-02-03"}, "known"),
        ({"resourceType": "Patient", "birthDate": "2026-12-01"}, "later"),
        ({"resourceType": "Patient", "deceasedBoolean": True}, "hindsight"),
        ({"resourceType": "Patient", "deceasedBoolean": False}, "known"),
        ({"resourceType": "Medication", "id": "m"}, "known"),
        ({"resourceType": "Procedure", "performedDateTime": "2026-06-01", "status": "completed"}, "known"),
        ({"resourceType": "Basic", "id": "b"}, "assumed"),
    ],
)
def test_what_was_known_at_the_end_of_june(resource: dict[str, Any], why: str) -> None:
    found, told = seen(resource)
    assert told == why
    assert found == (None if why == "later" else resource)


def test_what_ended_later_had_not_ended() -> None:
    gone = {"coding": [{"code": "resolved"}]}
    found, why = seen(condition(recordedDate="2026-01-01", abatementDateTime="2026-08-01", clinicalStatus=gone))
    assert (found, why) == (condition(recordedDate="2026-01-01"), "rewound")
    procedure = {
        "resourceType": "Procedure",
        "status": "completed",
        "performedPeriod": {"start": "2026-06-20", "end": "2026-07-04"},
    }
    found, why = seen(procedure)
    assert found == procedure | {"status": "in-progress", "performedPeriod": {"start": "2026-06-20"}}
    assert why == "rewound"
    assert seen({"resourceType": "Patient", "deceasedDateTime": "2026-08-01"})[0] == {"resourceType": "Patient"}
    before = condition(recordedDate="2026-01-01", abatementDateTime="2026-02-01", clinicalStatus=gone)
    assert seen(before) == (before, "known")


def test_a_note_that_was_written_later_is_taken_out_and_numbers_stay_as_written() -> None:
    raw = (
        b'{"resourceType":"Observation","effectiveDateTime":"2026-06-01","valueQuantity":{"value":2.10},'
        b'"note":[{"text":"early","time":"2026-06-02"},{"text":"late","time":"2026-07-02"}]}'
    )
    found = as_known(raw, DAY)
    assert found.why == "rewound"
    assert found.raw is not None
    assert b"2.10" in found.raw
    assert [note["text"] for note in json.loads(found.raw)["note"]] == ["early"]


@pytest.mark.parametrize("raw", [b"", b"not json", b"[]", b"null", b'{"resourceType":7}', b'{"a":' + b"[" * 5000])
def test_what_is_no_resource_is_kept_for_the_chart_to_name(raw: bytes) -> None:
    assert as_known(raw, DAY).raw == raw


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        as_known(b'{"resourceType":"Condition","recordedDate":"2026-01-01"}', dt.datetime(2026, 1, 1))  # noqa: DTZ001 - that is the case


def test_every_type_that_is_read_has_its_times() -> None:
    assert set(timings()) == set(ELEMENTS) - {"Reference"}


# --- laws ---------------------------------------------------------------------------------------------------


@cache
def charts() -> list[list[dict[str, Any]]]:
    return [sample.resources for sample in samples()]


def verdicts(resources: list[dict[str, Any]], moment: dt.datetime | None) -> list[tuple[str, str, str]]:
    """The answer for a chart as known at a moment; None: the chart as it is, on the day of the samples."""
    keys: dict[str, list[bytes]] = {key: [] for key in PREFETCH_KEYS}
    patient = next(one for one in resources if one["resourceType"] == "Patient")
    for one in resources:
        raw: bytes | None = json.dumps(one).encode()
        if moment is not None:
            raw = as_known(raw or b"", moment).raw
        if raw is not None and one["resourceType"] != "Patient":
            keys[KEY_OF[one["resourceType"]]].append(raw)
    prefetch = {
        key: b'{"resourceType":"Bundle","type":"searchset","entry":['
        + b",".join(b'{"resource":%s}' % raw for raw in raws)
        + b"]}"
        for key, raws in keys.items()
    }
    known = json.dumps(patient).encode() if moment is None else as_known(json.dumps(patient).encode(), moment).raw
    if known is None:
        return []
    prefetch["patient"] = known
    now = moment or dt.datetime(2026, 11, 22, 12, tzinfo=UTC)
    mapped = read_chart(prefetch, patient_id=str(patient["id"]), now=now, timezone=UTC)
    found = assess(mapped.facts, "patient-view")
    return [(rule, verdict.state, verdict.indicator) for rule, verdict in found.verdicts.items()]


def is_later(resource: dict[str, Any], moment: dt.datetime) -> bool:
    return as_known(json.dumps(resource).encode(), moment).why == "later"


CLOSED = {"resourceType", "id", "subject", "patient"}


def changed(resource: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The same line with other content and its dates kept: what it says must not matter."""
    dated = {name for timing in timings().values() for names in (timing.since, timing.ends) for name in names}
    outer = {name.partition(".")[0] for name in dated}
    names = [name for name in resource if name not in CLOSED | outer | {"note"}]
    found = dict(resource)
    for name in dice.sample(names, min(len(names), 3)):
        found[name] = dice.choice((None, "x", 7, [], {}, [{"coding": [{"code": "254637007"}]}]))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_chart_of_the_past_is_blind_to_every_later_line(seed: int) -> None:
    dice = random.Random(seed)
    hidden = 0
    for resources in dice.sample(charts(), 8):
        moment = dt.datetime(2026, 11, 22, 23, 59, tzinfo=UTC) - dt.timedelta(
            days=dice.choice((1, 5, 20, 60, 200, 500))
        )
        later = [one for one in resources if is_later(one, moment) and one["resourceType"] != "Patient"]
        hidden += len(later)
        as_is = verdicts(resources, moment)
        assert as_is == verdicts([one for one in resources if one not in later], moment)
        assert as_is == verdicts([changed(one, dice) if one in later else one for one in resources], moment)
    assert hidden


def test_at_a_moment_after_everything_the_chart_is_as_it_is() -> None:
    late = dt.datetime(2027, 12, 31, tzinfo=UTC)
    for resources in charts():
        for one in resources:
            raw = json.dumps(one).encode()
            assert as_known(raw, late).raw == raw, one["id"]
