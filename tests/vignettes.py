"""Reads the vignettes: cases a clinician can read, in TOML, and makes `Facts` of them."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading, declared, exactly, parts_of, replace
from recommenders.vocabulary.records import (
    BISPHOSPHONATES,
    DENOSUMAB,
    Allergy,
    Course,
    Courses,
    Dose,
    Event,
    Lesion,
    Lesions,
    Order,
    Request,
    Requests,
    Study,
    Taken,
)

FOLDER = Path(__file__).parent.parent / "fixtures" / "vignettes"
DEFAULT_DAY = dt.date(2026, 11, 22)
KEYS = {
    "name",
    "hook",
    "as_of",
    "facts",
    "lesions",
    "courses",
    "orders",
    "allergies",
    "taken",
    "melphalan_given",
    "sre",
    "studies",
    "requested",
    "no_request_list",
    "series",
    "no_medication_list",
    "fires",
    "silent",
    "suppressed",
    "superseded",
    "undecided",
    "indicators",
    "voices",
    "values",
    "summary",
    "proposes",
}


@dataclass(frozen=True)
class Vignette:
    """One case: what is known, and what must come of it."""

    topic: str
    name: str
    hook: Any
    facts: Facts
    expected: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.topic}: {self.name}"


def load_all() -> list[Vignette]:
    """Read every vignette file."""
    return [case for path in sorted(FOLDER.glob("*.toml")) for case in load(path)]


def load(path: Path) -> list[Vignette]:
    """Read one vignette file; a misspelled key or fact is an error that names it."""
    data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    topic = data.pop("topic", path.stem)
    if set(data) != {"case"}:
        raise ValueError(f"{path.name}: expected `topic` and [[case]] only, found {sorted(data)}")
    return [_vignette(path, topic, case) for case in data["case"]]


def _vignette(path: Path, topic: str, case: dict[str, Any]) -> Vignette:
    name = case.get("name") or "a case without a name"
    if unknown := set(case) - KEYS:
        raise ValueError(f"{path.name}: {name!r} has unknown keys {sorted(unknown)}")
    try:
        return Vignette(topic, name, case.get("hook", "patient-view"), facts_of(case), case)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: {name!r}: {error}") from error


def facts_of(case: dict[str, Any]) -> Facts:
    """Make the facts of one case; a date left out is the day of the case."""
    today = case.get("as_of", DEFAULT_DAY)
    facts = Facts(as_of=today)
    changes: dict[str, Fact] = {}
    for path, value in _flatten(case.get("facts", {})):
        spec = DICTIONARY.get(path)
        if spec is None:
            raise KeyError(f"no fact {path!r} in the dictionary")
        changes[path] = make(facts.fact(path), value, today)
    facts = facts.with_facts(changes)
    return replace(
        facts,
        lesions=Lesions(tuple(_lesion(row, today, n) for n, row in enumerate(case.get("lesions", ()), 1))),
        courses=Courses(
            items=tuple(_course(row, n) for n, row in enumerate(case.get("courses", ()), 1)),
            delivered=not case.get("no_medication_list", False),
        ),
        orders=tuple(_order(row, today, n) for n, row in enumerate(case.get("orders", ()), 1)),
        requested=Requests(
            tuple(
                Request(**{"day": today, "resources": (f"ServiceRequest/request-{n}",)} | row)
                for n, row in enumerate(case.get("requested", ()), 1)
            ),
            delivered=not case.get("no_request_list", False),
        ),
        allergies=tuple(
            Allergy(**{key: _tupled(value) for key, value in row.items()}) for row in case.get("allergies", ())
        ),
        taken=tuple(
            Taken(name=row["name"], drugs=tuple(row.get("drugs", ())), classes=frozenset(row.get("classes", ())))
            for row in case.get("taken", ())
        ),
        melphalan_given=tuple(Dose(**row) for row in case.get("melphalan_given", ())),
        sre=tuple(Event(**row) for row in case.get("sre", ())),
        studies=tuple(Study(**row) for row in case.get("studies", ())),
        series={path: tuple(_series(facts, path, rows)) for path, rows in case.get("series", {}).items()},
    )


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path not in DICTIONARY and isinstance(value, dict):
            found += _flatten(value, f"{path}.")
        else:
            found.append((path, value))
    return found


def make(blank: Fact, value: Any, today: dt.date) -> Fact:
    """Make a fact of a plain value or of a table ({value, date, unknown, low, high, rivals …})."""
    table: dict[str, Any] = dict(value) if isinstance(value, dict) else {"value": value}
    resource = (f"Observation/{blank.name.replace('.', '-').replace('[]', '').replace('_', '-')}",)
    extra: dict[str, Any] = {"date": table.pop("date", today), "resources": resource}
    if extra["date"] == "none":
        extra["date"] = None
    extra["flags"] = tuple(table.pop("flags", ()))
    for key in ("sent", "moment"):
        if key in table:
            extra[key] = table.pop(key)
    unknown = table.pop("unknown", None)
    plain = table.pop("value", None)
    if plain == "unknown":
        unknown, plain = "missing", None
    if isinstance(blank, Moment):
        day = plain if isinstance(plain, dt.date) else extra["date"]
        return replace(blank, date=None if unknown else day, reason=unknown, resources=resource)
    if isinstance(blank, Finding):
        return _finding(blank, plain, unknown, table, extra)
    if isinstance(blank, Reading):
        return _reading(blank, plain, unknown, table, extra)
    raise TypeError(f"{blank.name} cannot be written in a vignette")


def _finding(blank: Finding, plain: Any, unknown: Any, table: dict[str, Any], extra: dict[str, Any]) -> Finding:
    extra["possible"] = tuple(table.pop("possible", ()))
    _spent(blank, table)
    if unknown:
        return replace(blank, value=None, reason=unknown, **extra)
    if not isinstance(plain, bool | str) and not extra["possible"]:
        raise ValueError(f"{blank.name} wants true, false or a word, not {plain!r}")
    return replace(blank, value=plain, reason="missing" if plain is None else None, **extra)


def _reading(blank: Reading, plain: Any, unknown: Any, table: dict[str, Any], extra: dict[str, Any]) -> Reading:
    for key in ("reference_low", "reference_high", "sent_value"):
        if key in table:
            extra[key] = Decimal(table.pop(key))
    if "sent_unit" in table:
        extra["sent_unit"] = table.pop("sent_unit")
    rivals = tuple(Decimal(rival) for rival in table.pop("rivals", ()))
    bounds = {key: table.pop(key) for key in ("low", "high", "low_open", "high_open") if key in table}
    _spent(blank, table)
    if rivals:
        return replace(blank, reason="contradictory", rivals=rivals, **extra)
    if unknown:
        return replace(blank, low=None, high=None, reason=unknown, **extra)
    if isinstance(plain, str) and plain[:1] in "<>":
        return _beyond(blank, plain, extra)
    if bounds:
        ends: dict[str, Any] = {key: Decimal(bounds[key]) for key in ("low", "high") if key in bounds}
        return replace(blank, reason=None, **ends, **{k: v for k, v in bounds.items() if k.endswith("open")}, **extra)
    return exactly(blank, Decimal(plain), **extra)


def _beyond(blank: Reading, plain: str, extra: dict[str, Any]) -> Reading:
    """Make "< 0.1" or ">= 60"."""
    edge = Decimal(plain.lstrip("<>= "))
    closed = "=" in plain[:2]
    if plain[0] == "<":
        return replace(blank, low=Decimal(0), high=edge, high_open=not closed, reason=None, **extra)
    return replace(blank, low=edge, low_open=not closed, high=Decimal(100000), reason=None, **extra)


def _spent(blank: Fact, table: dict[str, Any]) -> None:
    if table:
        raise ValueError(f"{blank.name} has unknown keys {sorted(table)}")


def _parts(kind: type, row: dict[str, Any], today: dt.date) -> dict[str, Any]:
    found: dict[str, Any] = {}
    blanks = declared(kind)
    for key, value in row.items():
        if key not in parts_of(kind)[0]:
            raise KeyError(f"{kind.__name__.lower()} has no {key!r}")
        found[key] = make(blanks[key][0], value, today) if key in blanks else _tupled(value)
    return found


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _lesion(row: dict[str, Any], today: dt.date, number: int) -> Lesion:
    day = row.get("date", today)
    parts = _parts(Lesion, row, day)
    return replace(Lesion(id=str(number), date=day, resources=(f"Observation/lesion-{number}",)), **parts)


def _course(row: dict[str, Any], number: int) -> Course:
    row = dict(row)
    doses = []
    for dose in row.pop("doses", ()):
        table = dose if isinstance(dose, dict) else {"date": dose}
        doses.append(Dose(resources=(f"MedicationAdministration/dose-{table['date']}",), **table))
    started = row.pop("started", min((dose.date for dose in doses), default=None))
    known = {entry.name for entry in fields(Course)}
    if unknown := set(row) - known:
        raise KeyError(f"course has no {sorted(unknown)}")
    for key in ("dose_mg", "interval_days"):
        if key in row:
            row[key] = Decimal(row[key])
    return Course(
        status=row.pop("status", "active"),
        started=started,
        doses=tuple(doses),
        resources=(f"MedicationRequest/course-{number}",),
        **row,
    )


BMA_WORDS = tuple(sorted(DENOSUMAB | BISPHOSPHONATES))
ANTINEOPLASTIC = {"ifosfamide", "melphalan"}


def _order(row: dict[str, Any], today: dt.date, number: int) -> Order:
    row = dict(row)
    drug = row.get("drug")
    if "kinds" not in row and drug:
        row["kinds"] = ["bma"] if drug in BMA_WORDS else [drug, *(["antineoplastic"] if drug in ANTINEOPLASTIC else [])]
    kind = "MedicationRequest" if drug else "ServiceRequest"
    row.setdefault("reference", f"{kind}/draft-{number}")
    parts = _parts(Order, row, today)
    return Order(**parts)


def _series(facts: Facts, path: str, rows: list[Any]) -> list[Reading]:
    blank = facts.fact(path)
    if not isinstance(blank, Reading):
        raise TypeError(f"{path} has no series")
    found = []
    for day, value in rows:
        reading = make(blank, value, day)
        if isinstance(reading, Reading):
            found.append(replace(reading, date=day, resources=(f"Observation/{path.replace('.', '-')}-{day}",)))
    return sorted(found, key=lambda reading: reading.date or dt.date.min)
