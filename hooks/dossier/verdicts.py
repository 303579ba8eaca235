"""How each rule came out, with its condition as a tree, and what each source says for this patient, side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.undecided import missing_lines
from hooks.cards.wording import recommender_title
from hooks.dossier.texts import texts
from hooks.dossier.trees import ANSWERS, Answer, Branch, short_tree, tree
from hooks.reference.safe import plain
from recommenders.patient.faces import holds, variant_of
from recommenders.vocabulary.evidence import evidence_lines
from recommenders.vocabulary.guidance import VOICES, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.patient.advice import Advice
    from recommenders.vocabulary.guidance import Wording

STATES = ("fired", "undecided", "suppressed", "superseded", "not met")
"""In the order in which they are shown."""
_BRACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Says:
    """What one source says: its label, the passage's place, its words, and its own verdict for this patient."""

    source: str
    where: str
    text: str
    answer: Answer | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Opinion:
    """One question on which sources have a verdict each; `differ` where these are not all the same."""

    rule: str
    summary: str
    says: tuple[Says, ...]
    differ: bool
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """
    One rule: how it came out and why.

    `summaries` are its headlines (one for each bone or order) where they are true of this patient, else its title;
    `would_say` are those of an undecided rule. `trees` are the conditions behind them; `do`, `unless` and `more` its
    words about this patient, `lacks` and `changes` what it lacks and what knowing that would change.
    """

    rule: str
    title: str
    voice: str
    state: str
    recommender: str
    summaries: tuple[str, ...]
    trees: tuple[Branch, ...]
    do: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    says: tuple[Says, ...] = ()
    lacks: str = ""
    changes: tuple[str, ...] = ()
    would_say: tuple[str, ...] = ()


def rules_of(assessment: Assessment, speaker: Speaker) -> tuple[RuleRow, ...]:
    """Give every rule that was looked at: those that hold first, the loudest first."""
    verdicts = sorted(assessment.verdicts.values(), key=_rank)
    return tuple(_row(verdict, speaker) for verdict in verdicts)


def _rank(verdict: Verdict) -> tuple[int, int]:
    return STATES.index(verdict.state), -VOICES.index(verdict.voice)


def _row(verdict: Verdict, speaker: Speaker) -> RuleRow:
    speaks = verdict.state in {"fired", "suppressed", "superseded"}
    made = short_tree if verdict.state == "not met" else tree
    words = list(_words(verdict, speaker)) if speaks else []
    said = [(kind, text) for kind, text in words if text and (kind == "more" or verdict.state != "suppressed")]
    changes = missing_lines(verdict, speaker) if verdict.state == "undecided" else ()
    title = title_of(verdict, speaker)
    true = _once(headline(verdict, advice, speaker) for advice in verdict.advices if _is_true(verdict, advice))
    would_say = _once(headline(verdict, advice, speaker) for advice in verdict.advices) if not true else ()
    return RuleRow(
        verdict.rule,
        title,
        verdict.voice,
        verdict.state.replace(" ", "_"),
        recommender_title(verdict.recommender, speaker.language),
        true or (title,),
        _each_once(made(advice.whole, speaker) for advice in verdict.advices),
        do=_once(text for kind, text in said if kind == "do"),
        unless=_once(text for kind, text in said if kind == "unless"),
        more=_once(text for kind, text in said if kind == "more"),
        says=tuple(_says(verdict, speaker)) if speaks else (),
        lacks=plain(speaker.labels(verdict.missing)) if verdict.state == "undecided" else "",
        changes=_once(plain(text) for _, text in changes),
        would_say=tuple(text for text in would_say if text != title) if verdict.state == "undecided" else (),
    )


def _is_true(verdict: Verdict, advice: Advice) -> bool:
    """
    Tell whether a headline may stand as it is: the rule holds, or it is undecided and computes a range.

    That of a suppressed rule asks for what is done ("no MRI since"), that of an open one states what is not known.
    """
    if verdict.state == "undecided":
        return advice.has_range.yes
    return verdict.state in {"fired", "superseded"}


