"""Quiet after an answer: a card that was answered for this patient is not shown again for a while."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hooks.store.database import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hooks.settings import Settings
    from hooks.store.issued import Answered
    from hooks.store.store import Store

    Asking = Callable[[str, Sequence[str]], Mapping[str, Answered]]

EXTENSION = "oncobone.quiet"
TRACE = "org.oncobone.trace"
Card = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Quiet:
    """
    How long a card stays quiet.

    `days` counts from any answer to a card that is no alert; `reasons` from an override with that code, of an alert
    as well. What says that something failed or was not delivered is never quiet.
    """

    store: Store
    days: float
    reasons: Mapping[str, float]

    @classmethod
    def of(cls, settings: Settings, store: Store) -> Quiet:
        """Make it from the settings."""
        return cls(store, settings.quiet_days, settings.quiet_reasons)

    def keys(self, tenant: str, patient_id: str, cards: Sequence[Card]) -> dict[str, str]:
        """Give each card's quiet key: a keyed hash of the patient and of what makes the card the same one again."""
        return {
            card["uuid"]: self.store.chain.pseudonym(
                tenant, "quiet", f"{patient_id}\n{card['extension'][TRACE]['repeat_key']}"
            )
            for card in cards
        }

    def heard(
        self, tenant: str, keys: Mapping[str, str], cards: Sequence[Card], ask: Asking | None = None
    ) -> list[Card]:
        """
        Give the cards that are not quiet; while the store does not answer none is.

        `ask` (None: the store) is given tenant and keys, and gives the newest answers that there were, by key.
        """
        asked = [keys[card["uuid"]] for card in cards if self._may_be_quiet(card)]
        if not asked:
            return list(cards)
        try:
            answers = (ask or self.store.answers)(tenant, asked)
        except StoreUnavailable:
            return list(cards)
        now = dt.datetime.now(dt.UTC)
        return [card for card in cards if not self._is_quiet(card, answers.get(keys[card["uuid"]]), now)]

    def _may_be_quiet(self, card: Card) -> bool:
        # A card that no rule leads says that something failed or did not come: an empty answer would hide it.
        led = "voice" in card["extension"][TRACE]
        return led and bool(self.reasons or (self.days and card["indicator"] != "critical"))

    def _is_quiet(self, card: Card, answered: Answered | None, now: dt.datetime) -> bool:
        if answered is None:
            return False
        usual = 0.0 if card["indicator"] == "critical" else self.days
        own = self.reasons.get(answered.reason or "", usual) if answered.outcome == "overridden" else usual
        # An answer of a day to come was received by a clock of ours that was wrong: it must not count until then.
        return own > 0 and abs(now - answered.at) < dt.timedelta(days=own)
