"""The page of a run: one HTML file in seven sections, its charts inside, in either language."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, render_template

from hooks.cards.wording import recommender_title
from hooks.charts import drawing
from hooks.charts.drawing import ChartError
from hooks.replay import comparing
from hooks.replay.errors import ReplayError
from hooks.replay.figures import Figures, Hidden, Share, names
from hooks.replay.summary import fact_label, first_sentence, texts, title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

MOST_RULES, MOST_PAIRS, MOST_CHANGES = 30, 16, 40
CHANGED_BY_HALF = 0.5
DAYS_SHOWN = 62
"""So many days are shown one by one; a longer span by weeks."""


def page(
    folder: Path, language: str, *, against: Path | None = None, share: bool = False, arm: str | None = None
) -> str:
    """
    Give the page of a run as HTML; `against` is an older run of the same question, for what changed.

    With `share` no count up to seven stands anywhere in it, and the others are rounded. Raises ReplayError.
    """
    figures = Figures(folder, arm)
    maker = _Page(figures, language, Hidden(share))
    try:
        parts = maker.parts(_changes(folder, against, figures))
    except ChartError as error:
        raise ReplayError(str(error)) from error
    app = Flask(__name__)
    with app.app_context():
        return render_template("replay.html", t=texts(language), language=language, share=share, **parts)


def charts(folder: Path, language: str, *, share: bool = False) -> dict[str, str]:
    """Give the charts of a run as SVG by name, for slides and documents; those with nothing to draw are left out."""
    maker = _Page(Figures(folder), language, Hidden(share))
    try:
        made = {
            "rules": maker.rules_chart(),
            "recommenders": maker.recommender_chart(),
            "calendar": maker.calendar()["chart"],
            "missing": maker.missing_chart(),
            "facts": maker.states_chart(),
        }
    except ChartError as error:
        raise ReplayError(str(error)) from error
    return {name: str(chart.wide) for name, chart in made.items() if chart is not None}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, drawn for a wide page and for a phone's; the style sheet shows one of them."""

    wide: Markup
    narrow: Markup


def _chart(spec: Mapping[str, Any], label: str) -> Chart:
    return Chart(drawing.drawn(spec, label=label), drawing.drawn(drawing.narrowed(spec), label=label))


def _changes(folder: Path, against: Path | None, figures: Figures) -> list[dict[str, Any]] | None:
    """Give the changes since an older run, or between the first two arms; None where there is nothing to compare."""
    if against is not None:
        database, _, _ = comparing.changes(against, folder, comparing.arms_of(against, folder, None))
    elif len(figures.run["arms"]) > 1:
        arms = list(figures.run["arms"])
        database, _, _ = comparing.changes(folder, folder, (arms[0], arms[1]))
    else:
        return None
    return comparing.table(database)


