"""What is worth asking about a patient, the most decisive first, with what knowing it would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.undecided import missing_lines
from hooks.dossier.bones import place
from hooks.dossier.form.questions import ASKABLE, QUESTIONS, item_label
from hooks.dossier.texts import texts
from hooks.dossier.trees import why_unknown
from hooks.dossier.verdicts import headline
from hooks.reference.safe import plain
from recommenders.assessing.decisive import NEW_LESION, decisive, fact_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment
    from recommenders.assessing.decisive import Decisive
    from recommenders.vocabulary.dictionary import Facts

MOST_TRIES = 6
"""Answers that are tried to rank the questions of a page; the form, which is waited for, tries them all."""
MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class AskRow:
    """
    One question: the fact, the bone that it is about (empty for the patient), and the question's words.

    `unknown` says why it is not known, `change` what knowing it would change, `rules` which rules hang on it.
    """

    label: str
    about: str
    question: str
    unknown: str
    change: str
    rules: tuple[str, ...]


def asks_of(
    assessment: Assessment, facts: Facts, speaker: Speaker, site: Mapping[str, Decimal] | None
) -> tuple[AskRow, ...]:
    """Give the questions that would decide something at this call, the most decisive first."""
    if not assessment.in_scope:
        return ()
    ranked = decisive(assessment, facts, assessment.hook, ASKABLE, most_tries=MOST_TRIES, site=site)
    return tuple(_row(one, assessment, speaker) for one in ranked[:MOST_SHOWN])


def _row(one: Decisive, assessment: Assessment, speaker: Speaker) -> AskRow:
    item, rules = one.item, tuple(dict.fromkeys((*one.rules, *one.helps)))
    fact = fact_at(assessment.facts, item)
    if item.lesion == NEW_LESION:
        change = texts(speaker.language)["ask_lesion"]
    else:
        change = _change(item.name, rules, assessment, speaker)
    return AskRow(
        item_label(item, speaker.language),
        _bone(item.lesion, assessment, speaker),
        QUESTIONS[item.path].wording.text(speaker.language),
        "" if fact.is_known else why_unknown(fact, speaker),
        change,
        rules,
    )


def _change(name: str, rules: tuple[str, ...], assessment: Assessment, speaker: Speaker) -> str:
    """What knowing it would change: in a rule's words for just that, else the weightiest rule's headline."""
    open_ones = [v for rule in rules if (v := assessment.verdicts.get(rule)) and v.state in {"undecided", "fired"}]
    for verdict in open_ones:
        if any(line.fact == name for line in verdict.info.if_missing):
            said = next((text for fact, text in missing_lines(verdict, speaker) if fact == name), "")
            if said:
                return plain(said)
    headlines = (headline(verdict, verdict.advices[0], speaker, instead="") for verdict in open_ones)
    return next((text for text in headlines if text), "")


def _bone(lesion_id: str, assessment: Assessment, speaker: Speaker) -> str:
    """Name the lesion that a question is about; empty for one that the chart does not have."""
    lesion = next((one for one in assessment.facts.lesions if lesion_id and one.id == lesion_id), None)
    if lesion is None:
        return ""
    return place(str(lesion.site.value) if lesion.site.is_known else "", lesion.side, speaker, lesion.level)
