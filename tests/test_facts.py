"""Readings compare after rounding, intervals only where they are certain, and derived facts follow the formulas."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommenders.patient.derived import derive, safest
from recommenders.patient.recency import as_seen
from recommenders.vocabulary import formulas
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Fact, Finding, Reading, exactly, replace, stated
from recommenders.vocabulary.guidance import Limit
from recommenders.vocabulary.records import Lesion, Lesions
from tests.vignettes import facts_of

DAY = dt.date(2026, 11, 22)
BLANK = Reading(name="lab.x", unit="mmol/L", decimals=2)


def limit(value: str, unit: str = "mmol/L") -> Limit:
    return Limit(name="x", value=Decimal(value), unit=unit, source="OUR")


def facts(**tree: Any) -> Facts:
    return facts_of({"facts": tree})


@pytest.mark.parametrize(("value", "below"), [("2.094", True), ("2.095", False), ("2.10", False), ("2.0949999", True)])
def test_values_are_rounded_half_away_from_zero_before_they_are_compared(value: str, below: bool) -> None:
    assert (exactly(BLANK, value) < limit("2.10")).holds is below


def test_strict_and_inclusive_signs_differ_at_the_limit_only() -> None:
    at = exactly(BLANK, "2.10")
    assert (at < limit("2.10")).no
    assert (at <= limit("2.10")).yes
    assert (at > limit("2.10")).no
    assert (at >= limit("2.10")).yes


def test_a_limit_inside_an_interval_leaves_it_unknown() -> None:
    below_02 = replace(BLANK, low=Decimal(0), high=Decimal("0.2"), high_open=True, reason=None)
    assert (below_02 < limit("0.2")).yes
    assert (below_02 >= limit("0.2")).no
    assert (below_02 < limit("0.1")).unknown
    above_90 = replace(BLANK, low=Decimal(90), low_open=True, high=Decimal(1000), reason=None)
    assert (above_90 >= limit("100")).unknown
    assert (above_90 > limit("90")).yes


def test_another_unit_than_the_limits_is_a_programming_error_not_a_comparison() -> None:
    with pytest.raises(TypeError, match="is in 'mmol/L'"):
        _ = exactly(BLANK, 1) < limit("1", "mg/dL")


def test_unknown_compares_as_unknown_whatever_the_sign() -> None:
    for found in (limit("1") > BLANK, limit("1") < BLANK, BLANK.equals(1), BLANK.differs_from(1)):
        assert found.unknown


def test_a_grade_that_is_only_narrowed_down_is_told_where_all_possible_grades_agree() -> None:
    grade = Finding(name="spine.escc", possible=("1a", "1b", "1c"))
    assert grade.one_of("2", "3").no
    assert grade.one_of("1a", "1b", "1c").yes
    assert grade.one_of("1c").unknown


def test_over_an_empty_list_of_lesions_nothing_is_known() -> None:
    assert Lesions().any(lambda lesion: lesion.pain.one_of("severe")).unknown
    assert Lesions().all(lambda lesion: lesion.pain.one_of("none")).unknown


def test_worked_example_1_clearance_67_and_corrected_calcium_230() -> None:
    found = derive(
        facts(
            patient={"age": 65, "sex": "female", "weight": 60},
            lab={"creatinine": 70, "ca_total": Decimal("2.30"), "albumin": 40},
        )
    )
    assert found.lab.crcl.rounded == Decimal("67.1")
    assert found.lab.ca_corr.rounded == Decimal("2.30")


def test_worked_example_2_creatinine_in_mg_dl_gives_a_clearance_of_45() -> None:
    creatinine = Decimal("1.49") * formulas.CREATININE_UMOL_PER_MG_DL
    found = derive(facts(patient={"age": 71, "sex": "male", "weight": 70}, lab={"creatinine": creatinine}))
    assert found.lab.crcl.rounded == Decimal("45.0")


def test_worked_example_5_clearance_17_8() -> None:
    creatinine = Decimal("2.9") * formulas.CREATININE_UMOL_PER_MG_DL
    found = derive(facts(patient={"age": 80, "sex": "male", "weight": 62}, lab={"creatinine": creatinine}))
    assert found.lab.crcl.rounded == Decimal("17.8")


@pytest.mark.parametrize(
    ("given_facts", "lacking"),
    [
        ({"patient": {"age": 70, "sex": "male"}, "lab": {"creatinine": 90}}, "patient.weight"),
        ({"patient": {"age": 70, "weight": 70}, "lab": {"creatinine": 90}}, "patient.sex"),
        ({"patient": {"sex": "male", "weight": 70}, "lab": {"creatinine": 90}}, "patient.birth_date"),
        ({"patient": {"age": 70, "sex": "male", "weight": 70}}, "lab.creatinine"),
        ({"patient": {"age": 70, "sex": "other", "weight": 70}, "lab": {"creatinine": 90}}, "patient.sex"),
    ],
)
def test_an_unknown_clearance_names_the_input_that_is_missing(given_facts: dict[str, Any], lacking: str) -> None:
    found = derive(facts(**given_facts)).lab.crcl
    assert not found.is_known
    assert lacking in found.lacks


def test_cockcroft_gault_is_not_computed_for_a_child() -> None:
    found = derive(facts(patient={"age": 17, "sex": "male", "weight": 60}, lab={"creatinine": 60}))
    assert found.lab.crcl.reason == "not-applicable"


def test_a_reported_clearance_wins_only_when_it_is_newer_than_the_creatinine() -> None:
    base: dict[str, Any] = {"patient": {"age": 71, "sex": "male", "weight": 70}}
    newer = derive(
        facts(
            **base,
            lab={
                "creatinine": {"value": 132, "date": dt.date(2026, 11, 18)},
                "crcl": {"value": 38, "flags": ["reported"]},
            },
        )
    )
    older = derive(
        facts(
            **base,
            lab={"creatinine": 132, "crcl": {"value": 38, "date": dt.date(2026, 11, 18), "flags": ["reported"]}},
        )
    )
    assert newer.lab.crcl.rounded == Decimal("38.0")
    assert older.lab.crcl.rounded != Decimal("38.0")


def test_albumin_above_40_corrects_downwards_and_missing_albumin_is_said() -> None:
    high = derive(facts(lab={"ca_total": Decimal("2.14"), "albumin": 44}))
    assert high.lab.ca_corr.rounded == Decimal("2.06")
    alone = derive(facts(lab={"ca_total": Decimal("2.14")}))
    assert alone.lab.ca_corr.rounded == Decimal("2.14")
    assert "uncorrected" in alone.lab.ca_corr.flags


def test_calcium_corrected_by_the_laboratory_is_never_corrected_again() -> None:
    found = derive(
        facts(lab={"ca_corr": {"value": Decimal("2.60"), "flags": ["corrected-by-laboratory"]}, "albumin": 25})
    )
    assert found.lab.ca_corr.rounded == Decimal("2.60")


@pytest.mark.parametrize(
    ("age_days", "hook_window", "is_known"),
    [(14, "order", True), (15, "order", False), (30, "chart", True), (31, "chart", False)],
)
def test_creatinine_is_stale_the_day_after_its_window(age_days: int, hook_window: Any, is_known: bool) -> None:
    day = DAY - dt.timedelta(age_days)
    found = as_seen(facts(lab={"creatinine": {"value": 90, "date": day}}), hook_window)
    assert found.lab.creatinine.is_known is is_known
    assert is_known or found.lab.creatinine.reason == "stale"


def test_a_value_without_a_date_is_undated_and_never_called_old() -> None:
    found = as_seen(facts(lab={"creatinine": {"value": 90, "date": "none"}}), "chart")
    assert found.lab.creatinine.reason == "undated"


@pytest.mark.parametrize(("days", "current"), [(180, True), (181, False)])
def test_a_fracture_of_more_than_180_days_ago_is_history(days: int, current: bool) -> None:
    day = DAY - dt.timedelta(days)
    found = as_seen(facts(pathological_fracture={"current": {"value": True, "date": day}}), "chart")
    assert found.pathological_fracture.current.value is current


def test_an_undated_fracture_counts_as_current() -> None:
    found = as_seen(facts(pathological_fracture={"current": {"value": True, "date": "none"}}), "chart")
    assert found.pathological_fracture.current.value is True


def test_of_contradictory_results_the_safety_rules_take_the_less_safe() -> None:
    seen = facts(
        patient={"age": 71, "sex": "male", "weight": 70},
        lab={
            "creatinine": {"rivals": [90, 190]},
            "ca_total": {"rivals": [Decimal("2.05"), Decimal("2.85")]},
            "albumin": 40,
        },
    )
    plain = derive(seen)
    assert not plain.lab.crcl.is_known
    low, high = safest(plain, "lowest"), safest(plain, "highest")
    assert low.lab.creatinine.rounded == Decimal(190)
    assert low.lab.crcl.is_known
    assert (low.lab.ca_corr.rounded, high.lab.ca_corr.rounded) == (Decimal("2.05"), Decimal("2.85"))


@given(st.decimals(min_value="0.1", max_value="28", places=2))
@settings(max_examples=200)
def test_creatinine_survives_the_round_trip_between_units(mg: Decimal) -> None:
    umol = mg * formulas.CREATININE_UMOL_PER_MG_DL
    assert umol / formulas.CREATININE_UMOL_PER_MG_DL == mg


def test_blank_facts_close_what_silence_closes_and_leave_the_rest_open() -> None:
    blank = Facts(as_of=DAY)
    assert blank.dx.lung_cancer.criterion().no
    assert blank.dx.bone_met.criterion().unknown
    assert blank.patient.pregnant.criterion().unknown
    assert not blank.lab.ca_total.is_known


def test_an_unknown_fact_keeps_its_name_and_unit_so_that_it_can_be_asked_for() -> None:
    blank = Facts(as_of=DAY)
    assert (blank.lab.ca_total.name, blank.lab.ca_total.unit) == ("lab.ca_total", "mmol/L")
    assert stated(blank.dx.bone_met, value=True).forget("stale").name == "dx.bone_met"


@pytest.mark.parametrize("told", [exactly(BLANK, "2.10"), stated(Facts(as_of=DAY).dx.bone_met, True)])
def test_facts_and_what_is_said_of_them_can_be_copied_and_pickled(told: Fact) -> None:
    said = told.within(7, DAY)
    for made in (copy.deepcopy(told), pickle.loads(pickle.dumps(told))):  # noqa: S301 - our own
        assert made == told
    for again in (copy.deepcopy(said), pickle.loads(pickle.dumps(said))):  # noqa: S301 - our own
        assert (again.holds, again.condition.evidence) == (said.holds, told)  # type: ignore[union-attr] # a leaf has one


def test_a_changed_copy_of_a_record_is_the_one_that_dataclasses_would_give_down_to_one_part() -> None:
    blank = Facts(as_of=DAY)
    for record in (Lesion(), blank.lesions, blank.courses, blank.requested):
        assert replace(record) == dataclasses.replace(record)


def test_every_fact_of_a_group_is_in_the_dictionary_as_it_was_declared() -> None:
    blank = Facts(as_of=DAY)
    groups = [name for name in blank.__struct_fields__ if isinstance(getattr(blank, name), msgspec.Struct)]
    paths = [f"{name}.{attribute}" for name in groups for attribute in getattr(blank, name).__struct_fields__]
    assert paths == list(DICTIONARY)
    assert all(blank.fact(path).name == DICTIONARY[path].name for path in paths)


def test_what_is_said_of_a_blank_finding_is_not_said_of_its_copies() -> None:
    blank = Facts(as_of=DAY).dx.bone_met
    assert stated(blank, value=True).criterion().yes
    assert stated(blank, value=True).criterion().condition.evidence.is_known  # type: ignore[union-attr] # a leaf has one
    assert blank.criterion().unknown
