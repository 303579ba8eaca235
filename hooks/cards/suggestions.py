"""Turns what is proposed on a card into buttons: the safe ones as FHIR actions, each doing what its label says."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.proposals import counted_in, proposed_name, resource_for
from fhir_mapping.writing.parts import ProposalError
from hooks.cards.budgets import MOST_BUTTONS
from hooks.cards.wording import number
from recommenders.assessing.safety import unsafe_because
from recommenders.patient.advice import ChangedOrder, ProposedMedication
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.guidance import ORDER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hooks.cards.identity import CallIdentity
    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment
    from recommenders.assessing.speaking import Utterance
    from recommenders.patient.advice import Item, Proposal

_BY_NAME = {spec.name: path for path, spec in reversed(DICTIONARY.items())}


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The buttons of one card; `left_out` says for the dossier what is not offered and why."""

    items: tuple[Mapping[str, Any], ...] = ()
    exclusive: bool = False
    left_out: tuple[str, ...] = ()

    def as_json(self) -> list[Mapping[str, Any]]:
        """Give them as CDS Hooks has them."""
        return list(self.items)

    @property
    def selection_behavior(self) -> Literal["at-most-one", "any"] | None:
        """`at-most-one` when there are only alternatives; nothing when there is no button."""
        if not self.items:
            return None
        return "at-most-one" if self.exclusive else "any"


@dataclass(slots=True)
class _Offer:
    label: str
    proposal: Proposal
    actions: list[dict[str, Any]]


