"""The console in a real Chromium: every sample patient, feedback, both languages, keyboard, phone, a hostile chart."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from hooks.application import create_app
from hooks.reference import samples
from hooks.settings import Settings
from hooks.store.store import open_store
from recommenders.assessing.topics import RECOMMENDERS, TOPICS
from tests import browser
from tests.conftest import start
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hooks.store.issued import FeedbackCount
    from tests.browser import Console
    from tests.conftest import Server

pytestmark = pytest.mark.browser

STORIES: dict[str, tuple[str, str] | None] = {
    "lung-silent-bone-metastasis": ("warning", "BP-001"),
    "lung-prognosis-unknown": ("warning", "BP-002"),
    "lung-short-prognosis": ("warning", "PAIN-003"),
    "lung-denosumab-low-calcium": ("critical", "MON-004"),
    "denosumab-order-severe-renal": ("critical", "DOSE-013"),
    "zoledronic-order-crcl-45": ("warning", "DOSE-003"),
    "smouldering-that-is-active": ("warning", "MM-003"),
    "smouldering-high-risk": ("warning", "SMM-002"),
    "smouldering-observe": ("info", "SMM-002"),
    "mgus": None,
    "femur-and-cord": ("critical", "ESCC-003"),
    "humerus-mirels-8": ("warning", "MIRELS-003"),
    "femur-mirels-incomplete": ("warning", "MIRELS-005"),
    "painful-rib": ("warning", "RT-001"),
    "suspected-metastasis": ("warning", "DX-002"),
    "lung-bone-pain": ("warning", "DX-001"),
    "myeloma-new-high-risk": ("warning", "BP-020"),
    "melphalan-140-mrd-positive": ("info", "TX-013"),
    "osteosarcoma-relapsed": None,
    "soft-tissue-sarcoma-first-line": None,
    "ifosfamide-without-mesna": ("critical", "SARC-010"),
    "child-ifosfamide": ("warning", "SARC-015"),
    "nothing-to-say": None,
    "hypercalcaemia": ("critical", "BP-011"),
    "hostile-chart": None,
    "chinese-chart": ("warning", "BP-001"),
    "only-diagnoses-delivered": ("info", ""),
    "jaw-osteonecrosis": ("warning", "MON-006"),
    "denosumab-on-top-of-zoledronic": ("critical", "DOSE-014"),
    "order-already-right": None,
}
"""The indicator of each story's first card, and a rule on a card ("": no rule leads it); None: no card is right."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Server]:
    browser.needed()
    running = start((), {}, folder)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def chromium(service: Server) -> Iterator[Console]:
    with browser.browsing(service.url) as console:
        yield console


@pytest.fixture
def console(chromium: Console) -> Iterator[Console]:
    """The browser; whatever a test did, nothing may have been complained about."""
    chromium.open("/")
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


def stored(folder: Path) -> list[FeedbackCount]:
    store = open_store(f"sqlite:///{folder / 'oncobone.sqlite'}")
    try:
        return store.feedback_counts()
    finally:
        store.close()


def test_there_is_a_story_for_every_sample_and_a_sample_for_every_recommender() -> None:
    assert set(STORIES) == {sample.name for sample in samples.samples()}
    assert len(STORIES) >= 25
    speakers = {rule: info.recommender for topic in TOPICS for rule, info in topic.guidance.rules.items()}
    client = create_app(Settings.model_validate({"now": DAY})).test_client()
    heard: set[str] = set()
    for sample in samples.samples():
        answered = client.post(
            f"/cds-services/oncobone-{sample.hook}", json=samples.request_for(sample.name)
        ).get_json()
        evaluation = answered["extension"]["org.oncobone.evaluation"]
        heard |= {speakers[rule] for rule in evaluation.get("fired", ())}
    assert heard == set(RECOMMENDERS)


def test_every_sample_patient_gets_the_cards_of_its_story(console: Console) -> None:
    for name, told in STORIES.items():
        indicators = console.fire(name)
        assert "200" in console.find("#result .quiet").text, name
        if told is None:
            assert indicators == [], name
            assert console.find("#result .empty").text, name
            continue
        assert indicators[0] == told[0], name
        rules = {link.get_attribute("textContent") for link in console.all("#result .card a")}
        assert not told[1] or told[1] in rules, name
        assert indicators == sorted(indicators, key=("critical", "warning", "info").index), name


def test_the_first_story_is_told_before_anything_is_pressed(console: Console) -> None:
    console.run("sessionStorage.clear()")
    console.open("/")
    first = samples.samples()[0].name
    assert console.find("#sample").get_attribute("value") == first
    assert STORIES[first] == ("warning", "BP-001")
    assert console.cards()[0] == "warning"
    assert console.run("return document.activeElement === document.body"), "the reader's place is left alone"


