"""The evidence table: every row quoted or refused with a reason, every contradiction treated where it shows."""

from __future__ import annotations

import re

import pytest

from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.evidence import (
    citation_notes,
    evidence_lines,
    industry_note,
    is_carried,
    required_words,
    table,
    wording_of,
)
from recommenders.vocabulary.guidance import RuleInfo, sources

TABLE = table()
RULES: dict[str, RuleInfo] = {rule: info for topic in TOPICS for rule, info in topic.guidance.rules.items()}
QUOTED = [(rule, key) for rule, info in RULES.items() for key in info.evidence]
LANGUAGES = ("en", "zh-CN")


def said(rule: str, language: str) -> str:
    """All that a rule can say, its evidence lines and citation notes included."""
    extra = (*evidence_lines(RULES[rule]), *citation_notes(rule))
    return "\n".join((wording_of(RULES[rule], language), *(line.text(language) for line in extra)))


def test_every_row_is_quoted_by_a_rule_or_listed_as_unused_with_a_reason() -> None:
    quoted = {key for _, key in QUOTED}
    assert sorted(set(TABLE.evidence) - quoted - set(TABLE.unused)) == []
    assert all(len(reason) > 20 for reason in TABLE.unused.values())


def test_no_row_is_both_quoted_and_unused() -> None:
    assert {key for _, key in QUOTED} & set(TABLE.unused) == set()


def test_rules_quote_only_rows_that_are_there() -> None:
    assert [(rule, key) for rule, key in QUOTED if key not in TABLE.evidence] == []


@pytest.mark.parametrize(("rule", "key"), QUOTED)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_a_quoted_row_stand_on_the_card(rule: str, key: str, language: str) -> None:
    assert is_carried(TABLE.evidence[key], said(rule, language))


@pytest.mark.parametrize(("rule", "key"), QUOTED)
@pytest.mark.parametrize("language", LANGUAGES)
def test_weak_kinds_of_evidence_are_named_on_the_card(rule: str, key: str, language: str) -> None:
    text = said(rule, language).lower()
    for kind, words in required_words(TABLE.evidence[key]).items():
        assert any(word in text for word in (words.en if language == "en" else words.zh)), kind


@pytest.mark.parametrize("key", [key for key, row in TABLE.evidence.items() if row.line])
def test_an_evidence_line_begins_with_the_kind_of_study(key: str) -> None:
    line = TABLE.evidence[key].line
    assert line is not None
    begins_en = (
        "Phase",
        "Randomised",
        "Exploratory",
        "Retrospective",
        "Ad hoc",
        "Meta-analysis",
        "Model",
        "2022 Chinese",
    )
    begins_zh = (
        "III期",
        "II期",
        "随机",
        "Study 244探索性",
        "探索性",
        "回顾性",
        "III期试验",
        "荟萃分析",
        "模型",
        "中国肺癌",
    )
    assert line.en.startswith(begins_en)
    assert line.zh.startswith(begins_zh)


@pytest.mark.parametrize("key", [key for key, row in TABLE.evidence.items() if row.line])
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_evidence_line_has_the_numbers_of_its_row(key: str, language: str) -> None:
    row = TABLE.evidence[key]
    assert row.line is not None
    assert is_carried(row, row.line.text(language))
    numbers = re.findall(r"\d+(?:\.\d+)?", row.uncertainty)
    assert all(number in row.line.text(language) for number in numbers)


@pytest.mark.parametrize("key", list(TABLE.conflicts))
def test_every_contradiction_is_treated_on_a_card_or_says_why_not(key: str) -> None:
    conflict = TABLE.conflicts[key]
    assert set(conflict.rules) <= set(RULES)
    if conflict.editorial is not None:
        assert not conflict.rules
        assert len(conflict.editorial) > 20
        return
    assert conflict.rules
    assert (conflict.carried is None) != (conflict.note is None)


@pytest.mark.parametrize("key", [key for key, conflict in TABLE.conflicts.items() if conflict.carried])
def test_the_wording_carries_the_treatment_of_a_contradiction_in_both_languages(key: str) -> None:
    conflict = TABLE.conflicts[key]
    assert conflict.carried is not None
    for language, fragments in (("en", conflict.carried.en), ("zh-CN", conflict.carried.zh)):
        text = "\n".join(wording_of(RULES[rule], language) for rule in conflict.rules)
        assert [fragment for fragment in fragments if fragment not in text] == []


@pytest.mark.parametrize("key", [key for key, conflict in TABLE.conflicts.items() if conflict.cites])
def test_the_right_reference_is_cited_in_place_of_the_wrong_one(key: str) -> None:
    conflict = TABLE.conflicts[key]
    cited = {line.source for rule in conflict.rules for line in RULES[rule].source_lines}
    assert set(conflict.cites) <= set(sources())
    assert set(conflict.cites) <= cited


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_slip_about_liver_cancer_reaches_no_card(language: str) -> None:
    for rule, info in RULES.items():
        text = wording_of(info, language).lower()
        assert "肝癌" not in text, rule
        assert "liver cancer" not in text, rule


def test_a_paper_listed_twice_by_its_source_is_cited_once() -> None:
    lines = [line.en for line in RULES["BP-035"].source_lines if "Cancer Cell 2025" in line.en]
    assert len(lines) == 1


def test_the_claim_that_could_not_be_found_never_stands_without_its_contradiction() -> None:
    for rule, info in RULES.items():
        for language in LANGUAGES:
            text = wording_of(info, language)
            if "18.5" in text:
                assert "24.0" in text, rule
                assert any(word in text for word in ("not verified", "未能核实")), rule


def test_an_earlier_positive_result_stands_beside_the_later_negative_trial() -> None:
    for rule, key in QUOTED:
        if "ITCC-050" in TABLE.evidence[key].population:
            assert all("OLIE" in wording_of(RULES[rule], language) for language in LANGUAGES), rule


def test_the_industry_footer_follows_the_sources_with_a_commercial_background() -> None:
    footer = industry_note(["S003", "S001"])
    assert footer is not None
    assert "industry" in footer.en
    assert industry_note(["S003", "S004", "X:RAJE"]) is None


def test_a_wrong_citation_is_noted_where_the_wording_does_not_say_so() -> None:
    assert [note.en for note in citation_notes("BP-010") if "Henry 2014" in note.en]
    assert citation_notes("BP-001") == ()
