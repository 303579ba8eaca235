"""One run from its sources to its tables: survey, screen, gather, judge, merge; and on again after any stop."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import dates
from hooks.replay import results
from hooks.replay.engines import Work
from hooks.replay.errors import DONE, LEFT_OUT, ReplayError
from hooks.replay.judging import Judge
from hooks.replay.parting import Chosen, Looking, Screened, chosen, number_of_parts
from hooks.replay.patients import FIRST_OF
from hooks.replay.plan import SCHEMA, Plan, arm_hash, editions, hash_of
from hooks.replay.sources import Survey, delivered_types, line_number, slices
from recommenders.assessing.topics import TOPICS

if TYPE_CHECKING:
    from hooks.replay.engines import Engine, Progress

NEEDED = ("Patient", "Condition")
"""Without these the service gives no answer (412)."""
PLAN_FILE = "plan.json"
PARTS = "parts"


@dataclass(slots=True)
class Outcome:
    """What came of a run: its `run.json`, and the exit code that says it."""

    told: dict[str, Any]
    code: int = DONE
    left_out: list[str] = field(default_factory=list)


def transaction_of(found: Survey, zone: dt.tzinfo) -> dt.datetime | None:
    """Give the moment of the newest export; None when nothing tells it."""
    stamp = dates.parse(found.transaction, zone)
    return stamp.moment if stamp is not None else None


def run(
    plan: Plan,
    found: Survey,
    to: Path,
    engine: Engine,
    *,
    key: bytes,
    progress: Progress,
    record: Callable[[Mapping[str, Any]], None],
    link: Path | None = None,
) -> Outcome:
    """
    Do a run, or what is left of it; the tables are the same however often it was stopped.

    `record` writes the entry of the audit record, before anybody is judged. Raises ReplayError for an input without
    patients or diagnoses, for a folder that holds another run, and when the screen left somebody out.
    """
    plan = replace(plan, input=found.fingerprint)
    to.mkdir(parents=True, exist_ok=True)
    _claim(to, plan, key)
    if (to / results.RUN_FILE).exists():
        shutil.rmtree(to / PARTS, ignore_errors=True)  # killed after its last word, before it had tidied up
        return _finished(to)
    spool = to / results.SPOOL
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir(mode=0o700)
    try:
        outcome = _run(plan, found, to, engine, spool, key=key, progress=progress, record=record, link=link)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    outcome.told["how"] = _how(engine)
    results.write_run(to, outcome.told)
    shutil.rmtree(to / PARTS, ignore_errors=True)
    return outcome


def _run(
    plan: Plan,
    found: Survey,
    to: Path,
    engine: Engine,
    spool: Path,
    *,
    key: bytes,
    progress: Progress,
    record: Callable[[Mapping[str, Any]], None],
    link: Path | None,
) -> Outcome:
    cut = slices(found.files)
    looking = Looking(plan.calls, *(plan.days[place].isoformat() for place in (0, -1)))
    seen = engine.screen(plan, cut, looking, spool, progress)
    if plan.all_patients:
        seen.candidates |= seen.patients
    plan = replace(plan, delivered=delivered_types(found, frozenset(seen.kinds)))
    if lacking := [kind for kind in NEEDED if kind not in plan.delivered]:
        raise ReplayError(f"{' and '.join(lacking)}: no such resources came, and without them there is no answer.")
    ours = chosen(seen, sample=plan.sample, seed=plan.seed)
    if not ours.patients:
        raise ReplayError("Patient: none came, so there is nobody to judge.")
    judge = Judge(plan, key)
    record(
        {
            "replay": judge.run,
            "patients": len(ours.patients),
            "judged": len(ours.judged) + len(ours.checked),
            "input": found.fingerprint,
            "linked": link is not None,
        }
    )
    parts = to / PARTS
    work = Work(tuple(cut), ours, number_of_parts(found.files, ours), found.deleted, spool, parts)
    parts.mkdir(exist_ok=True)
    engine.judge(judge, work, progress)
    if wrong := results.broken(parts, work.parts_wanted):
        raise ReplayError(_law_broken(wrong))
    if link is not None:
        write_link(link, ours, judge)
    refused = [{"file": name, "line": _line(found, name, place), "reason": why} for name, place, why in seen.faults]
    rows = results.merge(parts, range(work.parts_wanted), to, refused)
    return _outcome(plan, judge, found, seen, ours, rows, to)


def _claim(to: Path, plan: Plan, key: bytes) -> None:
    """Take a folder for a plan; one that another plan has taken is refused."""
    path = to / PLAN_FILE
    told = {"run": plan.run(), "question": plan.question(), "key": hashlib.sha256(key).hexdigest()[:12]}
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        if there != told:
            raise ReplayError(
                f"{to}: holds another run (other input, days, settings, edition or audit key); give an empty folder."
            )
        return
    if any(to.iterdir()):
        raise ReplayError(f"{to}: is not empty, and holds no run; give an empty folder.")
    draft = path.with_name(f"{PLAN_FILE}.tmp")
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(path)


def _finished(to: Path) -> Outcome:
    told = results.read_run(to)
    left_out = list(told["left_out"])
    return Outcome(told, LEFT_OUT if left_out else DONE, left_out)


def _law_broken(wrong: Sequence[Mapping[str, str]]) -> str:
    first = wrong[0]["words"] or "(no diagnosis at all)"
    return (
        f"The screen left out {len(wrong)} of those that were checked whole, though they are in scope; nothing of this"
        f" run can be trusted. The first one's diagnoses: {first}. Please report it; --all-patients judges everybody."
    )


def write_link(path: Path, ours: Chosen, judge: Judge) -> None:
    """Write which pseudonym stands for which patient, for the owner of the file only."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        for patient in sorted(ours.judged):
            file.write(json.dumps({"patient": judge.pseudonym("patient", patient), "id": patient}) + "\n")