def test_all_that_stands_behind_a_card_is_shown(console: Console) -> None:
    console.fire("zoledronic-order-crcl-45")
    for panel in ("timing", "wire"):
        console.find(f"#{panel} > summary").click()
    timing = console.find("#timing").text
    for step in ("read and check", "FHIR to facts", "apply the rules", "write the cards"):
        assert re.search(rf"{step}.*\d", timing), timing
    assert '"hook": "order-sign"' in console.find("#wire").text
    dossier(console)
    facts = console.find("#dossier #data").text
    assert re.search(r"lab\.creatinine\s+132 µmol/L\s+2026-11-18\s+1\.49 mg/dL\s+Observation/obs-3", facts)
    assert "mm.b2m" in facts
    assert "creatinine clearance ≤ 60 mL/min yes 45.0 mL/min" in console.find("#dossier #rules").text


def dossier(console: Console) -> None:
    """Open the dossier under the cards, with everything in it unfolded."""
    console.find("#open-dossier").click()
    console.find("#dossier .dossier")
    console.run("document.querySelectorAll('#dossier details').forEach((each) => { each.open = true; })")


def test_a_change_in_a_field_shows_what_it_does_to_the_cards(console: Console) -> None:
    console.fire("zoledronic-order-crcl-45")
    field = console.find('#fields input[aria-label^="zoledronic"]')
    field.clear()
    field.send_keys("3.3")
    gone = console.wait_for("#gone", "No longer shown")
    assert "not 4 mg" in gone
    assert "← 4" in console.find("#fields").text
    console.find("#undo").click()
    console.wait_for("#gone", "The cards are the same.")
    assert console.cards() == ["warning"]


def test_a_pasted_request_is_never_thrown_away(console: Console) -> None:
    own = json.dumps(samples.request_for("mgus") | {"hookInstance": "my-own"})
    console.run("document.getElementById('paste').open = true")
    area = console.find("#request")
    console.driver.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", area, own
    )
    Select(console.find("#sample")).select_by_value("femur-and-cord")
    console.until(lambda: "my-own" not in str(area.get_attribute("value")))
    Select(console.find("#sample")).select_by_value("")
    console.until(lambda: "my-own" in str(area.get_attribute("value")))
    console.find('header a[lang="zh-CN"]').click()
    console.until(lambda: "my-own" in str(console.find("#request").get_attribute("value")))


def test_a_link_holds_the_request_where_no_browser_sends_it(console: Console) -> None:
    console.fire("femur-and-cord")
    console.run("document.querySelectorAll('form details').forEach((each) => { each.open = true; })")
    console.find("#permalink").click()
    console.until(lambda: "#r=" in console.driver.current_url)
    link = console.driver.current_url
    console.open("/rules")
    console.driver.get(link)
    patient = samples.sample("femur-and-cord").patient_id
    console.until(lambda: patient in str(console.find("#request").get_attribute("value")))
    assert not [url for url in console.requests() if "#r=" in url]
    assert console.fire()[0] == "critical"


def test_feedback_cannot_contradict_itself(console: Console) -> None:
    console.fire("zoledronic-order-crcl-45")
    console.find("#result .accept").click()
    console.wait_for(".feedback", "stored")
    assert not console.find("#result .override-button").is_enabled()
    assert not console.find("#result .accept").is_enabled()


def test_accepting_a_suggestion_stores_it(console: Console, folder: Path) -> None:
    console.fire("zoledronic-order-crcl-45")
    before = sum(row.cards for row in stored(folder) if row.outcome == "accepted")
    console.find("#result .accept").click()
    assert console.wait_for(".feedback", "stored").startswith("Accepted and stored.")
    rows = [row for row in stored(folder) if row.outcome == "accepted"]
    assert sum(row.cards for row in rows) == before + 1


def test_overriding_with_a_reason_and_a_comment_stores_it(console: Console, folder: Path) -> None:
    console.fire("denosumab-order-severe-renal")
    before = sum(row.cards for row in stored(folder) if row.outcome == "overridden")
    card = console.find("#result .card")
    choice = Select(card.find_element(By.CSS_SELECTOR, ".override select"))
    code = choice.options[1].get_attribute("value")
    choice.select_by_index(1)
    card.find_element(By.CSS_SELECTOR, ".comment").send_keys("as agreed")
    card.find_element(By.CSS_SELECTOR, ".override-button").click()
    assert console.wait_for(".feedback", "stored").startswith("Override stored.")
    rows = [row for row in stored(folder) if row.outcome == "overridden"]
    assert sum(row.cards for row in rows) == before + 1
    assert code in {row.reason for row in rows}


