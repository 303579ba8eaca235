"""The ten-second card: how long, how many, how settled, and what becomes of it when its buttons are pressed."""

from __future__ import annotations

import datetime as dt
import json
import statistics
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hooks.cards import budgets
from hooks.cards.arranging import arrange
from hooks.cards.wording import Speaker
from hooks.reference.samples import request_for, samples
from hooks.services import SERVICES, find_services
from hooks.settings import Settings
from hooks.views import Desk
from recommenders.assessing.assessment import assess
from recommenders.assessing.settling import precedence
from recommenders.assessing.speaking import utterances
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import exactly
from recommenders.vocabulary.guidance import CHART_HOOKS, VOICES, Wording
from tests.acceptance import accepted
from tests.vignettes import load_all
from tests.wire import DAY, PATIENT, bundle, call_body, condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.cards.wording import Language

Json = dict[str, Any]
DESK = Desk.of(Settings(now=DAY))  # type: ignore[arg-type] # a day is read as one
SERVICE = {service.hook: service for service in SERVICES}
NAMES = tuple(sample.name for sample in samples())
HOOKS = ("patient-view", "order-sign")
LANGUAGES: tuple[Language, ...] = ("en", "zh-CN")
RULES = {rule: info for topic in TOPICS for rule, info in topic.guidance.rules.items()}
TRACE, EVALUATION = "org.oncobone.trace", "org.oncobone.evaluation"


def answered(request: Json, language: Language = "en") -> Json:
    service, judged = DESK.judge(
        msgspec.json.encode(request), find_services(DESK.services, SERVICE[request["hook"]].id)
    )
    return DESK.words(service, judged, language)


@cache
def answers(language: Language) -> tuple[tuple[str, Json], ...]:
    return tuple((hook, answered(request_for(name, hook), language)) for name in NAMES for hook in HOOKS)


def cards(language: Language) -> Iterator[tuple[str, Json]]:
    return ((hook, card) for hook, body in answers(language) for card in body["cards"])


