"""
Where the work is done: on this machine in some processes, or on Spark; both run the same functions on the same slices.

An engine is a class with `screen` (stage A) and `judge` (stages B and C). Others can be added as entry points of the
group `oncobone.replay.engines`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from fhir_mapping.delivery.screening import Screen
from fhir_mapping.terms.site import site_mapping
from hooks.replay.errors import ReplayError
from hooks.replay.judging import Judge, checked, judged
from hooks.replay.parting import Chosen, Looking, Parted, Screened, Spool, lines_of_part, parted, screened, shared
from hooks.replay.results import part_name, write_part
from hooks.replay.sources import Slice

if TYPE_CHECKING:
    from hooks.replay.judging import Row
    from hooks.replay.plan import Plan

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Work:
    """
    What stages B and C are about: whose lines of which slices, into how many parts of which folder.

    `spool` is where patients' lines lie meanwhile, `parts` where finished parts stay.
    """

    slices: tuple[Slice, ...]
    chosen: Chosen
    parts_wanted: int
    deleted: frozenset[str]
    spool: Path
    parts: Path


class Engine(Protocol):
    """Runs the stages of a plan."""

    def screen(
        self, plan: Plan, slices: Sequence[Slice], looking: Looking, spool: Path, progress: Progress
    ) -> Screened:
        """Run stage A; what stage B can use of it may be left in `spool`, an empty folder."""

    def judge(self, judge: Judge, work: Work, progress: Progress) -> None:
        """Run stages B and C: afterwards every part is in its folder."""

    def close(self) -> None:
        """Let go of what it holds."""


# --- this machine -------------------------------------------------------------------------------------------


class Local:
    """Some processes of this machine; with one all happens in this one."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool = (
            ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) if workers > 1 else None
        )

    def screen(
        self, plan: Plan, slices: Sequence[Slice], looking: Looking, spool: Path, progress: Progress
    ) -> Screened:
        """Run stage A; which lines are whose is noted in `spool`."""
        found = Screened()
        mapping = plan.main.mapping
        jobs = [(each, mapping, looking, places) for each, places in _with_places(slices, spool)]
        for one in self._run(_screen_slice, jobs, "screen", progress):
            found.add(one)
        return found

    def judge(self, judge: Judge, work: Work, progress: Progress) -> None:
        """Run stages B and C; parts that are finished are left as they are."""
        missing = [number for number in range(work.parts_wanted) if not (work.parts / part_name(number)).is_dir()]
        if not missing:
            return
        wanted = work.chosen.judged | work.chosen.checked
        cut = _with_places(work.slices, work.spool)
        jobs = [(each, wanted, work.spool, work.parts_wanted, work.deleted, places) for each, places in cut]
        medications: dict[str, set[str]] = {}
        for one in self._run(_part_slice, jobs, "gather", progress):
            for name, patients in one.medications.items():
                medications.setdefault(name, set()).update(patients)
        if medications:
            shared(cut, medications, Spool(work.spool, work.parts_wanted))
        told = [(number, judge, work.chosen.checked, work.spool, work.parts) for number in missing]
        for _ in self._run(_judge_part, told, "judge", progress):
            pass

    def ask(self, question: Callable[[], T]) -> list[T]:
        """Ask each process something (some of them more than once)."""
        if self._pool is None:
            return [question()]
        return [one.result() for one in [self._pool.submit(question) for _ in range(4 * self.workers)]]

    def close(self) -> None:
        """Stop the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _run(
        self, work: Callable[..., T], jobs: Sequence[tuple[object, ...]], stage: str, progress: Progress
    ) -> Iterator[T]:
        progress(stage, 0, len(jobs))
        if self._pool is None:
            for number, job in enumerate(jobs, 1):
                yield work(*job)
                progress(stage, number, len(jobs))
            return
        futures: list[Future[T]] = [self._pool.submit(work, *job) for job in jobs]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                yield future.result()
                progress(stage, number, len(jobs))
        except BrokenProcessPool:
            raise ReplayError(
                "A process of the run was ended from outside (out of memory?). Run the same command again: it goes on"
                " where it stopped; --workers 1 needs the least memory."
            ) from None
        finally:
            for future in futures:
                future.cancel()


@cache
def _screen(mapping: str) -> Screen:
    return Screen(site_mapping(_MAPPINGS[mapping]))


_MAPPINGS: dict[str, Mapping[str, object]] = {}


def screen_of(mapping: Mapping[str, object]) -> Screen:
    """Give the screen of a site's mapping, made once in each process."""
    key = repr(sorted(mapping.items()))
    _MAPPINGS[key] = mapping
    return _screen(key)


def _with_places(slices: Sequence[Slice], spool: Path) -> list[tuple[Slice, Path]]:
    """Give each slice with the file that notes whose lines lie where in it."""
    return [(each, spool / f"places-{number:05d}") for number, each in enumerate(slices)]


def _screen_slice(one: Slice, mapping: Mapping[str, object], looking: Looking, places: Path) -> Screened:
    return screened(one, screen_of(mapping), looking, places)


def _part_slice(
    one: Slice, wanted: frozenset[str], folder: Path, parts: int, deleted: frozenset[str], places: Path
) -> Parted:
    return parted(one, wanted, Spool(folder, parts), deleted, places)


def _judge_part(number: int, judge: Judge, to_check: frozenset[str], spool: Path, parts: Path) -> None:
    write_part(parts, number, rows_of(lines_of_part(spool, number), judge, to_check))


def rows_of(
    patients: Iterable[tuple[str, list[tuple[str, bytes]]]], judge: Judge, to_check: frozenset[str]
) -> Iterator[Row]:
    """Yield the rows of some patients; those to be checked yield a row only when the screen was wrong."""
    for patient, lines in patients:
        yield from (checked if patient in to_check else judged)(patient, lines, judge)


# --- choosing -----------------------------------------------------------------------------------------------


def engine_of(name: str, *, workers: int, master: str | None) -> Engine:
    """
    Give the engine of a name: `local`, `spark`, or one that another package offers.

    Raises ReplayError for a name that is none, and for an engine whose parts are not installed.
    """
    if name == "local":
        return Local(workers)
    if name == "spark":
        from hooks.replay.spark import Spark  # noqa: PLC0415 - an extra

        return Spark(master or f"local[{workers}]")
    offered = {one.name: one for one in entry_points(group="oncobone.replay.engines")}
    if name not in offered:
        raise ReplayError(f"--engine: {name!r} is none; there are: {', '.join(['local', 'spark', *sorted(offered)])}.")
    found: Engine = offered[name].load()(workers=workers, master=master)
    return found
