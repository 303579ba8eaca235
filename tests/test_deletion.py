"""No rule fires because a fact is missing: each known fact of each case is taken away, and nothing new may fire."""

from __future__ import annotations

import json
import os
import tomllib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hooks.configuration import load
from hooks.reference.catalogue import FIXTURES
from hooks.services import find_services
from hooks.views import Desk
from recommenders.assessing.assessment import assess
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.dictionary import DICTIONARY, LESION_COMPONENTS
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.records import Lesions
from tests.vignettes import load_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recommenders.vocabulary.dictionary import Facts

HELD = {"fired", "superseded"}
"""A rule that a louder one silenced held all the same."""
ALLOWED: list[dict[str, Any]] = tomllib.loads((FIXTURES / "missing.toml").read_text("utf-8"))["may"]
PARTS = 8
EVERY = 1 if os.environ.get("ONCOBONE_SOAK") == "1" else 5
REQUESTS = sorted(path for path in (FIXTURES / "requests").glob("*.json") if ".expected." not in path.name)
NAMES = {spec.name for spec in (*DICTIONARY.values(), *LESION_COMPONENTS.values())}


def without_one(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield the facts without one of them, for each that is known; a derived one follows from the others."""
    for spec, fact in facts.known_facts():
        if fact.is_known and fact.resources and not spec.derived:
            yield spec.name, facts.with_facts({spec.path: fact.forget("missing")})
    for lesion in facts.lesions:
        for name, spec in LESION_COMPONENTS.items():
            part = getattr(lesion, name)
            if part.is_known:
                less = replace(lesion, **{name: part.forget("missing")})
                rest = tuple(less if one is lesion else one for one in facts.lesions)
                yield spec.name, replace(facts, lesions=Lesions(rest))


def newly_fired(facts: Facts, hook: Any) -> Iterator[tuple[str, str]]:
    """Yield (rule, fact) where the rule fires only once the fact is taken away."""
    before = assess(facts, hook, with_values=False)
    held = {rule for rule, verdict in before.verdicts.items() if verdict.state in HELD}
    for name, less in without_one(facts):
        for rule in assess(less, hook, with_values=False).of("fired"):
            if rule not in held:
                yield rule, name


def unexplained(pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    return {pair for pair in pairs if not any(_covers(row, *pair) for row in ALLOWED)}


def _covers(row: dict[str, Any], rule: str, fact: str) -> bool:
    return rule in row["rules"] and any(fnmatchcase(fact, pattern.replace("[", "[[]")) for pattern in row["facts"])


@pytest.mark.parametrize("part", range(PARTS))
def test_taking_a_fact_away_makes_no_rule_fire(part: int) -> None:
    for vignette in load_all()[part::PARTS][::EVERY]:
        assert unexplained(newly_fired(vignette.facts, vignette.hook)) == set(), str(vignette)


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_taking_a_fact_of_a_real_request_away_makes_no_rule_fire(path: Any) -> None:
    desk = Desk.of(load({}, {"ONCOBONE_NOW": "2026-11-22"}))
    body = json.loads(path.read_text("utf-8"))
    service = next(one.id for one in desk.services if one.hook == body["hook"])
    encoded = msgspec.json.Encoder(decimal_format="number").encode(body)
    _, judged = desk.judge(encoded, find_services(desk.services, service))
    assert judged.mapped is not None
    assert unexplained(newly_fired(judged.mapped.facts, body["hook"])) == set()


def test_each_exception_names_rules_and_facts_that_are_there() -> None:
    rules = {rule for topic in TOPICS for rule in topic.guidance.rules}
    for row in ALLOWED:
        assert set(row["rules"]) <= rules
        assert row["because"]
        for pattern in row["facts"]:
            assert any(fnmatchcase(name, pattern.replace("[", "[[]")) for name in NAMES), pattern