# --- how long, how many -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "median", "most_of_all", "longest"), [("en", 60, 110, 150), ("zh-CN", 120, 220, 300)]
)
def test_a_card_is_read_in_ten_seconds(language: Language, median: int, most_of_all: int, longest: int) -> None:
    lengths = sorted(budgets.length(card["detail"], language) for _, card in cards(language))
    assert statistics.median(lengths) <= median
    assert lengths[int(0.95 * len(lengths))] <= most_of_all
    assert lengths[-1] <= longest


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_headline_fits_its_line_and_says_what_it_is_about(language: Language) -> None:
    for _, card in cards(language):
        assert len(card["summary"]) <= 139
        for empty in ("unknown", "未知", "{", "see list", "this drug", "the source advises", "order differs"):
            assert empty not in card["summary"].lower(), card["summary"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_line_of_a_card_has_a_gap(language: Language) -> None:
    for _, card in cards(language):
        assert "{" not in card["detail"], card["detail"]
        for line in card["detail"].splitlines():
            assert "unknown" not in line.lower(), line


def test_a_chart_opens_with_three_cards_at_most_and_an_order_has_one() -> None:
    for hook, body in answers("en"):
        quiet = [card for card in body["cards"] if card["indicator"] != "critical"]
        if hook in CHART_HOOKS:
            assert len(quiet) <= budgets.MOST_CARDS + 1  # and the one that speaks of the delivery
        leads = [card["extension"][TRACE].get("fired", [""])[0] for card in body["cards"]]
        assert len(leads) == len(set(leads)) or hook in CHART_HOOKS


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_card_has_five_buttons_at_most_and_each_does_what_it_says(language: Language) -> None:
    for _, card in cards(language):
        suggestions = card.get("suggestions", [])
        assert len(suggestions) <= budgets.MOST_BUTTONS
        assert len({suggestion["label"] for suggestion in suggestions}) == len(suggestions)
        assert len(card.get("overrideReasons", [])) <= budgets.MOST_OVERRIDES
        for suggestion in suggestions:
            described = [action["description"] for action in suggestion["actions"]]
            assert len(set(described)) == len(described)


def test_the_source_of_a_card_is_that_of_the_statement_that_leads_it() -> None:
    for _, card in cards("en"):
        lead = card["extension"][TRACE].get("fired", [None])[0]
        if lead is not None:
            assert RULES[lead].source_lines, lead


# --- voices -------------------------------------------------------------------------------------------------


def test_what_is_reference_never_speaks_and_still_fired() -> None:
    for case in load_all():
        assessment = assess(case.facts, case.hook)
        said = {each.rule for card in arrange(assessment).cards for each in card.utterances}
        heard = utterances(assessment)
        assert said <= {each.rule for each in heard if each.voice != "reference"}


def test_no_alert_is_dropped_for_the_number_of_cards() -> None:
    for case in load_all():
        assessment = assess(case.facts, case.hook)
        arranged = arrange(assessment, most=1)
        assert not [each for each in arranged.unsaid if each.voice == "alert" and each.alone and not _settled(each)]


def _settled(said: Any) -> bool:
    return any(lesser == said.rule for _, lesser in precedence())


def test_every_circumstance_that_a_face_names_is_answered_by_its_rule() -> None:
    for case in load_all():
        for verdict in assess(case.facts, case.hook, whole=True).verdicts.values():
            for advice in verdict.advices:
                declared, given = set(verdict.info.circumstances), set(advice.holds)
                assert given <= declared, f"{verdict.rule} answers {given - declared}, which its face does not name"
                if verdict.state == "fired":
                    assert declared <= given, f"{verdict.rule} does not answer {declared - given}"


# --- settling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("graver", "lesser"), sorted(precedence()))
def test_of_two_findings_the_graver_is_one_that_can_be_at_least_as_loud(graver: str, lesser: str) -> None:
    def loudest(rule: str) -> int:
        info = RULES[rule]
        return max(VOICES.index(voice) for voice in (info.voice, *(v.voice for v in info.variants if v.voice)))

    assert loudest(graver) >= loudest(lesser) or loudest(graver) == len(VOICES) - 1 or loudest(graver) > 1


def test_two_findings_that_are_settled_never_stand_on_the_cards_of_one_call() -> None:
    for case in load_all():
        arranged = arrange(assess(case.facts, case.hook))
        said = [each for card in arranged.cards for each in card.utterances]
        for one in said:
            for other in said:
                same = one.advice.order == other.advice.order and one.advice.about == other.advice.about
                if same and one.loudness >= other.loudness:
                    assert (one.rule, other.rule) not in precedence(), f"{case}: {one.rule} beside {other.rule}"


# --- buttons ------------------------------------------------------------------------------------------------


def leading(body: Json) -> list[str]:
    """The rules that lead the cards of an answer."""
    return [card["extension"][TRACE]["fired"][0] for card in body["cards"] if "fired" in card["extension"][TRACE]]


def interruptive(body: Json) -> set[str]:
    """The rules that lead an interruptive card."""
    return {c["extension"][TRACE].get("fired", [""])[0] for c in body["cards"] if c["indicator"] != "info"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hook", HOOKS)
def test_whoever_presses_a_button_finds_its_finding_gone_and_no_new_one(name: str, hook: str) -> None:
    request = request_for(name, hook)
    before = answered(request)
    for card in before["cards"]:
        lead = card["extension"][TRACE].get("fired", [""])[0]
        for place, suggestion in enumerate(card.get("suggestions", [])):
            after = answered(accepted(request, suggestion))
            new = interruptive(after) - set(before["extension"][EVALUATION].get("fired", []))
            assert not new, f"{lead}: {suggestion['label']!r} raises {sorted(new)}"
            if place == 0 and card["indicator"] != "critical":
                assert leading(after).count(lead) < leading(before).count(lead), f"{lead}: {suggestion['label']!r}"


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("{status.life} months left", "2 months left"),
        ("预计{status.life}个月", "预计2个月"),
        ("{status.life} left", "2 months left"),
        ("calcium {calcium} mmol/L", "calcium 2.02 mmol/L"),
        ("calcium {calcium}", "calcium 2.02 mmol/L"),
    ],
)
def test_a_sentence_that_says_the_unit_is_not_given_it_twice(sentence: str, said: str) -> None:
    blank = Facts(as_of=dt.date(2026, 11, 22))
    fill: dict[str, Any] = {
        "status.life": exactly(blank.status.life_expectancy, Decimal("2.0")),
        "calcium": exactly(blank.lab.ca_total, Decimal("2.02")),
    }
    language: Language = "en" if sentence.isascii() else "zh-CN"
    speaker = Speaker(assess(blank, "patient-view"), language)
    wording = Wording.model_validate({"en": sentence, "zh-CN": sentence})
    assert speaker.say(wording, TOPICS[0].guidance, **fill) == said


