"""What is read quickly is what would be read slowly: at a glance or closely, by our check or by fhir.resources."""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from fhir_mapping.chart import Mapped, read_chart
from fhir_mapping.delivery.checking import check_of
from fhir_mapping.delivery.notes import SUPERSEDED
from fhir_mapping.delivery.resources import readable
from fhir_mapping.delivery.shapes import ELEMENTS, MODELS
from fhir_mapping.terms import exact, glances
from fhir_mapping.terms.exact import ResourceFaultError
from hooks.reference.samples import request_for, samples
from recommenders.assessing.assessment import assess
from tests.wire import bundle, call_body, condition, observation

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CHANGES = 120
ODD: tuple[Any, ...] = (
    "", " ", "a b  c", "x" * 300, 0, -1, 1.5, True, [], {}, [{}], "2026-13-40", "2026-02", "10:00", {"value": 1},
    {"value": "x"}, {"coding": [{"code": "x"}]}, {"text": "x"}, {"reference": "Patient/1"}, {"system": "a b"}, [[{}]],
    {"start": "2026", "end": "x"}, {"low": {"value": 1}}, "not a uri", 10**12, ["x", "y"],
)  # fmt: skip


@cache
def resources() -> dict[str, list[dict[str, Any]]]:
    """The resources of all sample patients, by type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sample in samples():
        for value in request_for(sample.name)["prefetch"].values():
            listed = (
                [one["resource"] for one in value.get("entry", ())]
                if value.get("resourceType") == "Bundle"
                else [value]
            )
            for one in listed:
                found.setdefault(one["resourceType"], []).append(one)
    return found


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a resource, as its holder and the key or number in it."""
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, inner in pairs:
        yield value, key
        yield from places(inner)


@pytest.mark.parametrize("kind", sorted(ELEMENTS))
def test_the_check_of_what_is_read_says_what_the_model_says(kind: str) -> None:
    dice = random.Random(kind)
    listed = resources().get(kind) or [
        {"resourceType": kind, "status": "active", "subject": {"reference": "Patient/1"}}
    ]
    for _ in range(CHANGES):
        changed = copy.deepcopy(dice.choice(listed))
        for _ in range(dice.choice((0, 1, 2))):
            holder, key = dice.choice([one for one in places(changed) if one[1] != "resourceType"])
            holder[key] = copy.deepcopy(dice.choice(ODD))
            changed[dice.choice(sorted(ELEMENTS[kind]))] = copy.deepcopy(dice.choice(ODD))
        try:
            read = tidied(kind, changed)
        except ValueError:
            continue
        assert is_taken(check_of(kind), read) == is_taken(MODELS[kind].model_validate, read), read


