"""Which cards there are: one for each draft order or problem, each with the finding that leads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hooks.cards.budgets import MOST_CARDS
from hooks.cards.wishes import NONE as NO_WISHES
from recommenders.assessing.settling import settle
from recommenders.assessing.speaking import utterances
from recommenders.vocabulary.guidance import ORDER_HOOKS, PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hooks.cards.wishes import Wishes
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.assessing.speaking import Utterance
    from recommenders.vocabulary.guidance import Indicator, Problem, Recommender, Voice

GUESTS: frozenset[Problem] = frozenset({"calcium", "kidney", "jaw", "bone-agent"})
"""Problems between which a line that never leads a card may find one to stand on."""

Key = tuple[str, ...]


@dataclass(slots=True)
class Draft:
    """One card before it has words: the finding that leads it, and the lesser ones on it."""

    lead: Utterance
    others: list[Utterance] = field(default_factory=list)

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All that is said on it, the lead first."""
        return (self.lead, *self.others)

    @property
    def fired(self) -> tuple[Verdict, ...]:
        """Its rules, each once, the lead first."""
        return tuple({said.rule: said.verdict for said in self.utterances}.values())

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of its rules, the lead first."""
        return tuple(verdict.rule for verdict in self.fired)

    @property
    def indicator(self) -> Indicator:
        """That of its lead, which is the loudest."""
        return self.lead.indicator

    @property
    def recommender(self) -> Recommender:
        """Whose card it is."""
        return self.lead.verdict.recommender


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The cards of one call in their order; `unsaid` are findings that stand in the dossier only."""

    cards: tuple[Draft, ...] = ()
    unsaid: tuple[Utterance, ...] = ()


def arrange(
    assessment: Assessment,
    voices: Mapping[str, Voice] | None = None,
    most: int = MOST_CARDS,
    wishes: Wishes = NO_WISHES,
) -> Arrangement:
    """
    Decide which cards there are.

    At an order: one card a draft order, and one for what concerns several orders. At the chart: one card a problem,
    at most `most`, alerts first and never dropped. Nothing to do means no card. `wishes` are the client's own.
    """
    settled = settle(utterances(assessment, voices))
    speaking = [said for said in settled.said if said.voice != "reference"]
    at_order = assessment.hook in ORDER_HOOKS
    groups: dict[Key, list[Utterance]] = {}
    for said in speaking:
        key = _order_key(said, assessment) if at_order else _problem_key(said)
        groups.setdefault(key, []).append(said)
    cards: list[Draft] = []
    guests: list[Utterance] = []
    for group in groups.values():
        card, left = _card(group)
        cards += [card] if card else []
        guests += left
    homeless = [guest for guest in guests if not _take_in(guest, cards, at_order=at_order)]
    cards.sort(key=_rank)
    wanted = [card for card in cards if wishes.admits(card, assessment.hook)]
    limit = wishes.most_cards or (len(cards) if at_order else most)
    kept = _kept(wanted, limit)
    dropped = [said for card in cards if card not in kept for said in card.utterances]
    return Arrangement(tuple(kept), (*settled.unsaid, *homeless, *dropped))


def _order_key(said: Utterance, assessment: Assessment) -> Key:
    if said.advice.beside:
        return ("several",)
    if said.advice.order is not None:
        return ("order", said.advice.order)
    # What is said of the patient belongs to the first order that the rule is about.
    at_hand = assessment.case.orders_at_hand
    mine = [order for order in at_hand if not said.info.orders or not set(order.kinds).isdisjoint(said.info.orders)]
    return ("order", (mine or list(at_hand))[0].reference) if at_hand else ("several",)


def _problem_key(said: Utterance) -> Key:
    if said.problem == "bone" and said.advice.about:
        return ("bone", said.advice.about)
    return (said.problem,)


def _card(group: Sequence[Utterance]) -> tuple[Draft | None, list[Utterance]]:
    """Make a group's card: the loudest that may lead, and the rest as lesser lines; without a lead no card."""
    ordered = sorted(group, key=lambda said: (-said.loudness, not _is_of_the_order(said)))
    lead = next((said for said in ordered if said.alone), None)
    if lead is None:
        return None, list(group)
    return Draft(lead, _each_once(said for said in ordered if said is not lead)), []


def _is_of_the_order(said: Utterance) -> bool:
    """At an order the dose comes before the dentist: what is said of the draft itself leads what it also wants."""
    return said.hook in ORDER_HOOKS and said.info.recommender == "order-safety"


def _each_once(said: Iterable[Utterance]) -> list[Utterance]:
    found: dict[tuple[str, str | None, str | None], Utterance] = {}
    for each in said:
        found.setdefault((each.rule, each.advice.order, each.advice.about), each)
    return list(found.values())


def _take_in(guest: Utterance, cards: Sequence[Draft], *, at_order: bool) -> bool:
    """Let a line that never leads stand on a card of its neighbourhood; tell whether there was one."""
    for card in cards:
        if at_order or (guest.problem in GUESTS and card.lead.problem in GUESTS):
            card.others.append(guest)
            return True
    return False


def _rank(card: Draft) -> tuple[int, int]:
    return (-card.lead.loudness, PROBLEMS.index(card.lead.problem))


def _kept(cards: Sequence[Draft], most: int) -> list[Draft]:
    alerts = [card for card in cards if card.lead.voice == "alert"]
    others = [card for card in cards if card.lead.voice != "alert"]
    return [*alerts, *others[: max(0, most - len(alerts))]]
