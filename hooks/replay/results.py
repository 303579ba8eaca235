"""The tables of a run: what they hold, how a part of them is kept, and how the parts become Parquet files."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from hooks.replay.errors import ReplayError
from hooks.replay.plan import SCHEMA

if TYPE_CHECKING:
    import duckdb

    from hooks.replay.judging import Row

TABLES: Mapping[str, Mapping[str, str]] = {
    "calls": {
        "run": "VARCHAR",
        "arm": "VARCHAR",
        "call": "VARCHAR",
        "patient": "VARCHAR",
        "hook": "VARCHAR",
        "moment": "BIGINT",
        "day": "DATE",
        "trigger": "VARCHAR",
        "reader": "VARCHAR",
        "practitioner": "VARCHAR",
        "unit": "VARCHAR",
        "order_kinds": "VARCHAR[]",
        "scope": "VARCHAR",
        "cards": "INTEGER",
        "critical": "INTEGER",
        "warning": "INTEGER",
        "info": "INTEGER",
        "undecided": "INTEGER",
        "rewound": "INTEGER",
        "assumed": "INTEGER",
        "hindsight": "INTEGER",
        "refused": "VARCHAR",
        "failed": "VARCHAR[]",
    },
    "cards": {
        "run": "VARCHAR",
        "arm": "VARCHAR",
        "call": "VARCHAR",
        "place": "INTEGER",
        "recommender": "VARCHAR",
        "indicator": "VARCHAR",
        "lead": "VARCHAR",
        "rules": "VARCHAR[]",
        "repeat_key": "VARCHAR",
        "nth_time": "INTEGER",
    },
    "verdicts": {
        "run": "VARCHAR",
        "arm": "VARCHAR",
        "call": "VARCHAR",
        "rule": "VARCHAR",
        "state": "VARCHAR",
        "indicator": "VARCHAR",
        "missing": "VARCHAR[]",
        "limits": "STRUCT(name VARCHAR, value VARCHAR)[]",
    },
    "facts": {
        "run": "VARCHAR",
        "patient": "VARCHAR",
        "day": "DATE",
        "fact": "VARCHAR",
        "state": "VARCHAR",
        "age_days": "INTEGER",
    },
    "unmapped": {"type": "VARCHAR", "system": "VARCHAR", "code": "VARCHAR", "unit": "VARCHAR", "count": "BIGINT"},
    "refused": {"file": "VARCHAR", "line": "BIGINT", "reason": "VARCHAR"},
    "changes": {
        "patient": "VARCHAR",
        "day": "DATE",
        "hook": "VARCHAR",
        "rule": "VARCHAR",
        "before": "VARCHAR",
        "after": "VARCHAR",
        "indicator_before": "VARCHAR",
        "indicator_after": "VARCHAR",
        "cause": "VARCHAR",
        "limit": "VARCHAR",
    },
}
"""Each table's columns with their DuckDB types; `docs/replay.md` says what they mean."""

RUN_TABLES = ("calls", "cards", "verdicts", "facts", "unmapped", "refused")
ORDER: Mapping[str, str] = {
    "calls": "arm, patient, moment, call",
    "cards": "arm, call, place",
    "verdicts": "arm, call, rule",
    "facts": "patient, day, fact",
    "unmapped": "type, system, code, unit",
    "refused": "file, line, reason",
    "changes": 'patient, day, hook, rule, before, after, indicator_before, indicator_after, cause, "limit"',
}
RUN_FILE = "run.json"
SPOOL = "spool"
"""Where patients' lines lie while a run lasts."""


# --- one part -----------------------------------------------------------------------------------------------


def write_part(folder: Path, number: int, rows: Iterable[Row]) -> None:
    """
    Keep the rows of a part: written aside, on the disk, then renamed; whoever sees the folder sees all of it.

    A part that is there already is left as it is.
    """
    final = folder / part_name(number)
    if final.is_dir():
        return
    draft = folder / f"{part_name(number)}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    encode = msgspec.json.Encoder().encode
    with contextlib.ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}  # only of tables that have a row: each costs the disk a moment
        for table, row in rows:
            if table not in files:
                files[table] = stack.enter_context((draft / f"{table}.ndjson").open("wb"))
            files[table].write(encode(row) + b"\n")
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    sync_folder(draft)
    draft.rename(final)
    sync_folder(folder)


def part_name(number: int) -> str:
    """Give the name of a part's folder."""
    return f"part-{number:04d}"


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def broken(folder: Path, parts: int) -> list[Mapping[str, str]]:
    """Give those in whom the screen was wrong: pseudonym and words of the diagnoses."""
    found: list[Mapping[str, str]] = []
    for number in range(parts):
        path = folder / part_name(number) / "broken.ndjson"
        if path.exists():
            found += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return found


