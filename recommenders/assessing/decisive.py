"""Which unknown facts would decide something: found by trying possible answers on the real rules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recommenders.assessing.assessment import assess
from recommenders.vocabulary.dictionary import DICTIONARY, LESION_COMPONENTS
from recommenders.vocabulary.facts import Fact, FactSpec, Finding, Moment, Reading, exactly, replace, stated
from recommenders.vocabulary.guidance import Limit
from recommenders.vocabulary.records import Lesion, Lesions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Hook, Indicator, Recommender
    from recommenders.vocabulary.logic import Condition

LESION = "lesions[]"
NEW_LESION = "new-1"
"""The lesion that is asked for where the chart tells of none."""
WEIGHTS: Mapping[Indicator, Decimal] = {"info": Decimal(1), "warning": Decimal(3), "critical": Decimal(9)}
SIDE = FactSpec(path="side", name=f"{LESION}.side", kind="finding", en="side", zh="侧别", words=("left", "right"))
"""The side of a lesion: no rule asks for it, and it tells one bone from another."""
TOGETHER = Decimal("0.5")
"""How much a fact counts for a rule that it decides only together with others, before it is shared among them."""
PATH_OF = {spec.name: path for path, spec in reversed(DICTIONARY.items())}
"""Name of the specification -> where it sits; of two facts of one name the plain one."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be asked: a fact of the dictionary, or a component (`lesions[].pain`) of one lesion."""

    path: str
    lesion: str = ""

    @property
    def spec(self) -> FactSpec:
        """Its entry of the dictionary."""
        if self.component == SIDE.path:
            return SIDE
        return LESION_COMPONENTS[self.component] if self.lesion else DICTIONARY[self.path]

    @property
    def component(self) -> str:
        """The lesion's component; empty for a plain fact."""
        return self.path.removeprefix(f"{LESION}.") if self.lesion else ""

    @property
    def name(self) -> str:
        """What rules call it."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class Decisive:
    """
    One item that would decide something.

    `rules` change their state by one answer to it alone, the weightiest first; `helps` stay open for other
    facts too; `tried` says whether all answers were tried.
    """

    item: Item
    score: Decimal
    rules: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    tried: bool = True


def fact_at(facts: Facts, item: Item) -> Fact:
    """Give the fact of an item, known or not; a lesion that is not there is all unknown."""
    if not item.lesion:
        return facts.fact(item.path)
    lesion = next((one for one in facts.lesions if one.id == item.lesion), Lesion())
    if item.component == SIDE.path:
        blank = Finding(name=SIDE.name)
        return (
            blank if lesion.side is None else stated(blank, lesion.side, date=lesion.date, resources=lesion.resources)
        )
    found: Fact = getattr(lesion, item.component)
    return found


def with_answers(facts: Facts, answers: Mapping[Item, Fact]) -> Facts:
    """Give the facts as they would be if these answers were on record since today."""
    plain = {item.path: fact for item, fact in answers.items() if not item.lesion}
    by_lesion: dict[str, dict[str, Any]] = {}
    for item, fact in answers.items():
        if item.lesion:
            by_lesion.setdefault(item.lesion, {})[item.component] = fact
    lesions = [replace(one, **by_lesion.pop(one.id, {})) for one in facts.lesions]
    added = [Lesion(id=name, date=facts.as_of, **parts) for name, parts in by_lesion.items()]
    return replace(facts.with_facts(plain), lesions=Lesions((*added, *lesions), whole=facts.lesions.whole))


# --- what keeps rules open ----------------------------------------------------------------------------------


def open_conditions(verdict: Verdict) -> Iterator[Condition]:
    """
    Yield the conditions of a rule that an answer could turn.

    Of an undecided rule what keeps it so; of a rule that fired *because* something is not known or too long ago
    (a dental examination, a prognosis) just that.
    """
    if verdict.state == "undecided":
        yield from verdict.criterion.undecided()
    elif verdict.state == "fired":
        for advice in verdict.advices:
            for condition in advice.whole.support():
                if condition.holds is None or (condition.relation in {"known", "within"} and condition.holds is False):
                    yield condition


def _names(condition: Condition) -> tuple[str, ...]:
    return condition.evidence.lacks or (condition.fact,)


def lacking(verdict: Verdict) -> tuple[str, ...]:
    """Give the names of the facts that an answer could be given to, for one rule."""
    return tuple(dict.fromkeys(name for condition in open_conditions(verdict) for name in _names(condition)))


def _candidates(assessment: Assessment, askable: Mapping[str, tuple[str, ...]]) -> dict[Item, list[Verdict]]:
    """The askable items that keep rules open, and which rules."""
    found: dict[Item, list[Verdict]] = {}
    for verdict in assessment.verdicts.values():
        for name in lacking(verdict):
            for item in _items(name, assessment.facts, askable):
                found.setdefault(item, []).append(verdict)
    return found


def _items(name: str, facts: Facts, askable: Mapping[str, tuple[str, ...]]) -> Iterator[Item]:
    if name == LESION or (name == "mirels_min" and not facts.lesions):
        if f"{LESION}.site" in askable and not facts.lesions:
            yield Item(f"{LESION}.site", NEW_LESION)
    elif name.startswith(LESION):
        if name in askable:
            for lesion in facts.lesions:
                item = Item(name, lesion.id)
                if not fact_at(facts, item).is_known:
                    yield item
    elif (path := PATH_OF.get(name)) is not None and path in askable:
        yield Item(path)


# --- possible answers ---------------------------------------------------------------------------------------


def possible_answers(item: Item, facts: Facts, edges: Iterable[Decimal], tries: Iterable[str]) -> list[Fact]:
    """
    Give the answers to try: each word, yes and no, or just under and just over each edge.

    `tries` stand in where no rule says an edge, and choose among many words.
    """
    fact, today = fact_at(facts, item), facts.as_of
    spec, chosen = item.spec, tuple(tries)
    if isinstance(fact, Reading):
        step = Decimal(1).scaleb(-(fact.decimals or 0))
        near = [edge + turn for edge in edges for turn in (-step, step)]
        numbers = dict.fromkeys(number for number in (near or map(Decimal, chosen)) if number >= 0)
        blank = replace(fact, rivals=(), low_open=False, high_open=False, sent=None, flags=())
        return [exactly(blank, number, date=today) for number in numbers]
    if isinstance(fact, Finding):
        words = chosen or spec.words or (True, False)
        return [stated(replace(fact, possible=(), flags=()), word, date=today) for word in words if word != fact.value]
    if isinstance(fact, Moment):
        return [replace(fact, date=today, reason=None)]
    return []


def _edges(name: str, verdicts: Iterable[Verdict]) -> tuple[Decimal, ...]:
    found: list[Decimal] = []
    for verdict in verdicts:
        for condition in open_conditions(verdict):
            if condition.fact != name:
                continue
            limit = condition.limit.value if isinstance(condition.limit, Limit) else condition.limit
            if isinstance(limit, Decimal | int) and not isinstance(limit, bool):
                found.append(Decimal(limit))
    return tuple(dict.fromkeys(found))


# --- trying -------------------------------------------------------------------------------------------------


def _outcome(verdict: Verdict | None) -> object:
    if verdict is None or verdict.state == "not met":  # which is there only where the whole was asked for
        return None
    return verdict.state, verdict.indicator, tuple(sorted(str(advice.truth) for advice in verdict.advices))


def _weight(*verdicts: Verdict | None) -> Decimal:
    return max((WEIGHTS[verdict.indicator] for verdict in verdicts if verdict is not None), default=Decimal(0))


def decisive(
    assessment: Assessment,
    facts: Facts,
    hook: Hook,
    askable: Mapping[str, tuple[str, ...]],
    *,
    most_tries: int | None = None,
    recommenders: Iterable[Recommender] | None = None,
    site: Mapping[str, Decimal] | None = None,
) -> list[Decisive]:
    """
    Give what is worth asking, the most decisive first.

    `assessment` is that of `facts` (as read, not yet aged) at `hook`. `askable` are the fact paths that a person
    can answer (`status.ecog`, `lesions[].pain`), each with answers to try where no limit gives them. At most
    `most_tries` answers are tried (None: all of them), those of the weightiest open rules first; what was not tried is
    ranked by the open rules alone. No clock decides: the same chart is asked the same questions. An item that changes
    nothing, alone or with other askable ones, is left out.
    """
    speakers = None if recommenders is None else tuple(recommenders)
    waiting = _candidates(assessment, askable)
    ranked = sorted(waiting, key=lambda item: -_share(waiting[item]))
    seen = assessment.facts
    answers = {
        item: possible_answers(item, seen, _edges(item.name, waiting[item]), askable[item.path]) for item in ranked
    }
    changed: dict[Item, dict[str, Decimal]] = {item: {} for item in ranked}
    tried: dict[Item, int] = dict.fromkeys(ranked, 0)
    # One answer of each item, then the next of each: when not all are tried, every item has had its turn.
    for turn in range(max(map(len, answers.values()), default=0)):
        for item in ranked:
            if turn < len(answers[item]) and (most_tries is None or sum(tried.values()) < most_tries):
                told = with_answers(facts, {item: answers[item][turn]})
                after = assess(told, hook, recommenders=speakers, site=site, with_values=False)
                tried[item] += 1
                for rule, weight in _changes(assessment, after):
                    changed[item][rule] = max(weight, changed[item].get(rule, Decimal(0)))
    found: list[Decisive] = []
    for item in ranked:
        whole = tried[item] == len(answers[item])
        helped = [
            verdict
            for verdict in waiting[item]
            if verdict.rule not in changed[item] and (not whole or _others_askable(verdict, item, seen, askable))
        ]
        score = sum(changed[item].values(), Decimal(0)) + _share(helped) * TOGETHER
        if score > 0:
            rules = sorted(changed[item], key=lambda rule: (-changed[item][rule], rule))
            found.append(Decisive(item, score, tuple(rules), tuple(v.rule for v in helped), whole))
    return sorted(found, key=lambda one: -one.score)


def _share(verdicts: Iterable[Verdict]) -> Decimal:
    return sum((WEIGHTS[v.indicator] / max(1, len(lacking(v))) for v in verdicts), Decimal(0))


def _others_askable(verdict: Verdict, item: Item, facts: Facts, askable: Mapping[str, tuple[str, ...]]) -> bool:
    others = [name for name in lacking(verdict) if name != item.name]
    return bool(others) and all(next(_items(name, facts, askable), None) is not None for name in others)


def _changes(before: Assessment, after: Assessment) -> Iterator[tuple[str, Decimal]]:
    for rule in dict.fromkeys((*before.verdicts, *after.verdicts)):
        one, other = before.verdicts.get(rule), after.verdicts.get(rule)
        if _outcome(one) != _outcome(other) and (other is None or other.state != "undecided"):
            yield rule, _weight(one, other)
