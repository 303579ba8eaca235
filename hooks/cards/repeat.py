"""What makes a card the same card again: whose it is, its rules, what they are about, and its steady values."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from hooks.cards.wording import fixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hooks.cards.arranging import Draft
    from recommenders.patient.advice import Value
    from recommenders.vocabulary.records import Order

NAMESPACE = uuid.UUID("0c6ad5c4-6d2c-5a0e-9a55-6f7f1f3a2b10")
"""Fixed for good: card ids are made from it, and an EHR may know them."""

MOVING_VALUES = frozenset({"age_years", "days_since_last_bma"})
"""Values that change by themselves from day to day: they do not make a card a new one."""


def content(draft: Draft, values: Mapping[str, Value], orders: Iterable[Order]) -> str:
    """Give what a card says, as one line, given all orders of the call; no words are needed for it."""
    steady = sorted((key, str(value)) for key, value in values.items() if key not in MOVING_VALUES)
    about = sorted({said.advice.about for said in draft.utterances if said.advice.about})
    parts = [draft.recommender, *sorted(draft.rules), *about, *_ordered(draft, orders)]
    return "|".join([*parts, *(f"{key}={value}" for key, value in steady)])


def _ordered(draft: Draft, orders: Iterable[Order]) -> list[str]:
    """Give drug and dose of the orders that a card is about: another dose makes it another card."""
    named = {said.advice.order for said in draft.utterances}
    named.update(reference for said in draft.utterances for reference in said.advice.beside)
    return sorted(f"{order.drug}:{fixed(order.dose_mg)}" for order in orders if order.reference in named)


def repeat_key(said: str) -> str:
    """Give the key by which a card that says the same again is known; the same on every day and in every language."""
    return str(uuid.uuid5(NAMESPACE, said))
