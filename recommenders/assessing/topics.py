"""What runs: the rule topics, as a plain list in the order in which they may refer to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders import (
    bone_protection,
    monitoring,
    myeloma_staging,
    myeloma_treatment,
    order_safety,
    radiotherapy,
    sarcoma,
    surgical_timing,
    workup,
)
from recommenders.patient.myeloma_class import plasma_cell_disorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from recommenders.patient.advice import Advice, Case, Value
    from recommenders.vocabulary.guidance import Guidance


def no_values(case: Case) -> Mapping[str, Value]:  # noqa: ARG001 - the shape that topics with values have
    """Give nothing: a topic that computes no value of its own."""
    return {}


def everybody(case: Case) -> bool:  # noqa: ARG001 - the shape that topics with a narrower concern have
    """Leave nobody out."""
    return True


def has_plasma_cells(case: Case) -> bool:
    """Leave out charts in which nothing speaks of a plasma-cell disorder."""
    return not case.once(plasma_cell_disorder).no


def has_sarcoma(case: Case) -> bool:
    """Leave out charts without osteosarcoma and soft-tissue sarcoma."""
    return not (case.facts.dx.osteosarcoma | case.facts.dx.sts).no


def has_bone_agents(case: Case) -> bool:
    """Leave out charts in which no bone-modifying agent was ever ordered or given."""
    return bool(case.facts.courses.items) or not case.facts.courses.delivered


@dataclass(frozen=True, slots=True)
class Topic:
    """
    One module of rules with its guidance.

    `values` gives what it computes whether or not a rule fires. `concerns` may say that a patient whose chart
    is opened is certainly none of its business: no rule of it could then be anything but "not met".
    """

    name: str
    rules: Callable[[Case], Iterable[Advice]]
    guidance: Guidance
    values: Callable[[Case], Mapping[str, Value]] = no_values
    concerns: Callable[[Case], bool] = everybody


TOPICS: tuple[Topic, ...] = (
    Topic("myeloma_staging", myeloma_staging.rules, myeloma_staging.GUIDANCE, myeloma_staging.values, has_plasma_cells),
    Topic("bone_protection", bone_protection.rules, bone_protection.GUIDANCE, bone_protection.values),
    Topic("monitoring", monitoring.rules, monitoring.GUIDANCE),
    Topic("order_safety", order_safety.rules, order_safety.GUIDANCE, order_safety.values, has_bone_agents),
    Topic("surgical_timing", surgical_timing.rules, surgical_timing.GUIDANCE, surgical_timing.values),
    Topic("radiotherapy", radiotherapy.rules, radiotherapy.GUIDANCE, radiotherapy.values),
    Topic("workup", workup.rules, workup.GUIDANCE),
    Topic(
        "myeloma_treatment",
        myeloma_treatment.rules,
        myeloma_treatment.GUIDANCE,
        myeloma_treatment.values,
        has_plasma_cells,
    ),
    Topic("sarcoma", sarcoma.rules, sarcoma.GUIDANCE, sarcoma.values, has_sarcoma),
)
"""Later topics may ask what earlier ones said (`case.fired`); never the other way round."""
