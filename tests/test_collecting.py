"""While a process starts the garbage collector rests."""

import gc

import pytest

from hooks.running.collecting import at_rest


def test_it_rests_meanwhile_and_then_works_again() -> None:
    with at_rest():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_start_that_fails_does_not_leave_it_at_rest() -> None:
    with pytest.raises(ValueError, match="no good"), at_rest():
        raise ValueError("no good")
    assert gc.isenabled()
