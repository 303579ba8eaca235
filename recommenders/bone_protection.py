"""Bone protection: who should have a bone-modifying agent, which, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.advice import Advice
from recommenders.courses import bma
from recommenders.guidance import guidance
from recommenders.logic import any_of, decided, documented

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.advice import Case, Value

GUIDANCE = guidance("bone_protection")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    dx, drugs = facts.dx, case.once(bma)

    lung_bone_metastasis = dx.lung_cancer & dx.bone_met
    long_enough_to_benefit = facts.status.life_expectancy >= limits.life_expectancy
    already_protected = drugs.current.any()
    unsafe_to_start = any_of(
        (
            documented(facts.onj.status.one_of("suspected", "confirmed")),
            documented(facts.lab.ca_corr < limits.hypocalcaemia),
            documented(facts.patient.age < limits.adult_age),
        )
    )

    yield Advice(
        rule="BP-001",
        because=lung_bone_metastasis & long_enough_to_benefit & ~unsafe_to_start,
        unless=already_protected,
    )
    yield Advice(
        rule="BP-002",
        because=lung_bone_metastasis & ~decided(long_enough_to_benefit) & ~unsafe_to_start,
        unless=already_protected,
    )


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
    months = case.once(bma).months.rounded
    return {} if months is None else {"bma_months": int(months)}
