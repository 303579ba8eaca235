"""How old a fact may be and still count: too old becomes unknown, and every fact has a window or a reason for none."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from recommenders.patient.derived import GUIDANCE, age_of
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Fact, Finding, Reading, replace
from recommenders.vocabulary.guidance import CHART_HOOKS, GuidanceError
from recommenders.vocabulary.records import Lesion, Lesions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from recommenders.vocabulary.guidance import Hook
    from recommenders.vocabulary.records import Study

Setting = Literal["chart", "order"]
F = TypeVar("F", bound=Fact)
RELAPSED = "was-relapsed"
"""The flag of a treatment phase that is too old but was a relapse: that one does not pass."""


def setting_of(hook: Hook) -> Setting:
    """Tell which recency windows a hook uses: those of a chart being opened or of an order being signed."""
    return "chart" if hook in CHART_HOOKS else "order"


_WINDOWS: dict[Setting, dict[str, int]] = {
    setting: {path: spec.window[place] for path, spec in DICTIONARY.items() if spec.window}
    | {path: int(row[setting]) for path, row in GUIDANCE.tables["windows"].items()}
    for place, setting in enumerate(get_args(Setting))
}
"""Of each fact, and of what stands in lists: parts of lesions, and what a study found."""


def _each_fact_has_a_window_or_a_reason() -> None:
    if silent := sorted(path for path, spec in DICTIONARY.items() if not spec.derived and not spec.counts):
        raise GuidanceError(
            "recommenders/vocabulary/fact_groups.py: say at each fact how long it counts: `counts=90` (days),"
            f" `counts=(30, 14)` (at the chart, at an order), or in words why it does not age: {', '.join(silent)}"
        )


_each_fact_has_a_window_or_a_reason()


def windows(setting: Setting, site: Mapping[str, Decimal] | None = None) -> Mapping[str, int]:
    """Give the recency window in days for each fact that has one; `site` overrides by `windows.<fact>`."""
    found = _WINDOWS[setting]
    if site:
        return {path: int(site.get(f"windows.{path}", days)) for path, days in found.items()}
    return found


def as_seen(facts: Facts, setting: Setting, site: Mapping[str, Decimal] | None = None) -> Facts:
    """
    Give the facts as they count today: what is older than its window is unknown (`stale`), or history.

    The very same facts where nothing is too old. A fact without a usable date is stale; a finding that only ages into
    history counts when undated.
    """
    limits = windows(setting, site)
    child = _is_child(facts)
    if child:
        stricter = GUIDANCE.tables["windows_under_18"].items()
        limits = {**limits, **{path: int(row[setting]) for path, row in stricter if setting in row}}
    changes: dict[str, Fact] = {}
    for path, fact in facts.touched():  # a blank fact has nothing that could be too old
        if (days := limits.get(path)) is not None:
            now = aged(fact, path, days, facts.as_of)
            if now is not fact:
                changes[path] = now
    changes |= _baseline(facts, int(limits["mm.b2m"]))
    seen = facts.with_facts(changes) if changes else facts
    parts: dict[str, Any] = {}
    if facts.lesions.items:
        count_for = _lesion_windows(limits)
        lesions = tuple([_lesion_seen(one, count_for, facts.as_of) for one in facts.lesions])
        if lesions != facts.lesions.items:
            parts["lesions"] = Lesions(lesions, whole=facts.lesions.whole)
    if (studies := tuple([_study_seen(one, limits, facts.as_of) for one in facts.studies])) != facts.studies:
        parts["studies"] = studies
    if changes:
        parts["series"] = _with_stale(facts, changes)
    return replace(seen, **parts) if parts else seen


def _with_stale(facts: Facts, changes: Mapping[str, Fact]) -> Mapping[str, tuple[Reading, ...]]:
    """Keep a result that is too old for its use among the earlier ones, for what looks further back."""
    found = dict(facts.series)
    for path in changes:
        fact = facts.fact(path)
        if isinstance(fact, Reading) and fact.is_known and fact.date is not None:
            earlier = found.get(path, ())
            if all(one.date != fact.date for one in earlier):
                found[path] = tuple(sorted((*earlier, fact), key=lambda one: one.date or dt.date.min))
    return found


def _study_seen(study: Study, limits: Mapping[str, int], as_of: dt.date) -> Study:
    """Give the study without what it found, where that is too old to be still so; that it was done stays."""
    days = limits.get(f"img.{study.modality}.result")
    if study.result is None or days is None or (study.date is not None and as_of - study.date <= dt.timedelta(days)):
        return study
    return replace(study, result=None, read=True)


def _is_child(facts: Facts) -> bool:
    age = facts.patient.age if facts.patient.age.is_known else age_of(facts)
    return age.high is not None and age.is_known and age.high < 18


def _too_old(fact: Fact, days: int, as_of: dt.date) -> bool:
    return fact.date is None or as_of - fact.date > dt.timedelta(days)


def aged(fact: F, path: str, days: int, as_of: dt.date) -> F:
    """Give the fact of this path as it counts on a day: itself, or unknown or history when older than so many days."""
    spec = DICTIONARY[path]
    if isinstance(fact, Finding) and spec.stale_means_no:
        if fact.value is True and fact.date is not None and _too_old(fact, days, as_of):
            return replace(fact, value=False, flags=(*fact.flags, "history"))
        return fact
    silent = isinstance(fact, Finding) and fact.value in {False, "none"} and not fact.resources and spec.closed
    narrowed = isinstance(fact, Finding) and bool(fact.possible)  # "ESCC 1" ages like any other grade
    told = fact.is_known or narrowed or fact.reason in {"contradictory", "unread"}
    if told and not silent and _too_old(fact, days, as_of):
        gone = fact.forget("stale" if fact.date is not None else "undated")
        was_relapsed = isinstance(fact, Finding) and fact.value == "relapsed"
        return replace(gone, flags=(*fact.flags, RELAPSED)) if was_relapsed else gone
    return fact


def _baseline(facts: Facts, days: int) -> dict[str, Fact]:
    """ISS-family values count near the onset of myeloma; without an onset date the newest recent ones do."""
    found: dict[str, Fact] = {}
    onset = facts.mm.onset_date
    places = {"mm.b2m": "mm.b2m", "mm.baseline_albumin": "lab.albumin", "mm.baseline_ldh": "lab.ldh"}
    span = dt.timedelta(int(GUIDANCE.tables["baseline"]["days_around_onset"]))
    for path, source in places.items():
        own, other, earlier = facts.fact(path), facts.fact(source), facts.series.get(source, ())
        if not (own.is_known or other.is_known or earlier or own.reason == "contradictory"):
            continue
        blank = DICTIONARY[path]
        candidates = [r for r in earlier if r.is_known]
        candidates += [r for r in (own, other) if isinstance(r, Reading) and r.is_known]
        dated = [r for r in candidates if r.date is not None]
        if onset.is_known and onset.date is not None:
            near = [r for r in dated if abs(r.date - onset.date) <= span]  # type: ignore[operator] # dated
            best = min(near, key=lambda r: abs(r.date - onset.date), default=None)  # type: ignore[operator] # dated
        else:
            recent = [r for r in dated if facts.as_of - r.date <= dt.timedelta(days)]  # type: ignore[operator] # dated
            best = max(recent, key=lambda r: r.date, default=None)  # type: ignore[arg-type, return-value] # dated
            best = best and replace(best, flags=(*best.flags, "baseline-not-confirmed"))
        if best is not None:
            found[path] = replace(best, decimals=blank.decimals)
        elif own.is_known or own.reason == "contradictory" or candidates:
            oldest = candidates[0] if candidates else own
            found[path] = oldest.forget("stale" if oldest.date is not None else "undated")
    return found


SEEN = "lesions[].seen"
"""The window of a lesion as a whole: seen so long ago and never again, nobody knows whether it is there still."""


def _lesion_windows(limits: Mapping[str, int]) -> tuple[tuple[str, dt.timedelta], ...]:
    """Give each part of a lesion that has a window, with it; "" is the lesion as a whole."""
    return tuple(
        (name, dt.timedelta(days))
        for path, days in limits.items()
        if path.startswith("lesions[]")
        for name in (("",) if path == SEEN else _components(path))
    )


def _lesion_seen(lesion: Lesion, count_for: Iterable[tuple[str, dt.timedelta]], as_of: dt.date) -> Lesion:
    changes: dict[str, Any] = {}
    for name, longest in count_for:
        if not name:
            if lesion.date is not None and as_of - lesion.date > longest:
                changes["old"] = True
            continue
        fact: Fact = getattr(lesion, name)
        day = fact.date or lesion.date
        if fact.is_known and (day is None or as_of - day > longest):
            changes[name] = fact.forget("stale" if day is not None else "undated")
    return replace(lesion, **changes) if changes else lesion


def _components(path: str) -> tuple[str, ...]:
    if path == "lesions[].profile":
        return (
            "type",
            "cortical_fraction",
            "size",
            "soft_tissue_mass",
            "trend",
            "after_conservative",
            "sensitive_rt_chemo",
            "stable_months",
        )
    return (path.removeprefix("lesions[]."),)
