"""How stages and scores are said: a word or a number, a range while an input is missing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recommenders.patient.advice import Label, Phrase
from recommenders.patient.myeloma_models import possible_groups
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recommenders.patient.advice import Fill
    from recommenders.patient.myeloma_models import Stage, Tally
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Finding, Reading

GUIDANCE = guidance("myeloma_staging")


def abnormal_genes(facts: Facts) -> tuple[Label, ...]:
    cyto = facts.cyto
    found: tuple[Finding, ...] = (cyto.del17p, cyto.t4_14, cyto.t14_16, cyto.gain1q)
    return tuple(Label(finding.name) for finding in found if finding.criterion().yes)


def exact(reading: Reading) -> Fill:
    return reading.rounded if reading.is_known and reading.rounded is not None else Phrase("not-known")


def stage_in_words(stage: Stage) -> Fill:
    """Give the stage; the stages that are still open as a range; "not known" when all are."""
    if stage.word is not None:
        return stage.word
    lowest, highest = stage.possible[0], stage.possible[-1]
    return (
        Phrase("not-known")
        if (lowest, highest) == ("I", "III")
        else Phrase("between", {"low": lowest, "high": highest})
    )


def points_and_group(score: Tally, table: Sequence[Mapping[str, Any]]) -> Fill:
    possible = possible_groups(score, table)
    points = {"low": score.lowest, "high": score.highest}
    first, last = group_word(possible[0]), group_word(possible[-1])
    if score.value is not None:
        return Phrase("points-of-group", {"points": score.value, "group": first})
    if len(possible) == 1:
        return Phrase("points-of-group", {"points": Phrase("between", points), "group": first})
    return Phrase("points-of-groups", {**points, "first": first, "last": last})


def group_word(row: Mapping[str, Any] | None, kind: str = "group") -> Fill:
    return Phrase("not-known") if row is None else Phrase(f"{kind}-{row['word']}")


def groups_in_words(score: Tally, table: Sequence[Mapping[str, Any]], kind: str) -> Fill:
    """Name the group; the lowest and the highest that are still possible while it is not told."""
    possible = possible_groups(score, table)
    first, last = group_word(possible[0], kind), group_word(possible[-1], kind)
    return first if len(possible) == 1 else Phrase("to", {"low": first, "high": last})


def is_narrowed(score: Tally, table: Sequence[Mapping[str, Any]]) -> Criterion:
    """Tell whether a score that is not told leaves fewer than all groups open, so that its range says something."""
    return given(len(possible_groups(score, table)) < len(table))


def count_of(score: Tally) -> Fill:
    """Give the count of factors as "2/3"; "≥ 2 of 3" or a range while an item is unknown."""
    every = len(score.items)
    if score.value is not None:
        return Phrase("count-of", {"n": score.value, "of": every})
    if score.highest == every:
        return Phrase("at-least-of", {"n": score.lowest, "of": every})
    return Phrase("count-of", {"n": Phrase("between", {"low": score.lowest, "high": score.highest}), "of": every})


def number(score: Tally) -> Fill:
    """Give the points; a range while an item is unknown."""
    return score.value if score.value is not None else Phrase("between", {"low": score.lowest, "high": score.highest})


def percent(score: Tally, table: Sequence[Mapping[str, Any]]) -> Fill:
    """Give the published progression of the group within two years; a range while the group is not told."""
    possible = possible_groups(score, table)
    low, high = Decimal(possible[0]["two_year_pct"]), Decimal(possible[-1]["two_year_pct"])
    return low if low == high else Phrase("between", {"low": low, "high": high})
