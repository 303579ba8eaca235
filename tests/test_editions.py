"""Limits are remembered by what they hold, an assessment can be copied, and an edition names what it is made of."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recommenders.assessing.assessment import Assessment, assess
from recommenders.vocabulary import guidance as guidance_module
from recommenders.vocabulary.guidance import Guidance, LimitEntry, TopicFile, content_hash, edition, guidance
from tests.vignettes import Vignette, load_all

DAY = dt.date(2026, 11, 22)
CASES = load_all()


def test_a_thousand_settings_that_come_and_go_get_their_own_limits() -> None:
    courses = guidance("common")
    name = next(name for name, entries in courses.entries.items() if any(entry.site for entry in entries))
    for number in range(1000):
        told = {f"common.{name}": Decimal(number)}  # a fresh dict each time: its address is used again
        assert getattr(courses.limits(DAY, told), name).value == number


def test_a_setting_that_is_changed_in_place_is_seen() -> None:
    common = guidance("common")
    name = next(name for name, entries in common.entries.items() if any(entry.site for entry in entries))
    told = {f"common.{name}": Decimal(1)}
    first = getattr(common.limits(DAY, told), name).value
    told[f"common.{name}"] = Decimal(2)
    assert (first, getattr(common.limits(DAY, told), name).value) == (1, 2)


def test_settings_of_another_topic_share_the_limits() -> None:
    common = guidance("common")
    assert common.limits(DAY, {"bone_protection.any": Decimal(1)}) is common.limits(DAY, None)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301 - our own bytes
def test_limits_can_be_copied_and_pickled(again: Any) -> None:
    limits = guidance("common").limits(DAY)
    made = again(limits)
    assert list(made) == list(limits)
    with pytest.raises(AttributeError, match="has no limit 'nothing'"):
        _ = made.nothing


def told(assessment: Assessment) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(rule, v.state, v.indicator, v.missing) for rule, v in assessment.verdicts.items()]


@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_an_assessment_can_be_copied_and_pickled(case: Vignette) -> None:
    found = assess(case.facts, case.hook)
    for made in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301 - our own bytes
        assert told(made) == told(found)
        assert made.values == found.values
        assert (
            made.case.limits(guidance("common")).hypercalcaemia == found.case.limits(guidance("common")).hypercalcaemia
        )


@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_the_day_of_the_facts_is_the_day_of_the_guidance_unless_told_otherwise(case: Vignette) -> None:
    plain = assess(case.facts, case.hook)
    same = assess(case.facts, case.hook, guidance_day=case.facts.as_of)
    assert told(same) == told(plain)


def with_two_entries() -> Guidance:
    old = LimitEntry(since=dt.date(2020, 1, 1), value=Decimal(5), unit="d", source="OUR")
    new = old.model_copy(update={"since": dt.date(2030, 1, 1), "value": Decimal(9)})
    return Guidance("trial", TopicFile(title="trial", limits={"span": (old, new)}))


def test_a_case_takes_its_limits_from_the_day_of_the_guidance() -> None:
    case = assess(CASES[0].facts, CASES[0].hook, guidance_day=dt.date(2031, 1, 1)).case
    assert case.limits(with_two_entries()).span.value == 9
    assert assess(CASES[0].facts, CASES[0].hook).case.limits(with_two_entries()).span.value == 5


def test_a_limit_that_is_not_in_force_yet_is_named() -> None:
    trial = with_two_entries()
    assert trial.not_yet_in_force(dt.date(2019, 12, 31)) == ("span",)
    assert trial.not_yet_in_force(dt.date(2020, 1, 1)) == ()


def test_an_edition_is_the_version_with_a_hash_of_code_and_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, _, digest = edition().partition("+")
    assert version == guidance_module.VERSION
    assert len(digest) == 12
    package = tmp_path / "house_of_rules"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "room" / "limits.toml").write_text("a = 1")
    (package / "notes.txt").write_text("not read")
    monkeypatch.syspath_prepend(tmp_path)
    found = [content_hash.__wrapped__("house_of_rules")]
    (package / "notes.txt").write_text("still not read")
    found.append(content_hash.__wrapped__("house_of_rules"))
    (package / "room" / "limits.toml").write_text("a = 2")
    found.append(content_hash.__wrapped__("house_of_rules"))
    assert found[0] == found[1] != found[2]