def read_link(data: bytes) -> dict[str, str]:
    """Give pseudonym -> id of what `--link` wrote; raise ReplayError when it is not that."""
    try:
        rows = [json.loads(line) for line in data.splitlines()]
        return {row["patient"]: row["id"] for row in rows}
    except (ValueError, KeyError, TypeError):
        raise ReplayError("--link: this is no file that `replay run --link` wrote.") from None


def _line(found: Survey, name: str, place: int) -> int:
    """Give the number of a line, from 1, of its offset in a file; in a Bundle the number of its entry, from 0."""
    file = next(file for file in found.files if file.name == name)
    return place if file.form == "document" else line_number(file, place)


# --- what is told -------------------------------------------------------------------------------------------


def _outcome(
    plan: Plan, judge: Judge, found: Survey, seen: Screened, ours: Chosen, rows: Mapping[str, int], to: Path
) -> Outcome:
    failed, refused = _in_calls(to)
    without = len(seen.candidates - seen.patients)
    left_out = [
        text
        for number, text in (
            (len(seen.faults), "lines that cannot be read"),
            (without, "patients with data of ours but without a Patient resource"),
            (refused, "calls that the service would refuse"),
            (sum(failed.values()), f"calls in which a topic failed ({', '.join(sorted(failed))})"),
        )
        if number
        for text in (f"{number} {text}",)
    ]
    if found.filtered:
        left_out.append(f"what a filter of the export passed over ({', '.join(sorted(found.filtered))})")
    calls = {name: sum(counts[one] for one in ours.patients) for name, counts in seen.calls.items()}
    if not plan.calls:
        calls = {"days": len(ours.patients) * len(plan.days) * len(plan.hooks)}
    day = plan.guidance_day or plan.days[-1]
    told = {
        "schema": SCHEMA,
        "run": judge.run,
        "question": plan.question(),
        "editions": editions(),
        "input": {
            "fingerprint": found.fingerprint,
            "files": [{"name": one.name, "size": one.size, "sha256": one.digest} for one in found.files],
            "deleted": len(found.deleted),
            "filtered": sorted(found.filtered),
        },
        "transaction": plan.transaction.isoformat() if plan.transaction else None,
        "delivered": sorted(plan.delivered),
        "not_delivered": sorted(key for key, kinds in FIRST_OF.items() if not kinds & plan.delivered),
        "lines": dict(sorted(seen.kinds.items())),
        "plan": {
            "days": [day.isoformat() for day in plan.days],
            "calls": list(plan.calls),
            "hooks": list(plan.hooks),
            "sample": plan.sample,
            "seed": plan.seed,
            "guidance_day": plan.guidance_day.isoformat() if plan.guidance_day else None,
            "all_patients": plan.all_patients,
            "timezone": plan.main.timezone,
        },
        "arms": {
            name: {"settings": arm_hash(one), "site": {key: str(value) for key, value in sorted(one.site.items())}}
            for name, one in plan.arms.items()
        },
        "mapping": hash_of(plan.main.mapping),
        "counts": {
            "patients": len(ours.patients),
            "candidates": len(ours.judged),
            "checked": len(ours.checked),
            "without_patient": without,
            "strays": seen.strays,
            "bad_lines": len(seen.faults),
            "calls": calls,
            "rows": dict(rows),
        },
        "not_yet_in_force": sorted(
            f"{topic.guidance.topic}.{name}" for topic in TOPICS for name in topic.guidance.not_yet_in_force(day)
        ),
        "left_out": left_out,
    }
    return Outcome(told, LEFT_OUT if left_out else DONE, left_out)


def _in_calls(to: Path) -> tuple[Counter[str], int]:
    database = results.connect()
    path = str(to / "calls.parquet")
    rows = database.execute(
        "SELECT topic, count(*) FROM (SELECT unnest(failed) AS topic FROM read_parquet(?)) GROUP BY topic", [path]
    ).fetchall()
    refused = database.execute("SELECT count(*) FROM read_parquet(?) WHERE refused <> ''", [path]).fetchone()
    database.close()
    return Counter(dict(rows)), int(refused[0]) if refused else 0


def _how(engine: Engine) -> dict[str, Any]:
    """Tell by what it was done; nothing of it changes the tables."""
    versions = {name: importlib.metadata.version(name) for name in ("oncobone", "duckdb", "msgspec", "fhir.resources")}
    return {"engine": type(engine).__name__.lower(), "python": platform.python_version(), "versions": versions}
