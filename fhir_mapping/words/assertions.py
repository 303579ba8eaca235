"""
The one judge of assertions: what a text says of a target, in English and Chinese.

The way is ConText's (Harkema 2009): targets, trigger words with a direction and a reach, terminators, pseudo-triggers;
a sentence or a table cell is the scope, a heading governs its list. Which words do what is in `triggers.toml`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.words import forms
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import LONGEST, TARGETS, Mention, Target, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Verdict = Literal[
    "present",
    "absent",
    "suspected",
    "historical",
    "hypothetical",  # a risk, a prevention, a plan
    "other",  # another person, a screening, a fear
    "contradictory",  # the same text says both
    "unread",  # the word is there, and nothing tells what is said of it
]
Kind = Literal[
    "pseudo", "unread", "doubt", "other", "hypothetical", "stays", "lasts", "history", "negation", "affirmation",
    "nothing",
]  # fmt: skip
Reach = Literal["before", "after", "both", "sentence"]

FAR = 200
"""Characters between a trigger and its target, at most."""
STRENGTH: tuple[Verdict, ...] = (
    "other", "hypothetical", "unread", "historical", "absent", "suspected", "contradictory", "present",
)  # fmt: skip
"""Which verdict speaks for a text that says several things of one target: the last of these."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One entry of `triggers.toml`."""

    kind: Kind
    reach: Reach
    lists: bool = False
    tight: bool = False
    near: int = FAR
    risky: bool = False