# --- Parquet ------------------------------------------------------------------------------------------------


def connect() -> duckdb.DuckDBPyConnection:
    """
    Open DuckDB in memory, with one thread: the same rows give the same bytes.

    Raises ReplayError when it is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra: only who replays needs it
    except ImportError:
        raise ReplayError("The tables need DuckDB: pip install 'oncobone[replay]'.") from None
    database = duckdb.connect()
    database.execute("SET threads = 1")
    database.execute("SET preserve_insertion_order = true")
    return database


def merge(parts: Path, numbers: Iterable[int], to: Path, refused: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Make the Parquet files of a run from its parts; give the number of rows of each table."""
    database = connect()
    folders = [parts / part_name(number) for number in numbers]
    told: dict[str, int] = {}
    for table in RUN_TABLES:
        if table == "refused":
            extra = parts / "refused.ndjson"
            extra.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in refused))
            files = [extra]
        else:
            files = [folder / f"{table}.ndjson" for folder in folders]
        told[table] = _copy(database, table, [str(path) for path in files if path.exists() and path.stat().st_size], to)
    database.close()
    return told


def _copy(database: duckdb.DuckDBPyConnection, table: str, files: list[str], to: Path) -> int:
    columns = TABLES[table]
    database.execute(f"CREATE OR REPLACE TABLE rows ({', '.join(_quoted(columns))})")
    if files:
        shape = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
        database.execute(
            f"INSERT INTO rows SELECT {', '.join(_names(columns))}"  # noqa: S608 - our own names
            f" FROM read_json(?, format = 'newline_delimited', columns = {shape}, maximum_object_size = 67108864)",
            [files],
        )
    chosen = "*"
    if table == "unmapped":  # one row for a code of the whole population
        chosen = 'type, system, code, unit, CAST(sum("count") AS BIGINT) AS "count"'
    grouped = " GROUP BY type, system, code, unit" if table == "unmapped" else ""
    query = f"SELECT {chosen} FROM rows{grouped} ORDER BY {ORDER[table]}"  # noqa: S608 - our own names
    return write_parquet(database, query, to / f"{table}.parquet")


def write_parquet(database: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write the rows of a query, aside and renamed, with the schema's number in the file; give how many there are."""
    draft = path.with_name(f"{path.name}.tmp")
    told = database.execute(
        f"COPY ({query}) TO '{_escaped(draft)}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{schema: '{SCHEMA}'}})"
    ).fetchone()
    draft.replace(path)
    return int(told[0]) if told else 0


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")


def _names(columns: Mapping[str, str]) -> list[str]:
    return [f'"{name}"' for name in columns]


def _quoted(columns: Mapping[str, str]) -> list[str]:
    return [f'"{name}" {kind}' for name, kind in columns.items()]


def opened(folder: Path) -> tuple[duckdb.DuckDBPyConnection, dict[str, Any]]:
    """
    Open a finished run: its tables as views, and its `run.json`.

    Raises ReplayError for a folder that holds none, or one of another schema.
    """
    run = read_run(folder)
    database = connect()
    for table in RUN_TABLES:
        path = folder / f"{table}.parquet"
        told = database.execute(
            "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = 'schema'", [str(path)]
        ).fetchone()
        if told is None or told[0] != str(SCHEMA):
            raise ReplayError(f"{path}: is of another edition's schema; run it again, or read it with that edition.")
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{_escaped(path)}')")  # noqa: S608 - ours
    return database, run


def read_run(folder: Path) -> dict[str, Any]:
    """Give the `run.json` of a finished run; raise ReplayError when there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ReplayError(
            f"{folder}: holds no finished run; make one with: oncobone replay run{_left(folder)}"
        ) from None
    return found


def _left(folder: Path) -> str:
    """Tell that patients' data still lie in the folder of a run that was stopped, and since when."""
    spool = folder / SPOOL
    if not spool.is_dir():
        return ""
    since = dt.datetime.fromtimestamp(spool.stat().st_mtime, dt.UTC).date()
    return (
        f"\nPatients' lines lie in {spool} since {since}, left by a run that was stopped: give its command again, or"
        " delete the folder."
    )


def write_run(folder: Path, told: Mapping[str, Any]) -> None:
    """Write `run.json`, last of all: a folder that has one is whole."""
    draft = folder / f"{RUN_FILE}.tmp"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(told, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / RUN_FILE)
    sync_folder(folder)
