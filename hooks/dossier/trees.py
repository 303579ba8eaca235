"""
A rule's condition as a tree of questions, each answered yes, no or unknown.

Every line asks something and answers it, so that it is true as it stands. A "not" is carried down to what it denies:
an exemption that rests on a false comparison is asked the other way round ("calcium not below 2.10? yes: 2.30").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hooks.cards.wording import OPPOSITE, SIGNS, frame, has_phrase, label, number
from hooks.dossier.texts import texts
from hooks.reference.safe import plain
from recommenders.vocabulary.facts import Fact, Moment
from recommenders.vocabulary.guidance import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.cards.wording import Speaker
    from recommenders.vocabulary.logic import Condition, Criterion, Truth

Answer = Literal["yes", "no", "unknown"]
ANSWERS: dict[Truth, Answer] = {True: "yes", False: "no", None: "unknown"}
MIRRORED = {"all": "any", "any": "all"}
"""What a joint becomes when each of its parts is denied."""


@dataclass(frozen=True, slots=True)
class Branch:
    """
    One question of a condition and its answer.

    `question` is what is asked; `found` is the patient's value behind the answer, with its day, or why there is none;
    `parts` are the questions that it is made of. `left_out` parts were not shown, since they did not decide.
    """

    answer: Answer
    question: str
    found: str = ""
    parts: tuple[Branch, ...] = ()
    left_out: int = 0


def tree(criterion: Criterion, speaker: Speaker) -> Branch:
    """Give the whole tree of a criterion."""
    return _branch(criterion, speaker, denied=False, short=False)


def short_tree(criterion: Criterion, speaker: Speaker) -> Branch:
    """Give the part of the tree that decided: of an "all of" that failed, what failed."""
    return _branch(criterion, speaker, denied=False, short=True)


def _branch(criterion: Criterion, speaker: Speaker, *, denied: bool, short: bool) -> Branch:
    answer = ANSWERS[_turned(criterion.holds, denied=denied)]
    if criterion.condition is not None:
        question, found = _leaf(criterion.condition, speaker, denied=denied)
        return Branch(answer, question, found)
    if criterion.op == "not":
        return _branch(criterion.parts[0], speaker, denied=not denied, short=short)
    t = texts(speaker.language)
    if not criterion.parts:
        return Branch(answer, t["op_given_not" if denied else "op_given"])
    if criterion.op in MIRRORED:
        joint = MIRRORED[criterion.op] if denied else criterion.op
        parts = tuple(_branch(part, speaker, denied=denied, short=short) for part in criterion.parts)
        return _joined(answer, t[f"op_{joint}"], parts, short=short)
    # a count, or whether something is on record: the question as a whole is denied, not its parts
    question = t[f"op_{criterion.op}{'_not' if denied else ''}"]
    return Branch(
        answer, question, "", tuple(_branch(part, speaker, denied=False, short=short) for part in criterion.parts)
    )


def _joined(answer: Answer, question: str, parts: tuple[Branch, ...], *, short: bool) -> Branch:
    if len(parts) == 1:
        return parts[0]
    # a denied "any of" within an "all of" is one more list of the same kind
    parts = tuple(inner for part in parts for inner in (part.parts if part.question == question else (part,)))
    shown = parts
    if short and answer != "unknown":
        shown = tuple(part for part in parts if part.answer == answer) or parts
    if len(shown) == 1 and len(shown) < len(parts):
        return shown[0]
    return Branch(answer, question, "", shown, len(parts) - len(shown))


def _turned(holds: Truth, *, denied: bool) -> Truth:
    return (not holds) if denied and holds is not None else holds


# --- one look at one fact -----------------------------------------------------------------------------------


def _leaf(condition: Condition, speaker: Speaker, *, denied: bool) -> tuple[str, str]:
    return _question(condition, speaker, denied=denied), found(condition.evidence, speaker)


def _question(condition: Condition, speaker: Speaker, *, denied: bool) -> str:
    t, limit, relation = texts(speaker.language), condition.limit, condition.relation
    name = plain(label(condition.fact, speaker.language))
    turned = "_not" if denied else ""
    if relation == "known":
        return t[f"ask_known{turned}"].format(fact=name)
    if relation == "within":
        return t[f"ask_within{turned}"].format(fact=name, days=_days(limit))
    if relation in {"is", "in"}:
        if isinstance(limit, bool):
            return t[f"ask_so{'_not' if denied is limit else ''}"].format(fact=name)
        return t[f"ask_word{turned}"].format(fact=name, word=plain(speaker.limit(limit)))
    sign = SIGNS[OPPOSITE[relation] if denied else relation]
    return f"{name} {sign} {plain(speaker.limit(limit))}"


def found(evidence: object, speaker: Speaker) -> str:
    """Say what is on record of a fact: its value and day, or why it is not known."""
    t = texts(speaker.language)
    if not isinstance(evidence, Fact):
        return ""
    if not evidence.is_known:
        return why_unknown(evidence, speaker)
    value = plain(speaker.value(evidence))
    details = [] if isinstance(evidence, Moment) or evidence.date is None else [speaker.day(evidence.date)]
    details += [plain(frame(flag, speaker.language)) for flag in evidence.flags if has_phrase(flag)]
    if not (evidence.resources or evidence.flags or evidence.date):
        details.append(t["silent"])
    return f"{value}{t['comma']}{t['comma'].join(details)}" if details else value


def why_unknown(fact: Fact, speaker: Speaker) -> str:
    """Say why a fact is not known."""
    told = speaker.why_unknown(fact)
    if told:
        return plain(told)
    t = texts(speaker.language)
    why = t.get(f"why_{fact.reason}", str(fact.reason))
    return f"{why} ({plain(speaker.labels(fact.lacks))})" if fact.lacks else why


def _days(limit: object) -> str:
    value = limit.value if isinstance(limit, Limit) else limit
    return number(value) if isinstance(value, int) else str(value)


def leaves(branch: Branch) -> Iterator[Branch]:
    """Yield the questions that are not made of others."""
    if not branch.parts:
        yield branch
    for part in branch.parts:
        yield from leaves(part)
