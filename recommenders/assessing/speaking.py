"""How a rule that holds speaks: its voice, its variant, and which lines of its face are about this patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.patient.faces import holds, variant_of
from recommenders.patient.reasons import newest_day
from recommenders.vocabulary.guidance import CHART_HOOKS, INDICATOR_OF, VOICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.patient.advice import Advice, Case
    from recommenders.vocabulary.guidance import (
        Guidance,
        Hook,
        Indicator,
        Line,
        Problem,
        RuleInfo,
        Variant,
        Voice,
        Wording,
    )


class Utterance(msgspec.Struct, frozen=True):
    """
    One advice of a rule with the face it shows: the first variant that holds, else the rule's own.

    `voice` is how loud it is here and now; a `reference` stands in the dossier only.
    """

    verdict: Verdict
    advice: Advice
    hook: Hook
    voice: Voice
    variant: Variant | None = None

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self.verdict.rule

    @property
    def info(self) -> RuleInfo:
        """The rule as the guidance file has it."""
        return self.verdict.info

    @property
    def guidance(self) -> Guidance:
        """The topic's guidance, whose phrases its words may name."""
        return self.verdict.topic.guidance

    @property
    def indicator(self) -> Indicator:
        """The indicator of a card that it leads."""
        return INDICATOR_OF[self.voice]

    @property
    def loudness(self) -> int:
        """The voice as a number, louder is higher."""
        return VOICES.index(self.voice)

    @property
    def problem(self) -> Problem:
        """Which card it belongs to at the chart."""
        return (self.variant and self.variant.problem) or self.info.problem

    @property
    def alone(self) -> bool:
        """Whether it may lead a card."""
        own = self.variant.alone if self.variant else None
        return self.info.alone if own is None else own

    @property
    def why(self) -> tuple[str, ...]:
        """The names of the facts that decided."""
        own = self.variant.why if self.variant else None
        return self.info.why if own is None else own

    @property
    def summary(self) -> Wording:
        """The headline."""
        return (self.variant and self.variant.summary) or self.info.summary

    @property
    def also(self) -> Wording:
        """The one line under another card: its own, else the headline."""
        own = (self.variant and self.variant.also) or None
        if own is None and self.variant and self.variant.summary:
            return self.variant.summary
        return own or self.info.also or self.summary

    @property
    def do(self) -> tuple[Line, ...]:
        """What is to be done, as far as it is about this patient."""
        return tuple(self._applying(self.info.do))

    @property
    def unless(self) -> tuple[Line, ...]:
        """Under which circumstance, not excluded by the chart, the advice would be different."""
        own = self.variant.unless if self.variant else None
        return tuple(self._applying((own,) if own else self.info.unless))

    @property
    def sources_differ(self) -> tuple[Line, ...]:
        """Where sources disagree about this patient."""
        return tuple(self._applying(self.info.sources_differ))

    def _applying(self, lines: Iterable[Line]) -> Iterator[Line]:
        return (line for line in lines if line.when is None or holds(line.when, self.advice, self.hook))


def utterances(assessment: Assessment, voices: Mapping[str, Voice] | None = None) -> tuple[Utterance, ...]:
    """
    Give what the rules of an assessment say, in the order of the guidance, each as loud as it is here.

    `voices` are a site's own choices by rule id. A `result` that is not new is a `reference`; one that is not
    decided speaks where it has a range to show.
    """
    return tuple(_utterances(assessment, voices or {}))


def _utterances(assessment: Assessment, voices: Mapping[str, Voice]) -> Iterator[Utterance]:
    for verdict in assessment.verdicts.values():
        for advice in verdict.advices:
            if verdict.state == "fired" or (verdict.state == "undecided" and advice.has_range.yes):
                said = utterance(verdict, advice, voices.get(verdict.rule))
                if said.voice == "result" and not _is_due(said, assessment.case):
                    said = replace(said, voice="reference")
                yield said


def utterance(verdict: Verdict, advice: Advice, own: Voice | None = None) -> Utterance:
    """Give one advice of a rule with the face it shows; `own` is the site's choice of its voice."""
    variant = variant_of(verdict.info, advice, verdict.hook)
    voice = own or (variant and variant.voice) or verdict.info.voice
    return Utterance(verdict, advice, verdict.hook, voice, variant)


def _is_due(said: Utterance, case: Case) -> bool:
    """Whether a computed answer is to be shown: at the chart while it is new, at an order where it is of the order."""
    if case.hook not in CHART_HOOKS:
        return said.problem == "order"
    if said.advice.new is not None:
        return said.advice.new.yes
    day = newest_day(case, said.advice, said.why)
    limit = case.limits(COMMON).result_is_new
    return day is not None and (case.facts.as_of - day).days <= limit.value
