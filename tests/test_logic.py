"""Unknown is a value: Kleene's tables, what is asked for, and what supports an answer."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from recommenders.vocabulary.facts import Finding, replace, stated
from recommenders.vocabulary.logic import (
    NO,
    YES,
    Criterion,
    Truth,
    all_of,
    any_of,
    at_least,
    decided,
    documented,
    given,
    known,
)

TRUTHS: tuple[Truth, ...] = (True, None, False)


def finding(name: str, holds: Truth) -> Finding:
    blank = Finding(name=name)
    return blank if holds is None else stated(blank, value=holds)


@pytest.mark.parametrize("left", TRUTHS)
@pytest.mark.parametrize("right", TRUTHS)
def test_and_or_follow_kleenes_tables(left: Truth, right: Truth) -> None:
    both = finding("a", left) & finding("b", right)
    either = finding("a", left) | finding("b", right)
    assert both.holds == (False if False in (left, right) else None if None in (left, right) else True)
    assert either.holds == (True if True in (left, right) else None if None in (left, right) else False)


def test_not_of_unknown_is_unknown() -> None:
    assert (~finding("a", None)).unknown
    assert (~finding("a", True)).no
    assert (~finding("a", False)).yes


def test_a_criterion_is_neither_true_nor_false_in_python() -> None:
    with pytest.raises(TypeError, match="may be unknown"):
        bool(finding("a", True) & finding("b", True))


def test_only_what_could_change_the_answer_is_asked_for() -> None:
    either = (finding("a", None) & finding("b", False)) | finding("c", None)
    assert either.missing() == ("c",)


def test_nothing_is_asked_for_once_the_answer_is_certain() -> None:
    assert (finding("a", None) | finding("b", True)).missing() == ()
    assert (finding("a", None) & finding("b", False)).missing() == ()


def test_documented_and_decided_are_never_unknown() -> None:
    for holds in TRUTHS:
        assert documented(finding("a", holds)).holds is (holds is True)
        assert decided(finding("a", holds)).holds is (holds is not None)
    assert documented(finding("a", None)).missing() == ()


def test_known_tells_whether_there_is_a_value() -> None:
    assert known(finding("a", False)).yes
    assert known(finding("a", None)).no


def test_a_derived_fact_asks_for_its_inputs() -> None:
    ratio = replace(Finding(name="derived"), lacks=("kappa", "lambda"))
    assert (ratio & finding("x", True)).missing() == ("kappa", "lambda")


def test_the_support_of_a_yes_are_the_conditions_that_hold() -> None:
    either = finding("a", True) | finding("b", False) | finding("c", None)
    assert [condition.fact for condition in either.support()] == ["a"]


def test_the_support_of_a_no_are_the_conditions_that_do_not_hold() -> None:
    both = finding("a", True) & finding("b", False)
    assert [condition.fact for condition in both.support()] == ["b"]


def test_over_nothing_all_is_yes_and_any_is_no() -> None:
    assert all_of(()).yes
    assert any_of(()).no


@for_all(st.lists(st.sampled_from(TRUTHS), max_size=6), st.integers(0, 6))
def test_at_least_says_what_every_completion_of_the_unknown_would_say(parts: list[Truth], count: int) -> None:
    found = at_least(count, [finding(str(n), holds) for n, holds in enumerate(parts)])
    sure, open_ = parts.count(True), parts.count(None)
    expected: Truth = True if sure >= count else False if sure + open_ < count else None
    assert found.holds is expected
    assert (found.missing() == ()) is (expected is not None)


@for_all(st.recursive(st.sampled_from(TRUTHS), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=8))
def test_an_unknown_answer_always_names_what_is_missing(tree: object) -> None:
    names = iter(range(100))

    def build(node: object, *, conjunction: bool) -> Criterion:
        if isinstance(node, list):
            parts = [build(part, conjunction=not conjunction) for part in node]
            return all_of(parts) if conjunction else any_of(parts)
        holds = node if isinstance(node, bool) else None
        return finding(f"f{next(names)}", holds).criterion()

    found = build(tree, conjunction=True)
    assert bool(found.missing()) is found.unknown


def test_given_and_constants() -> None:
    assert given(True) is YES
    assert given(False) is NO
    assert given(None).unknown
