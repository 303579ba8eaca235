"""
The engine on Apache Spark, for a population that one machine takes too long for: an existing cluster, or `local[n]`.

The sources must be readable under the same paths on every machine, and this package installed there.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hooks.replay.engines import Progress, Work, rows_of, screen_of
from hooks.replay.errors import ReplayError
from hooks.replay.parting import Looking, Screened, name_of, part_of, references, screened, short, wanted_records
from hooks.replay.results import part_name, write_part
from hooks.replay.sources import PART, SHARED, Slice, records

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from hooks.replay.judging import Judge, Row
    from hooks.replay.plan import Plan

Line = tuple[str, str, bytes]
"""Patient, address in its Bundle (or `!`), and the resource."""

BATCH = 512
_REFERS = re.compile(rb'"(?:medicationReference|itemReference)"')
LINES = "part int, patient string, address string, raw binary"
ROWS = "part int, patient string, name string, row string"


class Spark:
    """One Spark session; `master` as spark-submit has it (`local[2]`, `spark://…`, `yarn`)."""

    def __init__(self, master: str) -> None:
        try:
            import pyarrow as pa  # noqa: F401, PLC0415 - an extra
            from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra
        except ImportError:
            raise ReplayError("The engine spark needs PySpark and Java 17: pip install 'oncobone[spark]'.") from None
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = (
            SparkSession.builder.master(master)
            .appName("oncobone replay")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.io.encryption.enabled", "true")  # what it puts aside on disks are patients' data
            .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(BATCH))
            .config("spark.sql.shuffle.partitions", "16")
            .config("spark.sql.session.timeZone", "UTC")
        )
        if master.startswith("local"):
            builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        try:
            self.session = builder.getOrCreate()
        except Exception as error:
            raise ReplayError(f"Spark does not start ({type(error).__name__}). Is Java 17 installed?") from error
        self.session.sparkContext.setLogLevel("ERROR")

    def screen(
        self, plan: Plan, slices: Sequence[Slice], looking: Looking, spool: Path, progress: Progress
    ) -> Screened:
        """Run stage A; the machines share no folder, so that nothing is left in `spool`."""
        del spool
        progress("screen", 0, len(slices))
        mapping = plan.main.mapping
        found = Screened()
        distributed = self.session.sparkContext.parallelize(list(slices), max(1, len(slices)))
        for number, one in enumerate(distributed.map(_screening(mapping, looking)).toLocalIterator(), 1):
            found.add(one)
            progress("screen", number, len(slices))
        return found

    def judge(self, judge: Judge, work: Work, progress: Progress) -> None:
        """Run stages B and C; the rows come back in order of the parts, and are kept as the local engine keeps them."""
        missing = [number for number in range(work.parts_wanted) if not (work.parts / part_name(number)).is_dir()]
        if not missing:
            return
        progress("judge", 0, len(missing))
        from pyspark.sql import functions as F  # noqa: N812, PLC0415 - as everybody calls it

        lines = self._lines(work, frozenset(missing))
        # all of a part in one partition, its patients in order: the rows come back part by part
        sorted_lines = lines.repartition(len(missing), F.col("part")).sortWithinPartitions("part", "patient")
        rows = sorted_lines.mapInArrow(_judging(judge, work.chosen.checked), ROWS)
        met: set[int] = set()
        for part, listed in itertools.groupby(rows.toLocalIterator(), key=lambda row: int(row["part"])):
            write_part(work.parts, part, _told(listed))
            met.add(part)
            progress("judge", len(met), len(missing))
        for part in sorted(set(missing) - met):  # nobody in it is ours
            write_part(work.parts, part, ())
        progress("judge", len(missing), len(missing))

    def _lines(self, work: Work, missing: frozenset[int]) -> Any:  # noqa: ANN401 - a Spark DataFrame
        """Give the lines of the wanted patients, with the Medications they refer to."""
        from pyspark import StorageLevel  # noqa: PLC0415 - an extra

        context = self.session.sparkContext
        parts = work.parts_wanted
        wanted = context.broadcast(
            frozenset(one for one in work.chosen.judged | work.chosen.checked if part_of(one, parts) in missing)
        )
        slices = context.parallelize(list(work.slices), max(1, len(work.slices)))
        own = slices.flatMap(_owned_lines(wanted, work.deleted)).persist(StorageLevel.MEMORY_AND_DISK)
        everything = [own]
        asked = _by_name(own.flatMap(_asked_for).distinct().collect())
        for _ in range(2):  # the product, and then what it is made of
            if asked:
                given = slices.flatMap(_medications(context.broadcast(asked))).distinct()
                everything.append(given)
                asked = _by_name(given.flatMap(_asked_for).distinct().collect())
        rows = context.union(everything).map(lambda line: (part_of(line[0], parts), *line))
        return self.session.createDataFrame(rows, LINES)

    def close(self) -> None:
        """Stop the session."""
        self.session.stop()


def _screening(mapping: dict[str, Any], looking: Looking) -> Callable[[Slice], Screened]:
    return lambda one: screened(one, screen_of(mapping), looking)


def _owned_lines(wanted: Any, deleted: frozenset[str]) -> Callable[[Slice], Iterator[Line]]:  # noqa: ANN401 - a broadcast
    def lines(one: Slice) -> Iterator[Line]:
        ours = wanted.value
        for record in wanted_records(one, ours):
            if record.fault:
                yield str(record.patient), PART, record.kind.encode()
            elif not deleted or name_of(record) not in deleted:
                yield str(record.patient), record.address, record.raw

    return lines


def _asked_for(line: Line) -> Iterator[tuple[str, str]]:
    patient, address, raw = line
    if address != PART and _REFERS.search(raw):
        for reference in references(raw):
            yield short(reference), patient


def _by_name(asked: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, patient in asked:
        found.setdefault(name, []).append(patient)
    return found


def _medications(asked: Any) -> Callable[[Slice], Iterator[Line]]:  # noqa: ANN401 - a broadcast
    def lines(one: Slice) -> Iterator[Line]:
        by_name: dict[str, list[str]] = asked.value
        for record in records(one, kinds=SHARED):
            for name in {name_of(record), record.address} & by_name.keys():
                for patient in by_name[name]:
                    yield patient, record.address, record.raw

    return lines


def _judging(judge: Judge, to_check: frozenset[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa  # noqa: PLC0415 - an extra

        lines = (
            line for batch in batches for line in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        )
        together = itertools.groupby(lines, key=lambda line: (line[0], line[1]))
        waiting: list[tuple[int, str, str, str]] = []
        names = ["part", "patient", "name", "row"]

        def batch() -> pa.RecordBatch:
            columns = [list(column) for column in zip(*waiting, strict=True)]
            waiting.clear()
            kinds = [pa.int32(), *(pa.string() for _ in range(3))]
            return pa.RecordBatch.from_arrays(
                [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], names=names
            )

        for (part, patient), listed in together:
            own = [(address, bytes(raw)) for _, _, address, raw in listed]
            for table, row in rows_of([(patient, own)], judge, to_check):
                waiting.append((part, patient, table, json.dumps(row)))
            if len(waiting) >= BATCH:
                yield batch()
        if waiting:
            yield batch()

    return run


def _told(rows: Iterable[Any]) -> Iterator[Row]:
    for row in rows:
        yield row["name"], json.loads(row["row"])
