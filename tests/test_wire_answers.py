"""Whole answers over HTTP: their shape, their order, and that the same request gives the same bytes."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire import IN_SCOPE, KEYS, RESULTS, SERVICE_OF, bundle, call_body, empty_members, with_, zoledronic_order

if TYPE_CHECKING:
    from tests.conftest import Server

HOOKS = tuple(SERVICE_OF)
ORDER = ("critical", "warning", "info")


def evaluation(answered: Any) -> Any:
    return answered["extension"]["org.oncobone.evaluation"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_patient_in_scope_gets_cards(server: Server, hook: str) -> None:
    answered = server.call(call_body(hook))
    assert answered.status_code == 200
    assert answered.json()["cards"]
    assert evaluation(answered.json())["in_scope"] is True


@pytest.mark.parametrize("hook", ["patient-view", "encounter-start"])
def test_a_healthy_patient_gets_an_empty_list_and_not_204(server: Server, hook: str) -> None:
    answered = server.call(with_(call_body(hook), "prefetch.conditions", bundle()))
    assert answered.status_code == 200
    assert answered.json()["cards"] == []
    assert evaluation(answered.json())["in_scope"] is False


@pytest.mark.parametrize("hook", HOOKS)
def test_the_same_request_gives_the_same_bytes(server: Server, hook: str) -> None:
    assert server.call(call_body(hook)).content == server.call(call_body(hook)).content


@pytest.mark.parametrize("hook", HOOKS)
def test_the_order_of_what_was_sent_changes_nothing(server: Server, hook: str) -> None:
    plain = server.call(call_body(hook)).json()
    for seed in range(3):
        body = call_body(hook)
        shuffle = random.Random(seed).shuffle
        for key in KEYS[1:]:
            shuffle(body["prefetch"][key].get("entry", []))
        members = list(body["prefetch"].items())
        shuffle(members)
        answered = server.call(body | {"prefetch": dict(members)}).json()
        assert answered["cards"] == plain["cards"]
        assert evaluation(answered)["fired"] == evaluation(plain)["fired"]


@pytest.mark.parametrize("hook", HOOKS)
def test_another_invocation_changes_the_ids_of_cards_and_nothing_else(server: Server, hook: str) -> None:
    one, other = (server.call(call_body(hook, hookInstance=name)).json() for name in ("a", "b"))
    assert one["cards"]
    for mine, yours in zip(one["cards"], other["cards"], strict=True):
        assert mine["uuid"] != yours["uuid"]
        traces = [card["extension"]["org.oncobone.trace"] for card in (mine, yours)]
        assert traces[0] == traces[1]
        assert {k: v for k, v in mine.items() if k not in {"uuid", "suggestions"}} == {
            k: v for k, v in yours.items() if k not in {"uuid", "suggestions"}
        }


def test_two_equal_orders_have_a_card_each_and_no_two_ids_are_the_same(server: Server) -> None:
    one, other = zoledronic_order(), zoledronic_order() | {"id": "mr-2"}
    body = with_(call_body("order-sign"), "context.draftOrders", bundle(one, other))
    cards = server.call(body).json()["cards"]  # `check_answer` holds that every id is another
    leads = [card["summary"] for card in cards]
    assert len(leads) > len(set(leads)), "two orders of the same drug and dose are told the same"


@pytest.mark.parametrize("hook", HOOKS)
def test_cards_stand_in_the_order_of_their_urgency_and_are_few(server: Server, hook: str) -> None:
    indicators = [card["indicator"] for card in server.call(call_body(hook)).json()["cards"]]
    assert indicators == sorted(indicators, key=ORDER.index)
    assert len(indicators) <= 8


@pytest.mark.parametrize("hook", HOOKS)
def test_each_rule_on_a_card_fired_and_stands_on_one_card_only(server: Server, hook: str) -> None:
    answered = server.call(call_body(hook)).json()
    on_cards = [rule for card in answered["cards"] for rule in card["extension"]["org.oncobone.trace"].get("fired", ())]
    assert len(on_cards) == len(set(on_cards))
    assert set(on_cards) <= set(evaluation(answered).get("fired", []))


@pytest.mark.parametrize("hook", HOOKS)
def test_the_evaluation_says_what_the_contract_says(server: Server, hook: str) -> None:
    told = evaluation(server.call(call_body(hook)).json())
    assert told["as_of"] == "2026-11-22"
    assert set(told) <= {
        "as_of",
        "guidance",
        "in_scope",
        "fired",
        "suppressed",
        "superseded",
        "indeterminate",
        "values",
        "notes",
        "unsaid",
    }
    for undecided in told.get("indeterminate", ()):
        assert set(undecided) == {"rule", "missing"}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_trace_says_what_the_contract_says(server: Server, hook: str) -> None:
    for card in server.call(call_body(hook)).json()["cards"]:
        trace = card["extension"]["org.oncobone.trace"]
        assert {"recommender", "guidance", "as_of", "repeat_key"} <= set(trace)
        for because in trace.get("because", ()):
            assert {"fact", "relation"} <= set(because)


def test_a_critical_order_card_proves_itself(server: Server) -> None:
    """Clearance about 28 mL/min, and zoledronic acid is being signed."""
    cards = server.call(call_body("order-sign")).json()["cards"]
    assert cards[0]["indicator"] == "critical"
    trace = cards[0]["extension"]["org.oncobone.trace"]
    assert trace["recommender"] == "order-safety"
    assert 26 < trace["values"]["crcl_ml_min"] < 30
    clearance = next(each for each in trace["because"] if each["fact"] == "lab.crcl")
    assert "Observation/o-creatinine" in clearance["resources"]
    assert clearance["source"]


def test_order_select_speaks_of_the_selected_order_only(server: Server) -> None:
    other = zoledronic_order("mr-2") | {"medicationCodeableConcept": {"text": "paracetamol 500 mg"}}
    body = with_(call_body("order-select"), "context.draftOrders", bundle(zoledronic_order(), other))
    assert server.call(body).json()["cards"]
    assert server.call(with_(body, "context.selections", ["MedicationRequest/mr-2"])).json()["cards"] == []


def test_decimals_come_out_as_numbers(server: Server) -> None:
    def numbers(value: Any) -> Any:
        if isinstance(value, dict):
            for inner in value.values():
                yield from numbers(inner)
        else:
            yield value

    for hook in HOOKS:
        values = evaluation(server.call(call_body(hook)).json()).get("values", {})
        assert all(isinstance(value, int | float | str) for value in numbers(values))
        assert all(
            isinstance(values[key], int | float) for key in values if key.endswith(("_mmol_l", "_ml_min", "_mg"))
        )


def test_the_scan_for_empty_members_finds_them() -> None:
    """The scan that runs over every answer of these tests would notice."""
    body = {"cards": [], "extension": {"a": {"b": [], "c": [{"d": None}], "e": ""}}}
    assert empty_members(body) == ["/extension/a/b", "/extension/a/c/0/d", "/extension/a/e"]
    assert empty_members({"x": {"cards": []}}) == ["/x/cards"]


def test_what_knowing_more_would_change_is_told_where_the_site_asks_for_all(start_server: Any, tmp_path: Any) -> None:
    config = tmp_path / "site.toml"
    config.write_text("full_evaluation = true\n", encoding="utf-8")
    told = evaluation(start_server("--config", str(config)).call(call_body()).json())
    assert told["indeterminate"]
    assert all(each["would_change"] for each in told["indeterminate"])


def test_a_site_that_has_other_windows_sees_other_facts(start_server: Any, tmp_path: Any) -> None:
    config = tmp_path / "site.toml"
    config.write_text('[site.windows]\n"lab.creatinine" = 1\n"lab.crcl" = 1\n', encoding="utf-8")
    strict = start_server("--config", str(config))
    body = call_body("order-sign", prefetch=call_body()["prefetch"] | {"observations": bundle(*RESULTS)})
    told = evaluation(strict.call(body).json())
    assert "crcl_ml_min" not in told.get("values", {})
    undecided = json.dumps(told["indeterminate"])
    assert "lab.creatinine" in undecided


def test_conditions_alone_are_enough_for_an_answer(server: Server) -> None:
    prefetch = {key: value for key, value in call_body()["prefetch"].items() if key in {"patient", "conditions"}}
    answered = server.call(call_body(prefetch=prefetch | {"conditions": bundle(*IN_SCOPE)}))
    assert answered.status_code == 200
    assert answered.json()["cards"]


@pytest.mark.parametrize("hook", HOOKS)
def test_no_answer_acts_by_itself(server: Server, hook: str) -> None:
    assert "systemActions" not in server.call(call_body(hook)).json()