class _Page:
    """Makes the parts of the page; counts go through `hidden` before they are shown or drawn."""

    def __init__(self, figures: Figures, language: str, hidden: Hidden) -> None:
        self.figures = figures
        self.language = language
        self.hidden = hidden
        self.t = texts(language)
        self.indicators = {one: self.t[one] for one in drawing.COLOURS}

    def parts(self, changes: list[dict[str, Any]] | None) -> dict[str, Any]:
        """Give what the template shows."""
        return {
            "sentence": self._sentence(),
            "overall": self._overall(),
            "rules_chart": self.rules_chart(),
            "burden": self._burden(),
            "recommender_chart": self.recommender_chart(),
            "spreads": self._spreads(),
            "calendar": self.calendar(),
            "changes": None if changes is None else self._changed(changes),
            "missing_chart": self.missing_chart(),
            "most_missing": self._most_missing(),
            "states_chart": self.states_chart(),
            "trust": self._trust(),
            "unmapped": [] if self.hidden.share else self.figures.unmapped(),
        }

    # --- words of counts ---

    def _share(self, share: Share) -> Share:
        return self.hidden.part(share.count, share.of) if self.hidden.share else share

    def _per_100(self, count: int, of: int) -> str:
        if self.hidden.share and (self.hidden.rounded(of) == 0 or (count > 0 and self.hidden.rounded(count) == 0)):
            return "–"
        return f"{self.hidden.part(count, of).per_100:.1f}" if of else "–"

    def _fact(self, name: str) -> str:
        return fact_label(name, self.language)

    # --- 1, 3: sentence and burden ---

    def _sentence(self) -> str:
        count = self.hidden.count
        return first_sentence(
            self.figures,
            self.language,
            patients=count(self.figures.patients),
            ours=count(self.figures.our_patients),
            interruptive=self._share(self.figures.interruptive),
            repeats=self._share(self.figures.repeats),
        )

    def _overall(self) -> str:
        figures = self.figures
        cards = int(figures.one("SELECT coalesce(sum(cards), 0) FROM ours"))
        return self.t["overall"].format(
            all=self.hidden.count(figures.all_calls),
            cards=self.hidden.count(cards),
            interruptive=self._per_100(figures.interruptive.count, figures.all_calls),
        )

    def _burden(self) -> list[dict[str, Any]]:
        found = []
        for column in ("hook", "trigger", "reader", "unit"):
            rows = [
                {
                    "name": self.t.get(f"called_{row['name']}", row["name"]),
                    "calls": self.hidden.count(int(row["calls"])),
                    "cards": self._per_100_over(int(row["cards"]), int(row["calls"])),
                    "interruptive": self._per_100(int(row["interruptive"]), int(row["calls"])),
                    "silent": self._per_100(int(row["calls"]) - int(row["any_card"]), int(row["calls"])),
                }
                for row in self.figures.burden(column)
            ]
            if rows:
                found.append({"title": self.t[f"by_{column}"], "rows": rows})
        return found

    def _per_100_over(self, count: int, of: int) -> str:
        """Cards in a hundred calls may be more than a hundred."""
        rounded = self.hidden.rounded(of)
        return f"{100 * self.hidden.rounded(count) / rounded:.0f}" if rounded else "–"

    def recommender_chart(self) -> Chart | None:
        """Draw the cards of each recommender."""
        rows = [
            {
                "name": recommender_title(row["name"], self.language),  # type: ignore[arg-type] # one of the two languages
                "indicator": self.indicators[row["indicator"]],
                "value": self.hidden.rounded(int(row["cards"])),
            }
            for row in self.figures.by_recommender()
        ]
        if not rows:
            return None
        colour = drawing.indicator_colour(self.indicators)
        return _chart(drawing.stacked_bars(rows, title=self.t["cards"], colour=colour), self.t["by_recommender"])

    def _spreads(self) -> list[dict[str, str]]:
        """Median, 90th percentile and most; the most is one person's, and is not shown when shared."""
        found = []
        for who in ("patient", "practitioner"):
            told = self.figures.spread(who)
            if told is not None and not (self.hidden.share and told["number"] <= 20):
                found.append(
                    {
                        "title": self.t[f"spread_{who}"],
                        "median": f"{told['median']:g}",
                        "p90": f"{told['p90']:.0f}",
                        "worst": "–" if self.hidden.share else f"{told['worst']:g}",
                    }
                )
        return found

    # --- 2: rules ---

    def rules_chart(self) -> Chart | None:
        """Draw how often each rule fired."""
        rows = []
        for row in self.figures.rules()[:MOST_RULES]:
            share = self._share(row["share"])
            if share.count:
                rows.append(
                    {
                        "name": f"{row['rule']} {title(row['rule'], self.language)}",
                        "indicator": self.indicators[row["indicator"]],
                        "value": round(share.per_100, 2),
                        "low": round(100 * share.low, 2),
                        "high": round(100 * share.high, 2),
                    }
                )
        if not rows:
            return None
        colour = drawing.indicator_colour(self.indicators)
        return _chart(drawing.interval_bars(rows, title=self.t["per_100_calls"], colour=colour), self.t["s2"])

    # --- 4: calendar ---

    def calendar(self) -> dict[str, Any]:
        """Draw the cards of each day or week, and name the weeks that changed."""
        rows = self.figures.calendar()
        days = names(rows, "day")
        if len(days) < 2:
            return {"chart": None, "weeks": ""}
        by_week = len(days) > DAYS_SHOWN
        counts: dict[tuple[str, str], int] = defaultdict(int)
        for row in rows:
            counts[_week(row["day"]) if by_week else row["day"], row["indicator"]] += int(row["cards"])
        drawn_rows = [
            {"day": day, "indicator": self.indicators[indicator], "value": self.hidden.rounded(number)}
            for (day, indicator), number in sorted(counts.items())
        ]
        colour = drawing.indicator_colour(self.indicators)
        chart = _chart(drawing.columns_over_time(drawn_rows, title=self.t["cards"], colour=colour), self.t["s4"])
        return {"chart": chart, "weeks": ", ".join(_changed_weeks(rows))}

    # --- 5: changes ---

    def _changed(self, changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for row in changes[:MOST_CHANGES]:
            kinds = [
                f"{self.t[kind]} {self.hidden.count(row['kinds'][kind])}"
                for kind in comparing.KINDS
                if row["kinds"][kind]
            ]
            by = sorted(row["limits"]) or [self.t[f"cause_{cause}"] for cause in sorted(row["causes"])]
            found.append(
                {
                    "rule": row["rule"],
                    "title": title(row["rule"], self.language),
                    "kinds": ", ".join(kinds),
                    "by": ", ".join(by),
                    "hint": self.t["cohort_hint"].format(rule=row["rule"]),
                }
            )
        return found

    # --- 6: what is missing ---

    def missing_chart(self) -> Chart | None:
        """Draw which rules wait for which facts."""
        rows = self.figures.missing()
        rules = names(rows, "rule")[:MOST_PAIRS]
        facts = names([row for row in rows if row["rule"] in rules], "fact")[:MOST_PAIRS]
        ours = max(1, self.hidden.rounded(self.figures.our_patients))
        cells = [
            {
                "row": row["rule"],
                "column": self._fact(row["fact"]),
                "value": min(100.0, round(100 * self.hidden.rounded(int(row["patients"])) / ours, 1)),
                "text": f"{100 * self.hidden.rounded(int(row['patients'])) / ours:.0f}",
            }
            for row in rows
            if row["rule"] in rules and row["fact"] in facts and self.hidden.rounded(int(row["patients"]))
        ]
        if not cells:
            return None
        across = [self._fact(name) for name in facts]
        return _chart(drawing.heat_map(cells, across=across, down=rules, title=self.t["patients"] + " %"), self.t["s6"])

    def _most_missing(self) -> list[dict[str, Any]]:
        return [
            {
                "fact": self._fact(row["fact"]),
                "patients": self.hidden.count(int(row["patients"])),
                "rules": list(row["rules"]),
            }
            for row in self.figures.most_missing()
        ]

    def states_chart(self) -> Chart | None:
        """Draw the state of the facts that rules looked at."""
        rows = self.figures.fact_states()
        if not rows:
            return None
        states = sorted({row["state"] for row in rows}, key=lambda state: (state != "known", state))
        shown = [
            {
                "name": self._fact(row["fact"]),
                "state": self._state(row["state"]),
                "value": self.hidden.rounded(int(row["patients"])),
            }
            for row in rows
        ]
        palette = [
            "#2f6f9f",
            "#d9a441",
            "#b26a00",
            "#8c564b",
            "#7f7f7f",
            "#b3261e",
            "#9467bd",
            "#17becf",
            "#bcbd22",
            "#e377c2",
        ]
        colour = {
            "field": "state",
            "type": "nominal",
            "title": None,
            "scale": {"domain": [self._state(one) for one in states], "range": palette[: len(states)]},
        }
        return _chart(drawing.stacked_bars(shown, title=self.t["patients"], colour=colour), self.t["states_note"])

    def _state(self, state: str) -> str:
        return self.t.get(f"state_{state}", state)

    # --- 7: trust ---

    def _trust(self) -> list[str]:
        run, count, t = self.figures.run, self.hidden.count, self.t
        trust = self.figures.trust()
        counts = run["counts"]
        left = counts["patients"] - counts["candidates"]
        none = t["trust_all"]
        return [
            t["trust_editions"].format(
                guidance=run["editions"]["guidance"],
                mapping=run["editions"]["mapping"],
                cards=run["editions"]["cards"],
                input=run["input"]["fingerprint"],
                run=run["run"],
                transaction=run["transaction"] or t["unknown_time"],
            ),
            t["trust_delivered"].format(
                kinds=", ".join(run["delivered"]), keys=", ".join(run["not_delivered"]) or none
            ),
            t["trust_hindsight"].format(**{name: count(number) for name, number in trust.items()}),
            t["trust_lines"].format(
                bad=count(counts["bad_lines"]),
                strays=count(counts["strays"]),
                without=count(counts["without_patient"]),
                refused=count(trust["refused"]),
            ),
            t["trust_screen"].format(left=count(left), checked=count(counts["checked"]))
            if counts["checked"]
            else t["trust_screen_none"],
            *(
                [t["not_yet_in_force"].format(limits=", ".join(run["not_yet_in_force"]))]
                if run["not_yet_in_force"]
                else []
            ),
        ]


def _week(day: str) -> str:
    date = dt.date.fromisoformat(day)
    return (date - dt.timedelta(date.weekday())).isoformat()


def _changed_weeks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give the weeks whose cards differ from the week before by more than half of it."""
    weeks: dict[str, int] = defaultdict(int)
    for row in rows:
        weeks[_week(row["day"])] += int(row["cards"])
    ordered = sorted(weeks)
    return [
        week for before, week in pairwise(ordered) if abs(weeks[week] - weeks[before]) > CHANGED_BY_HALF * weeks[before]
    ]
