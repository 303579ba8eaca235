"""The description at `/openapi.json` against a running server: each path, each status that can be provoked, shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hooks.application import create_app
from hooks.settings import Settings
from tests.test_wire_openapi import check
from tests.wire import call_body, without

if TYPE_CHECKING:
    import requests

    from tests.conftest import Server

SERVICE = "/cds-services/oncobone-patient-view"
FEEDBACK = f"{SERVICE}/feedback"
TIME = "2026-11-22T12:00:00Z"


@pytest.fixture(scope="module")
def described(server: Server) -> Any:
    return server.get("/openapi.json").json()


def responses(described: Any, method: str, path: str) -> Any:
    """What is described for a path; a reference is followed."""
    found = described["paths"][path][method]["responses"]
    parts = described["components"]["responses"]
    return {
        status: parts[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for status, each in found.items()
    }


def held(described: Any, method: str, path: str, answered: requests.Response) -> None:
    """Hold an answer against what is described for its status: media type and shape."""
    told = responses(described, method, path)
    assert str(answered.status_code) in told, (path, answered.status_code)
    content = told[str(answered.status_code)].get("content", {})
    media = answered.headers.get("Content-Type", "").partition(";")[0]
    assert not content or media in content, (path, media)
    schema = content.get(media, {}).get("schema")
    if schema and media == "application/json":
        assert list(check(schema, answered.json(), described)) == []


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(described: Any) -> None:
    assert described["openapi"].startswith("3.1.")
    assert described["info"]["version"]

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [each for inner in value.values() for each in references(inner)]
        return [each for inner in value for each in references(inner)] if isinstance(value, list) else []

    for reference in references(described):
        found = described
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]
    names = [
        operation["operationId"]
        for item in described["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "responses" in operation
    ]
    assert len(names) == len(set(names))


def test_every_path_that_is_read_answers_as_described(server: Server, described: Any) -> None:
    read = [path for path, item in described["paths"].items() if "get" in item]
    assert len(read) > 6
    for path in read:
        answered = server.get(path.replace("{recommender}", "order-safety").replace("{rule}", "MON-004"))
        assert answered.status_code == 200, path
        held(described, "get", path, answered)
    held(described, "get", "/attributes/{recommender}", server.get("/attributes/nobody"))


@pytest.mark.parametrize("path", ["/cds-services", "/cds-services/{id}", "/cds-services/{id}/feedback"])
def test_every_preflight_is_as_described(server: Server, described: Any, path: str) -> None:
    answered = server.request("OPTIONS", path.replace("{id}", "oncobone-patient-view"))
    assert answered.status_code == 204
    held(described, "options", path, answered)


def test_statuses_of_a_call_are_provoked_and_described(server: Server, described: Any) -> None:
    asked: list[tuple[int, requests.Response]] = [
        (200, server.call(call_body())),
        (400, server.call(without(call_body(), "context"))),
        (404, server.call(call_body(), "nobody")),
        (405, server.request("PUT", SERVICE)),
        (412, server.call(without(call_body(), "prefetch"))),
        (413, server.send(b'{"a": "' + b"x" * (17 * 1024 * 1024) + b'"}')),
        (415, server.send(b"x", Content_Type="text/plain")),
    ]
    for status, answered in asked:
        assert answered.status_code == status
        held(described, "post", "/cds-services/{id}", answered)


def test_statuses_of_feedback_are_provoked_and_described(server: Server, described: Any) -> None:
    card = server.call(call_body()).json()["cards"][0]
    entry = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": TIME}
    assert list(check(described["components"]["schemas"]["Feedback"], {"feedback": [entry]}, described)) == []
    unknown = entry | {"card": "00000000-0000-4000-8000-000000000000"}
    asked: list[tuple[int, requests.Response]] = [
        (200, server.request("POST", FEEDBACK, json={"feedback": [entry]})),
        (400, server.request("POST", FEEDBACK, json={"feedback": [entry | {"outcome": "ignored"}]})),
        (404, server.request("POST", FEEDBACK, json={"feedback": [unknown]})),
        (405, server.request("GET", FEEDBACK)),
        (415, server.request("POST", FEEDBACK, data=b"x", headers={"Content-Type": "text/plain"})),
    ]
    for status, answered in asked:
        assert answered.status_code == status, answered.text
        held(described, "post", "/cds-services/{id}/feedback", answered)


def test_the_description_needs_no_console_and_holds_no_address_of_a_machine() -> None:
    raw = create_app(Settings(console=False)).test_client().get("/openapi.json").get_data(as_text=True)
    assert "127.0.0.1" not in raw
    assert "localhost" not in raw
