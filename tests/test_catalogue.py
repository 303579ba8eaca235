"""The rule catalogue: complete, searchable, linked, and `docs/catalogue.md` is what the data say."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from hooks.application import create_app
from hooks.reference import catalogue, samples
from hooks.settings import Settings
from hooks.tools.cli import main
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.guidance import sources

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
        assert re.search("[一-鿿]", entry.info.summary.zh), rule
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
    shown = create_app(Settings()).test_client().get("/rules?lang=zh-CN").get_data(as_text=True)
    assert set(re.findall(r'<article class="entry panel" id="([A-Z0-9-]+)"', shown)) == set(RULES)


def test_cards_lead_to_their_rules_when_the_public_address_is_known() -> None:
    client = create_app(Settings(public_url="https://cds.example.org")).test_client()
    request = samples.request_for("zoledronic-order-crcl-45")
    cards = client.post("/cds-services/oncobone-order-sign", json=request).get_json()["cards"]
    urls = [link["url"] for card in cards for link in card.get("links", ())]
    assert any(url.startswith("https://cds.example.org/rules#") for url in urls), urls
