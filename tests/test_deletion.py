"""No rule fires because a fact is missing: each known fact of each case is taken away, and nothing new may fire."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hooks.tools.samples import request_for, samples
from recommenders.assessing.assessment import assess
from recommenders.vocabulary.dictionary import LESION_COMPONENTS
from recommenders.vocabulary.records import Lesions
from tests.vignettes import FOLDER, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.assessing.assessment import Assessment
    from recommenders.vocabulary.dictionary import Facts

HELD = {"fired", "superseded"}
"""A rule that a louder one silenced held all the same."""


def without_one(facts: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield the facts without one of them, for each that is known; a derived one follows from the others."""
    for spec, fact in facts.known_facts():
        if fact.is_known and fact.resources and not spec.derived:
            yield spec.name, facts.with_facts({spec.path: fact.forget("missing")})
    for lesion in facts.lesions:
        for name, spec in LESION_COMPONENTS.items():
            part = getattr(lesion, name)
            if part.is_known:
                changed = replace(lesion, **{name: part.forget("missing")})
                rest = (changed if one is lesion else one for one in facts.lesions)
                yield spec.name, replace(facts, lesions=Lesions(tuple(rest)))


def newly_fired(facts: Facts, hook: Any) -> Iterator[tuple[str, str]]:
    """Yield (rule, fact) where the rule fires only once the fact is taken away."""
    before = assess(facts, hook)
    held = {rule for rule, verdict in before.verdicts.items() if verdict.state in HELD}
    for name, less in without_one(facts):
        for rule in assess(less, hook, with_values=False).of("fired"):
            if rule not in held:
                yield rule, name
