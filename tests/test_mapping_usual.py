"""Resources of the usual form are copied in one step: the copy, and what is refused, is as the longer way has it."""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mapping.delivery.items import Candidate, Item, Slot
from fhir_mapping.delivery.notes import Notes, is_usual_id, usual_name
from fhir_mapping.delivery.resources import readable
from fhir_mapping.delivery.shapes import ELEMENTS
from fhir_mapping.delivery.usual import usual_copy
from fhir_mapping.observations import prepared
from fhir_mapping.terms import dates, dictionary, exact
from fhir_mapping.terms.exact import ResourceFaultError
from tests.whole_resources import resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhir_mapping.terms.dictionary import ReadingRule

REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
SHANGHAI = dt.timezone(dt.timedelta(hours=8))
ODD: tuple[Any, ...] = (
    None, "", " ", "x", " x", "x ", "a  b", "a b", "\t", "x\n", "a\tb", "\u3000x", "血 红", "血\u3000红", "\x1cx",
    "\x7f", "\\", 0, 1, -1, 5, 1.5, -0.0, 1e5, 1e-7, 10**9, 10**9 + 1, 10**12, 2**40, True, False,
    [], {}, [[]], [{}], [None], [1], ["x"], {"x": 1}, [{"x": 1}], {"coding": []}, {"coding": {}}, {"coding": [{}]},
    {"text": "x"}, {"coding": [{"code": "1"}]}, {"coding": [{"code": 1}]}, {"code": "1"}, {"code": "1", "text": "x"},
    {"coding": [{"code": "1"}], "code": "2"}, {"coding": [{"system": "x"}]}, [{"text": "x"}], {"value": 1},
    {"value": "1"}, {"value": True}, {"unit": "mg"}, {"value": 1, "comparator": "<", "extension": []},
    {"reference": "Patient/1"}, {"display": "x"}, [{"reference": "Patient/1"}], [{"display": "x"}],
    [{"reference": "Organization/1"}, {"reference": "https://x/RelatedPerson/1", "type": "x"}], {"reference": 1},
    {"low": {"value": 1}}, {"high": {"value": 1}}, [{"low": {"value": 1}, "age": {"low": {"value": 1}}}],
    {"numerator": {"value": 1}}, {"denominator": {"value": 1}}, {"start": "2026"}, {"start": "2026-01-01"},
    "2026", "2026-02", "2026-02-31", "2026-11-20", "2026-11-20T08:00:00Z", "2026-11-20T08:00", "0001-01-01",
    "0000-01-01", "2026-11-20T08:00:00", "2026-11-20T23:59:60Z", "2026-11-20T08:00:00.5+14:00", "1899-01-01T00:00:00Z",
    "2026年3月5日", "20260305", "11/18/2026", "2026/11/20", "<script>", "Patient/1", "x" * 300, "final",
)  # fmt: skip


def resources() -> Iterator[dict[str, Any]]:
    """Yield the resources of the fixtures, of each type a dozen at most."""
    count: dict[str, int] = {}
    rest: list[Any] = [json.loads(path.read_text("utf-8")) for path in sorted(REQUESTS.glob("*.json"))]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            kind = str(one.get("resourceType"))
            if kind in ELEMENTS and count.setdefault(kind, 0) < 12:
                count[kind] += 1
                yield one
            rest += one.values()
        elif isinstance(one, list):
            rest += one


SAMPLES = [*resources(), *(resource(kind, random.Random(seed)) for kind in ELEMENTS for seed in range(6))]
"""Those of the fixtures, and of each type some with much else that FHIR gives it."""


