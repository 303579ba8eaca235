"""Rules that cannot be decided: which facts they lack, and what knowing them would change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from hooks.cards.wording import label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Verdict
    from recommenders.vocabulary.guidance import MissingLine
    from recommenders.vocabulary.logic import Condition


def missing_names(verdict: Verdict) -> list[str]:
    """Name the facts that keep a rule undecided, as `Verdict.missing` does, without the tree that people read."""
    found: list[Condition] = []
    for advice in verdict.advices:
        if advice.because.holds is None:
            advice.because.add_undecided(found)
        if advice.unless.holds is None:
            advice.unless.add_undecided(found)
    if len(found) == 1 and not found[0].evidence.lacks:  # as it is with most of them
        return [found[0].fact]
    return list(dict.fromkeys([name for one in found for name in one.evidence.lacks or (one.fact,)]))


def _missing_facts(verdict: Verdict) -> Iterator[tuple[str, list[MissingLine]]]:
    """Yield each fact that keeps a rule undecided, with the sentences that the rule has for its absence."""
    told: set[str] = set()
    for condition in verdict.criterion.undecided():
        names = {condition.fact, *condition.evidence.lacks}
        for name in condition.evidence.lacks or (condition.fact,):
            if name not in told:
                told.add(name)
                own = [line for line in verdict.info.if_missing if line.fact == name]
                yield name, own or [line for line in verdict.info.if_missing if line.fact in names]


def missing_lines(verdict: Verdict, speaker: Speaker) -> Iterator[tuple[str, str]]:
    """Yield, for each fact that keeps a rule undecided, its name and what knowing it would change."""
    guidance, advice = verdict.topic.guidance, verdict.advices[0]
    for name, lines in _missing_facts(verdict):
        for line in lines:
            yield name, speaker.say(line, guidance, advice)
        if not lines:
            yield name, _would_decide((name,), verdict, speaker)


def would_change(verdict: Verdict, speaker: Speaker) -> str:
    """Say what knowing the missing facts would change; facts of which nothing special is said share a sentence."""
    guidance, advice = verdict.topic.guidance, verdict.advices[0]
    missing = list(_missing_facts(verdict))
    said = [speaker.say(line, guidance, advice) for _, lines in missing for line in lines]
    if others := [name for name, lines in missing if not lines]:
        said.append(_would_decide(others, verdict, speaker))
    return " ".join(dict.fromkeys(said))


def _would_decide(names: Sequence[str], verdict: Verdict, speaker: Speaker) -> str:
    labels = speaker.listed([label(name, speaker.language) for name in names])
    advice = verdict.advices[0]
    if any(value in ((), "") for value in advice.fill.values()):  # nothing is listed yet: that is what is missing
        advice = replace(
            advice, fill={name: "…" if value in ((), "") else value for name, value in advice.fill.items()}
        )
    title = speaker.summary(advice, verdict.topic.guidance)
    return speaker.frame("would_decide", facts=labels, title=title)