@dataclass(slots=True)
class _Trigger:
    """A trigger found in a sentence, at `start:end`; `used` once it was said of a target before it."""

    rule: _Rule
    start: int
    end: int
    used: bool = False


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is said of one target; `where` is its place in the folded text, `words` what stands there."""

    target: str
    verdict: Verdict
    words: str
    where: tuple[int, int]


# --- the triggers -------------------------------------------------------------------------------------------


def _load() -> Mapping[str, Any]:
    return tomllib.loads(files("fhir_mapping.words").joinpath("triggers.toml").read_text("utf-8"))


def _rule(row: Mapping[str, Any]) -> _Rule:
    return _Rule(
        row["kind"],
        row["reach"],
        row.get("lists", False),
        row.get("tight", False),
        row.get("near", FAR),
        row.get("risky", False),
    )


def _joined(rows: Sequence[Mapping[str, Any]], language: str, edge: tuple[str, str]) -> re.Pattern[str]:
    parts = [
        f"(?P<t{number}>{edge[0]}(?:{'|'.join(row[language])}){edge[1]})"
        for number, row in enumerate(rows)
        if row.get(language)
    ]
    return compiled("|".join(parts))


_TABLE = _load()
_ROWS: Sequence[Mapping[str, Any]] = _TABLE["triggers"]
_RULES = tuple(_rule(row) for row in _ROWS)
_ENGLISH = _joined(_ROWS, "en", (r"\b", r"(?![a-z0-9])"))
_CHINESE = _joined(_ROWS, "zh", ("", ""))
_SIGNS = _joined(_ROWS, "signs", ("", ""))
_STOP = compiled(_TABLE["stop"])
_VERBS = compiled(_TABLE["verbs"])
_FILLERS = compiled(rf"(?:{_TABLE['fillers']})*")
_JOINS_LAST = compiled(r"\b(?:n?or|and)\b|[和及与或]")
_ALL = compiled(r"\b(?:all|both|neither)\b|[均都皆]|:")
_CLAUSE_ENDS = compiled(r" ?(?:$|[.;,。|)])")
_PLACE_BEHIND = compiled(r" ?(?:in|at|of|to|within|elsewhere|involving|outside|beyond)\b")
_PLACE_BEFORE = compiled(r"\bother\b|[其余他处]|椎|肋|髂|盆|颅|[ctl]\d")
_NOW = compiled(r"\b(?:now|currently|today)\b[ :]*$|(?:现在?|目前|复查)[为呈:]?$")
_INSIDE = compiled(r"未(?!分化|[明定])|无(?!症状|力)|\b(?:not|without|no)\b")
_STATEMENT_ENDS = compiled(
    r"\.(?= |$)(?<!\bvs\.)(?<!\bno\.)(?<!e\.g\.)(?<!i\.e\.)|(?<=[a-z]{3})\.(?=[a-z])|[;。!\n]"
    r"|(?<=[^ .,;:(?][?])(?= ?\S)"
)
_INNER_SEMICOLON = re.compile(r"\([^()\n;]{0,16};[^()\n]{0,24}\)")
_HEADED_LIST = re.compile(r":[ ]?\n(?:[ ]?[-•*·][^\n]{1,120}\n?){1,12}")


def _triggers(sentence: str) -> list[_Trigger]:
    """Give the triggers of a sentence in order; of two that overlap the one that begins first."""
    patterns = [_ENGLISH, _SIGNS] if sentence.isascii() else [_ENGLISH, _CHINESE, _SIGNS]
    found = [
        _Trigger(_RULES[int((hit.lastgroup or "t0")[1:])], hit.start(), hit.end())
        for pattern in patterns
        for hit in pattern.finditer(sentence)
    ]
    found.sort(key=lambda one: (one.start, -one.end))
    kept: list[_Trigger] = []
    for one in found:
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept


# --- sentences ----------------------------------------------------------------------------------------------


def _one_line(folded: str) -> str:
    """Give the text with what looks like an end of a sentence and is none set aside; places stay as they are."""
    folded = _INNER_SEMICOLON.sub(lambda hit: hit.group().replace(";", "/"), folded)
    return _HEADED_LIST.sub(lambda hit: _as_list(hit.group()), folded)


def _as_list(headed: str) -> str:
    """Make one line of a heading and the bullets under it."""
    inner = re.sub(r"\n([ ]?)[-•*·]", lambda hit: f", {hit[1]}", headed[:-1])
    return inner.replace("\n", ",") + headed[-1]


LONGEST_SENTENCE = 1_000


def _sentences(text: str) -> Iterable[tuple[int, int]]:
    """Give the places of the sentences; one without an end is cut after 1,000 characters."""
    begin = 0
    ends = [hit.end() for hit in _STATEMENT_ENDS.finditer(text)]
    for end in (*ends, len(text)):
        while begin < end:
            yield begin, min(end, begin + LONGEST_SENTENCE)
            begin = min(end, begin + LONGEST_SENTENCE)


@dataclass(slots=True)
class _Sentence:
    """One sentence with its triggers and the places of its targets."""

    text: str
    triggers: list[_Trigger]
    targets: Sequence[tuple[int, int]]

    def governing(self, start: int, end: int, *, means: bool = False) -> list[_Trigger]:
        """Give the triggers that speak of the words at `start:end`, which may be the `means` of a look at others."""
        near = [one for one in self.triggers if start - FAR <= one.end and one.start <= end + FAR]
        found = [
            one
            for one in reversed(near)
            if (one.end <= start or one.start < start < one.end)
            and not one.used
            and one.rule.reach in {"before", "both"}
            and self._reaches_on(one, start, end)
        ]
        found = _nearest_result(found)
        behind = [
            one
            for one in near
            if one.start >= end and one.rule.reach in {"after", "both"} and self._reaches_back(one, end)
        ]
        behind = self._as_of_now(_nearest_result(behind), near)
        for one in behind:
            one.used = one.used or (one.rule.kind in {"negation", "affirmation"} and not means)
        return [*found, *behind, *(one for one in near if one.rule.reach == "sentence")]

    def _as_of_now(self, behind: list[_Trigger], near: Sequence[_Trigger]) -> list[_Trigger]:
        """Give the result that holds now in place of an older one before it ("positive at diagnosis, now negative")."""
        told = next((one for one in behind if one.rule.kind in {"negation", "affirmation"}), None)
        if told is None:
            return behind
        for later in near:
            if later.start > told.end and later.rule.kind in {"negation", "affirmation"}:
                between = self.text[told.end : later.start]
                named = any(told.end <= start < later.start for start, _ in self.targets)
                if not named and _NOW.search(between):
                    return [later if one is told else one for one in behind]
                break
        return behind

    def _reaches_on(self, trigger: _Trigger, start: int, end: int) -> bool:
        gap = self.text[trigger.end : start]
        if len(gap) > trigger.rule.near or _STOP.search(gap):
            return False
        if trigger.rule.tight and not _FILLERS.fullmatch(self._without_targets(trigger.end, start)):
            return False
        _, comma, rest = gap.partition(",")
        if not comma:
            return True
        if _VERBS.search(rest if trigger.rule.lists else gap):
            return False
        if trigger.rule.lists:
            return True
        tail = self.text[end : end + FAR]
        joined = _JOINS_LAST.search(gap) or _JOINS_LAST.search(tail)
        return joined is not None and not _VERBS.search(tail[: joined.start()] if joined.string is tail else "")

    def _reaches_back(self, trigger: _Trigger, end: int) -> bool:
        gap = self.text[end : trigger.start]
        if len(gap) > trigger.rule.near or _STOP.search(gap.replace(" - ", "   ")):
            return False
        plain = self._without_targets(end, trigger.start)
        if trigger.rule.reach == "both" and self._leads_on(trigger, plain):
            return False
        if "," in plain:
            bare = not gap.strip(" ,")
            said_of_all = _ALL.search(plain) or _ALL.match(self.text[trigger.start :]) or _JOINS_LAST.search(plain)
            rule = trigger.rule
            of_clause = not rule.tight and (rule.reach == "after" or rule.kind == "history")
            if not (of_clause or _CLAUSE_ENDS.match(self.text, trigger.end) if bare else said_of_all):
                return False
            return _FILLERS.fullmatch(plain.replace(",", " ")) is not None
        return not trigger.rule.tight or _FILLERS.fullmatch(plain) is not None

    def _leads_on(self, trigger: _Trigger, gap: str) -> bool:
        """
        Tell whether a trigger of both directions speaks of the target right behind it, not of the one before it.

        A blank behind it and nothing but fillers before it is a row of a table: there it is the result.
        """
        if trigger.rule.near < FAR:
            return False
        end = trigger.end
        if not any(end <= start <= end + 3 and not self.text[end:start].strip(" :") for start, _ in self.targets):
            return False
        return not (self.text[end] == " " and _FILLERS.fullmatch(gap))

    def _without_targets(self, start: int, end: int) -> str:
        """Give the words between two places without the other targets that are named there."""
        words = self.text[start:end]
        for first, last in self.targets:
            if first >= start and last <= end:
                words = words[: first - start] + " " * (last - first) + words[last - start :]
        return words


def _nearest_result(triggers: list[_Trigger]) -> list[_Trigger]:
    """Of the results on one side of a target (nearest first) only the nearest is said of it."""
    found: list[_Trigger] = []
    told = False
    for one in triggers:
        result = one.rule.kind in {"negation", "affirmation"}
        if result and told:
            continue
        told = told or result
        found.append(one)
    return found


# --- the verdict --------------------------------------------------------------------------------------------


def judge_all(folded: str, mentions: Sequence[Mention], *, needs_evidence: bool = False) -> list[Verdict]:
    """
    Say what a folded text claims about each mention, in their order.

    With `needs_evidence` a mention that nothing confirms is `unread`, as in laboratory and genetics; without, it is
    `present`, as on a problem list.
    """
    text, unticked = forms.read(_one_line(folded))
    order = sorted(range(len(mentions)), key=lambda number: mentions[number].start)
    verdicts: list[Verdict] = ["unread"] * len(mentions)
    position = 0
    for begin, stop in _sentences(text):
        inside: list[int] = []
        while position < len(order) and mentions[order[position]].start < stop:
            inside.append(order[position])
            position += 1
        if inside:
            _judge_sentence(text[begin:stop], begin, inside, mentions, verdicts, needs_evidence=needs_evidence)
    for box in unticked:
        for number, one in enumerate(mentions):
            if one.start < box.end and box.start < one.end:
                verdicts[number] = "absent" if box.answered else "unread"
    return verdicts


def _judge_sentence(
    words: str,
    begin: int,
    inside: Sequence[int],
    mentions: Sequence[Mention],
    verdicts: list[Verdict],
    *,
    needs_evidence: bool,
) -> None:
    places = [(mentions[number].start - begin, mentions[number].end - begin) for number in inside]
    sentence = _Sentence(words, _triggers(words), places)
    for number, (start, end) in zip(inside, places, strict=True):
        target = TARGETS.get(mentions[number].target)
        governing = sentence.governing(start, end, means=target is not None and target.means)
        governing = _that_count(governing, target, words, (start, end))
        verdict = _verdict(governing, start, words[start:end])
        verdicts[number] = "present" if verdict is None and not needs_evidence else verdict or "unread"


def _that_count(
    governing: Sequence[_Trigger], target: Target | None, words: str, place: tuple[int, int]
) -> list[_Trigger]:
    """Leave out the triggers that others take back, and those that do not speak of a target of this kind."""
    _, end = place
    taken_back: set[Kind] = {"doubt"} if _is_answered(governing, words, end) else set()
    lasts = (
        target is not None
        and target.lasting
        and any(one.rule.kind == "lasts" and "," not in words[end : one.start] for one in governing)
    )
    return [
        one
        for one in governing
        if one.rule.kind not in taken_back
        and not (one.rule.risky and (target is None or not target.risky))
        and not (lasts and one.rule.kind == "history" and one.rule.reach == "before")
    ]


def _verdict(governing: Sequence[_Trigger], start: int, target: str) -> Verdict | None:
    """Weigh the triggers that speak of a target beginning at `start`; None when none of them says anything."""
    kinds = {one.rule.kind for one in governing}
    for kind in ("other", "hypothetical"):
        if kind in kinds:
            return kind
    if "doubt" in kinds:
        return "absent" if _doubt_is_denied(governing, start) else "suspected"
    if "unread" in kinds:
        return "unread"
    if "negation" in kinds or _INSIDE.search(target):
        return "absent"
    if "history" in kinds and "stays" not in kinds:
        return "historical"
    return "present" if "affirmation" in kinds else None


def _is_answered(governing: Sequence[_Trigger], words: str, end: int) -> bool:
    """Tell whether a question is answered no behind its colon ("evaluate for bone metastases: none seen")."""
    return any(
        one.rule.kind == "negation" and one.start >= end and words[end : one.start].strip() == ":" for one in governing
    ) and all(one.start < end for one in governing if one.rule.kind == "doubt")


def _doubt_is_denied(governing: Sequence[_Trigger], start: int) -> bool:
    """Tell whether a "no" before the words of doubt denies them too ("no findings suspicious for …")."""
    doubts = [one for one in governing if one.rule.kind == "doubt"]
    denials = [one for one in governing if one.rule.kind == "negation" and one.end <= start]
    first = min((no.start for no in denials), default=start)
    return bool(denials) and all(
        one.rule.reach != "sentence" and first < one.start and (one.start < start or one.rule.near < FAR)
        for one in doubts
    )


def judge(folded: str, start: int, end: int, *, target: str = "", needs_evidence: bool = False) -> Verdict:
    """Say what a folded text claims about the words at `start:end`."""
    return judge_all(folded, [Mention(target, start, end)], needs_evidence=needs_evidence)[0]


# --- whole texts --------------------------------------------------------------------------------------------


def said(text: str) -> tuple[Assertion, ...]:
    """Give every target that occurs in a text with what is said of it, in order of place."""
    return _remembered(text) if len(text) <= REMEMBERED else _said(text[:LONGEST])


REMEMBERED = 2_000
"""Characters of a text whose reading is remembered: names and conclusions come again, long reports do not."""


@lru_cache(maxsize=4096)
def _remembered(text: str) -> tuple[Assertion, ...]:
    return _said(text)


def _said(text: str) -> tuple[Assertion, ...]:
    folded = fold(text)
    mentions = find(folded)
    verdicts = judge_all(folded, mentions)
    return tuple(
        Assertion(one.target, verdict, folded[one.start : one.end], (one.start, one.end))
        for one, verdict in zip(mentions, verdicts, strict=True)
    )


def verdict(text: str, target: str) -> Verdict | None:
    """Give what a text says of one target of `targets.toml`; None when it does not occur."""
    return verdicts(text).get(target)


def verdicts(text: str) -> dict[str, Verdict]:
    """
    Give what a text says of every target that occurs in it; of several sayings the strongest (`STRENGTH`).

    A yes beside a no contradicts, unless the no is of some other place only ("… at L3; none in the pelvis").
    """
    found: dict[str, Verdict] = {}
    denied: list[Assertion] = []
    for one in said(text):
        known = found.get(one.target)
        if one.verdict == "absent":
            denied.append(one)
        if known is None or STRENGTH.index(one.verdict) > STRENGTH.index(known):
            found[one.target] = one.verdict
    if any(found[one.target] == "present" for one in denied):
        folded = fold(text[:LONGEST])
        for one in denied:
            if found[one.target] == "present" and not _is_of_a_place(folded, one):
                found[one.target] = "contradictory"
    return found


def _is_of_a_place(folded: str, one: Assertion) -> bool:
    """Tell whether something is denied of one place only, or of all others."""
    start, end = one.where
    return bool(_PLACE_BEHIND.match(folded, end) or _PLACE_BEFORE.search(folded[max(0, start - 24) : start]))


def is_about_others(text: str) -> bool:
    """Tell whether all that a text names is said of the family, of a screening or of a fear, not of the patient."""
    told = said(text)
    if told:
        return all(one.verdict == "other" for one in told)
    return any(one.rule.kind == "other" for one in _triggers(fold(text[:FAR])))
