"""
Times a replay beside its floor: reading the same files and decoding each line with msgspec, in as many processes.

A synthetic population is made in a temporary folder, a tenth and a twentieth of it with a disease of ours. Floor and
replay run in turn over the same files, several times, and the least of each counts. With one process (the default)
both are timed by the processor's time they take, so that the ratios stand whatever else the machine is doing; with
several by the clock.

Usage: python bench/replay.py [--patients N] [--workers N] [--turns N]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hooks.replay import engines, parting, plan, population, running, sources
from hooks.settings import Settings

MUST = {"whole, 10 % ours": 12.0, "whole, 5 % ours": 8.0, "screen and parts": 2.0, "second arm": 0.4}
MUST_MEMORY_MB = 200
SHARES = (10, 5)
MILLION = 1_000_000


def decode_slice(one: sources.Slice) -> int:
    """Read and decode the lines of a slice, and do nothing with them."""
    decode = msgspec.json.Decoder().decode
    lines = 0
    with one.file.path.open("rb", sources.BUFFER) as file:
        for line in file:
            decode(line)
            lines += 1
    return lines


@dataclass
class Watch:
    """Notes when each stage ended."""

    clock: Callable[[], float]
    since: float = 0.0
    ended: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin."""
        self.since = self.clock()

    def __call__(self, stage: str, done: int, of: int) -> None:
        """Be told the progress of a run."""
        if done >= of:
            self.ended[stage] = self.clock() - self.since


def floor(cut: list[sources.Slice], pool: ProcessPoolExecutor | None, clock: Callable[[], float]) -> tuple[float, int]:
    """Give seconds and lines of reading and decoding everything."""
    start = clock()
    lines = sum(pool.map(decode_slice, cut) if pool is not None else map(decode_slice, cut))
    return clock() - start, lines


def whole(
    given: Path, to: Path, engine: engines.Engine, arms: dict[str, Settings], clock: Callable[[], float]
) -> tuple[float, Watch, dict[str, Any]]:
    """Give seconds, stages and `run.json` of a whole run."""
    found = sources.survey([given])
    asked = plan.Plan(
        days=(population.STORY_DAY,),
        hooks=("patient-view",),
        arms=arms,
        transaction=running.transaction_of(found, next(iter(arms.values())).zone),
    )
    watch = Watch(clock)
    outcome = running.run(asked, found, to, engine, key=b"b" * 32, progress=watch, record=lambda _: None)
    return clock() - watch.since, watch, outcome.told


class Turn(NamedTuple):
    """Floor and whole job, one after the other; of several turns the least counts, which other work disturbed least."""

    floor: tuple[float, int]
    run: tuple[float, Watch, dict[str, Any]]


def warmed(engine: engines.Local) -> engines.Local:
    """Let every process have read our modules: a run of an hour does not notice, one of seconds does."""
    with tempfile.TemporaryDirectory() as name:
        population.write(Path(name) / "in", 40, seed=1, ours=1.0)
        whole(Path(name) / "in", Path(name) / "run", engine, {"default": Settings()}, time.perf_counter)
    return engine


def memory_mb(engine: engines.Local) -> float:
    """Give the most memory that one process took."""
    if engine.workers == 1:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return max(engine.ask(_own_memory))


def _own_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run floor and replay in turn, print the ratios and what they come to for a million patients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=1200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    told = parser.parse_args()
    # Of those left out at least 200 are checked whole, which is nothing among many and a sixth of these few.
    parting.CHECKED_AT_LEAST = 0
    clock = time.process_time if told.workers == 1 else time.perf_counter
    context = multiprocessing.get_context("spawn")
    print(f"{'figure':<20} {'floor s':>8} {'ours s':>8} {'ratio':>6} {'must':>5}")
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(told.workers, mp_context=context) as pool:
        engine = warmed(engines.Local(told.workers))
        try:
            for share in SHARES:
                given = Path(name) / f"in-{share}"
                population.write(given, told.patients, seed=share, ours=share / 100)
                # as many slices as processes, so that both have something to do
                cut = sources.slices(sources.survey([given]).files)
                turns = [
                    Turn(
                        floor(cut, pool if told.workers > 1 else None, clock),
                        whole(given, Path(name) / f"run-{share}-{number}", engine, {"default": Settings()}, clock),
                    )
                    for number in range(told.turns)
                ]
                base, lines = min(turn.floor[0] for turn in turns), turns[0].floor[1]
                took = min(turn.run[0] for turn in turns)
                counts = turns[0].run[2]["counts"]
                _row(f"whole, {share} % ours", base, took)
                if share == SHARES[0]:
                    _row("screen and parts", base, min(turn.run[1].ended["gather"] for turn in turns))
                    arms = {
                        "default": Settings(),
                        "other": Settings.model_validate({"site": {"workup.mdt_due": Decimal(30)}}),
                    }
                    both = [
                        whole(given, Path(name) / f"run-arms-{number}", engine, arms, clock)
                        for number in range(told.turns)
                    ]
                    one_judging = min(turn.run[0] - turn.run[1].ended["gather"] for turn in turns)
                    two_judging = min(seconds - watch.ended["gather"] for seconds, watch, _ in both)
                    _row("second arm", one_judging, two_judging - one_judging)
                    per_patient = lines / told.patients
                minutes = took * told.workers * MILLION / told.patients / 60 / 2
                print(
                    f"  {lines:,} lines of {told.patients:,} patients, {counts['candidates']:,} judged,"
                    f" {counts['checked']:,} checked whole; a million patients on two processors: {minutes:.0f} min"
                )
        finally:
            print(
                f"memory of a process: {memory_mb(engine):.0f} MB (must {MUST_MEMORY_MB});"
                f" {per_patient:.0f} lines a patient"
            )
            engine.close()


def _row(name: str, base: float, took: float) -> None:
    print(f"{name:<20} {base:>8.2f} {took:>8.2f} {took / base:>6.2f} {MUST[name]:>5.1f}")


if __name__ == "__main__":
    main()
