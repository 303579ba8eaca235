"""Results read from a FHIR server: whatever it sorts, filters and cuts, the answer is right or said to be cut."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fhir_mapping.chart import Unavailable, read_chart
from fhir_mapping.terms.queries import templates
from fhir_mapping.terms.site import NO_SITE
from hooks.fhir_server import results
from hooks.fhir_server.breaker import Breakers
from hooks.fhir_server.fetch import Fetched, fetch_missing
from hooks.fhir_server.gather import Reading as CallReading
from hooks.fhir_server.includes import Includes
from hooks.fhir_server.reasons import sentence, sentences
from hooks.fhir_server.scopes import allows
from hooks.protocol import Call
from hooks.settings import Settings
from tests.fhir import LOINC, NOW, PATIENT_ID, bundle, coded, observation, patient, quantity
from tests.fhir_servers import Handler, as_json, serving

if TYPE_CHECKING:
    from fhir_mapping.terms.decode import Brought
    from recommenders.vocabulary.facts import Reading

Json = dict[str, Any]
UNTIL = results.looked_back_to(NOW.date(), None)


class Laboratory:
    """A server with results and its own ideas about searching them; `refuses` and `slow` are parameters and seconds."""

    def __init__(
        self,
        chart: list[Json],
        size: int,
        *,
        sorts: bool = True,
        filters: bool = True,
        admits: bool = True,
        refuses: str = "",
        slow: float = 0,
    ) -> None:
        self.chart = chart
        self.size = size
        self.sorts, self.filters, self.admits, self.refuses, self.slow = sorts, filters, admits, refuses, slow
        self.pages = 0

    def __call__(self, handler: Handler) -> None:
        """Answer one search or page."""
        self.pages += 1
        if self.slow:
            time.sleep(self.slow)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        if self.refuses and self.refuses in asked:
            handler.send(as_json({"resourceType": "OperationOutcome", "issue": []}), 400)
            return
        found = list(self.chart)
        if "code" in asked and self.filters:
            wanted = set(asked["code"].split(","))
            found = [one for one in found if {c["code"] for c in one["code"].get("coding", ())} & wanted]
        if "_sort" in asked and self.sorts:
            found.sort(key=lambda one: one["effectiveDateTime"], reverse=True)
        start = int(asked.get("_start", 0))
        size = min(self.size, int(asked.get("_count", self.size)))
        query = re.sub(r"&_start=\d+", "", urlsplit(handler.path).query)
        if not self.admits:
            query = "patient=p1"
        more = f"{handler.server.base}/Observation?{urlsplit(handler.path).query}"
        links = [{"relation": "self", "url": f"{handler.server.base}/Observation?{query}"}]
        if start + size < len(found):
            more = re.sub(r"&_start=\d+", "", more)
            links.append({"relation": "next", "url": f"{more}&_start={start + size}"})
        handler.send(as_json(bundle(found[start : start + size], link=links, total=len(found))))


def creatinine(name: str, value: float, day: str, *, in_words: bool = False) -> Json:
    code = {"text": "Creatinine"} if in_words else coded(LOINC, "2160-0")
    return observation(name, code, quantity(value, "umol/L"), when=day)


def pulses(count: int, *, days: int = 8) -> list[Json]:
    first = dt.date(2026, 11, 13)
    return [
        observation(
            f"p{n}", coded(LOINC, "8867-4"), quantity(80, "/min"), when=str(first + dt.timedelta(n * days // count))
        )
        for n in range(count)
    ]


def fetched(server: Laboratory, how: results.Search = "two", seconds: float = 5.0) -> Fetched:
    with serving(server) as running:
        wanted: dict[str, str | bytes] = dict(results.searches("Observation?patient=p1&_sort=-date&_count=500", how))
        found = fetch_missing(
            wanted,
            base=running.base,
            token=None,
            anonymous=True,
            seconds=seconds,
            breakers=Breakers(),
            until={results.KEY: UNTIL} if how == "two" else None,
        )
    return results.together(found, Unavailable("not-sent"))


def creatinine_in(came: Brought | Unavailable) -> Reading:
    sent = {"patient": json.dumps(patient()).encode(), "conditions": b"null", "observations": came}
    facts = read_chart(sent, patient_id=PATIENT_ID, now=NOW, timezone=dt.UTC).facts
    return facts.lab.creatinine


def test_nine_hundred_results_at_twenty_a_page_give_the_answer_of_the_whole_list() -> None:
    chart = [creatinine("a", 70, "2026-11-13"), *pulses(898), creatinine("b", 300, "2026-11-21")]
    found = fetched(Laboratory(chart, 20))
    assert found.outcomes == {results.KEY: "ok"}
    assert creatinine_in(found.data[results.KEY]).value == 300


@pytest.mark.parametrize("size", [1, 7, 20, 50, 200, 500])
@pytest.mark.parametrize("last", ["code", "words"])
@pytest.mark.parametrize(
    "quirk",
    [{}, {"sorts": False}, {"filters": False}, {"admits": False}, {"refuses": "code"}, {"refuses": "_sort"},
     {"sorts": False, "admits": False}],
    ids=lambda quirk: "-".join(quirk) or "good",
)  # fmt: skip
def test_whatever_the_server_makes_of_the_search_the_answer_is_right_or_said_to_be_cut(
    size: int, last: str, quirk: dict[str, Any]
) -> None:
    newest = creatinine("b", 300, "2026-11-18", in_words=last == "words")
    chart = [creatinine("a", 70, "2026-11-13"), *pulses(400), newest]
    found = fetched(Laboratory(chart, size, **quirk), seconds=8.0)
    came = creatinine_in(found.data[results.KEY])
    assert came.value == 300 or came.reason in {"list-cut", "not-delivered"}
    if came.reason == "not-delivered":
        assert isinstance(found.data[results.KEY], Unavailable)
    if size >= 20 and quirk != {"refuses": "_sort"}:
        assert came.value == 300


@pytest.mark.parametrize("sorts", [True, False])
def test_when_time_runs_out_what_came_last_is_known_and_the_rest_is_said_to_be_cut(sorts: bool) -> None:
    chart = [
        creatinine("a", 70, "2026-11-13"),
        *pulses(400, days=20),
        creatinine("b", 300, "2026-11-18", in_words=True),
    ]
    found = fetched(Laboratory(chart, 10, sorts=sorts, slow=0.05), seconds=0.8)
    assert found.outcomes == {results.KEY: "cut"}
    came = creatinine_in(found.data[results.KEY])
    assert came.value == 300 or came.reason == "list-cut"


def test_results_older_than_every_window_are_not_read_page_by_page() -> None:
    old = [
        observation(
            f"o{n}", coded(LOINC, "8867-4"), quantity(80, "/min"), when=str(dt.date(2015, 1, 1) + dt.timedelta(n))
        )
        for n in range(1000)
    ]
    server = Laboratory([*old, creatinine("b", 300, "2026-11-21")], 20)
    found = fetched(server)
    assert found.outcomes == {results.KEY: "ok"}
    assert server.pages < 10
    assert creatinine_in(found.data[results.KEY]).value == 300


def test_a_site_may_look_for_results_by_code_alone_or_in_one_search() -> None:
    chart = [creatinine("a", 70, "2026-11-13"), *pulses(100), creatinine("b", 300, "2026-11-21", in_words=True)]
    assert creatinine_in(fetched(Laboratory(chart, 20), "coded").data[results.KEY]).value == 70
    assert creatinine_in(fetched(Laboratory(chart, 20), "all").data[results.KEY]).value == 300


def test_a_page_of_the_prefetch_is_kept_where_the_server_gives_only_a_part() -> None:
    part = Fetched(
        {"observations": Unavailable("timeout"), "observations:1": as_json(bundle([]))},
        {"observations": "timeout", "observations:1": "ok"},
    )
    page = as_json(bundle([creatinine("a", 70, "2026-11-13")], link=[{"relation": "next", "url": "x"}]))
    found = results.together(part, page)
    assert found.outcomes == {"observations": "cut"}
    assert creatinine_in(found.data["observations"]).reason == "list-cut"


class Narrow(Laboratory):
    """A server that searches results by code or category only, as Epic does."""

    asked: list[str]

    def __call__(self, handler: Handler) -> None:
        """Answer one search."""
        asked = parse_qs(urlsplit(handler.path).query)
        if not handler.path.startswith("/fhir/Observation"):
            handler.send(as_json(patient() if "Patient/" in handler.path else bundle([])))
        elif not {"code", "category", "_start"} & set(asked):
            self.asked.append("refused")
            handler.send(as_json({"resourceType": "OperationOutcome", "issue": []}), 400)
        else:
            self.asked += asked.get("category", [])
            of = {one["id"]: one.get("category", [{}])[0].get("text", "laboratory") for one in self.chart}
            chart = [one for one in self.chart if of[one["id"]] == asked.get("category", [of[one["id"]]])[0]]
            # a laboratory of its own for each search: several are answered at the same time
            Laboratory(chart, self.size)(handler)


@pytest.fixture(autouse=True)
def _no_server_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of an earlier test may come again, and what was learnt of its server does not hold."""
    monkeypatch.setattr(results.NARROW, "_until", {})


