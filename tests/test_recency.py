"""How old a fact may be: just inside and just outside each window; and no fact without a window or a reason."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from recommenders.patient.derived import derive
from recommenders.patient.recency import aged, as_seen, windows
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.records import Study
from tests.vignettes import DEFAULT_DAY, facts_of


def ago(days: int) -> dt.date:
    return DEFAULT_DAY - dt.timedelta(days)


def seen(**case: Any) -> Facts:
    return derive(as_seen(facts_of(case), "chart"))


def test_each_fact_has_a_window_or_a_written_reason_for_none() -> None:
    for path, spec in DICTIONARY.items():
        assert spec.derived or spec.window or isinstance(spec.counts, str), path
        assert all(days > 0 for days in spec.window or ()), path


def test_a_fact_of_which_nothing_was_read_cannot_be_too_old() -> None:
    blank = Facts(as_of=DEFAULT_DAY)
    for path in {*windows("chart"), *windows("order")} & set(DICTIONARY):
        assert aged(blank.fact(path), path, 0, DEFAULT_DAY) is blank.fact(path), path
    assert not list(blank.touched())


@pytest.mark.parametrize(
    ("path", "value", "days"),
    [
        ("mm.phase", "maintenance", 180),
        ("mm.response", "VGPR", 120),
        ("sarcoma.setting", "localised", 180),
        ("status.fit_for_surgery", True, 90),
        ("status.active_infection", True, 30),
        ("psych.distress", "clinical-diagnosis", 180),
        ("local.neuropathic_pain", True, 60),
    ],
)
def test_a_judgement_counts_on_the_last_day_of_its_window_and_not_a_day_longer(
    path: str, value: object, days: int
) -> None:
    assert windows("chart")[path] == days
    assert seen(facts={path: {"value": value, "date": ago(days)}}).fact(path).is_known
    old = seen(facts={path: {"value": value, "date": ago(days + 1)}}).fact(path)
    assert old.reason == "stale"
    assert old.date == ago(days + 1)


def test_planned_dental_work_of_91_days_ago_is_history_and_not_unknown() -> None:
    def planned(days: int) -> object:
        told = {"value": True, "date": ago(days)}
        return seen(facts={"dental.invasive_planned": told}).dental.invasive_planned.value

    assert planned(90) is True
    assert planned(91) is False


@pytest.mark.parametrize("modality", ["xray", "spect"])
def test_what_a_scan_found_half_a_year_ago_is_no_longer_so_but_the_scan_was_done(modality: Any) -> None:
    def of_day(day: dt.date) -> Study:
        facts = replace(facts_of({}), studies=(Study(modality=modality, date=day, result="positive"),))
        return as_seen(facts, "chart").studies[0]

    assert of_day(ago(180)).result == "positive"
    assert of_day(ago(181)).result is None
    assert of_day(ago(181)).date == ago(181)


def test_a_lesion_seen_a_year_ago_and_never_again_leaves_the_number_of_metastases_open() -> None:
    def found(days: int) -> Facts:
        new = {"nature": "metastasis", "site": "rib"}
        return seen(facts={"dx.lung_cancer": True}, lesions=[new, new | {"site": "femur", "date": ago(days)}])

    assert found(365).dx.bone_met_count.value == 2
    assert found(365).dx.bone_met_isolated.value is False
    count = found(366).dx.bone_met_count
    assert count.low == 1
    assert count.high == 2
    assert not found(366).dx.bone_met_isolated.is_known


def test_an_old_result_is_kept_among_the_earlier_ones() -> None:
    facts = seen(facts={"lab.hb": {"value": 130, "date": ago(31)}})
    assert facts.lab.hb.reason == "stale"
    assert [result.value for result in facts.series["lab.hb"]] == [130]