class SuggestionBuilder:
    """Builds the buttons of the cards of one call."""

    def __init__(
        self,
        assessment: Assessment,
        speaker: Speaker,
        call: CallIdentity,
        drafts: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.assessment = assessment
        self.speaker = speaker
        self.call = call
        self.drafts = drafts

    def suggestions(self, said: Sequence[Utterance], card_id: uuid.UUID) -> Suggestions:
        """
        Give the buttons of one card, those of its lead first.

        A proposal that the order rules would stop, or that cannot be built as a valid resource, is left out.
        """
        offers: list[_Offer] = []
        left_out: list[str] = []
        for utterance, proposal in _proposals(said):
            label = self.label(utterance, proposal)
            whys = [why for item in proposal.items for why in self._objections(item)]
            actions: list[dict[str, Any]] = []
            if not whys:
                try:
                    actions = self._actions(proposal, label)
                except ProposalError:
                    whys = [self.speaker.frame("unsafe_unbuilt")]
            if whys:
                why = self.speaker.listed(list(dict.fromkeys(whys)))
                left_out.append(self.speaker.frame("not_offered", label=label, why=why))
            elif all(label != offer.label for offer in offers):
                offers.append(_Offer(label, proposal, actions))
        shown = offers[:MOST_BUTTONS]
        alternatives = [offer for offer in shown if offer.proposal.alternative or offer.proposal.replaces]
        exclusive = len(shown) > 1 and len(alternatives) == len(shown)
        items = tuple(_suggestion(offer, place, card_id) for place, offer in enumerate(shown))
        return Suggestions(items, exclusive, tuple(left_out))

    def label(self, said: Utterance, proposal: Proposal) -> str:
        """Say what a button does."""
        wording = next((button for button in said.info.buttons if button.key == proposal.button), None)
        if wording is None:
            raise LookupError(f"{said.rule} proposes {proposal.button!r}, which is none of its buttons")
        return self.speaker.say(wording, said.guidance, said.advice, **proposal.fill)

    def _objections(self, item: Item) -> list[str]:
        found = unsafe_because(item, self.assessment)
        rules = [why for why in found if why[0].isupper()]
        words = [self.speaker.frame(f"unsafe_{why}") for why in found if not why[0].isupper()]
        return [*([self.speaker.frame("unsafe_rule", rules=", ".join(rules))] if rules else []), *words]

    def offered_agents(self, said: Utterance) -> str:
        """Name the bone agents that a rule proposes and the safety check lets pass: "denosumab … or zoledronic …"."""
        agents = [
            self.described(item)
            for proposal in said.advice.proposals
            for item in proposal.items
            if isinstance(item, ProposedMedication) and item.drug in _AGENTS and not self._objections(item)
        ]
        return self.speaker.frame("or").join(dict.fromkeys(agents))

    def described(self, item: Item) -> str:
        """Say what one action creates: the drug with dose, route and interval, or the service."""
        speaker = self.speaker
        if isinstance(item, ChangedOrder):
            return speaker.frame("changed_order")
        parts = [proposed_name(item, speaker.language)]
        if isinstance(item, ProposedMedication):
            if item.dose is not None:
                parts.append(speaker.frame("iu" if item.drug == "vitamin-d-oral" else "mg", value=number(item.dose)))
            if item.route is not None:
                parts.append(speaker.frame(f"route_{item.route}"))
            if item.interval_days:
                parts.append(self._interval(item.interval_days))
        return ("" if speaker.language == "zh-CN" else " ").join(parts)

    def _interval(self, days: int) -> str:
        weeks, rest = divmod(days, 7)
        if weeks and not rest:
            return self.speaker.frame("every_weeks", weeks=str(weeks))
        return self.speaker.frame("every_days", days=str(days))

    def _actions(self, proposal: Proposal, label: str) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = []
        if proposal.replaces is not None:
            actions.append(
                {
                    "type": "delete",
                    "description": self.speaker.frame("delete_draft"),
                    "resourceId": proposal.replaces,
                }
            )
        alone = len(proposal.items) == 1
        requester = self.call.practitioner
        # an order names who gives it (US Core, us-core-21); of anybody else it can only be a proposal
        ordered = self.call.hook in ORDER_HOOKS and requester is not None
        reasons = _reasons(proposal, self.assessment)
        for item in proposal.items:
            resource = resource_for(
                item,
                patient_id=self.call.patient_id,
                reasons=reasons,
                drafts=self.drafts,
                intent="order" if ordered else "proposal",
                language=self.speaker.language,
                authored=self.assessment.as_of,
                requester=requester,
                counted_in=counted_in(item, self.assessment.facts.lab),
            )
            kind = "update" if isinstance(item, ChangedOrder) else "create"
            description = label if alone else self.described(item)
            actions.append({"type": kind, "description": description, "resource": resource})
        return actions


_AGENTS = frozenset({"denosumab", "zoledronic", "ibandronate", "incadronate"})


def _proposals(said: Iterable[Utterance]) -> Iterator[tuple[Utterance, Proposal]]:
    """Yield each proposal once, also when another rule of the card asks for the same thing, or for more."""
    seen: list[frozenset[Item]] = []
    for utterance in said:
        places = {button.key: place for place, button in enumerate(utterance.info.buttons)}
        own = sorted(utterance.advice.proposals, key=lambda proposal: places.get(proposal.button, len(places)))
        for proposal in own:
            items = frozenset(proposal.items)
            if not any(items <= offered for offered in seen):
                seen.append(items)
                yield utterance, proposal


def _reasons(proposal: Proposal, assessment: Assessment) -> list[str]:
    """The patient's own Conditions and Observations that a new order gives as its reason."""
    names: list[str] = []
    for fact in proposal.reasons:
        path = fact if fact in DICTIONARY else _BY_NAME.get(fact)
        if path is not None:
            names += assessment.facts.fact(path).resources
        elif fact.startswith("lesions"):
            names += [name for lesion in assessment.facts.lesions for name in lesion.resources]
    return [name for name in dict.fromkeys(names) if name.startswith(("Condition/", "Observation/"))]


def _suggestion(offer: _Offer, place: int, card_id: uuid.UUID) -> dict[str, Any]:
    made: dict[str, Any] = {
        "label": offer.label,
        "uuid": str(uuid.uuid5(card_id, f"suggestion|{place}")),  # not the label: ids do not change with language
    }
    if offer.proposal.recommended:
        made["isRecommended"] = True
    made["actions"] = offer.actions
    return made
