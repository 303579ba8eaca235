"""The envelope of a call over HTTP: what is refused, naming the field and never a value, and what is borne with."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from hooks.protocol import is_deeper, mended, read_call
from tests.wire import SERVICE_OF, call_body, strict_json, with_, without

if TYPE_CHECKING:
    import requests

    from tests.conftest import Server

REQUIRED = [
    *((hook, field) for hook in SERVICE_OF for field in ("hook", "hookInstance", "context")),
    *((hook, f"context.{field}") for hook in SERVICE_OF for field in ("userId", "patientId")),
    ("encounter-start", "context.encounterId"),
    ("order-select", "context.selections"),
    ("order-select", "context.draftOrders"),
    ("order-sign", "context.draftOrders"),
]
CANARY = "zq-canary-1955"


def refusal(answered: requests.Response, status: int = 400) -> dict[str, Any]:
    assert answered.status_code == status, answered.text
    issue: dict[str, Any] = answered.json()["issue"][0]
    assert CANARY not in answered.text
    return issue


@pytest.mark.parametrize(("hook", "field"), REQUIRED)
def test_a_required_field_that_is_missing_or_null_is_named(server: Server, hook: str, field: str) -> None:
    body = call_body(hook)
    for changed in (without(body, field), with_(body, field, None)):
        issue = refusal(server.call(changed, SERVICE_OF[hook]))
        assert field in issue["diagnostics"]
        assert issue["expression"] == [field]


@pytest.mark.parametrize(("hook", "field"), REQUIRED)
def test_a_field_of_the_wrong_type_is_named(server: Server, hook: str, field: str) -> None:
    for wrong in (7, True, [CANARY, 3], {"a": CANARY} if not field.endswith(("context", "draftOrders")) else CANARY):
        issue = refusal(server.call(with_(call_body(hook), field, wrong), SERVICE_OF[hook]))
        assert field in issue["diagnostics"]


@pytest.mark.parametrize("field", ["hook", "hookInstance", "context.userId", "context.patientId"])
@pytest.mark.parametrize("blank", ["", "   "])
def test_a_required_text_may_not_be_blank(server: Server, field: str, blank: str) -> None:
    assert field in refusal(server.call(with_(call_body(), field, blank), SERVICE_OF["patient-view"]))["diagnostics"]


def test_a_call_of_another_hook_gets_no_cards(server: Server) -> None:
    for hook in ("encounter-start", "order-sign", "appointment-book", CANARY):
        issue = refusal(server.call(call_body() | {"hook": hook}, "oncobone-patient-view"))
        assert "patient-view" in issue["diagnostics"]


def test_any_text_may_be_the_instance(server: Server) -> None:
    assert server.call(call_body() | {"hookInstance": "not a uuid"}).status_code == 200


@pytest.mark.parametrize("patient_id", ["Patient/p-1", "https://ehr.example/fhir/Patient/p-1", "Patient/"])
def test_a_typed_patient_id_is_asked_for_as_the_bare_id(server: Server, patient_id: str) -> None:
    issue = refusal(server.call(with_(call_body(), "context.patientId", patient_id)))
    assert "bare id" in issue["diagnostics"]
    assert "context.patientId" in issue["diagnostics"]


@pytest.mark.parametrize("patient_id", ["..", ".", "a b", "a_b", "p-1\n", "x" * 65, "患者", "p%2F1", "p?x=1", "<b>"])
def test_what_is_no_fhir_id_is_refused(server: Server, patient_id: str) -> None:
    assert (
        "context.patientId" in refusal(server.call(with_(call_body(), "context.patientId", patient_id)))["diagnostics"]
    )


def test_every_kind_of_user_is_accepted(server: Server) -> None:
    for user in ("Practitioner/1", "PractitionerRole/1", "Patient/1", "RelatedPerson/1"):
        assert server.call(with_(call_body(), "context.userId", user)).status_code == 200


@pytest.mark.parametrize("encounter", [None, "absent"])
def test_an_optional_encounter_may_be_absent(server: Server, encounter: str | None) -> None:
    body = call_body()
    changed = with_(body, "context.encounterId", None) if encounter is None else without(body, "context.encounterId")
    assert server.call(changed).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"resourceType": "List"}, "Bundle"),
        ([], "Bundle"),
        ("MedicationRequest/1", "Bundle"),
    ],
)
def test_draft_orders_must_be_a_bundle(server: Server, wrong: object, told: str) -> None:
    issue = refusal(server.call(with_(call_body("order-sign"), "context.draftOrders", wrong)))
    assert "context.draftOrders" in issue["diagnostics"]
    assert told in issue["diagnostics"]


@pytest.mark.parametrize("selections", ["MedicationRequest/1", [7], [""], {}, [None]])
def test_selections_must_be_references(server: Server, selections: object) -> None:
    issue = refusal(server.call(with_(call_body("order-select"), "context.selections", selections)))
    assert "context.selections" in issue["diagnostics"]


def test_a_selection_that_points_nowhere_is_answered(server: Server) -> None:
    for selections in (["MedicationRequest/none"], []):
        assert server.call(with_(call_body("order-select"), "context.selections", selections)).status_code == 200


def test_an_empty_bundle_of_drafts_is_answered_with_silence(server: Server) -> None:
    for drafts in ({"resourceType": "Bundle", "type": "collection"}, {"resourceType": "Bundle", "entry": []}):
        answered = server.call(with_(call_body("order-sign"), "context.draftOrders", drafts))
        assert answered.status_code == 200
        assert answered.json()["cards"] == []


def test_unknown_members_anywhere_change_nothing(server: Server) -> None:
    body = call_body("order-sign")
    plain = server.call(body).content
    junk = {"x": [1, {"y": None}], "z": "…"}
    body["somethingNew"] = junk
    body["context"]["somethingNew"] = junk
    body["extension"] = {"com.example.any": junk}
    body["prefetch"]["somethingNew"] = junk
    assert server.call(body).content == plain


@pytest.mark.parametrize(
    ("member", "wrong"),
    [("fhirServer", 7), ("fhirAuthorization", "Bearer x"), ("prefetch", []), ("prefetch", "x"), ("extension", [])],
)
def test_an_optional_member_of_the_wrong_type_is_named(server: Server, member: str, wrong: object) -> None:
    assert member in refusal(server.call(call_body() | {member: wrong}))["diagnostics"]


@pytest.mark.parametrize("missing", ["access_token", "token_type", "expires_in", "scope", "subject", "patient"])
def test_an_authorization_with_a_hole_is_no_error(server: Server, missing: str) -> None:
    authorization = {
        "access_token": "t0ken",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/*.read",
        "subject": "us",
        "patient": "p-1",
    }
    del authorization[missing]
    assert server.call(call_body() | {"fhirAuthorization": authorization}).status_code == 200


def test_a_token_for_another_patient_is_refused(server: Server) -> None:
    issue = refusal(server.call(call_body() | {"fhirAuthorization": {"access_token": "t", "patient": CANARY}}))
    assert "fhirAuthorization.patient" in issue["diagnostics"]


# --- the body as bytes ----------------------------------------------------------------------------------------


def raw(**members: str) -> bytes:
    """The usual call as text, with members whose value is JSON text."""
    text = json.dumps(call_body())
    return (text[:-1] + "".join(f', "{key}": {value}' for key, value in members.items()) + "}").encode()


DEEP = "[" * 70 + "]" * 70
HIDDEN = '["]",' * 70 + "1" + ',"["]' * 70


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"not json",
        b"[]",
        b"null",
        b'"text"',
        b"7",
        b'{"hook": "patient-view",}',
        b"// comment\n{}",
        raw(x="NaN"),
        raw(x="Infinity"),
        raw(x="-Infinity"),
        raw(x="01"),
        raw(x="{'a': 1}"),
        raw()[:-1],
        raw() + b"x",
        raw() + raw(),
        b"\xef\xbb\xbf" + raw(),
        raw().decode().encode("utf-16"),
        raw().decode().encode("utf-32"),
        raw(x='"\xff"').replace("ÿ".encode(), b"\xff"),
        raw(x='"\xff"').replace("ÿ".encode(), b"\xed\xa0\x80"),
        raw(x=DEEP),
        raw(x=HIDDEN),
        raw(x="[" * 200_000),
        raw(x='{"a":' * 200_000 + "1" + "}" * 200_000),
        raw(x='"\x00"'),
        raw(extension="9" * 41),
        raw(extension='{"a": ' + "9" * 5000 + "}"),
    ],
)
def test_what_is_not_clean_json_is_refused(server: Server, body: bytes) -> None:
    refusal(server.send(body))


@pytest.mark.parametrize(
    "body",
    [
        raw(hook='"patient-view"'),
        raw(hookInstance='"other"'),
        raw(context='{"patientId": "p-1", "userId": "Practitioner/1"}'),
        raw(prefetch="{}"),
        raw(x="1", **{"\\u0078": "2"}),
        raw().replace(b'"patientId":', b'"patientId": "p-1", "patientId":', 1),
        raw().replace(b'"patientId": "p-1"', b'"patientId": "p-2", "patient\\u0049d": "p-1"', 1),
        raw().replace(b'"patient":', b'"patient": null, "patient":', 1),
    ],
)
def test_a_member_that_stands_twice_in_envelope_or_context_is_refused(server: Server, body: bytes) -> None:
    assert "twice" in refusal(server.send(body))["diagnostics"]


def test_a_duplicate_within_a_draft_order_is_refused() -> None:
    body = json.dumps(call_body("order-sign")).replace('"value": 4,', '"value": 40, "value": 4,').encode()
    assert b'"value": 40' in body
    with pytest.raises(Exception, match="twice"):
        read_call(body, "order-sign")


def test_nesting_of_64_levels_is_read_and_of_65_is_not(server: Server) -> None:
    for levels, status in ((63, 200), (64, 400)):  # the body itself is one
        assert server.send(raw(x="[" * levels + "]" * levels)).status_code == status


def test_within_a_chart_only_what_is_read_is_bounded_to_64_levels(server: Server) -> None:
    def sent(code: str, levels: int) -> Any:
        body = call_body()
        deep: dict[str, Any] = {"resourceType": "Observation", "id": "deep", "status": "final", "extension": "@"}
        deep |= {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": "Patient/p-1"},
        }
        body["prefetch"]["observations"] = {"resourceType": "Bundle", "entry": [{"resource": deep}]}
        return server.send(json.dumps(body).replace('"@"', "[" * levels + "]" * levels).encode())

    for code in ("2160-0", "2951-2"):  # one that is read, and one that no rule reads
        for levels in (60, 70, 700):
            assert sent(code, levels).status_code == 200
        assert sent(code, 100_000).status_code == 400
    told = sent("2160-0", 70).json()["extension"]
    assert "nested deeper than 64" in json.dumps(told)


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("{}", 1),
        ("[[], {}]", 2),
        ('{"a": "[[[[", "b": []}', 2),
        ('{"a": "]]]]", "b": "\\\\", "c": [[]]}', 3),
        ('{"a": "\\"[[[", "b": "x"}', 1),
        ('["[", "]", ["["]]', 2),
        ("7", 0),
    ],
)
def test_depth_is_counted_outside_of_text(text: str, depth: int) -> None:
    body = text.encode()
    assert not is_deeper(body, max(depth, 1))
    assert depth < 2 or is_deeper(body, depth - 1)


def test_a_lone_surrogate_is_replaced_and_a_pair_kept(server: Server) -> None:
    assert mended(b'"a\\ud800b"') == b'"a\\ufffdb"'
    assert mended(b'"\\uDC00"') == b'"\\ufffd"'
    assert mended(b'"\\ud83d\\ude00"') == b'"\\ud83d\\ude00"'
    assert mended(b'"\\\\ud800"') == b'"\\\\ud800"'
    body = json.dumps(call_body() | {"hookInstance": "x\ud800y"}).encode()
    assert server.send(body).status_code == 200


def test_text_of_any_script_is_read(server: Server) -> None:
    body = call_body()
    body["prefetch"]["patient"]["name"] = [{"text": "王小明 😀 é"}]
    assert server.send(json.dumps(body, ensure_ascii=False).encode()).status_code == 200


def test_more_members_than_cds_hooks_could_mean_are_refused(server: Server) -> None:
    many = {f"k{n}": n for n in range(2000)}
    refusal(server.call(call_body() | many))
    refusal(server.call(call_body() | {"prefetch": many}))


# --- the request around it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/fhir+json"],
)
def test_json_is_read_under_all_its_names(server: Server, content_type: str) -> None:
    assert server.send(raw(), Content_Type=content_type).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(server: Server, content_type: str) -> None:
    assert "application/json" in refusal(server.send(raw(), Content_Type=content_type), 415)["diagnostics"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "x"])
def test_a_compressed_body_is_refused_unread(server: Server, encoding: str) -> None:
    refusal(server.send(gzip.compress(raw()), Content_Encoding=encoding), 415)


def test_identity_is_no_compression(server: Server) -> None:
    assert server.send(raw(), Content_Encoding="identity").status_code == 200


def test_a_body_above_our_limit_is_too_large_and_below_the_servers_still_ours(server: Server) -> None:
    for megabytes in (16.5, 20):
        body = b'{"x": "' + b"x" * int(megabytes * 1024 * 1024) + b'"}'
        assert refusal(server.send(body), 413)["code"] == "too-long"


def test_a_body_of_five_megabytes_is_read(server: Server) -> None:
    assert server.send(raw(x='"' + "x" * 5_000_000 + '"')).status_code == 200


def test_an_unknown_service_is_not_found_and_not_echoed(server: Server) -> None:
    for service in ("nope", "%3Cscript%3E", "a" * 500, "oncobone-patient-view%2Fx"):
        answered = server.call(call_body(), service)
        assert answered.status_code == 404
        assert "script" not in answered.text


def test_a_read_of_a_service_is_the_wrong_method(server: Server) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answered = server.request(method, "/cds-services/oncobone-patient-view")
        assert answered.status_code == 405
        assert "POST" in answered.headers["Allow"]


def test_answers_are_not_cached(server: Server) -> None:
    for answered in (server.call(call_body()), server.send(b"{"), server.get("/nope"), server.get("/cds-services")):
        assert answered.headers["Cache-Control"] == "no-store"


def test_a_refusal_of_the_server_itself_is_an_operation_outcome_too(server: Server) -> None:
    answered = server.request("GET", "/cds-services", headers={"X-Big": "x" * 300_000})
    assert answered.status_code == 431
    assert strict_json(answered.content)["resourceType"] == "OperationOutcome"
