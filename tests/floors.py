"""What a second is on the machine at hand: a fixed piece of work, timed in the same run as what is judged by it."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS = 550_000
"""So many codings one quiet core of 3 GHz makes, writes as JSON and reads again in a second (CPython 3.11)."""
SAMPLE = 10_000
TRIES = 3


def measured(what: str) -> None:
    """Print what was measured, for who asks with `pytest -s`; each figure of the operations page has such a line."""
    print(f"\n{what}")  # noqa: T201


def second() -> float:
    """Give the CPU seconds in which this machine, as busy as it is now, does a quiet core's work of one second."""
    return OBJECTS / SAMPLE * statistics.median(_sample() for _ in range(7))


def _sample() -> float:
    started = time.process_time()
    made = [{"code": {"coding": [{"system": "http://loinc.org", "code": str(n)}]}, "value": n} for n in range(SAMPLE)]
    read = json.loads(json.dumps(made))
    assert sum(len(one["code"]["coding"][0]["code"]) for one in read) > SAMPLE
    return time.process_time() - started


def seconds_of(work: Callable[[], object], enough: float) -> float:
    """
    Give the CPU seconds that a piece of work costs in this process, as a quiet core would have them.

    It is done again, three times in all, until it costs no more than enough: what else the machine does comes and goes.
    """
    cost = float("inf")
    for _ in range(TRIES):
        before = second()
        started = time.process_time()
        work()
        took = time.process_time() - started
        cost = min(cost, took / max(before, second()))
        if cost <= enough:
            break
    return cost


def cpu_of(process: int) -> float:
    """Give the CPU seconds that another process has used, by Linux's /proc; 0 elsewhere."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.exists():
        return 0.0
    parts = stat.read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
