"""What a run found, in text: the first sentence, the rules that spoke most, and a gate for budgets."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from hooks.cards.wording import label
from hooks.replay.errors import ReplayError
from hooks.replay.figures import Figures
from recommenders.assessing.assessment import guidance_of
from recommenders.vocabulary.dictionary import DICTIONARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hooks.replay.figures import Share

MOST_RULES = 12
_BRACES = re.compile(r"\{[^}]*\}")
_BUDGET = re.compile(r"(interruptive|any|repeats)=(\d+(?:\.\d+)?)/(\d+)")


@cache
def texts(language: str) -> Mapping[str, str]:
    """Give the replay's words in `en` or `zh-CN`."""
    data = tomllib.loads(resources.files("hooks.replay").joinpath("texts.toml").read_text(encoding="utf-8"))
    return {key: row[language] for key, row in data.items()}


def when(figures: Figures, language: str) -> str:
    """Say which days were asked."""
    days = figures.run["plan"]["days"]
    words = texts(language)
    if len(days) == 1:
        return words["on_day"].format(day=days[0])
    return words["in_span"].format(first=days[0], last=days[-1])


def first_sentence(
    figures: Figures,
    language: str,
    *,
    patients: str,
    ours: str,
    interruptive: Share | None = None,
    repeats: Share | None = None,
) -> str:
    """Say the whole in one sentence; counts and shares come as they may be shown."""
    if not figures.our_patients:
        return texts(language)["none_ours"].format(when=when(figures, language), patients=patients)
    return texts(language)["first_sentence"].format(
        when=when(figures, language),
        patients=patients,
        ours=ours,
        interruptive=f"{(interruptive or figures.interruptive).per_100:.1f}",
        repeats=f"{(repeats or figures.repeats).per_100:.0f}",
    )


def title(rule: str, language: str) -> str:
    """Name a rule; one that this edition does not have keeps its id."""
    try:
        info = guidance_of(rule).rules[rule]
    except KeyError:
        return rule
    return _BRACES.sub("…", info.summary.zh) if language == "zh-CN" else info.title


def fact_label(name: str, language: str) -> str:
    """Name a fact, given by its name or its path."""
    spec = DICTIONARY.get(name)
    return label(spec.name if spec is not None else name, "zh-CN" if language == "zh-CN" else "en")


def text(folder: Path, language: str) -> Iterator[str]:
    """Yield the lines of `oncobone replay show`."""
    words = texts(language)
    run = Figures(folder).run
    for arm in run["arms"]:
        figures = Figures(folder, arm)
        if len(run["arms"]) > 1:
            yield f"[{arm}]"
        yield first_sentence(figures, language, patients=f"{figures.patients:,}", ours=f"{figures.our_patients:,}")
        share = figures.interruptive
        if share.of:
            low, high = f"{100 * share.low:.1f}", f"{100 * share.high:.1f}"
            yield words["interval"].format(low=low, high=high, of=f"{share.of:,}")
        for row in figures.rules()[:MOST_RULES]:
            found = row["share"]
            yield (
                f"  {row['rule']:<11} {row['indicator']:<9}"
                f" {found.per_100:5.1f} ({100 * found.low:.1f}–{100 * found.high:.1f})"
                f"  {title(row['rule'], language)}"
            )
        for row in figures.most_missing(5):
            yield words["waits"].format(fact=fact_label(row["fact"], language), patients=row["patients"])
    yield words["edition"].format(edition=run["editions"]["guidance"], run=run["run"])
    if run["not_delivered"]:
        yield words["not_delivered_line"].format(keys=", ".join(run["not_delivered"]))
    if run["not_yet_in_force"]:
        yield words["not_yet_in_force"].format(limits=", ".join(run["not_yet_in_force"]))


def as_json(folder: Path) -> dict[str, Any]:
    """Give what `text` says as data, and all rules instead of the loudest."""
    run = Figures(folder).run
    return {
        "run": run["run"],
        "guidance": run["editions"]["guidance"],
        "days": list(run["plan"]["days"]),
        "not_delivered": list(run["not_delivered"]),
        "not_yet_in_force": list(run["not_yet_in_force"]),
        "arms": {arm: _arm(Figures(folder, arm)) for arm in run["arms"]},
    }


def _arm(figures: Figures) -> dict[str, Any]:
    return {
        "patients": figures.patients,
        "ours": figures.our_patients,
        "interruptive": asdict(figures.interruptive),
        "any": asdict(figures.with_cards),
        "repeats": asdict(figures.repeats),
        "rules": [
            {"rule": row["rule"], "indicator": row["indicator"], **asdict(row["share"])} for row in figures.rules()
        ],
        "waits": [{"fact": row["fact"], "patients": row["patients"]} for row in figures.most_missing()],
    }


def over_budget(folder: Path, budget: str) -> Iterator[str]:
    """
    Yield a sentence for each arm that is over a budget: `interruptive=5/100`, `any=…`, `repeats=…`.

    `interruptive` and `any` are calls about our patients with such a card; `repeats` are cards. Raises ReplayError
    for a budget that is none.
    """
    found = _BUDGET.fullmatch(budget)
    if found is None or not int(found[3]):
        raise ReplayError("--budget: write interruptive=5/100, any=40/100 or repeats=50/100.")
    allowed = float(found[2]) / int(found[3])
    for arm in Figures(folder).run["arms"]:
        figures = Figures(folder, arm)
        share = {"interruptive": figures.interruptive, "any": figures.with_cards, "repeats": figures.repeats}[found[1]]
        if share.share > allowed:
            yield (
                f"Over budget ({arm}): {found[1]} {share.per_100:.1f} of 100, allowed {100 * allowed:g}"
                f" ({share.count:,} of {share.of:,})."
            )


def cohort(folder: Path, rule: str, state: str, missing: str | None, arm: str | None) -> list[str]:
    """
    Give the patients of whom a rule says something; of the undecided, those that wait for a fact.

    Raises ReplayError for a rule or fact that is none.
    """
    try:
        guidance_of(rule)
    except KeyError:
        raise ReplayError(f"--rule: there is no rule {rule!r}; oncobone catalogue lists them.") from None
    name = missing
    if missing is not None:
        known = {path: spec.name for path, spec in DICTIONARY.items()}
        name = known.get(missing, missing)
        if name not in known.values():
            raise ReplayError(f"--missing: there is no fact {missing!r}; oncobone facts lists them.")
    return Figures(folder, arm).cohort(rule, state, name)
