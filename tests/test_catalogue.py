"""The rule catalogue: complete, searchable, linked, and `docs/catalogue.md` is what the data say."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

from hooks.application import create_app
from hooks.reference import catalogue, samples
from hooks.reference.editions import Edition, editions, history_of
from hooks.reference.limits import limits_of
from hooks.settings import Settings
from hooks.tools.cli import main
from recommenders.assessing.topics import RECOMMENDERS, TOPICS
from recommenders.vocabulary.guidance import VERSION, Wording, sources

PAGE = Path(__file__).parent.parent / "docs" / "catalogue.md"
RULES = {rule: info for topic in TOPICS for rule, info in topic.guidance.rules.items()}


def test_the_page_in_the_repository_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == catalogue.markdown(), "run: make catalogue"


def test_the_command_writes_the_page() -> None:
    done = CliRunner().invoke(main, ["catalogue"])
    assert done.exit_code == 0
    assert done.stdout == catalogue.markdown()


def test_every_rule_has_its_condition_limits_sources_words_in_both_languages_and_a_proof() -> None:
    entries = {entry.rule: entry for section in catalogue.sections() for entry in section.entries}
    assert set(entries) == set(RULES)
    for rule, entry in entries.items():
        assert entry.info.condition, rule
        assert entry.info.summary.zh, rule
        assert entry.vignettes, f"{rule} is proved by no vignette"
        assert rule.lower() in entry.haystack
        assert entry.info.summary.zh.lower() in entry.haystack


def test_every_limit_is_in_the_catalogue_with_its_source() -> None:
    page = catalogue.markdown()
    for topic in TOPICS:
        for name, limits in topic.guidance.entries.items():
            for limit in limits:
                line = next(line for line in page.splitlines() if line.startswith(f"| `{topic.name}.{name}` |"))
                assert limit.source in line
                assert limit.source in sources()


def test_the_page_of_the_service_shows_the_same_rules_each_under_its_own_address() -> None:
    client = create_app(Settings()).test_client()
    shown = client.get("/rules?lang=zh-CN").get_data(as_text=True)
    assert set(re.findall(r'<li id="([A-Z0-9-]+)"><a href="/rules/\1\?', shown)) == set(RULES)
    assert len(shown) < 120_000
    assert "{" not in shown
    assert client.get("/rules/NO-999").status_code == 404


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_page_of_a_rule_shows_all_that_its_data_say_and_no_brace(language: str) -> None:
    client = create_app(Settings()).test_client()
    for section in catalogue.sections():
        for entry in section.entries:
            answered = client.get(f"/rules/{entry.rule}?lang={language}")
            assert answered.status_code == 200
            page = unescape(re.sub(r"<[^>]+>", "", answered.get_data(as_text=True)))
            assert entry.info.condition in page
            page = page.replace(entry.info.condition, "")
            for wording in catalogue.wordings(entry.info):
                for text in (wording.en, wording.zh):
                    assert re.sub(r"\{([^}]*)\}", lambda found: found[1].replace("_", " "), text) in page, entry.rule
            for name, limit in limits_of(entry.rule):
                assert name in page
                assert str(limit.value) in page
            for proof in entry.proofs:
                assert proof.name in page


@pytest.mark.parametrize(
    ("query", "rule", "other"),
    [
        ("topic=monitoring", "MON-004", "BP-001"),
        ("voice=alert", "BP-011", "BP-008"),
        ("hook=order-sign&drug=zoledronic", "DOSE-003", "BP-001"),
        ("source=X:ZOM", "DOSE-003", "RT-001"),
        ("recommender=radiotherapy", "RT-001", "BP-001"),
        ("q=mirels+femur", "MIRELS-004", "BP-001"),
    ],
)
def test_the_catalogue_is_filtered_without_a_script(query: str, rule: str, other: str) -> None:
    shown = create_app(Settings()).test_client().get(f"/rules?lang=en&{query}").get_data(as_text=True)
    found = set(re.findall(r'<li id="([A-Z0-9-]+)">', shown))
    assert rule in found
    assert other not in found


def test_a_rule_names_the_limits_that_it_asks_about() -> None:
    assert any(name.endswith(".hypocalcaemia") for name, _ in limits_of("MON-004"))
    asked = {name.partition(".")[2] for name, _ in limits_of("DOSE-003")}
    assert "zoledronic_lowest_clearance" in asked
    assert "denosumab_osteoporosis_dose" not in asked


def test_cards_lead_to_their_rules_when_the_public_address_is_known() -> None:
    client = create_app(Settings(public_url="https://cds.example.org")).test_client()
    request = samples.request_for("zoledronic-order-crcl-45")
    cards = client.post("/cds-services/oncobone-order-sign", json=request).get_json()["cards"]
    urls = [link["url"] for card in cards for link in card.get("links", ())]
    assert any(url.startswith("https://cds.example.org/rules/") for url in urls), urls


# --- history ------------------------------------------------------------------------------------------------


def test_the_editions_are_told_in_their_order_and_the_newest_is_the_one_in_force() -> None:
    days = [one.day for one in editions()]
    assert days == sorted(days)
    assert editions()[-1].name == VERSION
    changelog = (PAGE.parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    for one in editions():
        assert {*one.new, *one.changes} <= set(RULES), one.name
        assert one.name in changelog
    assert {row.attributes.released for row in RECOMMENDERS.values()} == {days[0]}


def test_the_page_of_a_rule_tells_since_when_it_stands_and_what_became_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    page = create_app(Settings()).test_client().get("/rules/MON-004?lang=en").get_data(as_text=True)
    assert "<time>2026-11-22</time> 2026.11: came with this edition of the guidance" in page
    first = editions()[0]
    words = Wording.model_validate({"en": "The limit is 2.15 now.", "zh-CN": "界值改为2.15。"})
    later = Edition("2027.05", dt.date(2027, 5, 1), frozenset({"BP-001"}), {"MON-004": words, "BP-001": words})
    monkeypatch.setattr("hooks.reference.editions.editions", lambda: (first, later))
    assert [(step.edition, step.change) for step in history_of("MON-004")] == [("2026.11", None), ("2027.05", words)]
    assert [(step.edition, step.change) for step in history_of("BP-001")] == [("2027.05", None), ("2027.05", words)]
    assert [step.edition for step in history_of("BP-002")] == ["2026.11"]
    page = create_app(Settings()).test_client().get("/rules/MON-004?lang=zh-CN").get_data(as_text=True)
    assert "<time>2027-05-01</time> 2027.05：界值改为2.15。" in page


def test_every_topic_has_its_name_in_both_languages() -> None:
    for topic in TOPICS:
        assert topic.guidance.titles.en == topic.guidance.title
        assert any("\u4e00" <= letter <= "\u9fff" for letter in topic.guidance.titles.zh), topic.name


def test_a_page_in_chinese_names_the_facts_of_its_vignettes_in_chinese() -> None:
    calls = create_app(Settings()).test_client()
    page = calls.get("/rules/DOSE-003", headers={"Accept-Language": "zh-CN"}).get_data(as_text=True)
    assert '<code title="dx.lung_cancer">肺癌 = 是</code>' in page
    assert "dx.lung_cancer = yes" not in page
    page = calls.get("/rules/DOSE-003", headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert '<code title="dx.lung_cancer">lung cancer = yes</code>' in page
