"""What makes a card the same card again: whose it is, its rules, what they are about, and its steady values."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.cards.arranging import Draft
    from recommenders.patient.advice import Value

NAMESPACE = uuid.UUID("0c6ad5c4-6d2c-5a0e-9a55-6f7f1f3a2b10")
"""Fixed for good: card ids are made from it, and an EHR may know them."""

MOVING_VALUES = frozenset({"age_years", "days_since_last_bma"})
"""Values that change by themselves from day to day: they do not make a card a new one."""


def content(draft: Draft, values: Mapping[str, Value]) -> str:
    """Give what a card says, as one line; no words are needed for it."""
    steady = sorted((key, str(value)) for key, value in values.items() if key not in MOVING_VALUES)
    about = sorted({said.advice.about for said in draft.utterances if said.advice.about})
    return "|".join([draft.recommender, *sorted(draft.rules), *about, *(f"{key}={value}" for key, value in steady)])


def repeat_key(draft: Draft, values: Mapping[str, Value]) -> str:
    """Give the key by which a card that says the same again is known; the same on every day and in every language."""
    return str(uuid.uuid5(NAMESPACE, content(draft, values)))
