"""The description of the API: it names the routes that there are, and answers are as it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from hooks.application import create_app
from hooks.settings import Settings
from hooks.store.store import open_store
from tests.wire import SERVICE_OF, call_body, with_, without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Server

NOT_DESCRIBED = ("/static/", "/console")
"""The console's own routes are for its pages alone."""


@pytest.fixture(scope="module")
def described(server: Server) -> Any:
    answered = server.get("/openapi.json")
    assert answered.status_code == 200
    return answered.json()


KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}


def check(schema: Any, value: Any, whole: Any, path: str = "") -> Iterator[str]:
    """Yield where a value is not as a schema says: of JSON Schema just what the description uses."""
    if "$ref" in schema:
        yield from check(whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]], value, whole, path)
        return
    if "const" in schema and value != schema["const"]:
        yield f"{path} is not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is not one of {schema['enum']}"
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and not isinstance(value, tuple(KINDS[kind] for kind in wanted)):
        yield f"{path} is no {wanted}"
    elif isinstance(value, dict):
        yield from check_object(schema, value, whole, path)
    elif isinstance(value, list):
        yield from check_list(schema, value, whole, path)
    elif isinstance(value, str):
        yield from check_text(schema, value, path)


def check_object(schema: Any, value: dict[str, Any], whole: Any, path: str) -> Iterator[str]:
    yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    known = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        yield from (f"{path}.{name} is not described" for name in value if name not in known)
    for name, inner in value.items():
        if name in known:
            yield from check(known[name], inner, whole, f"{path}.{name}")


def check_list(schema: Any, value: list[Any], whole: Any, path: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{path} has {len(value)} items"
    for number, inner in enumerate(value):
        yield from check(schema.get("items", {}), inner, whole, f"{path}[{number}]")


def check_text(schema: Any, value: str, path: str) -> Iterator[str]:
    if len(value) > schema.get("maxLength", len(value)) or len(value) < schema.get("minLength", 0):
        yield f"{path} has the wrong length"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path} does not fit {schema['pattern']}"


def test_every_route_is_described_and_every_description_has_its_route(described: Any, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    app = create_app(Settings(), store=store)
    store.close()
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule).replace("{service_id}", "{id}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule != "/" and not rule.rule.startswith(NOT_DESCRIBED)
    }
    listed = {
        (path, method)
        for path, item in described["paths"].items()
        for method in item
        if method in {"get", "post", "put", "delete", "patch"}
    }
    assert listed == routes


@pytest.mark.parametrize("hook", list(SERVICE_OF))
def test_answers_are_as_described(server: Server, described: Any, hook: str) -> None:
    schemas = described["components"]["schemas"]
    body = call_body(hook)
    assert list(check(schemas["Call"], body, described)) == []
    assert list(check(schemas["Answer"], server.call(body).json(), described)) == []


def test_discovery_is_as_described(server: Server, described: Any) -> None:
    found = server.get("/cds-services").json()
    assert list(check(described["components"]["schemas"]["Discovery"], found, described)) == []


def test_refusals_are_as_described(server: Server, described: Any) -> None:
    statuses = described["paths"]["/cds-services/{id}"]["post"]["responses"]
    for answered in (
        server.call(without(call_body(), "context")),
        server.call(call_body(), "nope"),
        server.call(without(call_body(), "prefetch")),
        server.request("PUT", "/cds-services/oncobone-patient-view"),
        server.send(b"x", Content_Type="text/plain"),
    ):
        assert str(answered.status_code) in statuses
        schema = described["components"]["schemas"]["OperationOutcome"]
        assert list(check(schema, answered.json(), described)) == []


def test_the_check_finds_what_is_not_as_described(described: Any) -> None:
    schemas = described["components"]["schemas"]
    assert list(check(schemas["Call"], without(call_body(), "hook"), described)) == [".hook is missing"]
    assert list(check(schemas["Call"], with_(call_body(), "context.patientId", "a b"), described))
    assert list(check(schemas["Answer"], {"cards": [{}], "extension": {}, "x": 1}, described))