# --- an order that cannot be judged ---------------------------------------------------------------------------

VIAL = {"text": "1 vial IV over 15 min every 4 weeks", "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "vial"}}]}
UNTOLD = {"coding": [{"system": "urn:x-hospital:drugs", "code": "D-17"}]}


def ordered(drug: Json, dosage: Json, hook: str = "order-sign", language: Language = "en") -> list[str]:
    """The summaries at an order of this drug and dosage, with a CrCl of 45 mL/min on record."""
    request = json.loads(Path("fixtures/requests/zoledronic-order-crcl-45.json").read_text("utf-8"))
    order = request["context"]["draftOrders"]["entry"][0]["resource"]
    order |= {"medicationCodeableConcept": drug, "dosageInstruction": [dosage]}
    order.pop("dispenseRequest", None)
    if hook == "order-select":
        request |= {"hook": hook}
        request["context"]["selections"] = [f"{order['resourceType']}/{order['id']}"]
    return [card["summary"] for card in answered(request, language)["cards"] if card["indicator"] == "info"]


def test_vials_without_a_strength_are_said_at_signing_and_not_while_the_order_is_written() -> None:
    assert ordered({"text": "zoledronic acid"}, VIAL) == [
        "Order of zoledronic acid: how much it is cannot be told, so its dose was not checked."
    ]
    assert ordered({"text": "zoledronic acid"}, VIAL, language="zh-CN") == ["唑来膦酸医嘱：剂量无法判读，未予核查。"]
    assert ordered({"text": "zoledronic acid"}, VIAL, "order-select") == []
    assert ordered({"text": "zoledronic acid 4 mg/5 mL vial"}, VIAL) == []


def test_an_unknown_drug_is_said_where_its_order_speaks_of_one_of_ours() -> None:
    assert ordered(UNTOLD, {"text": "Zometa 4 mg over 15 min"}) == [
        "An order that speaks of zoledronic acid: its drug could not be identified, so it was not checked."
    ]
    assert ordered(UNTOLD, {"text": "4 mg over 15 min"}) == []
    assert ordered(UNTOLD, {"text": "after dexamethasone 4 mg"}) == []


# --- an examination whose report was not read -----------------------------------------------------------------


def scanned(conclusion: str | None, language: Language = "en") -> list[str]:
    """The summaries that inform, of lung cancer with a bone scan two days ago and this conclusion."""
    scan: Json = {
        "resourceType": "DiagnosticReport",
        "id": "scan",
        "status": "final",
        "subject": {"reference": f"Patient/{PATIENT}"},
        "code": {"text": "Whole body bone scan"},
        "effectiveDateTime": "2026-11-20",
    }
    request = call_body("patient-view")
    request["prefetch"] |= {
        "conditions": bundle(condition("C34.11", "lung")),
        "observations": bundle(scan | ({"conclusion": conclusion} if conclusion else {})),
    }
    return [card["summary"] for card in answered(request, language)["cards"] if card["indicator"] == "info"]


def test_a_scan_whose_report_was_not_read_is_said_and_one_that_was_read_is_not() -> None:
    assert scanned(None) == ["Bone scan (20 Nov): report not read by this service."]
    assert scanned(None, "zh-CN") == ["骨扫描（11月20日）的报告本系统未能读取。"]
    assert scanned("Degenerative change of the knees.") == scanned(None)
    assert scanned("No evidence of bone metastasis.") == []
    assert not any("not read" in summary for summary in scanned("Bone metastasis in the left femur."))
