"""A long body, whose lists are opened as it is read: what is refused and what is read is the same as of any other."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from fhir_mapping.chart import Unavailable, read_chart
from fhir_mapping.terms.decode import OpenedList, open_key
from hooks import protocol
from hooks.errors import Refused
from hooks.fhir_server.gather import delivered, gather, is_part
from hooks.fhir_server.references import unresolved, with_resources
from hooks.opening import taken_apart
from hooks.protocol import Call, read_call
from hooks.settings import Settings
from tests.wire import DAY, IN_SCOPE, OUTCOME, PATIENT, bundle, call_body, observation

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
RESULTS = [observation("2160-0", 0.5 + number / 100, "mg/dL", f"r-{number}") for number in range(200)]
NEXT = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]


def body(**lists: Any) -> dict[str, Any]:
    """A call with two hundred results; `lists` come in addition, or in the place of what is usual."""
    asked = call_body()
    asked["prefetch"] |= {"observations": bundle(*RESULTS)} | lists
    return asked


def as_one_piece(sent: bytes) -> Call:
    """Read a call without opening its lists at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "taken_apart", lambda _: None)
        return read_call(sent, "patient-view")


def said_of(read: Callable[[bytes], Call], sent: bytes) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        read(sent)
    return refused.value.status, str(refused.value)


def opened(sent: bytes) -> Call:
    return read_call(sent, "patient-view")


LISTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "the same": {"aaa": bundle(*RESULTS)},
    "panel": {"observations": bundle(*RESULTS, {"resourceType": "Observation", "id": 7, "hasMember": "odd"})},
    "cut": {"observations": bundle(*RESULTS) | {"total": 500}},
    "goes on": {"observations": bundle(*RESULTS) | {"link": NEXT}},
    "masked": {"observations": bundle(*RESULTS) | {"meta": {"security": [{"code": "MASKED"}]}}},
    "with an outcome": {"observations": bundle(*RESULTS, OUTCOME)},
    "outcomes only": {"conditions": bundle(OUTCOME)},
    "a twin": {"conditions": bundle(*IN_SCOPE, RESULTS[5])},
    "a twin of the first": {"conditions": bundle(*IN_SCOPE, RESULTS[0])},
    "single": {"conditions": IN_SCOPE[0]},
    "null": {"conditions": None},
    "an odd list": {"conditions": {"resourceType": "Bundle", "entry": [7, {"resource": IN_SCOPE[0]}]}},
    "an array": {"conditions": IN_SCOPE},
    "a batch": {"conditions": bundle(bundle(*IN_SCOPE))},
    "words of ours": {"conditions": bundle(*IN_SCOPE, {"resourceType": "Condition", "id": "taken out"})},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("lists", LISTS)
def test_a_list_that_was_opened_at_once_says_what_it_would_say_in_one_piece(lists: str, indent: int | None) -> None:
    sent = json.dumps(body(**LISTS[lists]), indent=indent).encode()
    at_once, in_one_piece = opened(sent), as_one_piece(sent)
    assert list(at_once.prefetch) == list(in_one_piece.prefetch)
    assert {key: bytes(came) for key, came in at_once.prefetch.items()} == {
        key: bytes(came) for key, came in in_one_piece.prefetch.items()
    }
    assert [open_key(came) for came in at_once.prefetch.values()] == [
        open_key(came) for came in in_one_piece.prefetch.values()
    ]
    assert read(at_once) == read(in_one_piece)


def read(call: Call) -> object:
    """Read a chart twice, as the dossier does, and give what was said."""
    settings = Settings.model_validate({"now": f"{DAY}T12:00:00Z"})
    came = gather(call, settings).prefetch
    first, second = (read_chart(came, patient_id=PATIENT, now=NOW, timezone=dt.UTC) for _ in range(2))
    assert first == second
    return first


def test_of_a_long_body_the_lists_are_opened_as_it_is_read() -> None:
    call = opened(json.dumps(body()).encode())
    assert {key for key, came in call.prefetch.items() if isinstance(came, OpenedList)} == set(call.prefetch) - {
        "patient"
    }
    assert len(call.prefetch["observations"]) == len(bytes(call.prefetch["observations"]))
    short = opened(json.dumps(call_body()).encode())
    assert not any(isinstance(came, OpenedList) for came in short.prefetch.values())


