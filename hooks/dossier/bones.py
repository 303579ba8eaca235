"""The skeleton of a patient: each lesion with its place, its score as parts (Mirels, SINS), and what was done there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.wording import label, word
from hooks.dossier.reading import said
from hooks.dossier.texts import texts
from hooks.dossier.trees import found
from hooks.reference.safe import plain
from recommenders.operating.parts import GUIDANCE as SURGERY
from recommenders.patient.fracture_risk import fracture_risks
from recommenders.patient.spine import grade_compresses, instability, stabilities
from recommenders.vocabulary.dictionary import DICTIONARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.scored_lesions import ScoredLesion
    from recommenders.vocabulary.bones import Side
    from recommenders.vocabulary.facts import Finding
    from recommenders.vocabulary.guidance import Limits
    from recommenders.vocabulary.records import Event, Lesion

SHOWN = ("type", "cortical_fraction", "size", "pain", "soft_tissue_mass", "nature", "trend")
"""Components of a lesion that stand in its row where they are known."""

MOST_MIRELS, MOST_SINS = 12, 18
"""Points of the two scores at the most."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score: its points, from the certain to the possible, and the value behind, or why there is none."""

    name: str
    low: int
    high: int
    found: str

    @property
    def is_open(self) -> bool:
        """Whether its points are not told yet."""
        return self.low != self.high

    @property
    def points(self) -> str:
        """The points in writing."""
        return _span(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Score:
    """
    The score of one lesion as the parts that it is made of, `most` points at the most.

    `marks` are where it begins to matter; `note` says on which condition it holds, or that the bone was operated on
    since, which `is_dealt_with` tells too.
    """

    name: str
    parts: tuple[Part, ...]
    most: int
    marks: tuple[int, ...]
    note: str
    is_dealt_with: bool

    @property
    def low(self) -> int:
        """The points that are certain."""
        return sum(part.low for part in self.parts)

    @property
    def high(self) -> int:
        """The points that are possible."""
        return sum(part.high for part in self.parts)

    @property
    def total(self) -> str:
        """The sum in writing: a number, or the range that missing parts leave."""
        return _span(self.low, self.high)


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


@dataclass(frozen=True, slots=True)
class Bone:
    """
    One lesion: `site`, `side` and `level` as recorded (or empty), `place` in words, `done` what was done there.

    `score` is Mirels for a limb's long bone, SINS for a vertebra, else none. `is_old` says that it was seen too long
    ago to be counted on.
    """

    number: int
    site: str
    side: str
    level: str
    is_old: bool
    place: str
    day: str
    told: tuple[tuple[str, str], ...]
    score: Score | None
    done: tuple[str, ...]
    resources: str

    @property
    def is_grave(self) -> bool:
        """Whether its score certainly reaches the last of its marks, and nothing was done about it since."""
        score = self.score
        return score is not None and not self.is_old and not score.is_dealt_with and score.low >= score.marks[-1]


@dataclass(frozen=True, slots=True)
class Scale:
    """A graded finding: all its steps with their words, those that are still possible, and what is on record."""

    title: str
    steps: tuple[tuple[str, str], ...]
    possible: frozenset[str]
    found: str

    @property
    def is_known(self) -> bool:
        """Whether one step is left."""
        return len(self.possible) == 1


@dataclass(frozen=True, slots=True)
class Skeleton:
    """All lesions, and the grades of the spine: compression of the cord (`cord`, of no told level) and stability."""

    bones: tuple[Bone, ...]
    cord: Scale
    is_cord_compressed: bool
    stability: Scale

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Both grades."""
        return self.cord, self.stability


def skeleton_of(assessment: Assessment, speaker: Speaker) -> Skeleton:
    """Give every lesion with its score where it may have one, and the grades of the spine."""
    case = assessment.case
    limits = case.limits(SURGERY)
    scores = {id(risk.lesion): _mirels(risk, limits, speaker) for risk in fracture_risks(case)}
    scores |= {id(one.lesion): _sins(one, limits, speaker) for one in stabilities(case)}
    bones = tuple(
        _bone(place, lesion, scores.get(id(lesion)), assessment, speaker)
        for place, lesion in enumerate(assessment.facts.lesions, 1)
    )
    cord = _scale(assessment.facts.spine.escc, speaker)
    return Skeleton(bones, cord, grade_compresses(case).yes, _stability(assessment, limits, speaker))


def _bone(number: int, lesion: Lesion, score: Score | None, assessment: Assessment, speaker: Speaker) -> Bone:
    t = texts(speaker.language)
    site = str(lesion.site.value) if lesion.site.is_known else ""
    told = tuple(
        (plain(label(fact.name, speaker.language)), found(fact, speaker))
        for name in SHOWN
        if (fact := getattr(lesion, name)).is_known
    )
    return Bone(
        number,
        site,
        lesion.side or "",
        lesion.level or "",
        lesion.old,
        place(site, lesion.side, speaker, lesion.level),
        speaker.day(lesion.date) if lesion.date else t["no_day"],
        told,
        score,
        tuple(_done(site, lesion.side, assessment, speaker)),
        ", ".join(lesion.resources),
    )


def place(site: str, side: Side | None, speaker: Speaker, level: str | None = None) -> str:
    """Say a bone with its side and level."""
    t = texts(speaker.language)
    bone = plain(word(site, speaker.language)) if site else t["site_unknown"]
    bone = f"{bone} {level}" if level else bone
    return t[f"side_{side}"].format(bone=bone) if side else bone


def _mirels(risk: ScoredLesion, limits: Limits, speaker: Speaker) -> Score:
    marks = (int(limits.mirels_borderline.value), int(limits.mirels_high.value))
    return _score("mirels", MOST_MIRELS, marks, risk, speaker)


def _sins(stability: ScoredLesion, limits: Limits, speaker: Speaker) -> Score:
    marks = (int(limits.sins_at_risk.value), int(limits.sins_unstable.value))
    return _score("sins", MOST_SINS, marks, stability, speaker)


def _score(key: str, most: int, marks: tuple[int, ...], found_score: ScoredLesion, speaker: Speaker) -> Score:
    t = texts(speaker.language)
    parts = tuple(
        Part(plain(label(item.fact.name, speaker.language)), item.lowest, item.highest, found(item.fact, speaker))
        for item in found_score.score.items
    )
    notes = [] if found_score.applies.yes else [t[f"{key}_if"]]
    if found_score.operated.yes:
        notes.append(t["operated_since"])
    return Score(t[key], parts, most, marks, t["semicolon"].join(notes), found_score.operated.yes)


def _done(site: str, side: Side | None, assessment: Assessment, speaker: Speaker) -> Iterator[str]:
    """What the chart says was done to, or befell, this bone: only where it names the same site and no other side."""
    for event in assessment.facts.sre:
        if site and event.site == site and (not event.side or not side or event.side == side):
            yield _event(event, speaker)


def _event(event: Event, speaker: Speaker) -> str:
    day = event.start or event.date
    told = said(speaker, event.type)
    return f"{told} ({speaker.day(day)})" if day else told


def _stability(assessment: Assessment, limits: Limits, speaker: Speaker) -> Scale:
    """The stability as recorded; else the classes that the computed scores leave open, of the least stable vertebra."""
    spine = assessment.facts.spine
    whole = _scale(instability(assessment.case), speaker)
    scores = [one.score for one in stabilities(assessment.case) if one.applies.yes and one.operated.no]
    if spine.instability.is_known or spine.sins.is_known or not scores:
        return whole
    low, high = max(one.lowest for one in scores), max(one.highest for one in scores)
    starts = (0, int(limits.sins_at_risk.value), int(limits.sins_unstable.value), MOST_SINS + 1)
    classes = zip(whole.steps, starts[:-1], starts[1:], strict=True)
    possible = frozenset(step for (step, _), first, after in classes if low < after and high >= first)
    return Scale(whole.title, whole.steps, possible, f"{texts(speaker.language)['sins']} {_span(low, high)}")


def _scale(finding: Finding, speaker: Speaker) -> Scale:
    words = DICTIONARY[finding.name].words
    steps = tuple((step, plain(word(step, speaker.language))) for step in words)
    possible = {str(finding.value)} if finding.is_known else set(finding.possible or words)
    return Scale(plain(label(finding.name, speaker.language)), steps, frozenset(possible), found(finding, speaker))
