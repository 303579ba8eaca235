"""Each vignette is a test that bears its sentence as name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hooks.cards.undecided import missing_names
from hooks.cards.wording import Speaker
from recommenders.assessing.assessment import assess
from recommenders.assessing.speaking import utterances
from recommenders.assessing.topics import TOPICS
from tests.vignettes import Vignette, load_all

CASES = load_all()
RULES_OF = {topic.name: tuple(topic.guidance.rules) for topic in TOPICS}


@pytest.mark.parametrize("vignette", CASES, ids=str)
def test_vignette(vignette: Vignette) -> None:
    found = assess(vignette.facts, vignette.hook)
    assert not found.failed
    own = [rule for rule in RULES_OF[vignette.topic] if rule in found.verdicts]
    expected = vignette.expected

    def of(state: str) -> set[str]:
        return {rule for rule in own if found.verdicts[rule].state == state}

    assert of("fired") == set(expected.get("fires", ())), "fires"
    assert set(expected.get("suppressed", ())) <= of("suppressed"), "suppressed"
    assert set(expected.get("superseded", ())) <= of("superseded"), "superseded"
    for rule, missing in expected.get("undecided", {}).items():
        assert rule in of("undecided"), f"{rule} should be undecided, is {_state(found.verdicts, rule)}"
        assert set(missing) <= set(found.verdicts[rule].missing), f"{rule} lacks {found.verdicts[rule].missing}"
    for rule in expected.get("silent", ()):
        assert _state(found.verdicts, rule) != "fired", rule
    for rule, indicator in expected.get("indicators", {}).items():
        assert found.verdicts[rule].indicator == indicator, rule
    for rule, voice in expected.get("voices", {}).items():
        assert found.verdicts[rule].voice == voice, rule
    for rule, texts in expected.get("summary", {}).items():
        said = next(each for each in utterances(found) if each.rule == rule)
        for language, text in texts.items():
            speaker = Speaker(found, "zh-CN" if language == "zh-CN" else "en")
            assert text in speaker.say(said.summary, said.guidance, said.advice), (rule, language)
    for rule, names in expected.get("proposes", {}).items():
        assert _proposed(found.verdicts[rule]) == set(names), rule
    for key, value in expected.get("values", {}).items():
        assert _plain(found.values.get(key)) == _plain(value), key


def _state(verdicts: Any, rule: str) -> str:
    return verdicts[rule].state if rule in verdicts else "not looked at"


def _proposed(verdict: Any) -> set[str]:
    items = [item for advice in verdict.advices for proposal in advice.proposals for item in proposal.items]
    return {str(getattr(item, "drug", None) or getattr(item, "service", "corrected order")) for item in items}


def _plain(value: Any) -> Any:
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


@pytest.mark.parametrize("vignette", CASES, ids=str)
def test_an_answer_names_what_the_tree_of_an_undecided_rule_lacks(vignette: Vignette) -> None:
    for verdict in assess(vignette.facts, vignette.hook).verdicts.values():
        if verdict.state == "undecided":
            assert tuple(missing_names(verdict)) == verdict.missing, verdict.rule
