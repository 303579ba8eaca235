"""
Times a patient-view call with 10, 100, 1,000 and 5,000 prefetched resources beside a bare Flask service.

The bare service only calls `request.get_json()` and answers one card. Both run in the same minute, with one process
each, and are asked in turn, so that the ratio stands whatever else the machine is doing: by the clock (the median
call) and by the processor's time of a call, which other work on the machine changes less. Two mixes: `sparse`, one
result in ten carries a fact; `dense`, all do, spread over 27 codes and three years. Then calls a second of eight
callers at once, with two processes each.

The store is a file on a disk, as a site's is: every call waits for its record. `--memory` keeps it in memory.

Usage: python bench/bench.py [--rounds N] [--floor waitress|gunicorn] [--memory] [--mix sparse|dense] [--sizes N ...]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodies import MIXES, body
from running import BARE_SERVER, Answer, Running, ask, bare, ours, percentile, store_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZES = (10, 100, 1000, 5000)
MUST = {10: 5.0, 100: 2.5, 1000: 1.0, 5000: 0.5}
AMBITION = {10: 3.0, 100: 1.0, 1000: 0.5, 5000: 0.3}
CALLERS = 8
MUST_A_SECOND, AMBITION_A_SECOND = 200, 400
MUST_READY_S, MUST_MEMORY_MB = 1.5, 120.0
WARM_UP = 5


@dataclass(slots=True)
class Series:
    """What the calls to one server took: seconds by the clock and of the processor, and the answers."""

    server: Running
    answers: list[Answer] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        """Seconds of each call, by the clock."""
        return [one.seconds for one in self.answers]

    def median_ms(self) -> float:
        """The median by the clock."""
        return percentile(self.times, 0.5) * 1000

    def cpu_ms(self) -> float:
        """The median of the processor's time: a stall of the machine is in few calls."""
        return percentile(self.cpu, 0.5) * 1000

    def steps(self) -> str:
        """What the service says its median call is made of; the rest is the server's, Flask's and the record's."""
        names = self.answers[-1].steps
        medians = {name: percentile([one.steps[name] for one in self.answers], 0.5) for name in names}
        rest = self.median_ms() - sum(medians.values())
        return ", ".join(f"{name} {took:.1f}" for name, took in (*medians.items(), ("the rest", rest)))


def in_turn(servers: Sequence[Running], payload: bytes, rounds: int) -> list[Series]:
    """Ask the servers in turn, so many times each."""
    series = [Series(server) for server in servers]
    connections = [server.connect() for server in servers]
    for number in range(rounds + WARM_UP):
        for one, connection in zip(series, connections, strict=True):
            before = one.server.cpu_s()
            answer = ask(connection, one.server.path, payload)
            spent = one.server.cpu_s() - before
            if number >= WARM_UP:
                one.answers.append(answer)
                one.cpu.append(spent)
    for connection in connections:
        connection.close()
    return series


def verdict(value: float, must: float, ambition: float, *, at_least: bool = False) -> str:
    """Say which of the two aims was reached."""
    met = [value >= aim if at_least else value <= aim for aim in (must, ambition)]
    return "ambition" if met[1] else "must" if met[0] else "NOT REACHED"


