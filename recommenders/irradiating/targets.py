"""The lesions that may be irradiated, each with its row of the consensus table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.lesions import (
    began,
    days_ago,
    event_criterion,
    none_if_whole,
    site_word,
    span,
    weight_bearing,
)
from recommenders.vocabulary.bones import same_bone
from recommenders.vocabulary.facts import Finding
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Condition, Criterion, Truth, any_of, documented, leaf

if TYPE_CHECKING:
    from recommenders.patient.advice import Case
    from recommenders.vocabulary.guidance import Limit
    from recommenders.vocabulary.records import Event, Lesion

GUIDANCE = guidance("radiotherapy")


@dataclass(frozen=True, slots=True)
class Target:
    """
    One lesion as a target of radiotherapy.

    `painful` is the indication; `irradiated` says that this lesion had radiotherapy lately; `poor` is row 1 of
    the table (status or prognosis), `loaded` whether the bone bears weight (row 3, else row 2).
    """

    lesion: Lesion
    painful: Criterion
    irradiated: Criterion
    poor: Criterion
    loaded: Criterion

    @property
    def indicated(self) -> bool:
        """Whether radiotherapy for pain is certainly indicated now."""
        return (self.painful & ~self.irradiated).yes

    @property
    def row(self) -> str | None:
        """The table row, by its name; None without an indication or where the bone is not told."""
        if not self.indicated:
            return None
        if self.poor.yes:
            return "single-palliative"
        return "fractionated" if self.loaded.yes else "single-nonweight" if self.loaded.no else None

    @property
    def single_fits(self) -> bool:
        """Whether a single fraction does not contradict the table."""
        return self.row in {"single-palliative", "single-nonweight"}

    @property
    def fractions_fit(self) -> bool:
        """Whether several fractions do not contradict the table; both do where rows 1 and 3 match."""
        return self.row == "fractionated" or (self.row == "single-palliative" and not self.loaded.no)


def targets(case: Case) -> tuple[Target, ...]:
    """Give each lesion as a target, the most painful first and weight-bearing bone before other bone."""
    return case.once(_targets)


def _targets(case: Case) -> tuple[Target, ...]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    poor_status = facts.status.ecog > limits.poor_status
    short_life = facts.status.life_expectancy < limits.short_life_expectancy
    found = [
        Target(
            lesion=lesion,
            painful=as_metastasis(case, lesion) & _hurts(case, lesion),
            irradiated=was_irradiated(case, lesion, limits.recently_irradiated),
            poor=poor_status | short_life,
            loaded=weight_bearing(lesion),
        )
        for lesion in facts.lesions
    ]
    worst = ("severe", "moderate", "mild", "none")

    def rank(target: Target) -> tuple[int, int, str, str]:
        pain = target.lesion.pain.value
        hurts = worst.index(str(pain)) if pain in worst else len(worst)
        return hurts, 0 if target.loaded.yes else 1, site_word(target.lesion.site) or "", target.lesion.id

    return tuple(sorted(found, key=rank))


def as_metastasis(case: Case, lesion: Lesion) -> Criterion:
    """Bone metastasis is on record; where it is not, a lesion of myeloma raises no question about it."""
    bone_metastasis = case.facts.dx.bone_met
    return documented(bone_metastasis) if lesion.nature.value == "myeloma" else bone_metastasis.criterion()


def _hurts(case: Case, lesion: Lesion) -> Criterion:
    """Pain that needs relief, in a lesion that is not known to be benign."""
    needs_relief = lesion.pain.one_of("moderate", "severe") | (lesion.pain.is_("mild") & case.facts.clin.motion_limited)
    return needs_relief & ~documented(lesion.nature.is_("benign"))


def was_irradiated(case: Case, lesion: Lesion, window: Limit | None = None) -> Criterion:
    """Whether this lesion was irradiated (lately); unknown where radiotherapy of bone does not tell its place."""
    facts = case.facts
    courses = [
        event
        for event in facts.sre
        if event.type == "bone-radiotherapy" and (window is None or days_ago(facts, event.date) in span(window))
    ]
    found = any_of(_of_this_place(event, same_bone(event.bone, lesion.bone)) for event in courses)
    return none_if_whole(facts, found, "sre[].type", "procedures")


def _of_this_place(event: Event, here: Truth) -> Criterion:
    if here is True:
        return event_criterion(event)
    shown = Finding(name="sre[].site", value=event.site, date=began(event), resources=event.resources)
    return leaf(Condition(shown.name, "is", "same-place", shown, here))