def read_from(server: Narrow, **setting: str) -> tuple[Json, str]:
    """Read a patient's results as a call does; give the creatinine's value or reason, and the word for the list."""
    with serving(server) as running:
        call = Call("patient-view", "i", "Practitioner/1", PATIENT_ID, None, {})
        settings = Settings.model_validate({"now": NOW, "fhir_anonymous": True, "fetch_seconds": 8} | setting)
        values = []
        for _ in range(2):  # the second call knows the server
            asked = dict.fromkeys(("patient", "observations"), Unavailable("not-sent"))
            reading = CallReading(call, running.base, settings, None, NO_SITE, breakers=Breakers())
            came = reading.complete(asked, {key: templates("patient-view")[key] for key in asked})
            values.append(creatinine_in(came.prefetch["observations"]))
        return {"values": [str(one.value or one.reason) for one in values]}, came.fetched["observations"]


def test_a_server_that_wants_a_category_is_asked_for_each_and_its_answer_is_that_of_the_whole_list() -> None:
    server = Narrow([creatinine("a", 70, "2026-11-13"), creatinine("b", 300, "2026-11-18", in_words=True)], 20)
    server.asked = []
    told, outcome = read_from(server)
    assert told == {"values": ["300", "300"]}, "the one in words too"
    assert outcome == "ok"
    assert server.asked.count("refused") == 1, "known from the first call on"
    assert {category: server.asked.count(category) for category in results.CATEGORIES} == dict.fromkeys(
        results.CATEGORIES, 2
    )