def test_both_languages_show_the_same_cards_in_their_own_words(console: Console) -> None:
    assert console.find("html").get_attribute("lang") == "en"
    english = console.fire("femur-and-cord"), console.find("#result .card h3").text
    console.find('header a[lang="zh-CN"]').click()
    assert console.find("html").get_attribute("lang") == "zh-CN"
    chosen = Select(console.find("#sample")).first_selected_option
    assert chosen.get_attribute("value") == "femur-and-cord", "the choice stays when the language changes"
    chinese = console.fire(), console.find("#result .card h3").text
    assert english[0] == chinese[0]
    assert re.search("[一-鿿]", chinese[1])
    assert not re.search("[一-鿿]", english[1])


def test_everything_can_be_done_with_the_keyboard_alone(console: Console, folder: Path) -> None:
    console.run("document.activeElement.blur()")

    def press(*keys: str) -> None:
        console.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(css: str, at_most: int = 60) -> None:
        for _ in range(at_most):
            press(Keys.TAB)
            if console.run(f"return document.activeElement.matches({json.dumps(css)})"):
                return
        raise AssertionError(f"{css} cannot be reached with the Tab key")

    press(Keys.TAB)
    assert console.run("return document.activeElement.matches('.skip')"), "the skip link comes first"
    press(Keys.ENTER)
    tab_to("#sample")
    press("Zoledronic acid 4")
    assert Select(console.find("#sample")).first_selected_option.get_attribute("value") == "zoledronic-order-crcl-45"
    tab_to("#fire")
    console.run("document.getElementById('result').replaceChildren()")
    press(Keys.ENTER)
    assert console.cards() == ["warning"]
    assert console.run("return document.activeElement.id") == "result-heading", "the result has the focus"
    before = sum(row.cards for row in stored(folder) if row.outcome == "accepted")
    tab_to(".accept")
    press(Keys.ENTER)
    console.wait_for(".feedback", "stored")
    assert sum(row.cards for row in stored(folder) if row.outcome == "accepted") == before + 1
    tab_to("#wire > summary")
    press(Keys.ENTER)
    assert console.find("#wire").get_attribute("open")
    tab_to("#open-dossier")
    press(Keys.ENTER)
    console.find("#dossier .dossier")