def _once(texts_said: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts_said))


def _each_once(branches: Iterable[Branch]) -> tuple[Branch, ...]:
    return tuple(dict.fromkeys(branches))


def title_of(verdict: Verdict, speaker: Speaker) -> str:
    """Name a rule without a patient: its title, or where that is in another language its headline without values."""
    if speaker.language == "en":
        return verdict.info.title
    return plain(_BRACES.sub("…", verdict.info.summary.text(speaker.language)))


def headline(verdict: Verdict, advice: Advice, speaker: Speaker, *, instead: str | None = None) -> str:
    """Say a rule's headline for this patient: of its variant, else its own, whichever has no gap; else its title."""
    info, guidance = verdict.info, verdict.topic.guidance
    variant = variant_of(info, advice, speaker.assessment.hook)
    for wording in (variant.summary if variant else None, info.summary, info.also):
        if wording is not None and speaker.can_say(wording, guidance, advice):
            return plain(speaker.headline(wording, guidance, advice))
    return title_of(verdict, speaker) if instead is None else instead


def _words(verdict: Verdict, speaker: Speaker) -> Iterator[tuple[str, str]]:
    """The face's lines that are about this patient, and the reference behind them."""
    info, hook = verdict.info, speaker.assessment.hook
    for advice in verdict.advices:
        for kind, lines in (("do", info.do), ("unless", info.unless), ("more", info.sources_differ)):
            for line in lines:
                if line.when is None or holds(line.when, advice, hook):
                    yield kind, _said(line, verdict, advice, speaker)
        for wording in (*info.points, *evidence_lines(info)):
            yield "more", _said(wording, verdict, advice, speaker)


def _said(wording: Wording, verdict: Verdict, advice: Advice, speaker: Speaker) -> str:
    """Say a line; a line with a gap is no line."""
    if not speaker.can_say(wording, verdict.topic.guidance, advice):
        return ""
    text = plain(speaker.say(wording, verdict.topic.guidance, advice))
    return text[:1].upper() + text[1:]


# --- sources ------------------------------------------------------------------------------------------------


def _says(verdict: Verdict, speaker: Speaker) -> Iterator[Says]:
    advice = verdict.advices[0]
    own = {one.line: ANSWERS[one.holds] for one in advice.verdicts}
    for place, line in enumerate(verdict.info.source_lines):
        if advice.lines is None or place in advice.lines or place in own:
            source = sources()[line.source]
            yield Says(
                source.label.text(speaker.language),
                line.where,
                _said(line, verdict, advice, speaker) or plain(_BRACES.sub("…", line.text(speaker.language))),
                own.get(place),
                source.url or "",
            )


def opinions_of(assessment: Assessment, speaker: Speaker) -> tuple[Opinion, ...]:
    """Give the questions on which sources have a verdict of their own for this patient, those that differ first."""
    found = []
    for verdict in assessment.verdicts.values():
        says = tuple(one for one in _says(verdict, speaker) if one.answer is not None)
        if verdict.state in {"fired", "undecided"} and len(says) > 1:
            differ = len({one.answer for one in says}) > 1
            words = _once(
                _said(line, verdict, advice, speaker)
                for advice in verdict.advices
                for line in verdict.info.sources_differ
                if line.when is None or holds(line.when, advice, assessment.hook)
            )
            summary = headline(verdict, verdict.advices[0], speaker)
            found.append(Opinion(verdict.rule, summary, says, differ, tuple(word for word in words if word)))
    return tuple(sorted(found, key=lambda one: not one.differ))


def counts(rows: Iterable[RuleRow], language: str) -> tuple[tuple[str, str, int], ...]:
    """Count rules by state: key, word, number; states without a rule are left out."""
    t, found = texts(language), [row.state for row in rows]
    keys = (state.replace(" ", "_") for state in STATES)
    return tuple((key, t[key], found.count(key)) for key in keys if key in found)