def tidied(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    """What is left of the elements that are read; raises ValueError where one of them cannot be made tidy."""
    kept = {name: tidy(resource[name], dt.UTC) for name, tidy in ELEMENTS[kind].items() if name in resource}
    return {name: value for name, value in kept.items() if value is not None}


def is_taken(check: Any, read: dict[str, Any]) -> bool:
    """Whether a check lets a resource pass."""
    try:
        check(read)
    except (ValueError, TypeError):
        return False
    return True


def test_an_element_of_two_types_or_a_missing_one_is_refused_with_its_place() -> None:
    result = observation("2160-0", 1.1, "mg/dL", "o-1")
    with pytest.raises(ResourceFaultError, match="invalid at the resource"):
        readable(result | {"valueString": "1.1"}, dt.UTC)
    with pytest.raises(ResourceFaultError, match=r"invalid at valueQuantity\.value"):
        readable(result | {"valueQuantity": {"value": {"a": 1}}}, dt.UTC)
    with pytest.raises(ResourceFaultError, match="invalid at status"):
        readable({name: value for name, value in result.items() if name != "status"}, dt.UTC)


def read(body: dict[str, Any], *, whole_series: bool = False) -> Mapped:
    """Read the chart of a request."""
    prefetch = {key: json.dumps(value).encode() for key, value in body["prefetch"].items()}
    patient_id = body["context"]["patientId"]
    return read_chart(prefetch, patient_id=patient_id, now=NOW, timezone=dt.UTC, whole_series=whole_series)


def closely(_: object) -> None:
    """Pass over nothing at a glance."""
    raise msgspec.ValidationError


@pytest.mark.parametrize("name", [sample.name for sample in samples()])
def test_at_a_glance_and_closely_the_same_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = request_for(name)
    quickly = read(body)
    monkeypatch.setattr(glances, "glance_at", closely)
    assert read(body) == quickly


@pytest.mark.parametrize(
    "odd",
    [
        {"meta": {"security": [{"code": "MASKED"}]}},
        {"meta": {"security": {"code": "REDACTED"}}},
        {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]},
        {"status": "preliminary"},
        {"status": " final "},
        {"status": 7},
        {"effectiveDateTime": "2026年11月3日"},
        {"effectiveDateTime": None, "effectivePeriod": {"end": "2026-11-03"}},
        {"effectiveDateTime": "2031-01-01"},
        {"subject": None},
        {"subject": {"reference": "Patient/somebody-else"}},
        {"subject": {"display": "nobody knows"}},
        {"code": None},
        {"code": "creatinine"},
        {"code": [{"text": "creatinine"}]},
        {"component": []},
        {"hasMember": [{"reference": "Observation/o-2"}]},
        {"id": None},
    ],
)
def test_what_is_not_plain_is_looked_at_closely(odd: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    body = call_body()
    body["prefetch"]["observations"] = bundle(
        observation("2160-0", 1.1, "mg/dL", "o-1") | odd, observation("718-7", 12, "g/dL", "o-2")
    )
    quickly = read(body)
    monkeypatch.setattr(glances, "glance_at", closely)
    assert read(body) == quickly


PIECES = (
    b'"', b",", b"{", b"}", b"[", b"]", b":", b"1", b"9" * 10, b"9" * 45, b".", b"e", b"-", b"\\", b"\\u00e9", b"null",
    b'"status":"x",', b'"value":1,', b" ", b"\x01", b"\xff", b"NaN", b"1e99", b"1e99999999999999999999", b"0.10",
    b'"a\\ud800b"',
)  # fmt: skip


def _with_order(value: Any) -> Any:
    """A decoded value in a form that tells kinds and order apart: 1 is not 1.0, and 0.10 not 0.1."""
    if isinstance(value, dict):
        return [(name, _with_order(inner)) for name, inner in value.items()]
    if isinstance(value, list):
        return [None, *map(_with_order, value)]
    return type(value).__name__, str(value)


def test_what_is_decoded_at_once_is_what_is_decoded_with_a_look_at_each_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    randomly = random.Random(20261122)
    sent = [json.dumps(one).encode() for listed in resources().values() for one in listed[:6]]
    sent += [b'{"a": {"b": 1, "b": 2.50}}', b'{"a": 1000000000, "b": [1e3, true, null, "\xc3\xa9"]}']
    cases = list(sent)
    for _ in range(6_000):
        body = bytearray(randomly.choice(sent))
        for _ in range(randomly.randint(1, 3)):
            place, piece = randomly.randrange(len(body) + 1), randomly.choice(PIECES)
            body[place : place + randomly.choice((0, 0, len(piece)))] = piece
        cases.append(bytes(body))

    def told() -> list[Any]:
        found: list[Any] = []
        for body in cases:
            try:
                found.append(_with_order(exact.whole(body)))
            except ResourceFaultError as error:
                found.append(str(error))
        return found

    quickly = told()
    assert sum(exact._at_once(body) is not None for body in cases) > 1_000
    monkeypatch.setattr(exact, "_at_once", lambda _: None)
    assert quickly == told()


def _markers(patient_id: str) -> list[dict[str, Any]]:
    """Results of both bone markers every 50 days over two years, now inside and now outside their range."""
    found = []
    for number in range(14):
        day = (NOW - dt.timedelta(10 + 50 * number)).date().isoformat()
        for code, value, unit, top in (("41171-0", 300, "pg/mL", 400), ("77370-5", 46, "ug/L", 60)):
            name = f"marker-{code}-{number}"
            one = observation(code, value * (1 + (number in {5, 9})), unit, name, day=day)
            ends = {"low": {"value": 1, "unit": unit}, "high": {"value": top, "unit": unit}}
            found.append(one | {"referenceRange": [ends], "subject": {"reference": f"Patient/{patient_id}"}})
    return found


def _verdicts(mapped: Mapped) -> dict[str, Any]:
    """What became of each rule, on the chart and at an order."""
    return {
        f"{hook} {rule}": (verdict.state, verdict.missing)
        for hook in ("patient-view", "order-sign")
        for rule, verdict in assess(mapped.facts, hook).verdicts.items()
    }


@pytest.mark.parametrize("conditions", ["as they are", "without the Conditions", "with a part of the Conditions"])
@pytest.mark.parametrize("name", [sample.name for sample in samples()])
def test_results_that_no_rule_of_this_patient_needs_change_no_verdict_whether_they_are_read_or_not(
    name: str, conditions: str
) -> None:
    body = copy.deepcopy(request_for(name))
    prefetch, patient_id = body["prefetch"], body["context"]["patientId"]
    results = [one["resource"] for one in prefetch.get("observations", {}).get("entry", ())]
    prefetch["observations"] = bundle(*results, *_markers(patient_id))
    if conditions == "without the Conditions":
        prefetch.pop("conditions")
    elif conditions == "with a part of the Conditions":
        prefetch["conditions"]["total"] = 100
    assert _verdicts(read(body)) == _verdicts(read(body, whole_series=True))


def test_the_course_of_bone_markers_is_read_in_myeloma_and_superseded_in_others() -> None:
    def read_of(code: str) -> tuple[int, int]:
        body = call_body()
        body["prefetch"]["conditions"] = bundle(condition(code, "c-1"))
        body["prefetch"]["observations"] = bundle(*_markers(body["context"]["patientId"]))
        mapped = read(body)
        left = [note for note in mapped.notes if note.reason == SUPERSEDED]
        return len(mapped.facts.series["bone.ctx"]), len(left)

    assert read_of("C90.00") == (14, 0)
    assert read_of("C34.11") == (1, 26)
