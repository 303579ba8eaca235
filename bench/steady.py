"""
A hospital's hour in ten minutes: 60 patient-view calls a second of mixed sizes, two processes, the callers beside them.

Seven of ten calls bring 10 resources, 26 of a hundred bring 100, and four bring 1,000; half of each size are dense (all
results carry facts). Calls come at fixed times, whether the earlier ones are answered or not: the time of a call
counts from when it should have begun, so that a stall counts for all who had to wait for it.

Usage: python bench/steady.py [--seconds 600] [--per-second 60] [--memory]
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from bodies import MIXES, body
from running import OUR_PATH, Running, ours, percentile, store_folder
from urllib3.util import wait_for_read

SHARES = {10: 70, 100: 26, 1000: 4}
MUST_P50_MS, MUST_P99_MS = 15.0, 100.0
CALLERS = 32
WARM_UP_S = 5


def calls() -> list[tuple[int, bytes]]:
    """Give a hundred calls in the order in which they come again and again: size and body, the sizes well mixed."""
    bodies = {(size, mix): body(size, mix)[0] for size in SHARES for mix in MIXES}
    slots = sorted((place / share, size) for size, share in SHARES.items() for place in range(share))
    mixes = itertools.cycle(MIXES)
    return [(size, bodies[size, next(mixes)]) for _, size in slots]


class Load:
    """Calls at fixed times."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._local = threading.local()
        self.statuses: Counter[str] = Counter()
        self.ms: dict[int, list[float]] = {size: [] for size in SHARES}

    def run(self, seconds: float, per_second: float) -> None:
        """Call for so long, so often."""
        listed = calls()
        begun = time.monotonic() + 0.2
        with ThreadPoolExecutor(CALLERS) as pool:
            for number in range(int(seconds * per_second)):
                due = begun + number / per_second
                time.sleep(max(0.0, due - time.monotonic()))
                pool.submit(self._call, due, *listed[number % len(listed)])

    def _call(self, due: float, size: int, payload: bytes) -> None:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._server.connect()
        if connection.sock is not None and wait_for_read(connection.sock, timeout=0.0):
            connection.close()  # silent for twenty seconds, and closed by the service: as any pool, look before sending
        try:
            connection.request("POST", OUR_PATH, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            self.statuses[str(response.status)] += 1
        except (OSError, HTTPException) as error:
            self.statuses[type(error).__name__] += 1
            self._local.connection = None
        self.ms[size].append((time.monotonic() - due) * 1000)


def main() -> None:
    """Call for ten minutes, and print what the callers and the machine noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--per-second", type=float, default=60)
    parser.add_argument("--memory", action="store_true", help="keep the store in memory: the disk is not timed")
    told = parser.parse_args()
    with store_folder(in_memory=told.memory) as folder, ours(2, folder) as service:
        Load(service).run(WARM_UP_S, told.per_second)
        early, cpu = service.pss_mb(), service.cpu_s()
        load = Load(service)
        load.run(told.seconds, told.per_second)
        spent = service.cpu_s() - cpu
        together = [took for series in load.ms.values() for took in series]
        for name, series in [("all", together), *((f"{size} resources", load.ms[size]) for size in SHARES)]:
            if series:
                print(
                    f"{name:>15}: {len(series):>6} calls, p50 {percentile(series, 0.5):6.1f} ms,"
                    f" p99 {percentile(series, 0.99):6.1f} ms, longest {max(series):6.1f} ms"
                )
        refused = {status: count for status, count in sorted(load.statuses.items()) if status != "200"}
        print(f"refused or failed: {sum(refused.values())} {refused or ''}")
        print(f"CPU a call {spent / max(1, len(together)) * 1000:.1f} ms")
        print(f"memory of the larger process: {early:.0f} MB after {WARM_UP_S} s, {service.pss_mb():.0f} MB at the end")
        held = percentile(together, 0.5) < MUST_P50_MS and percentile(together, 0.99) < MUST_P99_MS and not refused
        verdict = "reached" if held else "NOT REACHED"
        print(f"must p50 < {MUST_P50_MS:.0f} ms, p99 < {MUST_P99_MS:.0f} ms, no refusal: {verdict}")


if __name__ == "__main__":
    main()
