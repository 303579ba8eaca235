"""Which face a rule shows here: the circumstances that hold, its variant, its voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.vocabulary.guidance import CHART_HOOKS

if TYPE_CHECKING:
    from recommenders.patient.advice import Advice
    from recommenders.vocabulary.guidance import Hook, RuleInfo, Variant, Voice

AT_CHART, AT_ORDER = "at-chart", "at-order"
"""Circumstances of every rule: where it is asked."""


def holds(circumstance: str, advice: Advice, hook: Hook) -> bool:
    """Tell whether a circumstance certainly holds; an unknown one changes no word."""
    if circumstance == AT_CHART:
        return hook in CHART_HOOKS
    if circumstance == AT_ORDER:
        return hook not in CHART_HOOKS
    found = advice.holds.get(circumstance)
    return found is not None and found.holds is True


def variant_of(info: RuleInfo, advice: Advice, hook: Hook) -> Variant | None:
    """Give the first variant of a rule whose circumstance holds."""
    for variant in info.variants:
        if holds(variant.when, advice, hook):
            return variant
    return None


def voice_of(info: RuleInfo, advice: Advice, hook: Hook) -> Voice:
    """Give how loud a rule's advice is, before a site's own choice and before it is asked whether it is new."""
    variant = variant_of(info, advice, hook)
    return (variant and variant.voice) or info.voice
