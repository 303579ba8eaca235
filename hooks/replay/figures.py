"""The figures of a finished run, for its text, page and gate: counts, shares with intervals, what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hooks.replay.errors import ReplayError
from hooks.replay.judging import INTERRUPTIVE
from hooks.replay.results import opened

Z = 1.959964
"""Of a 95 % interval."""
HIDDEN_UP_TO, ROUNDED_TO = 7, 5
"""What is shared shows no count up to seven, and rounds the others to five (as OpenSAFELY's ehrQL does)."""


@dataclass(frozen=True, slots=True)
class Share:
    """How often something was, with the 95 % interval of its share (between 0 and 1)."""

    count: int
    of: int
    share: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """The interval alone."""
        return self.low, self.high

    @property
    def per_100(self) -> float:
        """In a hundred."""
        return 100 * self.share


def wilson(count: float, of: float, *, clusters: float | None = None) -> tuple[float, float]:
    """
    Give the Wilson interval of a share; `clusters` is the number of independent observations that it is worth.

    Calls of one patient are alike: a share of calls is worth as many observations as its variance over patients says.
    """
    if of <= 0:
        return 0.0, 1.0
    share, n = count / of, clusters or of
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def share_of(count: int, of: int, *, squares: tuple[float, float, float] | None = None) -> Share:
    """
    Give a share with its interval; `squares` are the sums over patients of y·y, x·y and x·x (y of x calls each).

    With one call a patient this is Wilson's interval; with several, that of a ratio over clusters.
    """
    if not of:
        return Share(0, 0, 0.0, 0.0, 1.0)
    share = count / of
    worth: float | None = None
    if squares is not None and 0 < share < 1:
        yy, xy, xx = squares
        variance = max(yy - 2 * share * xy + share * share * xx, 0.0) / of**2
        worth = share * (1 - share) / variance if variance else float(of)
    low, high = wilson(count, of, clusters=worth)
    return Share(count, of, share, low, high)


@dataclass(frozen=True)
class Hidden:
    """A count as it may be shown: as it is, or rounded and suppressed for sharing."""

    share: bool = False

    def count(self, number: int) -> str:
        """Write a count."""
        if not self.share:
            return f"{number:,}"
        return f"0–{HIDDEN_UP_TO}" if number <= HIDDEN_UP_TO else f"{self.rounded(number):,}"

    def rounded(self, number: int) -> int:
        """Give a count as it may be drawn."""
        if not self.share:
            return number
        return 0 if number <= HIDDEN_UP_TO else ROUNDED_TO * round(number / ROUNDED_TO)

    def part(self, count: int, of: int) -> Share:
        """Give a share of what may be shown: from rounded counts where it is shared."""
        return share_of(self.rounded(count), self.rounded(of))


class Figures:
    """One arm of one finished run."""

    def __init__(self, folder: Path, arm: str | None = None) -> None:
        self.database, self.run = opened(folder)
        arms = list(self.run["arms"])
        if arm is not None and arm not in arms:
            raise ReplayError(f"--arm: {arm!r} is none of this run; there are: {', '.join(arms)}.")
        self.arm = arm or arms[0]
        self._views()

    def _views(self) -> None:
        arm = self.arm.replace("'", "''")
        for name in ("calls", "cards", "verdicts"):
            self.database.execute(f"CREATE VIEW my_{name} AS SELECT * FROM {name} WHERE arm = '{arm}'")  # noqa: S608 - our own names
        self.database.execute("CREATE VIEW ours AS SELECT * FROM my_calls WHERE refused = ''")

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Give the rows of a query as dicts."""
        found = self.database.execute(query, list(values))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one(self, query: str, *values: object) -> Any:  # noqa: ANN401 - a number or a word
        """Give the first value of a query."""
        found = self.database.execute(query, list(values)).fetchone()
        return found[0] if found else None

    # --- the first sentence ---

    @property
    def patients(self) -> int:
        """How many there are."""
        return int(self.run["counts"]["patients"])

    @cached_property
    def our_patients(self) -> int:
        """How many of them have a disease of ours, or had an order of ours."""
        return int(self.one("SELECT count(DISTINCT patient) FROM ours"))

    @cached_property
    def our_calls(self) -> int:
        """How many calls were about those."""
        return int(self.one("SELECT count(*) FROM ours"))

    @cached_property
    def all_calls(self) -> int:
        """How many calls there would have been of everybody."""
        return int(sum(self.run["counts"]["calls"].values()))

    def _calls_with(self, condition: str, group: str = "TRUE") -> Share:
        found = self.rows(
            f"WITH each AS (SELECT patient, count(*) FILTER ({condition}) AS y, count(*) AS x FROM ours WHERE {group}"  # noqa: S608 - our own words
            " GROUP BY patient) SELECT coalesce(sum(y), 0) AS y, coalesce(sum(x), 0) AS x, sum(y * y) AS yy,"
            " sum(x * y) AS xy, sum(x * x) AS xx FROM each"
        )[0]
        return share_of(int(found["y"]), int(found["x"]), squares=_squares(found))

    @cached_property
    def interruptive(self) -> Share:
        """Of the calls about ours, those with a card that an EHR may put before everything else."""
        return self._calls_with(f"{INTERRUPTIVE} > 0")

    @cached_property
    def with_cards(self) -> Share:
        """Of the calls about ours, those with any card."""
        return self._calls_with("cards > 0")

    @cached_property
    def repeats(self) -> Share:
        """Of the cards, those that said again what was said before."""
        again, all_of = self.rows("SELECT count(*) FILTER (nth_time > 1) AS n, count(*) AS of FROM my_cards")[
            0
        ].values()
        return share_of(int(again), int(all_of))

    # --- tables ---

    def rules(self) -> list[dict[str, Any]]:
        """Give, for each rule that fired, in how many calls, with interval, and how loud."""
        total = self.our_calls
        xx = float(self.one("SELECT coalesce(sum(x * x), 0) FROM (SELECT count(*) AS x FROM ours GROUP BY patient)"))
        found = self.rows(
            """
            WITH fired AS (
                SELECT v.rule, v.indicator, c.patient FROM my_verdicts v JOIN ours c USING (call)
                WHERE v.state = 'fired'
            ), sizes AS (SELECT patient, count(*) AS x FROM ours GROUP BY patient
            ), each AS (SELECT rule, patient, count(*) AS y, max(x) AS x FROM fired JOIN sizes USING (patient)
                GROUP BY rule, patient)
            SELECT rule, sum(y) AS y, sum(y * y) AS yy, sum(x * y) AS xy,
                (SELECT mode(indicator) FROM fired f WHERE f.rule = each.rule) AS indicator
            FROM each GROUP BY rule ORDER BY y DESC, rule
            """
        )
        for row in found:
            row["share"] = share_of(int(row["y"]), total, squares=_squares(row | {"xx": xx}))
        return found

    def burden(self, by: str) -> list[dict[str, Any]]:
        """Give calls, cards and calls with an interruptive card, by a column of `calls`."""
        found = self.rows(
            f'SELECT "{by}" AS name, count(*) AS calls, sum(cards) AS cards,'  # noqa: S608 - our own columns
            f" count(*) FILTER ({INTERRUPTIVE} > 0) AS interruptive, count(*) FILTER (cards > 0) AS any_card"
            f' FROM ours GROUP BY "{by}" ORDER BY calls DESC, name'
        )
        return [row for row in found if row["name"]]

    def by_recommender(self) -> list[dict[str, Any]]:
        """Give cards by recommender and indicator."""
        return self.rows(
            "SELECT recommender AS name, indicator, count(*) AS cards, count(*) FILTER (nth_time = 1) AS first"
            " FROM my_cards GROUP BY ALL ORDER BY name, indicator"
        )

    def spread(self, who: str) -> dict[str, Any] | None:
        """Give median, 90th percentile and worst number of cards of a patient or practitioner; None without any."""
        found = self.rows(
            f"SELECT median(n) AS median, quantile_cont(n, 0.9) AS p90, max(n) AS worst, count(*) AS number"  # noqa: S608 - our own columns
            f" FROM (SELECT sum(cards) AS n FROM ours WHERE {who} <> '' GROUP BY {who})"
        )[0]
        return found if found["number"] else None

    def calendar(self) -> list[dict[str, Any]]:
        """Give cards a day, by indicator."""
        return self.rows(
            "SELECT CAST(c.day AS VARCHAR) AS day, k.indicator, count(*) AS cards"
            " FROM my_cards k JOIN ours c USING (call) GROUP BY ALL ORDER BY day, indicator"
        )

    def missing(self) -> list[dict[str, Any]]:
        """Give, for each undecided rule and fact it waits for, of how many patients."""
        return self.rows(
            "SELECT v.rule, m.fact, count(DISTINCT c.patient) AS patients FROM my_verdicts v JOIN ours c USING (call),"
            " unnest(v.missing) AS m(fact) WHERE v.state = 'undecided'"
            " GROUP BY ALL ORDER BY patients DESC, v.rule, m.fact"
        )

    def most_missing(self, number: int = 10) -> list[dict[str, Any]]:
        """Give the facts that most patients wait for, with the rules they keep open."""
        return self.rows(
            "SELECT m.fact, count(DISTINCT c.patient) AS patients, list_sort(list(DISTINCT v.rule)) AS rules"
            " FROM my_verdicts v JOIN ours c USING (call), unnest(v.missing) AS m(fact) WHERE v.state = 'undecided'"
            " GROUP BY m.fact ORDER BY patients DESC, m.fact LIMIT ?",
            number,
        )

    def fact_states(self, number: int = 24) -> list[dict[str, Any]]:
        """Give, for the facts that most often are not known, the share of our patients by state on the last day."""
        return self.rows(
            """
            WITH last AS (SELECT patient, fact, arg_max(state, day) AS state FROM facts GROUP BY patient, fact),
            worst AS (SELECT fact FROM last GROUP BY fact
                ORDER BY count(*) FILTER (state <> 'known') DESC, fact LIMIT ?)
            SELECT fact, state, count(*) AS patients FROM last JOIN worst USING (fact) GROUP BY ALL ORDER BY fact, state
            """,
            number,
        )

    def trust(self) -> dict[str, int]:
        """Give how many calls were judged with what of hindsight, and how many were refused."""
        found = self.rows(
            "SELECT count(*) FILTER (rewound > 0) AS rewound, count(*) FILTER (assumed > 0) AS assumed,"
            " count(*) FILTER (hindsight > 0) AS hindsight, count(*) FILTER (refused <> '') AS refused FROM my_calls"
        )[0]
        return {name: int(number) for name, number in found.items()}

    def unmapped(self, number: int = 10) -> list[dict[str, Any]]:
        """Give the local codes that no rule reads, the most frequent first."""
        return self.rows('SELECT * FROM unmapped ORDER BY "count" DESC, system, code LIMIT ?', number)

    def cohort(self, rule: str, state: str, missing: str | None) -> list[str]:
        """Give the pseudonyms of those of whom a rule says something on their last call."""
        return [
            str(row["patient"])
            for row in self.rows(
                """
                WITH last AS (SELECT patient, max(moment) AS moment FROM ours GROUP BY patient)
                SELECT DISTINCT c.patient FROM my_verdicts v JOIN ours c USING (call) JOIN last USING (patient, moment)
                WHERE v.rule = ? AND v.state = ? AND (? IS NULL OR list_contains(v.missing, ?)) ORDER BY patient
                """,
                rule,
                state,
                missing,
                missing,
            )
        ]


def _squares(row: Mapping[str, Any]) -> tuple[float, float, float]:
    return float(row["yy"] or 0), float(row["xy"] or 0), float(row["xx"] or 0)


def names(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Give the values of one column, each once, in their order."""
    return list(dict.fromkeys(str(row[key]) for row in rows))
