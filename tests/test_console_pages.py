"""The console's pages without a browser: headers, who may post, what is shown, where a refusal points."""

from __future__ import annotations

import json
import re
import tomllib
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from hooks.application import create_app
from hooks.configuration import load
from hooks.console import SPOKEN
from hooks.console.refusals import place_of
from hooks.console.texts import texts
from hooks.dossier.whole import dossier_of
from hooks.reference import safe, samples
from hooks.settings import Settings, SettingsError
from hooks.views import Desk
from tests.wire import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

MAPPING = {
    "codes": [{"system": "http://h.example/lab", "code": "KREA", "concept": "lab.creatinine"}],
    "units": {"mmol/公升": "mmol/L"},
}


def settings(**given: Any) -> Settings:
    """Settings as they come from the environment or a file: days as text."""
    return Settings.model_validate(given)


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return create_app(settings(now=DAY, mapping=MAPPING)).test_client()


class Inline(HTMLParser):
    """Collects what a strict policy would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        self.found += [f"{tag} {names[key]}" for key in ("src", "href") if str(names.get(key, "")).startswith("http")]


def posted(client: FlaskClient, path: str, name: str = "femur-and-cord", **headers: str) -> Any:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    request = json.dumps(samples.request_for(name))
    if path.endswith("dossier"):
        return client.post(path, data={"request": request}, headers=sent)
    return client.post(path, json={"request": request, "response": "{}", "status": 200}, headers=sent)


@pytest.mark.parametrize("path", ["/", "/rules", "/?lang=zh-CN", "/console/view", "/console/dossier"])
def test_a_page_has_a_strict_policy_and_nothing_inline(client: FlaskClient, path: str) -> None:
    answered = posted(client, path) if path.startswith("/console") else client.get(path)
    assert answered.status_code == 200
    policy = answered.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    assert answered.headers["Referrer-Policy"] == "no-referrer"
    assert answered.headers["Cache-Control"] == "no-store"
    page = Inline()
    page.feed(answered.get_data(as_text=True))
    linked = [each for each in page.found if not each.startswith("a ")]
    assert linked == []


@pytest.mark.parametrize("path", ["/", "/console/samples/mgus/patient-view"])
def test_the_console_is_not_there_when_it_is_off(path: str) -> None:
    off = create_app(settings(now=DAY, console=False)).test_client()
    assert off.get(path).status_code == 404
    for public in ("/rules", "/attributes", "/attributes/order-safety", "/openapi.json", "/static/page.css"):
        with off.get(public) as answered:
            assert answered.status_code == 200, public


def test_the_console_is_off_by_itself_where_others_can_reach_it() -> None:
    assert not Settings(host="0.0.0.0", auth="open", allow_open=True).console  # noqa: S104 - that is the point
    assert not Settings(auth="signed").console
    assert Settings().console


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_only_our_own_pages_may_post(client: FlaskClient, headers: dict[str, str], status: int) -> None:
    assert posted(client, "/console/view", **headers).status_code == status


def test_a_name_that_was_made_to_point_here_gets_nothing(client: FlaskClient) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/", headers={"Host": "127.0.0.1:8080"}).status_code == 200


def test_the_sites_mapping_is_shown(client: FlaskClient) -> None:
    page = client.get("/?lang=en").get_data(as_text=True)
    assert "http://h.example/lab|KREA" in page
    assert "lab.creatinine" in page
    assert "mmol/公升" in page


def test_sample_requests_are_told_as_of_the_day_of_the_evaluation() -> None:
    later = create_app(settings(now="2027-03-02")).test_client()
    request = later.get("/console/samples/mgus/patient-view").get_json()
    assert request == samples.request_for("mgus", "patient-view", day=settings(now="2027-03-02").moment().date())
    answered = later.post("/cds-services/oncobone-patient-view", json=request).get_json()
    assert "cards" in answered


def test_a_sample_or_hook_that_is_not_there_is_404(client: FlaskClient) -> None:
    assert client.get("/console/samples/nobody/patient-view").status_code == 404
    assert client.get("/console/samples/mgus/tea-time").status_code == 404


def test_what_is_no_request_is_refused_with_its_reason(client: FlaskClient) -> None:
    assert client.post("/console/view", json={"request": 1}).status_code == 400
    refused = client.post("/console/view?lang=en", json={"request": "no JSON", "response": "no JSON", "status": 400})
    assert refused.status_code == 200
    assert "The call was refused" in refused.get_data(as_text=True)
    assert client.post("/console/dossier?lang=en", data={"request": "{}"}).status_code == 400


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{"hook": "patient-view",\n "x": ,}', 2, 7),
        ('{"hook": "patient-view", "hookInstance": "1",\n  "context": {"userId": "x",\n    "patientId": ""}}', 3, 5),
        (
            '{"prefetch": {"context": {"patientId": 1}}, "hook": "patient-view", "hookInstance": "1", "context":\n{}}',
            2,
            1,
        ),
        ('{\n"hook": "tea-time"}', 2, 1),
    ],
)
def test_a_refusal_says_line_and_column(client: FlaskClient, text: str, line: int, column: int) -> None:
    headers = {"Content-Type": "application/json"}
    answered = client.post("/cds-services/oncobone-patient-view", data=text, headers=headers)
    assert answered.status_code == 400
    place = place_of(text, answered.get_json()["issue"][0])
    assert place is not None
    assert (place.line, place.column) == (line, column)
    view = {"request": text, "response": answered.get_data(as_text=True), "status": 400}
    assert f"Line {line}, column {column}:" in client.post("/console/view?lang=en", json=view).get_data(as_text=True)


def test_an_answer_tells_what_each_step_took_when_the_console_is_on(client: FlaskClient) -> None:
    request = samples.request_for("mgus")
    told = client.post("/cds-services/oncobone-patient-view", json=request).headers["Server-Timing"]
    assert re.findall(r"(\w+);dur=\d+\.\d\d", told) == ["envelope", "gather", "mapping", "assessment", "words"]
    off = create_app(settings(now=DAY, console=False)).test_client()
    assert "Server-Timing" not in off.post("/cds-services/oncobone-patient-view", json=request).headers


def test_a_token_in_a_pasted_request_is_not_shown_again() -> None:
    shown = safe.pretty(
        json.dumps({"fhirAuthorization": {"access_token": "canary"}, "x": [{"access_token": "canary"}]})
    )
    assert "canary" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://evil.example/pixel)",
        "[x](http://evil.example)",
        "<img src=x onerror=alert(1)>",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<a href='https://x' onclick='alert(1)'>x</a>",
    ],
)
def test_markdown_gives_no_script_no_image_and_no_plain_http_link(text: str) -> None:
    made = str(safe.markdown(text))
    assert not re.search(r"<(?!/?(p|a|ul|li|em|strong|code)\b)", made)
    assert not re.search(r'href="(?!https://)', made)
    assert not re.search(r"<[^>]* on\w+=", made)


def test_markdown_keeps_lists_tables_and_numbers() -> None:
    assert '<ol start="3">' in safe.markdown("3. third")
    assert "<td>1</td>" in safe.markdown("| a |\n|---|\n| 1 |")
    assert 'href="https://doi.org/x"' in safe.markdown("[x](https://doi.org/x)")


# --- words --------------------------------------------------------------------------------------------------


def test_every_word_of_the_console_is_there_in_both_languages() -> None:
    data = tomllib.loads(resources.files("hooks.console").joinpath("texts.toml").read_text(encoding="utf-8"))
    for key, row in data.items():
        assert set(row) == {"en", "zh-CN"}, key
        assert all(text.strip() for text in row.values()), key
    assert set(SPOKEN) <= set(texts("en"))


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("name", [sample.name for sample in samples.samples()])
def test_every_sample_can_be_looked_into(client: FlaskClient, name: str, language: str) -> None:
    request = json.dumps(samples.request_for(name))
    service = f"/cds-services/oncobone-{samples.sample(name).hook}"
    answered = client.post(
        service, data=request, content_type="application/json", headers={"Accept-Language": language}
    )
    posted_view = {"request": request, "response": answered.get_data(as_text=True), "status": 200, "service": "x"}
    page = client.post(f"/console/view?lang={language}", json=posted_view)
    assert page.status_code == 200
    assert page.get_data(as_text=True).count('class="plain override-button"') == len(answered.get_json()["cards"])
    assert client.post(f"/console/dossier?lang={language}", data={"request": request}).status_code == 200


# --- the site's mapping at the start ------------------------------------------------------------------------

CODE = '[[mapping.codes]]\nsystem = "{system}"\ncode = "X"\nconcept = "{concept}"\n'
GOOD = CODE.format(system="http://h.example/lab", concept="lab.hb")
NOT_A_FACT = CODE.format(system="http://h.example/lab", concept="lab.nothing")
STANDARD = CODE.format(system="http://loinc.org", concept="lab.hb").replace('"X"', '"2160-0"')


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD + NOT_A_FACT, 5, "'lab.nothing' is neither a concept of codes.csv nor a fact"),
        (f'language = "en"\n{STANDARD}', 2, "cannot be given another meaning"),
        ('[[mapping.names]]\ntext = "Hb"\n', 1, "concept is missing"),
        ('[mapping.units]\n"g/dL" = "g/dL"\n"Zork" = "zork"\n', 3, "write it in UCUM"),
        ("[mapping]\ncodez = []\n", 2, "is not a setting"),
    ],
)
def test_a_mapping_that_cannot_be_used_stops_the_start_with_line_and_remedy(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load({"config": str(file)}, {})
    assert f"mapping in {file}, line {line}:" in str(caught.value)
    assert words in str(caught.value)


def test_the_console_tells_what_was_cut_and_what_may_well_be_lost() -> None:
    request = samples.request_for("mgus")
    lost = {
        "resourceType": "Observation",
        "id": "lost",
        "status": "final",
        "subject": {"reference": f"Patient/{request['context']['patientId']}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "99999-9", "display": "Creatinine"}]},
        "valueQuantity": {"value": 120, "unit": "umol/L"},
    }
    results = request["prefetch"]["observations"]
    results.setdefault("entry", []).append({"resource": lost})
    results["link"] = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]
    results.pop("total", None)
    desk = Desk.of(settings(now=DAY))
    body = json.dumps(request).encode()
    found = dossier_of(desk, body, "en").data
    assert found.cut == ("observations",)
    assert [line for _, line in found.losses if "lab.creatinine" in line and "99999-9" in line]