def places(value: Any) -> list[tuple[Any, Any]]:
    """Give all places in JSON: the object or list, and the key in it."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def mutated(seed: int) -> bytes:
    """Give a resource in which up to three things are odd: another value, an element that was not there, one twice."""
    dice = random.Random(seed)
    resource = json.loads(json.dumps(dice.choice(SAMPLES)))
    for _ in range(dice.randrange(4)):
        holder, key = dice.choice(places(resource))
        if dice.random() < 0.4:
            holder, key = resource, dice.choice([*ELEMENTS[resource.get("resourceType", "Patient")]] or ["x"])
        if dice.random() < 0.2 and isinstance(holder, dict):
            key = dice.choice(
                ["extension", "id", "_valueQuantity", "x", "type", "system", "display", "text", "contained"]
            )
        if key == "resourceType" and holder is resource:
            continue
        if dice.random() < 0.1 and isinstance(holder, dict):
            holder.pop(key, None)
        else:
            holder[key] = copy.deepcopy(dice.choice(ODD))
    raw = json.dumps(resource, ensure_ascii=dice.random() < 0.5).encode()
    if dice.random() < 0.05:
        raw = raw.replace(b'"status"', b'"id": "2", "status"', 1)
    return raw


def told(raw: bytes, *, at_once: bool) -> object:
    """Give the copy of a resource and the elements that were respelled; or what is wrong with it."""
    respelled: list[str] = []
    try:
        resource, neat = exact.neatly(raw)
        return readable(resource, SHANGHAI, respelled=respelled, neat=neat and at_once), respelled
    except ResourceFaultError as error:
        return str(error)


@given(st.integers(min_value=0))
@settings(max_examples=2000, deadline=None)
def test_a_copy_taken_at_once_is_the_one_that_is_made_part_by_part(seed: int) -> None:
    raw = mutated(seed)
    assert repr(told(raw, at_once=True)) == repr(told(raw, at_once=False)), raw


def test_most_resources_are_of_the_usual_form() -> None:
    kinds = {"Observation", "Condition", "Patient"}
    usual = [
        one for one in SAMPLES if one["resourceType"] in kinds and "component" not in one and "extension" not in one
    ]
    at_once = [one for one in usual if usual_copy(one["resourceType"], one, dt.UTC, frozenset()) is not None]
    assert len(at_once) > 0.7 * len(usual)


@pytest.mark.parametrize(
    "supply", [{"numberOfRepeatsAllowed": 3}, {"expectedSupplyDuration": {"value": 30, "unit": "d"}}, {}]
)
def test_an_object_of_which_nothing_may_be_left_is_read_both_ways_alike(supply: dict[str, Any]) -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "a",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/x"},
        "medicationCodeableConcept": {"coding": [{"system": "urn:a", "code": "b"}]},
        "dispenseRequest": supply,
    }
    assert readable(order, dt.UTC, neat=True) == readable(order, dt.UTC, neat=False)


@given(st.text(st.sampled_from("None-._|aZ09 é²\n"), max_size=8) | st.text("aZ", min_size=126, max_size=130))
@settings(max_examples=500)
def test_an_id_is_usual_where_its_name_stays_as_it_is(number: str) -> None:
    stays = usual_name(f"Observation/{number}") == f"Observation/{number}"
    assert bool(is_usual_id(number)) == (stays and "\n" not in number)


NAMES = ("Observation/1", "Observation/2", "Observation without id", "Condition without id")


@given(st.lists(st.tuples(st.sampled_from(("old", "odd")), st.lists(st.sampled_from(NAMES)), st.booleans())))
def test_what_is_noted_is_said_once_and_counted_where_it_has_no_name(said: list[tuple[str, list[str], bool]]) -> None:
    notes = Notes()
    for reason, names, at_once in said:
        if at_once:
            notes.add_each(iter(names), reason)
        else:
            for name in names:
                notes.add(name, reason)
    times = Counter((name, reason) for reason, names, _ in said for name in names)
    expected = [
        (name, f"{reason} ({count} times)" if count > 1 and name.endswith("without id") else reason)
        for (name, reason), count in times.items()
    ]
    assert [(note.resource, note.reason) for note in notes.sorted()] == sorted(expected)


ECOG, KARNOFSKY = Slot("reading", "status.ecog", 1, "ecog_ps"), Slot("reading", "status.ecog", 2, "karnofsky_ps")
TIMES = (None, *(dates.parse(day, dt.UTC) for day in ("2026-11-19", "2026-11-20", "2026-11-20T08:00:00Z")))


@given(
    st.lists(st.tuples(st.sampled_from((ECOG, KARNOFSKY)), st.sampled_from(TIMES)), max_size=6),
    st.sampled_from(tuple(dictionary.READINGS.values())),
)
def test_where_no_result_was_found_by_words_they_need_not_be_looked_for(
    told: list[tuple[Slot, dates.Stamp | None]], rule: ReadingRule
) -> None:
    sent = [
        Candidate(Item("Observation", f"Observation/{number}", "observations", b""), slot, None, stamp)
        for number, (slot, stamp) in enumerate(told)
    ]
    looked, trusted = Notes(), Notes()
    one, other = prepared(rule, sent, looked, worded=True), prepared(rule, sent, trusted, worded=False)
    assert [msgspec.structs.astuple(each) for each in one] == [msgspec.structs.astuple(each) for each in other]
    assert looked.sorted() == trusted.sorted()
