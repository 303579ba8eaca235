"""A replay says what the service says: of a chart on its day, of an order when signed, of a past day as it was."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from fhir_mapping.delivery.context import KEY_OF
from fhir_mapping.delivery.known import as_known
from hooks.application import create_app
from hooks.configuration import load
from hooks.reference.samples import request_for, samples
from hooks.replay import results
from hooks.replay.errors import ReplayError
from hooks.replay.patients import chart_of, delivery
from hooks.replay.plan import calls_of, days_of, hooks_of
from hooks.settings import Settings
from hooks.store.store import open_store
from hooks.watching import observability
from tests.fhir import coded, condition, observation, patient, quantity
from tests.replay import people, replay, rows, write_lines

Json = dict[str, Any]
TRACE = "org.oncobone.trace"
EVALUATION = "org.oncobone.evaluation"
NOON = "2026-11-22"
TYPES = ",".join(["Patient", *KEY_OF])
ASKED = {"eventId": "kickoff", "eventDetail": {"exportUrl": f"https://x/$export?_type={TYPES}"}}
CHART_SAMPLES = [one.name for one in samples() if not one.only and one.name != "hostile-chart"]


def answered(request: Json) -> Json:
    settings = load({"now": NOON, "auth": "open", "database_url": "sqlite://"}, {})
    client = create_app(settings).test_client()
    response = client.post(f"/cds-services/oncobone-{request['hook']}", json=request)
    assert response.status_code == 200, response.get_json()
    told: Json = response.get_json()
    return told


def as_export(folder: Path, resources: list[Json], transaction: str = "2026-11-22T12:00:00Z") -> Path:
    write_lines(folder, resources)
    done = {"eventId": "status_complete", "eventDetail": {"transactionTime": transaction}}
    write_lines(folder, [ASKED, done], "log.ndjson")
    return folder


def told_by_replay(folder: Path) -> tuple[list[tuple[str, str, list[str]]], dict[str, set[str]]]:
    cards = rows(folder, "SELECT recommender, indicator, rules FROM cards ORDER BY place")
    states: dict[str, set[str]] = {}
    for rule, state in rows(folder, "SELECT rule, state FROM verdicts"):
        states.setdefault(state, set()).add(rule)
    return [(who, loud, list(rules)) for who, loud, rules in cards], states


def told_by_service(answer: Json) -> tuple[list[tuple[str, str, list[str]]], dict[str, set[str]]]:
    traces = [(card["extension"][TRACE], card["indicator"]) for card in answer["cards"]]
    cards = [
        (trace["recommender"], loud, sorted(trace.get("fired") or [one["rule"] for one in trace["indeterminate"]]))
        for trace, loud in traces
    ]
    evaluation = answer["extension"][EVALUATION]
    states = {state: set(evaluation.get(state, ())) for state in ("fired", "suppressed", "superseded")}
    states["undecided"] = {one["rule"] for one in evaluation.get("indeterminate", ())}
    return cards, {state: rules for state, rules in states.items() if rules}


@pytest.mark.parametrize("name", CHART_SAMPLES)
def test_a_chart_on_the_day_of_its_export_gets_the_service_s_answer(tmp_path: Path, name: str) -> None:
    request = request_for(name, "patient-view")
    resources = next(one for one in samples() if one.name == name).resources
    replay([as_export(tmp_path / "in", resources)], tmp_path / "run")
    answer = answered(request)
    cards, states = told_by_replay(tmp_path / "run")
    service_cards, service_states = told_by_service(answer)
    assert states == service_states
    assert [card[:2] for card in cards] == [card[:2] for card in service_cards]


RECORDED = CHART_SAMPLES[::4]


def test_a_run_over_the_charts_of_recorded_calls_gives_the_rules_that_the_audit_record_holds(tmp_path: Path) -> None:
    """What the service wrote down of its past calls is what a replay of their day says again."""
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    app = create_app(load({"now": NOON, "auth": "open", "database_url": url}, {}), store=open_store(url))
    client = app.test_client()
    people_of = {one.name: one for one in samples()}
    for name in RECORDED:
        with client.post("/cds-services/oncobone-patient-view", json=request_for(name, "patient-view")) as response:
            assert response.status_code == 200
    for last in observability.of(app).at_end:
        last()
    store = open_store(url)
    recorded = [json.loads(entry.record) for entry in store.audit_entries()]
    store.close()
    assert len(recorded) == len(RECORDED)
    for name, record in zip(RECORDED, recorded, strict=True):
        replay([as_export(tmp_path / name, people_of[name].resources)], tmp_path / f"{name}-run")
        _, states = told_by_replay(tmp_path / f"{name}-run")
        assert (
            record["guidance"] == results.read_run(tmp_path / f"{name}-run")["editions"]["guidance"].partition("+")[0]
        )
        for state in ("fired", "suppressed", "undecided"):
            assert set(record.get(state, ())) == states.get(state, set()), (name, state)


ORDER_SAMPLES = [one.name for one in samples() if one.hook.startswith("order")]


@pytest.mark.parametrize("name", ORDER_SAMPLES)
def test_an_order_of_the_past_gets_the_answer_that_it_got_when_it_was_signed(tmp_path: Path, name: str) -> None:
    """The drafts of a sample are written at noon and stand in the export; the chart knows nothing of them yet."""
    request = request_for(name, "order-sign")
    chosen = next(one for one in samples() if one.name == name)
    orders = [
        entry["resource"]
        | {"status": "active", "authoredOn": "2026-11-22T12:00:00Z", "requester": {"reference": "Practitioner/x"}}
        for entry in request["context"]["draftOrders"]["entry"]
    ]
    drafts = [one | {"status": "draft"} for one in orders]
    request["context"]["draftOrders"] = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": one} for one in drafts],
    }
    given = as_export(tmp_path / "in", [*chosen.resources, *orders], "2026-11-22T12:00:00Z")
    replay([given], tmp_path / "run", calls=("orders",), days=(dt.date(2026, 11, 22), dt.date(2026, 11, 22)))
    _, service_states = told_by_service(answered(request))
    states: dict[str, set[str]] = {}
    for rule, state in rows(
        tmp_path / "run",
        "SELECT rule, state FROM verdicts JOIN calls USING (arm, call) WHERE moment = 1795348800000",
    ):
        states.setdefault(state, set()).add(rule)
    assert states == service_states


LUNG = condition("lung", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"), recorded="2026-01-10")
BONE = condition("bone", coded("http://hl7.org/fhir/sid/icd-10-cm", "C79.51"), recorded="2026-06-10")
CALCIUM = observation("ca", "2000-8", quantity(3.6, "mmol/L", code="mmol/L"), when="2026-08-01")


def test_a_past_day_knows_nothing_of_later(tmp_path: Path) -> None:
    """Metastasis found in June, calcium high in August: neither in May, the one in July, both in August."""
    given = as_export(tmp_path / "in", [patient(), LUNG, BONE, CALCIUM])
    days = (dt.date(2026, 1, 9), dt.date(2026, 5, 1), dt.date(2026, 7, 1), dt.date(2026, 8, 2))
    replay([given], tmp_path / "run", days=days)
    found = dict(rows(tmp_path / "run", "SELECT CAST(day AS VARCHAR), critical + warning + info FROM calls"))
    assert "2026-01-09" not in found  # not ours yet
    facts = {
        (str(day), fact): state for day, fact, state in rows(tmp_path / "run", "SELECT day, fact, state FROM facts")
    }
    states = [facts.get((day.isoformat(), "dx.bone_met")) for day in days[1:]]
    assert states[1:] == ["known", "known"]
    assert states[0] != "known"
    fired: dict[str, set[str]] = {}
    for day, rule in rows(
        tmp_path / "run", "SELECT day, rule FROM calls JOIN verdicts USING (call) WHERE state = 'fired'"
    ):
        fired.setdefault(str(day), set()).add(rule)
    assert fired["2026-08-02"] - fired["2026-07-01"]
    critical = dict(rows(tmp_path / "run", "SELECT CAST(day AS VARCHAR), critical FROM calls"))
    assert (critical["2026-07-01"], critical["2026-08-02"] > 0) == (0, True)


def test_what_was_taken_back_or_is_only_known_with_hindsight_is_counted(tmp_path: Path) -> None:
    resolved = {"coding": [{"code": "resolved"}]}
    ended = condition("x", coded("http://hl7.org/fhir/sid/icd-10-cm", "J18.9"), recorded="2026-02-01")
    ended |= {"clinicalStatus": resolved, "abatementDateTime": "2026-09-01"}
    unclear = condition("y", coded("http://hl7.org/fhir/sid/icd-10-cm", "J18.9"), recorded="2026-02-01")
    unclear |= {"clinicalStatus": resolved}
    undated = condition("z", coded("http://hl7.org/fhir/sid/icd-10-cm", "I10"), recorded=None)
    given = as_export(tmp_path / "in", [patient(), LUNG, ended, unclear, undated])
    replay([given], tmp_path / "run", days=(dt.date(2026, 5, 1),))
    assert rows(tmp_path / "run", "SELECT rewound, assumed, hindsight FROM calls") == [(1, 1, 1)]
    replay([given], tmp_path / "now")
    assert rows(tmp_path / "now", "SELECT rewound, assumed, hindsight FROM calls") == [(0, 0, 0)]


def test_with_history_the_version_of_the_moment_counts(tmp_path: Path) -> None:
    """A server that exports history: cancer was coded in March, and taken for hypertension in June."""

    def version(code: str, day: str) -> Json:
        told = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", code), recorded="2026-03-01")
        return told | {"meta": {"lastUpdated": f"{day}T00:00:00Z"}}

    given = as_export(tmp_path / "in", [patient(), version("C34.11", "2026-03-01"), version("I10", "2026-06-01")])
    replay([given], tmp_path / "run", days=(dt.date(2026, 2, 1), dt.date(2026, 4, 1), dt.date(2026, 7, 1)))
    assert [str(day) for (day,) in rows(tmp_path / "run", "SELECT day FROM calls")] == ["2026-04-01"]


def later_than(day: dt.date) -> Any:
    moment = dt.datetime.combine(day, dt.time(23, 59, 59), dt.UTC)
    return lambda one: as_known(json.dumps(one).encode(), moment).why == "later"


@pytest.mark.parametrize("day", [dt.date(2026, 6, 30), dt.date(2026, 11, 12)])
def test_a_run_of_a_past_day_is_blind_to_what_came_later(tmp_path: Path, day: dt.date) -> None:
    """Lines of later dropped, or turned into something else: the tables say the same."""
    everything = [one for person in people(20, ours=1.0) for one in person]
    is_later = later_than(day)
    without = [one for one in everything if not is_later(one)]
    assert len(everything) - len(without) > 100
    turned = [one | {"code": {"text": "骨转移"}, "status": "final"} if is_later(one) else one for one in everything]
    found = []
    for name, resources in (("all", everything), ("without", without), ("turned", turned)):
        replay([as_export(tmp_path / name, resources)], tmp_path / f"run-{name}", days=(day,))
        query = "SELECT hook, rule, state, indicator, missing FROM verdicts JOIN calls USING (call) ORDER BY ALL"
        found.append(rows(tmp_path / f"run-{name}", query))
    assert found[0] == found[1] == found[2]
    assert found[0]


def encounter(name: str, start: str, **more: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": name,
        "status": "finished",
        "subject": {"reference": "Patient/p1"},
        "period": {"start": start},
        "serviceType": {"coding": [{"code": "394593009"}]},
        "participant": [{"individual": {"reference": "Practitioner/dr-one"}}],
    } | more


def test_each_encounter_is_a_call_at_its_time_by_whom_and_where(tmp_path: Path) -> None:
    visits = [
        encounter("a", "2026-03-01T09:00:00Z"),
        encounter("b", "2026-07-01"),
        encounter("c", "2026-08-01T09:00:00Z", status="cancelled"),
        encounter("d", "2019-08-01T09:00:00Z"),
        encounter("e", "2026-07"),
    ]
    given = as_export(tmp_path / "in", [patient(), LUNG, BONE, *visits])
    outcome = replay([given], tmp_path / "run", calls=("encounters",))
    assert outcome.told["counts"]["calls"] == {"encounters": 2}
    found = rows(
        tmp_path / "run", "SELECT CAST(day AS VARCHAR), trigger, hook, unit, assumed FROM calls ORDER BY moment"
    )
    assert found == [
        ("2026-03-01", "encounter", "patient-view", "394593009", 0),
        ("2026-07-01", "encounter", "patient-view", "394593009", 1),
    ]
    who = rows(tmp_path / "run", "SELECT DISTINCT practitioner FROM calls")
    assert len(who) == 1
    assert "dr-one" not in who[0][0]


def test_the_same_card_at_the_next_visit_is_a_repeat(tmp_path: Path) -> None:
    visits = [encounter("a", "2026-07-01T09:00:00Z"), encounter("b", "2026-07-08T09:00:00Z")]
    given = as_export(tmp_path / "in", [patient(), LUNG, BONE, *visits])
    replay([given], tmp_path / "run", calls=("encounters",))
    times = rows(tmp_path / "run", "SELECT nth_time, count(DISTINCT repeat_key) FROM cards GROUP BY ALL ORDER BY ALL")
    assert [time for time, _ in times] == [1, 2]
    assert times[0][1] >= times[1][1] > 0


def test_orders_that_are_written_together_are_one_call(tmp_path: Path) -> None:
    def order(name: str, text: str, when: str) -> Json:
        return {
            "resourceType": "MedicationRequest",
            "id": name,
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": text},
            "subject": {"reference": "Patient/p1"},
            "authoredOn": when,
            "requester": {"reference": "Practitioner/x"},
        }

    orders = [
        order("a", "zoledronic acid 4 mg", "2026-10-01T09:00:00Z"),
        order("b", "calcium carbonate 600 mg", "2026-10-01T09:00:00Z"),
        order("c", "denosumab 120 mg", "2026-11-01T09:00:00Z"),
        order("d", "metformin 500 mg", "2026-11-03T09:00:00Z"),
    ]
    given = as_export(tmp_path / "in", [patient(), LUNG, BONE, *orders])
    outcome = replay([given], tmp_path / "run", calls=("orders",))
    found = rows(tmp_path / "run", "SELECT CAST(day AS VARCHAR), order_kinds FROM calls ORDER BY moment")
    assert [day for day, _ in found] == ["2026-10-01", "2026-11-01", "2026-11-03"]
    assert ["bma" in kinds for _, kinds in found] == [True, True, False]
    assert outcome.told["counts"]["calls"] == {"orders": 4}


def test_a_medication_that_orders_refer_to_is_read_with_them(tmp_path: Path) -> None:
    """Medications belong to nobody in an export; each patient gets those that their orders name."""
    product = {"resourceType": "Medication", "id": "m1", "code": {"text": "denosumab 120 mg (Xgeva)"}}
    order = {
        "resourceType": "MedicationRequest",
        "id": "o",
        "status": "active",
        "intent": "order",
        "medicationReference": {"reference": "Medication/m1"},
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-10-01",
    }
    given = as_export(tmp_path / "in", [product, patient(), LUNG, BONE, order])
    replay([given], tmp_path / "with")
    as_text = order | {"medicationCodeableConcept": product["code"]}
    del as_text["medicationReference"]
    replay([as_export(tmp_path / "in-2", [patient(), LUNG, BONE, as_text])], tmp_path / "text")
    query = "SELECT rule, state FROM verdicts ORDER BY ALL"
    assert rows(tmp_path / "with", query) == rows(tmp_path / "text", query)


def test_a_bundle_folder_gives_what_the_lines_give(tmp_path: Path) -> None:
    order = {
        "resourceType": "MedicationRequest",
        "id": "o",
        "status": "active",
        "intent": "order",
        "medicationReference": {"reference": "urn:uuid:m1"},
        "subject": {"reference": "urn:uuid:p1"},
        "authoredOn": "2026-10-01",
    }
    product = {"resourceType": "Medication", "id": "m1", "code": {"text": "denosumab 120 mg (Xgeva)"}}
    others = [one | {"subject": {"reference": "urn:uuid:p1"}} for one in (LUNG, BONE)]
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in (patient(), *others, product, order)]
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "Ann.json").write_text(
        json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    )
    write_lines(
        tmp_path / "bundles", [ASKED, {"eventDetail": {"transactionTime": "2026-11-22T12:00:00Z"}}], "log.ndjson"
    )
    replay([tmp_path / "bundles"], tmp_path / "run-1")
    plain = order | {"medicationReference": {"reference": "Medication/m1"}, "subject": {"reference": "Patient/p1"}}
    replay([as_export(tmp_path / "lines", [patient(), LUNG, BONE, product, plain])], tmp_path / "run-2")
    query = "SELECT rule, state FROM verdicts ORDER BY ALL"
    assert rows(tmp_path / "run-1", query) == rows(tmp_path / "run-2", query)
    assert rows(tmp_path / "run-1", "SELECT count(*) FROM calls") == [(1,)]


def test_yesterday_s_guidance_is_judged_by_on_request(tmp_path: Path) -> None:
    """Limits of a day before any came into force: the first entries stand in, and this is said."""
    given = as_export(tmp_path / "in", [patient(), LUNG, BONE, CALCIUM])
    outcome = replay([given], tmp_path / "run", guidance_day=dt.date(1990, 1, 1))
    assert outcome.told["not_yet_in_force"]
    assert replay([given], tmp_path / "now").told["not_yet_in_force"] == []


def test_a_site_s_own_services_are_asked(tmp_path: Path) -> None:
    services = [
        {"id": "doctors", "hook": "patient-view", "recommenders": ["bone-protection"]},
        {"id": "pharmacy", "hook": "patient-view", "role": "pharmacist"},
    ]
    given = as_export(tmp_path / "in", [patient(), LUNG, BONE])
    replay([given], tmp_path / "run", arms={"default": Settings.model_validate({"services": services})})
    found = rows(
        tmp_path / "run",
        "SELECT reader, list_sort(list(DISTINCT recommender)) FROM calls JOIN cards USING (call) GROUP BY 1 ORDER BY 1",
    )
    assert [reader for reader, _ in found] == ["pharmacist", "prescriber"]
    assert found[1][1] == ["bone-protection"]


def test_keys_that_came_in_part_say_so() -> None:
    chart = chart_of("p1", [("", json.dumps(patient()).encode()), ("!", b"Observation")], dt.UTC)
    given = delivery(chart, frozenset({"Patient", "Condition", "Observation"}), None)
    assert b'"relation":"next"' in given.prefetch["observations"]  # type: ignore[operator] # bytes
    assert b'"link"' not in given.prefetch["conditions"]  # type: ignore[operator] # bytes
    assert not isinstance(given.prefetch["allergies"], bytes)


@pytest.mark.parametrize(
    ("told", "days"),
    [
        ((None, None, None), ["2026-11-22"]),
        ((dt.date(2026, 1, 2), None, None), ["2026-01-02"]),
        ((None, "2026-01-01..2026-01-15", "1w"), ["2026-01-01", "2026-01-08", "2026-01-15"]),
        ((None, "2026-01-01..2026-01-03", "2d"), ["2026-01-01", "2026-01-03"]),
    ],
)
def test_the_days_that_are_asked(told: Any, days: list[str]) -> None:
    assert [day.isoformat() for day in days_of(told[0], told[1], told[2], dt.date(2026, 11, 22), ())] == days


@pytest.mark.parametrize(
    "told",
    [
        (dt.date(2026, 1, 1), "2026-01-01..2026-01-02", None),
        (None, "2026-01-02..2026-01-01", None),
        (None, "2026-01-02", None),
        (None, "x..y", None),
        (None, "2026-01-01..2026-01-02", "0d"),
        (None, "2026-01-01..2026-01-02", "1y"),
        (None, "1900-01-01..2026-01-02", "1d"),
    ],
)
def test_days_that_cannot_be_asked_are_refused(told: Any) -> None:
    with pytest.raises(ReplayError, match="--"):
        days_of(told[0], told[1], told[2], dt.date(2026, 11, 22), ())


def test_hooks_and_calls_fit_together() -> None:
    assert hooks_of((), ()) == ("patient-view",)
    assert hooks_of((), ("orders",)) == ("order-sign",)
    assert hooks_of((), ("encounters", "orders")) == ("patient-view", "order-sign")
    assert calls_of("orders, encounters") == ("encounters", "orders")
    for wrong in ("order-sign",):
        with pytest.raises(ReplayError, match="--calls orders"):
            hooks_of((wrong,), ())
    with pytest.raises(ReplayError, match="encounters"):
        hooks_of(("patient-view",), ("orders",))
    with pytest.raises(ReplayError, match="'visits'"):
        calls_of("visits")