@pytest.mark.parametrize("lists", ["the same", "an odd list", "an array", "words of ours"])
def test_where_it_is_not_sure_what_a_list_is_it_stays_in_one_piece(lists: str) -> None:
    assert taken_apart(json.dumps(body(**LISTS[lists])).encode()) is None


MEMBER = '"observations": {"resourceType": "Bundle"}'


@pytest.mark.parametrize(
    ("where", "twice"),
    [
        ('"prefetch": {', f"{MEMBER}, "),
        ('"prefetch": {', '"patient": null, '),
        ('"prefetch": {', '"a": null, "a": null, '),
        ('{"hook"', '{"context": {}, '),
        ('{"hook"', '{"prefetch": {}, '),
        ('{"hook"', '{"zzz": 1, "zzz": 2, '),
        ('"context": {', '"userId": "another", '),
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_a_member_that_stands_twice_is_refused_on_either_side_of_a_long_list(
    where: str, twice: str, *, is_last: bool
) -> None:
    asked = body()
    if not is_last:
        asked = {"hook": asked.pop("hook"), "prefetch": asked.pop("prefetch")} | asked
        asked["prefetch"] = {"observations": asked["prefetch"].pop("observations")} | asked["prefetch"]
    text = json.dumps(asked)
    assert text.count(where) == 1
    sent = text.replace(where, twice + where[1:] if where[0] == "{" else where + twice).encode()
    assert taken_apart(sent) is not None or where.startswith('{"hook"')
    assert said_of(opened, sent) == said_of(as_one_piece, sent)
    assert said_of(opened, sent)[0] == 400


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: text + "}",
        lambda text: text.replace('"final"', '"fin\tal"', 1),
        lambda text: text.replace('"prefetch": {', '"prefetch": {"conditions": 01, ', 1),
        lambda text: text.replace('"r-150"', "[" * 2000 + "]" * 2000),
        lambda text: text.replace('"hook": ', '"more": ' + "[" * 70 + "]" * 70 + ', "hook": ', 1),
        lambda text: text.replace('"hook": ', '"fhirServer": ["a"], "hook": ', 1),
        lambda text: text.replace('"prefetch": {', '"prefetch": [], "prefetched": {', 1).replace('"hook"', '"hoo"', 1),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words(spoil: Callable[[str], str]) -> None:
    sent = spoil(json.dumps(body())).encode()
    assert said_of(opened, sent) == said_of(as_one_piece, sent)


def listed(*resources: dict[str, Any], **more: Any) -> OpenedList:
    """A list as it is opened in a body that is long enough for that."""
    found = opened(json.dumps(body(medications=bundle(*resources) | more)).encode()).prefetch["medications"]
    assert isinstance(found, OpenedList)
    return found


def test_a_list_of_outcomes_only_is_unavailable() -> None:
    assert delivered(listed(OUTCOME)) == Unavailable("operation-outcome")
    assert isinstance(delivered(listed(OUTCOME, *IN_SCOPE)), OpenedList)


def test_an_opened_list_of_which_there_is_more_is_known_as_a_part() -> None:
    for whole, found in ((True, listed()), (False, listed(total=9)), (False, listed(link=NEXT))):
        assert is_part(found) is is_part(bytes(found)) is not whole


def test_medications_are_looked_for_and_added_to_an_opened_list_as_to_any_other() -> None:
    order = {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/m"}}
    found = listed(order)
    assert (
        unresolved(None, {"medications": found}) == unresolved(None, {"medications": bytes(found)}) == ["Medication/m"]
    )
    medication = b'{"resourceType":"Medication","id":"m"}'
    assert with_resources({"medications": found}, [medication]) == with_resources(
        {"medications": bytes(found)}, [medication]
    )


def test_what_is_taken_out_is_most_of_a_body() -> None:
    sent = json.dumps(body()).encode()
    apart = taken_apart(sent)
    assert apart is not None
    assert len(apart.rest) < len(sent) // 10
