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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from recommenders.advice import Advice, Case, Value
    from recommenders.guidance import Guidance


def no_values(case: Case) -> Mapping[str, Value]:  # noqa: ARG001 - the shape that topics with values have
    """Give nothing: a topic that computes no value of its own."""
    return {}


@dataclass(frozen=True, slots=True)
class Topic:
    """One module of rules with its guidance; `values` gives what it computes whether or not a rule fires."""

    name: str
    rules: Callable[[Case], Iterable[Advice]]
    guidance: Guidance
    values: Callable[[Case], Mapping[str, Value]] = no_values


TOPICS: tuple[Topic, ...] = (
    Topic("myeloma_staging", myeloma_staging.rules, myeloma_staging.GUIDANCE, myeloma_staging.values),
    Topic("bone_protection", bone_protection.rules, bone_protection.GUIDANCE, bone_protection.values),
    Topic("monitoring", monitoring.rules, monitoring.GUIDANCE),
    Topic("order_safety", order_safety.rules, order_safety.GUIDANCE, order_safety.values),
    Topic("surgical_timing", surgical_timing.rules, surgical_timing.GUIDANCE, surgical_timing.values),
    Topic("radiotherapy", radiotherapy.rules, radiotherapy.GUIDANCE, radiotherapy.values),
    Topic("workup", workup.rules, workup.GUIDANCE),
    Topic("myeloma_treatment", myeloma_treatment.rules, myeloma_treatment.GUIDANCE, myeloma_treatment.values),
    Topic("sarcoma", sarcoma.rules, sarcoma.GUIDANCE, sarcoma.values),
)
"""Later topics may ask what earlier ones said (`case.fired`); never the other way round."""
