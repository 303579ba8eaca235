"""The rules stated a second time, in CQL: a public engine runs them over the vignettes and agrees at every boundary."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from hooks.guideline.libraries import CQL, ELM
from recommenders.assessing.topics import TOPICS
from recommenders.patient.myeloma_risk import staging
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.facts import Reading, declared, exactly, replace
from recommenders.vocabulary.guidance import VERSION, guidance
from recommenders.vocabulary.logic import Truth
from tests.engines import evaluated, translated
from tests.oracle import Asked, any_of, ask
from tests.vignettes import DEFAULT_DAY, Vignette, load_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recommenders.vocabulary.guidance import Limit

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("cql")]

LIBRARIES = {
    "OncoBoneLogic": (),
    "OncoBoneOrders": ("order_safety", "renal", "common"),
    "OncoBoneTogether": ("order_safety",),
    "OncoBoneWeight": ("order_safety", "myeloma_treatment"),
    "OncoBoneMirels": ("surgical_timing",),
    "OncoBoneMyeloma": ("myeloma_staging",),
    "OncoBoneProtection": ("bone_protection",),
}
"""Each library, and the topics whose limits it states again."""

LIMIT = re.compile(r'^define "([a-z0-9_]+)": ([0-9.]+)$', re.MULTILINE)
RULE = re.compile(r'^define "([A-Z]+-\d{3})":', re.MULTILINE)
OTHER_NAMES = {"hypercalcaemia_above": "hypercalcaemia"}
"""Limits that bear another name in CQL, where theirs is a word of its own."""

AT_A_CHART = frozenset({"BP-003", "BP-004"})
"""Rules that CQL has for the chart only."""
VIGNETTES_OF_A_LIMIT = 2


def text_of(library: str) -> str:
    return (CQL / f"{library}.cql").read_text(encoding="utf-8")


def limits_of(library: str) -> dict[str, Decimal]:
    """The limits as CQL states them."""
    return {name: Decimal(value) for name, value in LIMIT.findall(text_of(library))}


def limits_in_force(topic: str) -> dict[str, Limit]:
    """The limits of a topic on the day of the vignettes."""
    return {limit.name: limit for limit in guidance(topic).limits(DEFAULT_DAY)}


TITLED = re.compile(r"\b(R2?-)?ISS\b")
WHO_SHOULD_HAVE_AN_AGENT = {"BP-001", "BP-002", "BP-003", "BP-004", "BP-010", "BP-020", "BP-021", "BP-022"}

COVERED = [rule for library in LIBRARIES for rule in RULE.findall(text_of(library))]


# --- the libraries ------------------------------------------------------------------------------------------


def test_the_families_that_harm_first_are_all_there() -> None:
    assert {library.stem for library in CQL.glob("*.cql")} == set(LIBRARIES)
    assert len(COVERED) == len(set(COVERED)) == 53
    titles = {rule: info.title for topic in TOPICS for rule, info in topic.guidance.rules.items()}
    harmful = {rule for rule in titles if rule.startswith(("DOSE-", "MIRELS-")) or TITLED.search(titles[rule])}
    lacking = sorted((harmful | WHO_SHOULD_HAVE_AN_AGENT) - set(COVERED))
    assert not lacking, f"state their conditions in hooks/guideline/cql too, each from its source: {lacking}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_bears_the_version_of_the_guidance(library: str) -> None:
    assert text_of(library).startswith(f"library {library} version '{VERSION}'\n")
    assert set(re.findall(r"include \w+ version '([^']+)'", text_of(library))) <= {VERSION}


def test_both_statements_have_the_same_usual_doses_of_melphalan() -> None:
    stated = re.search(r'^define "usual melphalan": \{ (.+) \}$', text_of("OncoBoneWeight"), re.MULTILINE)
    assert stated
    usual = guidance("myeloma_treatment").tables["melphalan"]["usual"]
    assert [Decimal(one) for one in stated[1].split(", ")] == usual


@pytest.mark.parametrize("library", [name for name, topics in LIBRARIES.items() if topics])
def test_both_statements_have_the_same_limits(library: str) -> None:
    stated = limits_of(library)
    assert stated
    for name, value in stated.items():
        own = OTHER_NAMES.get(name, name)
        found = {limits_in_force(topic)[own].value for topic in LIBRARIES[library] if own in limits_in_force(topic)}
        assert found == {value}, name


def test_the_translation_to_elm_is_that_of_the_text(tmp_path: Path) -> None:
    assert not translated(CQL, tmp_path), "neither an error nor a warning"
    for library in LIBRARIES:
        made = json.loads((tmp_path / f"{library}.json").read_text(encoding="utf-8"))
        kept = ELM / f"{library}.json"
        if os.environ.get("ONCOBONE_RENEW") == "1":
            kept.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")
        assert json.loads(kept.read_text(encoding="utf-8")) == made, library


# --- one verdict from two statements ------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """One case, and the answers of the CQL libraries to it: library -> its expressions, for each order or lesion."""

    asked: Asked
    answers: dict[str, list[dict[str, Any]]]

    def holds(self, rule: str) -> Truth:
        """What CQL says of a rule: yes where it is so of one order or lesion."""
        if rule == "MIRELS-002":  # reassures only when it does of every bone that is scored
            scored = [one for one in self.answers.get("OncoBoneMirels", ()) if one["scored"] is not False]
            return bool(scored) and all(one[rule] is True for one in scored)
        return any_of(one[rule] for answers in self.answers.values() for one in answers if rule in one)

    def differences(self) -> Iterator[str]:
        """Each rule on which both disagree."""
        for rule in COVERED:
            if rule in AT_A_CHART and self.asked.vignette.hook.startswith("order"):
                continue
            if rule.startswith("MIRELS") and not self.asked.case.facts.lesions.items:
                continue
            ours, theirs = self.asked.holds(rule), self.holds(rule)
            if ours != theirs:
                yield f"{self.asked.vignette}: {rule}: the rule says {ours}, CQL {theirs}"


def hear(vignettes: list[Vignette]) -> list[Heard]:
    """Ask both of each case."""
    asked = [ask(vignette) for vignette in vignettes]
    questions = [(place, *question) for place, one in enumerate(asked) for question in one.questions]
    answers = evaluated(ELM, [(library, given) for _, library, given in questions])
    sorted_out: list[dict[str, list[dict[str, Any]]]] = [defaultdict(list) for _ in asked]
    for (place, library, _), answer in zip(questions, answers, strict=True):
        sorted_out[place][library].append(answer)
    return [Heard(one, found) for one, found in zip(asked, sorted_out, strict=True)]


@pytest.fixture(scope="module")
def heard() -> list[Heard]:
    """Every vignette."""
    return hear(load_all())


def test_both_agree_on_every_vignette(heard: list[Heard]) -> None:
    differences = [difference for one in heard for difference in one.differences()]
    assert not differences, "\n".join(differences[:30])


@pytest.mark.parametrize("rule", COVERED)
def test_each_rule_comes_out_either_way(heard: list[Heard], rule: str) -> None:
    assert {one.holds(rule) for one in heard} >= {True, False}


def test_what_is_not_known_stays_so(heard: list[Heard]) -> None:
    left_open = {rule for rule in COVERED if any(one.holds(rule) is None for one in heard)}
    assert len(left_open) > len(COVERED) * 3 / 4


def test_both_calculate_the_same(heard: list[Heard]) -> None:
    compared: dict[str, int] = defaultdict(int)
    for one in heard:
        case, (myeloma,) = one.asked.case, one.answers["OncoBoneMyeloma"]
        stages = case.once(staging)
        for name, ours in (("iss_stage", stages.iss.word), ("riss_stage", stages.riss.word)):
            assert myeloma[name] == ours, (str(one.asked.vignette), name)
            compared[name] += ours is not None
        points = stages.r2iss.value
        assert myeloma["r2iss_points"] == (None if points is None else float(points)), str(one.asked.vignette)
        compared["r2iss_points"] += points is not None
    assert min(compared.values()) >= len(compared)


# --- each side of each limit --------------------------------------------------------------------------------


def moved(vignette: Vignette, unit: str, value: Decimal) -> Iterator[Vignette]:
    """The case with one number of this unit, of the patient, an order or a lesion, put elsewhere."""
    facts = vignette.facts

    def put(reading: Reading) -> Reading:
        return exactly(reading, value, date=reading.date or facts.as_of, resources=reading.resources)

    for path in DICTIONARY:
        fact = facts.fact(path)
        if isinstance(fact, Reading) and fact.unit == unit and fact.value is not None:
            yield replace(vignette, facts=facts.with_facts({path: put(fact)}))
    for place, order in enumerate(facts.orders):
        for changed in part_moved(order, unit, put):
            orders = (*facts.orders[:place], changed, *facts.orders[place + 1 :])
            yield replace(vignette, facts=replace(facts, orders=orders))
    for place, lesion in enumerate(facts.lesions.items):
        for changed in part_moved(lesion, unit, put):
            items = (*facts.lesions.items[:place], changed, *facts.lesions.items[place + 1 :])
            yield replace(vignette, facts=replace(facts, lesions=replace(facts.lesions, items=items)))


def part_moved(part: Any, unit: str, put: Callable[[Reading], Reading]) -> Iterator[Any]:
    """An order or a lesion with one of its numbers put elsewhere."""
    for name in declared(type(part)):
        fact = getattr(part, name)
        if isinstance(fact, Reading) and fact.unit == unit and fact.value is not None:
            yield replace(part, **{name: put(fact)})


def beside_limits() -> Iterator[Vignette]:
    """For each limit cases with a number just under it, at it and just over it."""
    vignettes = load_all()
    every = [
        (topic, limit) for names in LIBRARIES.values() for topic in names for limit in limits_in_force(topic).values()
    ]
    for topic, limit in every:
        if limit.name not in stated_names():
            continue
        concerned = [vignette for vignette in vignettes if vignette.topic in {topic, "order_safety"}]
        step = Decimal("0.01") if limit.unit in {"mg", "mmol/L"} else Decimal("0.1")
        for value in (limit.value - step, limit.value, limit.value + step):
            found = (made for vignette in concerned for made in moved(vignette, limit.unit, value))
            for made in islice(found, VIGNETTES_OF_A_LIMIT):
                yield replace(made, name=f"{made.name} ({limit.name} {value})")


def stated_names() -> set[str]:
    """The limits that CQL states, by the names of the topics."""
    return {OTHER_NAMES.get(name, name) for library in LIBRARIES for name in limits_of(library)}


def test_both_agree_just_under_at_and_just_over_each_limit() -> None:
    cases = list(beside_limits())
    assert len(cases) > 500
    differences = [difference for one in hear(cases) for difference in one.differences()]
    assert not differences, "\n".join(differences[:30])
