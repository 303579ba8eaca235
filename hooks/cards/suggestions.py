"""Turns a card's proposals into suggestions: safe ones as FHIR actions, the others named with the reason."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.proposals import ProposalError, resource_for
from hooks.cards.wording import word
from recommenders.assessing.safety import unsafe_because
from recommenders.patient.advice import ChangedOrder, ProposedMedication
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.guidance import ORDER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hooks.cards.identity import CallIdentity
    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.patient.advice import Advice, Item, Proposal

_BY_NAME = {spec.name: path for path, spec in reversed(DICTIONARY.items())}


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The suggestions of one card, and lines for what is not offered."""

    items: tuple[Mapping[str, Any], ...] = ()
    exclusive: bool = False
    left_out: tuple[str, ...] = ()

    def as_json(self) -> list[Mapping[str, Any]]:
        """Give them as CDS Hooks has them."""
        return list(self.items)

    @property
    def selection_behavior(self) -> Literal["at-most-one", "any"] | None:
        """`at-most-one` when two of them exclude each other; nothing when there are none."""
        if not self.items:
            return None
        return "at-most-one" if self.exclusive else "any"


@dataclass(slots=True)
class _Offer:
    label: str
    alternative: str | None
    recommended: bool
    actions: dict[Item, dict[str, Any]] = field(default_factory=dict)


def suggestions_for(
    fired: Sequence[Verdict],
    *,
    assessment: Assessment,
    speaker: Speaker,
    card_id: uuid.UUID,
    call: CallIdentity,
    drafts: Mapping[str, Mapping[str, Any]],
) -> Suggestions:
    """
    Build the suggestions of one card.

    A proposal that the order rules would stop, or that cannot be built as a valid resource, is left out and
    the detail says why. What belongs to every alternative is an action inside each and a suggestion of its own.
    """
    offers: list[_Offer] = []
    left_out: list[str] = []
    for verdict, advice, proposal in _proposals(fired):
        label = _label(verdict, advice, proposal, speaker)
        whys = [why for item in proposal.items for why in _objections(item, assessment, speaker)]
        offer = _Offer(label, proposal.alternative, proposal.recommended)
        if not whys:
            try:
                offer.actions = {
                    item: _action(
                        item, label, proposal, assessment=assessment, speaker=speaker, call=call, drafts=drafts
                    )
                    for item in proposal.items
                }
            except ProposalError:
                whys = [speaker.frame("unsafe_unbuilt")]
        if whys:
            left_out.append(speaker.frame("not_offered", label=label, why=speaker.listed(list(dict.fromkeys(whys)))))
        else:
            offers.append(offer)
    alternatives = [offer for offer in offers if offer.alternative]
    companions = [offer for offer in offers if not offer.alternative]
    exclusive = len(alternatives) > 1
    if exclusive:
        for offer in alternatives:
            for other in companions:
                offer.actions = offer.actions | {
                    item: action for item, action in other.actions.items() if item not in offer.actions
                }
    _tell_apart(offers, speaker)
    items = tuple(_suggestion(offer, place, card_id) for place, offer in enumerate(offers))
    return Suggestions(items, exclusive, tuple(left_out))


def _proposals(fired: Sequence[Verdict]) -> Iterator[tuple[Verdict, Advice, Proposal]]:
    """Yield each proposal once, also when two rules of the card ask for the same thing."""
    seen: set[tuple[Item, ...]] = set()
    for verdict in fired:
        for advice in verdict.advices:
            for proposal in advice.proposals:
                if proposal.items not in seen:
                    seen.add(proposal.items)
                    yield verdict, advice, proposal


def _label(verdict: Verdict, advice: Advice, proposal: Proposal, speaker: Speaker) -> str:
    wording = verdict.info.actions[proposal.action]
    return speaker.say(wording, verdict.topic.guidance, advice, **proposal.fill)


def _objections(item: Item, assessment: Assessment, speaker: Speaker) -> list[str]:
    found = unsafe_because(item, assessment)
    rules = [why for why in found if why[0].isupper()]
    words = [speaker.frame(f"unsafe_{why}") for why in found if not why[0].isupper()]
    return [*([speaker.frame("unsafe_rule", rules=", ".join(rules))] if rules else []), *words]


def _action(
    item: Item,
    label: str,
    proposal: Proposal,
    *,
    assessment: Assessment,
    speaker: Speaker,
    call: CallIdentity,
    drafts: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    resource = resource_for(
        item,
        patient_id=call.patient_id,
        reasons=_reasons(proposal, assessment),
        drafts=drafts,
        intent="order" if call.hook in ORDER_HOOKS else "proposal",
        language=speaker.language,
        authored=assessment.as_of,
    )
    kind = "update" if isinstance(item, ChangedOrder) else "create"
    return {"type": kind, "description": label, "resource": resource}


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


def _tell_apart(offers: Sequence[_Offer], speaker: Speaker) -> None:
    """Add the drug where several suggestions would bear the same label."""
    labels = [offer.label for offer in offers]
    for offer in offers:
        drug = next((item.drug for item in offer.actions if isinstance(item, ProposedMedication)), None)
        if drug is not None and labels.count(offer.label) > 1:
            offer.label = f"{offer.label} ({word(drug, speaker.language)})"


def _suggestion(offer: _Offer, place: int, card_id: uuid.UUID) -> dict[str, Any]:
    made: dict[str, Any] = {
        "label": offer.label,
        "uuid": str(uuid.uuid5(card_id, f"suggestion|{place}")),  # not the label: ids do not change with language
    }
    if offer.recommended:
        made["isRecommended"] = True
    made["actions"] = list(offer.actions.values())
    return made
