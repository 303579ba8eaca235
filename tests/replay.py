"""Runs replays in this process, and reads what they leave."""

from __future__ import annotations

import datetime as dt
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks.replay import engines, plan, population, results, running, sources
from hooks.settings import Settings
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Json = dict[str, Any]
KEY = b"k" * 32
TABLES = tuple(f"{name}.parquet" for name in results.RUN_TABLES)


@cache
def people(number: int, seed: int = 7, ours: float = 0.5) -> tuple[tuple[Json, ...], ...]:
    """A synthetic population, patient by patient."""
    return tuple(tuple(one) for one in population.population(number, seed=seed, ours=ours))


def write_lines(folder: Path, resources: Iterable[Json], name: str = "lines.ndjson") -> Path:
    """Write resources as one NDJSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in resources), encoding="utf-8")
    return path


def export(folder: Path, number: int = 24, **more: Any) -> Path:
    """Write a small synthetic population as a Bulk Data export."""
    population.write(folder, number, **({"seed": 7, "ours": 0.5} | more))
    return folder


def make_plan(found: sources.Survey, **more: Any) -> plan.Plan:
    """A plan for an input: one day, patient-view, default settings."""
    calls = more.pop("calls", ())
    day = dt.date.fromisoformat(DAY)
    arms = more.pop("arms", {plan.DEFAULT_ARM: Settings()})
    chosen = {
        "days": (day - dt.timedelta(365), day) if calls else (day,),
        "hooks": plan.hooks_of((), calls),
        "transaction": running.transaction_of(found, dt.UTC),
    }
    return plan.Plan(**(chosen | {"arms": arms, "calls": calls} | more))


def replay(
    given: Sequence[Path],
    to: Path,
    *,
    engine: engines.Engine | None = None,
    progress: engines.Progress = lambda *_: None,
    records: list[Mapping[str, Any]] | None = None,
    link: Path | None = None,
    **more: Any,
) -> running.Outcome:
    """Run one, in this process unless an engine is given."""
    found = sources.survey(given)
    kept = [] if records is None else records
    chosen = engine or engines.Local(1)
    try:
        return running.run(
            make_plan(found, **more),
            found,
            to,
            chosen,
            key=KEY,
            progress=progress,
            record=kept.append,
            link=link,
        )
    finally:
        chosen.close()


def tables(folder: Path) -> dict[str, bytes]:
    """The bytes of all tables of a run."""
    return {name: (folder / name).read_bytes() for name in TABLES}


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the tables of a run."""
    database, _ = results.opened(folder)
    return database.execute(query).fetchall()
