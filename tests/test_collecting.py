"""While a process starts the garbage collector rests; afterwards it works, and never looks at what was read."""

import gc
from collections.abc import Iterator

import pytest

from hooks.running.collecting import for_good


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_it_rests_meanwhile_and_leaves_what_was_made_alone() -> None:
    before = gc.get_freeze_count()
    with for_good():
        assert not gc.isenabled()
        lasting = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(lasting)


def test_a_start_that_fails_does_not_leave_it_at_rest() -> None:
    with pytest.raises(ValueError, match="no good"), for_good():
        raise ValueError("no good")
    assert gc.isenabled()
