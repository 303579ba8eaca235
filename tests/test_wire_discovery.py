"""Discovery over HTTP: what is offered, and that its prefetch templates are ones that every client can resolve."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from hooks.application import create_app
from hooks.settings import Settings
from tests.wire import KEYS, SERVICE_OF, call_body, strict_json

if TYPE_CHECKING:
    from tests.conftest import Server

HOOK_VERSIONS = dict.fromkeys(SERVICE_OF, "1.0")
TOKEN = re.compile(r"\{\{(.*?)\}\}")
TOKENS = {"context.patientId", "context.encounterId", "context.userId"} | {
    "userPractitionerId",
    "userPractitionerRoleId",
    "userPatientId",
    "userRelatedPersonId",
}
READ_OR_SEARCH = re.compile(r"[A-Z][A-Za-z]+(/[^/?]+|\?[^?]+)")


def entries(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/cds-services").json()["services"]
    return found


def test_discovery_is_an_object_with_a_list_of_services(server: Server) -> None:
    answered = server.get("/cds-services")
    assert answered.status_code == 200
    assert isinstance(answered.json()["services"], list)


def test_there_is_one_service_for_each_hook(server: Server) -> None:
    assert {entry["hook"]: entry["id"] for entry in entries(server)} == SERVICE_OF


def test_every_service_says_what_it_is_and_what_it_needs(server: Server) -> None:
    for entry in entries(server):
        assert entry["title"]
        assert len(entry["description"]) > 40
        assert "FHIR R4" in entry["usageRequirements"]
        assert "412" in entry["usageRequirements"]
        assert entry["version"] == "3.0.0-ballot"
        assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", entry["version"])
        assert entry["hookVersion"] == HOOK_VERSIONS[entry["hook"]]


def test_every_service_says_it_only_in_members_that_cds_hooks_knows(server: Server) -> None:
    known = {"hook", "title", "description", "id", "prefetch", "usageRequirements", "version", "hookVersion"}
    known.add("extension")
    assert all(set(entry) <= known for entry in entries(server))


def test_every_listed_service_can_be_called(server: Server) -> None:
    for entry in entries(server):
        assert re.fullmatch(r"[^/ ]+", entry["id"])
        assert server.call(call_body(entry["hook"]), entry["id"]).status_code == 200


def test_every_service_asks_for_the_eight_keys(server: Server) -> None:
    for entry in entries(server):
        assert tuple(entry["prefetch"]) == KEYS


def test_the_members_of_discovery_stand_in_their_own_order(server: Server) -> None:
    first = strict_json(server.get("/cds-services").content)["services"][0]
    assert list(first)[:2] == ["hook", "title"]
    assert next(iter(first["prefetch"])) == "patient"


def test_every_template_is_a_read_or_a_search_relative_to_the_server(server: Server) -> None:
    for entry in entries(server):
        for template in entry["prefetch"].values():
            assert isinstance(template, str)
            assert READ_OR_SEARCH.fullmatch(template), template
            assert "$" not in template


def test_every_token_is_a_plain_context_field(server: Server) -> None:
    for entry in entries(server):
        for template in entry["prefetch"].values():
            assert template.count("{{") == template.count("}}") == len(TOKEN.findall(template))
            assert set(TOKEN.findall(template)) <= TOKENS, template


def test_every_search_keeps_to_the_restricted_subset(server: Server) -> None:
    for entry in entries(server):
        for template in entry["prefetch"].values():
            _, _, query = template.partition("?")
            for part in filter(None, query.split("&")):
                name, _, value = part.partition("=")
                assert ":" not in name or name.endswith(":in"), template
                assert not name.startswith("_") or name in {"_count", "_sort"}, template
                assert not re.match(r"(sa|eb|ap|ne)\d", value), template
                assert name != "_sort" or re.fullmatch(r"-?[a-z-]+", value), template


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_on_discovery_is_told_which_are_allowed(server: Server, method: str) -> None:
    answered = server.request(method, "/cds-services")
    assert answered.status_code == 405
    assert "GET" in answered.headers["Allow"]


def test_a_site_without_services_offers_an_empty_list() -> None:
    answered = create_app(Settings(services=())).test_client().get("/cds-services")
    assert answered.status_code == 200
    assert answered.get_json() == {"services": []}


def own_services() -> Settings:
    return Settings.model_validate(
        {
            "services": [
                {"id": "myeloma", "hook": "patient-view", "recommenders": ["mm-staging"], "title": "Myeloma"},
                {"id": "bones", "hook": "patient-view", "recommenders": ["bone-protection"]},
                {"id": "bones", "hook": "encounter-start", "recommenders": ["bone-protection"]},
                {"id": "doses", "hook": "order-sign", "role": "pharmacist"},
            ]
        }
    )


def test_a_site_can_split_its_services_by_recommender() -> None:
    client = create_app(own_services()).test_client()
    listed = client.get("/cds-services").get_json()["services"]
    assert [(entry["id"], entry["hook"]) for entry in listed] == [
        ("myeloma", "patient-view"),
        ("bones", "patient-view"),
        ("bones", "encounter-start"),
        ("doses", "order-sign"),
    ]
    assert listed[0]["title"] == "Myeloma"
    cards = client.post("/cds-services/bones", json=call_body()).get_json()["cards"]
    recommenders = {card["extension"]["org.oncobone.trace"]["recommender"] for card in cards}
    assert recommenders == {"bone-protection"}
    assert client.post("/cds-services/myeloma", json=call_body()).get_json()["cards"] == []


def test_one_id_may_serve_two_hooks_and_answers_the_one_that_calls() -> None:
    client = create_app(own_services()).test_client()
    for hook in ("patient-view", "encounter-start"):
        assert client.post("/cds-services/bones", json=call_body(hook)).status_code == 200
    refused = client.post("/cds-services/bones", json=call_body("order-sign"))
    assert refused.status_code == 400
    assert json.loads(refused.data)["issue"][0]["expression"] == ["hook"]


def test_a_default_service_that_the_site_left_out_is_not_there() -> None:
    client = create_app(own_services()).test_client()
    assert client.post("/cds-services/oncobone-patient-view", json=call_body()).status_code == 404