def ratios(mix: str, sizes: Sequence[int], rounds: int, floor: Running, service: Running) -> None:
    """Print a line for each size."""
    print(f"\n{mix}: {'one result in ten carries a fact' if mix == 'sparse' else 'all results carry facts'}")
    print(
        f"{'size':>5} {'kB in':>6} {'kB out':>6} | {'bare p50':>8} {'ours p50':>8} {'p99':>6} {'ratio':>6} |"
        f" {'bare CPU':>8} {'ours CPU':>8} {'ratio':>6} | {'must':>5} {'amb.':>5}  reached"
    )
    for size in sizes:
        payload, _ = body(size, mix)
        lowest, took = in_turn([floor, service], payload, rounds if size <= 100 else max(10, rounds // 4))
        if not json.loads(took.answers[-1].body)["cards"]:
            raise RuntimeError("the bench patient should have cards")
        by_clock, by_cpu = took.median_ms() / lowest.median_ms(), took.cpu_ms() / lowest.cpu_ms()
        reached = verdict(by_clock, MUST[size], AMBITION[size]) if size in MUST else ""
        by_work = verdict(by_cpu, MUST[size], AMBITION[size]) if size in MUST else ""
        if by_work != reached:
            reached += f" (by CPU: {by_work})"
        print(
            f"{size:>5} {len(payload) / 1000:>6.0f} {len(took.answers[-1].body) / 1000:>6.1f} |"
            f" {lowest.median_ms():>8.2f} {took.median_ms():>8.2f} {percentile(took.times, 0.99) * 1000:>6.1f}"
            f" {by_clock:>6.2f} | {lowest.cpu_ms():>8.2f} {took.cpu_ms():>8.2f} {by_cpu:>6.2f} |"
            f" {MUST.get(size, 0):>5.1f} {AMBITION.get(size, 0):>5.1f}  {reached}\n"
            f"      of which {took.steps()} ms",
            flush=True,
        )


def a_second(server: Running, payload: bytes, seconds: float) -> tuple[float, float]:
    """Let eight callers call without a pause; give calls a second, and milliseconds of CPU a call."""
    done = [0] * CALLERS
    until = time.monotonic() + seconds

    def call(number: int) -> None:
        connection = server.connect()
        while time.monotonic() < until:
            ask(connection, server.path, payload)
            done[number] += 1
        connection.close()

    callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    since, before = time.monotonic(), server.cpu_s()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return sum(done) / (time.monotonic() - since), (server.cpu_s() - before) / sum(done) * 1000


def throughput(floor_kind: str, folder: Path, seconds: float) -> None:
    """Print calls a second of eight callers, for both mixes at 10 resources, with two processes each."""
    print(f"\n{CALLERS} callers at once, two processes, 10 resources (the callers are on the same processors)")
    with bare(2, floor_kind) as floor, ours(2, folder) as service:
        for mix in MIXES:
            payload, _ = body(10, mix)
            for server in (floor, service):
                a_second(server, payload, 1)
            lowest, _ = a_second(floor, payload, seconds)
            rate, cpu = a_second(service, payload, seconds)
            print(
                f"  {mix}: bare {lowest:.0f}, ours {rate:.0f} calls a second ({cpu:.1f} ms of CPU a call);"
                f" must {MUST_A_SECOND}, ambition {AMBITION_A_SECOND}:"
                f" {verdict(rate, MUST_A_SECOND, AMBITION_A_SECOND, at_least=True)}"
            )


def main() -> None:
    """Run both services, ask them in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="calls per size and service (large sizes: a quarter)")
    parser.add_argument("--floor", choices=sorted(BARE_SERVER), default="waitress")
    parser.add_argument("--memory", action="store_true", help="keep the store in memory: the disk is not timed")
    parser.add_argument("--mix", choices=MIXES, action="append", help="only this mix")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long the eight callers call; 0: not at all")
    told = parser.parse_args()
    with store_folder(in_memory=told.memory) as folder:
        print(f"store: an SQLite file {'in memory' if told.memory else 'on the disk'}; floor: {told.floor}")
        with bare(1, told.floor) as floor, ours(1, folder) as service:
            print(
                f"ready after {service.ready_s:.2f} s (must {MUST_READY_S}), "
                f"{service.pss_mb():.0f} MB (must {MUST_MEMORY_MB:.0f})"
            )
            for mix in told.mix or MIXES:
                ratios(mix, told.sizes, told.rounds, floor, service)
            print(f"memory of the process after all calls: {service.pss_mb():.0f} MB")
        if told.seconds:
            throughput(told.floor, folder, told.seconds)


if __name__ == "__main__":
    main()
