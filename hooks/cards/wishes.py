"""What a client wishes to be shown, in the configuration extension of Da Vinci CRD: how many cards, which kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from recommenders.vocabulary.guidance import ORDER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.cards.arranging import Draft
    from recommenders.vocabulary.guidance import Hook

CONFIGURATION = "davinci-crd.configuration"
OPTIONS = "davinci-crd.configuration-options"
MOST = 20

Kind = Literal["contraindication", "duplicate-therapy", "guideline", "clinical-reminder"]
"""The card types of CRD's own code system that our cards are of."""

_NAMES: Mapping[Kind, tuple[str, str]] = {
    "contraindication": ("Contraindications", "Cards on orders that may do serious harm. They cannot be switched off."),
    "duplicate-therapy": ("Duplicate therapy", "Cards on the same or a second bone-modifying agent."),
    "guideline": ("Guidelines", "Cards on doses and schedules of orders, and on computed stages and scores."),
    "clinical-reminder": ("Clinical reminders", "Cards at the chart on what is due."),
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """At most so many cards (None: no wish), and the kinds that are not wanted."""

    most_cards: int | None = None
    unwanted: frozenset[str] = frozenset()

    def admits(self, card: Draft, hook: Hook) -> bool:
        """Tell whether a card is wanted; an alert always is."""
        return card.lead.voice == "alert" or kind_of(card, hook) not in self.unwanted


NONE = Wishes()


def kind_of(card: Draft, hook: Hook) -> Kind:
    """Give the CRD card type of a card."""
    if card.lead.info.override == "OV-DUP":
        return "duplicate-therapy"
    if card.lead.voice == "alert" and hook in ORDER_HOOKS:
        return "contraindication"
    if hook in ORDER_HOOKS or card.lead.voice == "result":
        return "guideline"
    return "clinical-reminder"


def wishes_in(extension: object) -> Wishes:
    """Read a request's extension; what is not known, or not of its type, is ignored."""
    found = extension.get(CONFIGURATION) if isinstance(extension, dict) else None
    if not isinstance(found, dict):
        return NONE
    most = found.get("max-cards")
    counted = most if isinstance(most, int) and not isinstance(most, bool) and 0 < most <= MOST else None
    return Wishes(counted, frozenset(kind for kind in get_args(Kind) if found.get(kind) is False))


def options(hook: Hook) -> list[dict[str, Any]]:
    """Describe for discovery what a client may wish."""
    listed: list[dict[str, Any]] = [
        {
            "code": "max-cards",
            "type": "integer",
            "name": "Most cards",
            "description": "How many cards a call may carry. Alerts are never left out for it.",
            "default": 3,
        }
    ]
    for kind, (name, description) in _NAMES.items():
        if hook in ORDER_HOOKS or kind in {"guideline", "clinical-reminder"}:
            listed.append({"code": kind, "type": "boolean", "name": name, "description": description, "default": True})
    return listed
