"""What changed between two runs of one question: two editions of the product, or two settings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hooks.replay import results
from hooks.replay.errors import ReplayError
from hooks.replay.summary import texts, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

KINDS = ("new", "gone", "louder", "softer", "decided", "opened", "other")
"""A rule fires now, no longer, more loudly, more softly; can be told now, can no longer be told; anything else."""

OUTSIDE = "not in scope"
NOT_MET = "not met"

_CHANGES = """
CREATE OR REPLACE TABLE changes AS
WITH old AS (SELECT * FROM old_verdicts), new AS (SELECT * FROM new_verdicts),
joined AS (
    SELECT coalesce(old.call, new.call) AS call, coalesce(old.rule, new.rule) AS rule,
        old.state AS s0, new.state AS s1, old.indicator AS i0, new.indicator AS i1, old.limits AS l0, new.limits AS l1
    FROM old FULL JOIN new USING (call, rule)
), told AS (
    SELECT coalesce(a.patient, b.patient) AS patient, coalesce(a.day, b.day) AS day, coalesce(a.hook, b.hook) AS hook,
        joined.rule,
        coalesce(s0, CASE WHEN a.call IS NULL THEN 'not in scope' ELSE 'not met' END) AS before,
        coalesce(s1, CASE WHEN b.call IS NULL THEN 'not in scope' ELSE 'not met' END) AS after,
        coalesce(i0, '') AS indicator_before, coalesce(i1, '') AS indicator_after, l0, l1
    FROM joined LEFT JOIN old_calls a ON a.call = joined.call LEFT JOIN new_calls b ON b.call = joined.call
)
SELECT *, CASE
    WHEN before = 'fired' AND after = 'fired' THEN
        CASE WHEN rank(indicator_after) > rank(indicator_before) THEN 'louder' ELSE 'softer' END
    WHEN after = 'fired' THEN 'new'
    WHEN before = 'fired' THEN 'gone'
    WHEN before = 'undecided' THEN 'decided'
    WHEN after = 'undecided' THEN 'opened'
    ELSE 'other' END AS kind