def test_by_code_alone_no_category_is_asked_for() -> None:
    server = Narrow([creatinine("a", 70, "2026-11-13"), creatinine("b", 300, "2026-11-18", in_words=True)], 20)
    server.asked = []
    assert read_from(server, observation_search="coded") == ({"values": ["70", "70"]}, "ok")
    assert server.asked == []


def test_a_category_that_does_not_come_leaves_the_list_a_part() -> None:
    done = Fetched(
        {"observations:1": as_json(bundle([])), "observations:survey": Unavailable("timeout")},
        {"observations:1": "ok", "observations:survey": "timeout"},
    )
    assert results.together(done, Unavailable("not-sent")).outcomes == {"observations": "cut"}


# Scopes


@pytest.mark.parametrize(
    ("scope", "kind", "allowed"),
    [
        ("", "Observation", True),
        ("openid launch", "Observation", True),
        ("patient/*.read", "Observation", True),
        ("user/*.*", "Observation", True),
        ("patient/Condition.read", "Observation", False),
        ("patient/Observation.write", "Observation", False),
        ("patient/Observation.rs", "Observation", True),
        ("patient/Observation.cruds", "Observation", True),
        ("patient/Observation.cud", "Observation", False),
        ("patient/Observation.rs?category=laboratory", "Observation", True),
        ("system/Medication.s", "Medication", True),
    ],
)
def test_scopes_are_read_as_smart_writes_them(scope: str, kind: str, allowed: bool) -> None:
    assert allows(scope, kind) is allowed


# Medications in the same search


def test_a_server_that_says_that_it_includes_medications_is_asked_to() -> None:
    now = [0.0]
    includes = Includes(lambda: now[0])
    query = "MedicationRequest?patient=1"
    assert includes.extended("base", query) == query
    statement = {
        "rest": [{"resource": [{"type": "MedicationRequest", "searchInclude": ["MedicationRequest:medication"]}]}]
    }
    includes.learn("base", as_json(statement))
    assert includes.knows("base")
    assert includes.extended("base", query) == f"{query}&_include=MedicationRequest:medication"
    assert includes.extended("base", "Condition?patient=1") == "Condition?patient=1"
    assert includes.extended("other", query) == query
    now[0] = 4000.0
    assert not includes.knows("base")
    assert includes.extended("base", query) == query
    includes.learn("base", b"<html>")
    assert includes.knows("base")
    assert includes.extended("base", query) == query


# Sentences


def test_every_reason_has_a_sentence_of_its_own() -> None:
    told = sentences()
    assert len(set(told.values())) == len(told)
    assert sentence("not-found", "patient") != sentence("not-found", "conditions")