def test_every_control_has_a_name_for_screen_readers(console: Console) -> None:
    console.fire("femur-and-cord")
    nameless = console.run(
        """return [...document.querySelectorAll('button, select, input:not([type=hidden]), textarea, a, svg')]
        .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim()))
        .map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert nameless == []
    levels = console.run("return [...document.querySelectorAll('h1, h2, h3')].map((e) => Number(e.tagName[1]))")
    assert isinstance(levels, list)
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), "no level is skipped"


def test_on_a_phone_nothing_has_to_be_scrolled_sideways(console: Console) -> None:
    with console.phone():
        for name in ("lung-silent-bone-metastasis", "femur-and-cord", "zoledronic-order-crcl-45"):
            console.fire(name)
            console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert console.run("return document.documentElement.scrollWidth <= innerWidth"), name
        draw(console)
        assert console.run("return document.documentElement.scrollWidth <= innerWidth")
        console.open("/rules/MM-001")
        assert console.run("return document.documentElement.scrollWidth <= innerWidth")
        console.open("/rules")
        console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert console.run("return document.documentElement.scrollWidth <= innerWidth")


def draw(console: Console) -> None:
    """Open the dossier as a page of its own, as its file would be."""
    console.run(
        "const form = document.getElementById('to-dossier');"
        "form.elements.request.value = document.getElementById('request').value; form.submit();"
    )
    console.arrive("/console/dossier")
    console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


def test_a_patient_is_drawn_without_a_trace_in_the_address(console: Console) -> None:
    console.fire("femur-and-cord")
    draw(console)
    assert "s11" not in console.driver.current_url
    assert console.driver.current_url.endswith("/console/dossier?lang=en")
    text = console.find("#bones").text
    assert "Mirels 11" in text
    assert "ESCC grade: 2" in text
    assert len(console.all("svg.body .lesion")) == 3  # the side of the femur is not told: a mark on each
    console.find('header button[lang="zh-CN"]').click()
    assert "ESCC分级：2" in console.wait_for("#bones", "ESCC分级")


def test_patient_ids_never_stand_in_an_address(console: Console) -> None:
    for name in ("femur-and-cord", "zoledronic-order-crcl-45"):
        console.fire(name)
        patient = samples.sample(name).patient_id
        assert not [url for url in console.requests() if re.search(rf"\b{patient}\b", url)]


def test_a_hostile_chart_runs_no_script_and_loads_nothing(console: Console) -> None:
    request = samples.request_for("hostile-chart")
    marks = json.dumps(request, ensure_ascii=False)
    assert "<script" in marks or "onerror" in marks, "the chart is hostile"
    for language in ("en", "zh-CN"):
        console.open("/", language)
        console.fire("hostile-chart")
        console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert_harmless(console)
        draw(console)
        assert_harmless(console)


def test_hostile_text_in_every_place_of_a_pasted_request_runs_no_script(console: Console) -> None:
    bad = (
        '"><img src=x onerror="alert(1)"><script>alert(2)</script>[x](javascript:alert(3))![y](https://evil.example/p)'
    )
    request = samples.request_for("zoledronic-order-crcl-45")
    for key in ("conditions", "observations", "medications"):
        for entry in request["prefetch"][key]["entry"]:
            code = entry["resource"].get("code") or entry["resource"].get("medicationCodeableConcept")
            code["text"] = bad
            for coding in code.get("coding", ()):
                coding["display"] = bad
    request["prefetch"]["patient"]["name"] = [{"text": bad}]
    request["context"]["draftOrders"]["entry"][0]["resource"]["medicationCodeableConcept"]["text"] = bad
    request["context"]["userId"] = bad
    paste(console, json.dumps(request))
    console.find("#fire").click()
    console.cards()
    console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert_harmless(console)
    draw(console)
    assert_harmless(console)


def assert_harmless(console: Console) -> None:
    with pytest.raises(NoAlertPresentException):
        console.driver.switch_to.alert.text  # noqa: B018 - looking is what raises
    injected = "main img, main iframe, main object, main embed, main script, main style, main [onerror], main [onload]"
    assert console.all(injected) == []
    hrefs = console.run("return [...document.querySelectorAll('main a')].map((each) => each.href)")
    assert isinstance(hrefs, list)
    assert all(re.match(r"https://|http://127\.0\.0\.1:", href) for href in hrefs), hrefs
    assert all(url.startswith(console.base) for url in console.requests()), "nothing is loaded from elsewhere"


def paste(console: Console, text: str) -> None:
    console.until(lambda: console.find("#request").get_attribute("value"))
    console.run("document.querySelectorAll('form details').forEach((each) => { each.open = true; })")
    console.driver.execute_script("document.getElementById('request').value = arguments[0]", text)
    console.run("document.getElementById('result').replaceChildren()")


def test_a_refusal_is_shown_in_plain_words(console: Console) -> None:
    for text, words in (
        ("not JSON at all", "not valid JSON"),
        ('{"hook": "patient-view"}', "hookInstance is missing"),
        (json.dumps(samples.request_for("mgus") | {"prefetch": {}}), "needed for an answer"),
    ):
        paste(console, text)
        console.find("#fire").click()
        said = console.wait_for("#result .refused", words)
        assert "The call was refused (4" in said
    # The browser itself tells of each 4xx in its console; these were meant.
    assert all("400" in line or "412" in line for line in console.complaints())


def test_a_request_can_be_made_for_a_fhir_server_and_is_posted_not_put_in_an_address(console: Console) -> None:
    console.run("document.querySelectorAll('form details').forEach((each) => { each.open = true; })")
    console.find("#fhir-base").send_keys("http://127.0.0.1:9/fhir")
    console.find("#fhir-patient").send_keys("pat-77")
    console.find("#fhir-token").send_keys("secret-token")
    console.find("#fhir-make").click()
    console.find("#fire").click()
    assert "prefetch.patient" in console.wait_for("#result .refused", "412")
    console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert "secret-token" not in console.find("#result").text
    assert not [url for url in console.requests() if "pat-77" in url]
    assert all("412" in line for line in console.complaints())


def test_the_rule_catalogue_is_filtered_in_both_languages(console: Console) -> None:
    console.open("/rules")
    rules = sum(len(topic.guidance.rules) for topic in TOPICS)
    assert f"{rules} of {rules} rules" in console.find("main").text
    for word in ("mesna", "美司钠"):
        console.open("/rules")
        console.find('input[name="q"]').send_keys(word, Keys.ENTER)
        console.wait_for("[role=status]", f"of {rules} rules")
        console.until(lambda: 0 < len(console.all(".index li")) < 30)
        assert console.all("#SARC-010")


def test_a_card_leads_to_its_rule(console: Console) -> None:
    console.fire("zoledronic-order-crcl-45")
    console.find("#result .card a[href*='/rules/DOSE-003']").click()
    console.arrive("/rules/DOSE-003")
    assert "Renal dose table" in console.find("main").text