FROM told WHERE before <> after OR (before = 'fired' AND indicator_before <> indicator_after)
"""


def arms_of(old: Path, new: Path, told: str | None) -> tuple[str, str]:
    """Give the arms that are compared: those told as `OLD,NEW`, else the first of each (two of one run by default)."""
    before, after = (list(results.read_run(folder)["arms"]) for folder in (old, new))
    if told is None:
        if old.resolve() == new.resolve() and len(after) > 1:
            return before[0], after[1]
        return before[0], after[0]
    names = [part.strip() for part in told.split(",")]
    if len(names) != 2 or names[0] not in before or names[1] not in after:
        raise ReplayError(f"--arms: write OLD,NEW of: {', '.join(before)}; {', '.join(after)}.")
    return names[0], names[1]


def changes(
    old: Path, new: Path, arms: tuple[str, str]
) -> tuple[duckdb.DuckDBPyConnection, dict[str, Any], dict[str, Any]]:
    """
    Compare two arms; the database then has a table `changes`, with kind, cause and limit of each.

    Raises ReplayError for runs of different questions: other input, days, hooks, sample or mapping.
    """
    before, after = results.read_run(old), results.read_run(new)
    if before["question"] != after["question"]:
        raise ReplayError(
            "The two runs ask different questions (other input, days, hooks, sample, time zone or mapping): what"
            " differs between them says nothing about rules or settings. Run both on the same input with the same plan."
        )
    database = results.connect()
    database.execute(
        "CREATE MACRO rank(i) AS CASE i WHEN 'critical' THEN 3 WHEN 'warning' THEN 2 WHEN 'info' THEN 1 ELSE 0 END"
    )
    for side, folder, arm in (("old", old, arms[0]), ("new", new, arms[1])):
        for table in ("calls", "verdicts"):
            path, name = str(folder / f"{table}.parquet").replace("'", "''"), arm.replace("'", "''")
            database.execute(
                f"CREATE TABLE {side}_{table} AS SELECT * FROM read_parquet('{path}') WHERE arm = '{name}'"  # noqa: S608 - our own names
            )
    database.execute(_CHANGES)
    _causes(database, before, after, arms)
    return database, before, after


def _causes(
    database: duckdb.DuckDBPyConnection, before: Mapping[str, Any], after: Mapping[str, Any], arms: tuple[str, str]
) -> None:
    """Say what did each change: a limit that differs, else the rules, the mapping, or other settings."""
    own = [before["arms"][arms[0]]["site"], after["arms"][arms[1]]["site"]]
    set_otherwise = sorted(
        key.rpartition(".")[2] for key in own[0].keys() | own[1].keys() if own[0].get(key) != own[1].get(key)
    )
    rest = "settings"
    if before["editions"]["guidance"] != after["editions"]["guidance"]:
        rest = "rule"
    elif before["editions"]["mapping"] != after["editions"]["mapping"]:
        rest = "data"
    database.execute("CREATE TABLE set_otherwise (name VARCHAR)")
    for name in set_otherwise:
        database.execute("INSERT INTO set_otherwise VALUES (?)", [name])
    # a limit did it when its value differs between the two runs and the verdict was measured by it
    database.execute(
        """
        CREATE TABLE differing AS
        WITH before AS (SELECT DISTINCT rule, l.name, l.value FROM old_verdicts, unnest(limits) AS t(l)),
        after AS (SELECT DISTINCT rule, l.name, l.value FROM new_verdicts, unnest(limits) AS t(l))
        SELECT DISTINCT before.rule, before.name FROM before JOIN after USING (rule, name)
        WHERE before.value <> after.value
        UNION SELECT DISTINCT rule, name FROM (SELECT * FROM before UNION SELECT * FROM after)
        JOIN set_otherwise USING (name)
        """
    )
    database.execute("ALTER TABLE changes ADD COLUMN cause VARCHAR")
    database.execute('ALTER TABLE changes ADD COLUMN "limit" VARCHAR')
    database.execute(
        """
        UPDATE changes SET "limit" = coalesce((
            SELECT min(d.name) FROM differing d WHERE d.rule = changes.rule AND list_contains(
                list_transform(list_concat(coalesce(l0, []), coalesce(l1, [])), lambda x: x.name), d.name)
        ), '')
        """
    )
    database.execute("UPDATE changes SET cause = CASE WHEN \"limit\" <> '' THEN 'limit' ELSE ? END", [rest])


def table(database: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Give the changes by rule: how many patients of each kind, and the limits that did it."""
    rows = database.execute(
        """
        SELECT rule, kind, count(DISTINCT patient), list_sort(list(DISTINCT nullif("limit", ''))),
            list_sort(list(DISTINCT cause))
        FROM changes GROUP BY rule, kind ORDER BY rule, kind
        """
    ).fetchall()
    found: dict[str, dict[str, Any]] = {}
    for rule, kind, patients, limits, causes in rows:
        row = found.setdefault(rule, {"rule": rule, "kinds": Counter(), "limits": set(), "causes": set()})
        row["kinds"][kind] += int(patients)
        row["limits"] |= {one for one in limits if one}
        row["causes"] |= set(causes)
    return sorted(found.values(), key=lambda row: (-sum(row["kinds"].values()), row["rule"]))


def as_json(old: Path, new: Path, arms: tuple[str, str], to: Path | None) -> dict[str, Any]:
    """Give what changed as data; write the changes to `to` when it is given."""
    database, before, after = changes(old, new, arms)
    found = {
        "old": {"guidance": before["editions"]["guidance"], "arm": arms[0]},
        "new": {"guidance": after["editions"]["guidance"], "arm": arms[1]},
        "rules": [
            {
                "rule": row["rule"],
                "patients": dict(row["kinds"]),
                "limits": sorted(row["limits"]),
                "causes": sorted(row["causes"]),
            }
            for row in table(database)
        ],
    }
    _write(database, to)
    return found


def _write(database: duckdb.DuckDBPyConnection, to: Path | None) -> None:
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        columns = ", ".join(f'"{name}"' for name in results.TABLES["changes"])
        query = f"SELECT {columns} FROM changes ORDER BY {results.ORDER['changes']}"  # noqa: S608 - our own names
        results.write_parquet(database, query, to / "changes.parquet")


def text(old: Path, new: Path, arms: tuple[str, str], to: Path | None, language: str) -> Iterator[str]:
    """Yield the lines of `oncobone replay diff`; write the changes to `to` when it is given."""
    words = texts(language)
    database, before, after = changes(old, new, arms)
    rows = table(database)
    yield words["diff_head"].format(
        old=f"{before['editions']['guidance']} [{arms[0]}]", new=f"{after['editions']['guidance']} [{arms[1]}]"
    )
    if not rows:
        yield words["diff_none"]
    for row in rows:
        told = ", ".join(f"{words[kind]} {row['kinds'][kind]}" for kind in KINDS if row["kinds"][kind])
        by = ", ".join(sorted(row["limits"])) or ", ".join(words[f"cause_{cause}"] for cause in sorted(row["causes"]))
        yield f"  {row['rule']:<11} {told}  ({by})  {title(row['rule'], language)}"
    _write(database, to)
