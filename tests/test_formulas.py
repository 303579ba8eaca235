"""Published formulas and their way back: each against a worked example, and against each other."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommenders.vocabulary import formulas

ages = st.integers(min_value=18, max_value=100).map(Decimal)
weights = st.decimals(min_value=30, max_value=200, places=1)
creatinines = st.decimals(min_value=30, max_value=900, places=0)
clearances = st.decimals(min_value=10, max_value=120, places=0)


@pytest.mark.parametrize(
    ("height", "female", "ideal"),
    [("152.4", False, "50.0"), ("152.4", True, "45.5"), ("177.8", False, "73.0"), ("177.8", True, "68.5")],
)
def test_the_ideal_weight_of_devine_grows_by_2_3_kg_an_inch_above_60(height: str, female: bool, ideal: str) -> None:
    assert round(formulas.ideal_weight_kg(Decimal(height), female=female), 1) == Decimal(ideal)


def test_the_adjusted_weight_takes_two_fifths_of_the_excess() -> None:
    assert formulas.adjusted_weight_kg(Decimal(130), Decimal(70)) == Decimal(94)
    assert formulas.adjusted_weight_kg(Decimal(70), Decimal(70)) == Decimal(70)


@given(age=ages, weight=weights, clearance=clearances, female=st.booleans())
def test_the_creatinine_that_gives_a_clearance_gives_it_back(
    age: Decimal, weight: Decimal, clearance: Decimal, female: bool
) -> None:
    creatinine = formulas.highest_creatinine_umol_l(age, weight, clearance, female=female)
    assert abs(formulas.cockcroft_gault(age, weight, creatinine, female=female) - clearance) < Decimal("1e-9")


@given(age=ages, creatinine=creatinines, clearance=clearances, female=st.booleans())
def test_the_weight_that_gives_a_clearance_gives_it_back(
    age: Decimal, creatinine: Decimal, clearance: Decimal, female: bool
) -> None:
    weight = formulas.lowest_weight_kg(age, creatinine, clearance, female=female)
    assert weight is not None
    assert abs(formulas.cockcroft_gault(age, weight, creatinine, female=female) - clearance) < Decimal("1e-9")


def test_no_weight_gives_a_clearance_from_140_years_on() -> None:
    assert formulas.lowest_weight_kg(Decimal(140), Decimal(80), Decimal(30), female=False) is None
