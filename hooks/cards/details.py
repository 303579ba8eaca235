"""What stands under a card's headline: why, what to do, unless, where sources differ, what is not known, what else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards import budgets
from hooks.cards.wording import LONGEST_SUMMARY, Ready, Speaker, label, shortened
from recommenders.patient.reasons import reasons, supporting
from recommenders.vocabulary.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hooks.cards.arranging import Draft
    from hooks.cards.suggestions import SuggestionBuilder
    from recommenders.assessing.assessment import Assessment
    from recommenders.assessing.speaking import Utterance
    from recommenders.vocabulary.guidance import Ask, Line, Wording

OFFERED = "offered_agents"
MOST_SUPPORTING = 3
_BRACED = "{offered_agents}"


@dataclass(slots=True)
class _Parts:
    """The lines of one card's detail, before its length is looked at."""

    why: list[str]
    do: list[str]
    unless: list[str]
    differ: list[str]
    unknown: list[str]
    also: list[str]

    def droppable(self) -> list[list[str]]:
        """The parts that go first when a card is too long, the least important first."""
        return [self.also, self.unknown, self.differ]


class Details:
    """Writes the details of one call's cards in one language."""

    def __init__(
        self, assessment: Assessment, speaker: Speaker, builder: SuggestionBuilder, *, both_languages: bool = False
    ) -> None:
        self.assessment = assessment
        self.speaker = speaker
        self.builder = builder
        self.other = Speaker(assessment, "en" if speaker.language == "zh-CN" else "zh-CN") if both_languages else None

    def summary(self, said: Utterance) -> str:
        """Say a card's headline; where its variant cannot be said for want of a value, the rule's own."""
        for wording in (said.summary, said.info.summary, said.also):
            if (text := self._told(said, wording)) is not None:
                return text if len(text) <= LONGEST_SUMMARY else self._line(said, wording, headline=True)
        return self._line(said, said.summary, headline=True)

    def detail(self, draft: Draft, left: int) -> str:
        """
        Write the detail; what is longer than a card may be goes to the dossier, the lesser lines first.

        `left` findings have no line at all; the last line counts them with the lines that had to go.
        """
        parts = self._parts(draft)
        dropped = 0
        text, length = self._measured(draft, parts, left)
        for limits, droppable in ((budgets.USUAL, parts.droppable()), (budgets.LONGEST, [parts.unless, parts.do])):
            for part in droppable:
                while part and length > limits[self.speaker.language]:
                    part.pop()
                    dropped += 1
                    text, length = self._measured(draft, parts, left + dropped)
        return text

    def _measured(self, draft: Draft, parts: _Parts, left: int) -> tuple[str, int]:
        text = self._joined(draft, parts, left)
        return text, budgets.length(text, self.speaker.language)

    def _parts(self, draft: Draft) -> _Parts:
        lead = draft.lead
        spoken = [self._told(said, said.also) for said in draft.others]
        return _Parts(
            why=self._why(lead),
            do=self._said(lead, lead.do, budgets.MOST_ACTS),
            unless=self._said(lead, lead.unless, budgets.MOST_UNLESS),
            differ=self._said(lead, lead.sources_differ, budgets.MOST_DIFFERING),
            unknown=list(self._unknown(lead))[: budgets.MOST_ASKED],
            also=_each_once(spoken, budgets.MOST_ALSO),
        )

    def _joined(self, draft: Draft, parts: _Parts, left: int) -> str:
        frame = self.speaker.frame
        blocks: list[str] = []
        if self.other is not None:
            blocks.append(self._line(draft.lead, draft.lead.summary, self.other, headline=True))
        if parts.why:
            blocks.append(frame("why", reasons=" · ".join(parts.why)))
        if parts.do:
            blocks.append("\n".join(f"- {line}" for line in parts.do))
        blocks += [frame("unless", text=line) for line in parts.unless]
        blocks += self._block("sources_differ", parts.differ)
        blocks += self._block("not_known_here", parts.unknown)
        blocks += self._block("also", parts.also)
        blocks.append(self._last_line(draft, left))
        return "\n\n".join(blocks)

    def _block(self, key: str, lines: list[str]) -> list[str]:
        if not lines:
            return []
        if len(lines) == 1:
            return [self.speaker.frame(key, text=lines[0])]
        return [self.speaker.frame(key, text="").rstrip() + "\n" + "\n".join(f"- {line}" for line in lines)]

    def _last_line(self, draft: Draft, left: int) -> str:
        parts = [", ".join(draft.rules), self.assessment.guidance, self.speaker.day_of_assessment()]
        if left:
            parts.append(self.speaker.frame("more_in_dossier", count=str(left)))
        return " · ".join(parts)

    # --- the lines -------------------------------------------------------------------------------------

    def _line(
        self, said: Utterance, wording: Wording, speaker: Speaker | None = None, *, headline: bool = False
    ) -> str:
        speaker = speaker or self.speaker
        if _BRACED in wording.en:
            offered = self._offered(said)
            return shortened(speaker.say(wording, said.guidance, said.advice, **{OFFERED: Ready(offered)}))
        if headline:
            return speaker.headline(wording, said.guidance, said.advice)
        text = speaker.say(wording, said.guidance, said.advice)
        return text[:1].upper() + text[1:]

    def _said(self, said: Utterance, lines: Iterable[Line], most: int) -> list[str]:
        return _each_once((self._told(said, line) for line in lines), most)

    def _told(self, said: Utterance, wording: Wording) -> str | None:
        """Say a line; a line with a gap is no line: better none than one that says "unknown"."""
        if _BRACED in wording.en:
            return self._line(said, wording) if self._can_say(said, wording) else None
        text = self.speaker.told(wording, said.guidance, said.advice)
        return text and text[:1].upper() + text[1:]

    def _can_say(self, said: Utterance, wording: Wording) -> bool:
        """Tell whether a line has no gap."""
        extra = {OFFERED: Ready(self._offered(said))} if _BRACED in wording.en else {}
        return self.speaker.can_say(wording, said.guidance, said.advice, **extra)

    def _offered(self, said: Utterance) -> str:
        return self.builder.offered_agents(said)

    def _why(self, said: Utterance) -> list[str]:
        found = reasons(self.assessment.case, said.advice, said.why, self.assessment.values)
        found = found or supporting(said.advice, MOST_SUPPORTING)
        spoken = [self.speaker.reason(reason, said.guidance, said.advice) for reason in found]
        return list(dict.fromkeys(spoken))[: budgets.MOST_REASONS]

    def _unknown(self, said: Utterance) -> Iterator[str]:
        """The facts that would change this card and are not known: each with why, and what it would change."""
        for ask in said.info.ask:
            fact = self._asked(ask)
            if fact is not None and not fact.is_known:
                yield self._not_known(ask, fact, said)

    def _asked(self, ask: Ask) -> Fact | None:
        return self.speaker.named(ask.fact)

    def _not_known(self, ask: Ask, fact: Fact, said: Utterance) -> str:
        why = self.speaker.short_reason(fact)
        wording = ask.wording()
        if wording is None:
            name = label(fact.name, self.speaker.language)
            return self.speaker.frame("unknown_fact", fact=name, why=why)
        text = self._line(said, wording)
        # one sentence: its stop stands behind the brackets
        return self.speaker.frame("unknown_line", text=text.rstrip(".。"), why=why)


def _each_once(lines: Iterable[str | None], most: int) -> list[str]:
    """Give the lines that could be said, each once, at most so many."""
    return list(dict.fromkeys(line for line in lines if line is not None))[:most]
