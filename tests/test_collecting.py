"""What a process does about its memory: the garbage collector rests while it starts, long blocks are given back."""

import gc
import platform
import subprocess
import sys

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


LONG_BODIES = """
import sys
from pathlib import Path
from hooks.running.collecting import LONG_BLOCK, give_long_blocks_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "as served":
    give_long_blocks_back()
before, kept = resident(), []
for more in range(10, 0, -1):  # each a little shorter than the one before; what is small stays
    body = b"x" * (LONG_BLOCK + more * 65536)
    kept.append([bytearray(2000) for _ in range(20)])
    del body
print((resident() - before) // 2**20)
"""


def mib_left(how: str) -> int:
    """What a process keeps of ten bodies of four megabytes each, one after the other."""
    told = subprocess.run([sys.executable, "-c", LONG_BODIES, how], check=True, capture_output=True)  # noqa: S603 - ours
    return int(told.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides by itself")
def test_the_memory_of_long_bodies_is_given_back() -> None:
    assert mib_left("as served") < 2
    assert mib_left("as glibc has it") > 2, "it would be given back anyhow: the setting is not needed any more"
