"""The skeleton of a patient: each lesion with its place, its Mirels score as four parts, and what was done there."""

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
from recommenders.vocabulary.dictionary import DICTIONARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.scored_lesions import ScoredLesion
    from recommenders.vocabulary.bones import Side
    from recommenders.vocabulary.facts import Finding
    from recommenders.vocabulary.records import Event, Lesion

SHOWN = ("type", "cortical_fraction", "size", "pain", "soft_tissue_mass", "nature", "trend")
"""Components of a lesion that stand in its row where they are known."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the four parts of a Mirels score: its points, from the certain to the possible, and the value behind."""

    name: str
    low: int
    high: int
    found: str

    @property
    def points(self) -> str:
        """The points in writing."""
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"


@dataclass(frozen=True, slots=True)
class Mirels:
    """The Mirels score of one lesion; `note` says on which condition, or that the bone was operated on since."""

    parts: tuple[Part, ...]
    low: int
    high: int
    note: str

    @property
    def total(self) -> str:
        """The sum in writing: a number, or the range that missing parts leave."""
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"


@dataclass(frozen=True, slots=True)
class Bone:
    """
    One lesion: `site`, `side` and `level` as recorded (or empty), `place` in words, `done` what was done there.

    `is_old` says that it was seen too long ago to be counted on.
    """

    number: int
    site: str
    side: str
    level: str
    is_old: bool
    place: str
    day: str
    told: tuple[tuple[str, str], ...]
    mirels: Mirels | None
    done: tuple[str, ...]
    resources: str


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
    """All lesions, cord compression and stability of the spine; `limits` are where a Mirels score begins to matter."""

    bones: tuple[Bone, ...]
    scales: tuple[Scale, ...]
    limits: tuple[int, ...]


def skeleton_of(assessment: Assessment, speaker: Speaker) -> Skeleton:
    """Give every lesion with its Mirels score where it may have one, and the grades of the spine."""
    risks = {id(risk.lesion): risk for risk in fracture_risks(assessment.case)}
    bones = tuple(
        _bone(place, lesion, risks.get(id(lesion)), assessment, speaker)
        for place, lesion in enumerate(assessment.facts.lesions, 1)
    )
    spine = assessment.facts.spine
    scales = tuple(_scale(finding, speaker) for finding in (spine.escc, spine.instability))
    limits = assessment.case.limits(SURGERY)
    marks = tuple(int(limit.value) for limit in (limits.mirels_borderline, limits.mirels_high))
    return Skeleton(bones, scales, marks)


def _bone(number: int, lesion: Lesion, risk: ScoredLesion | None, assessment: Assessment, speaker: Speaker) -> Bone:
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
        _mirels(risk, speaker) if risk is not None else None,
        tuple(_done(site, lesion.side, assessment, speaker)),
        ", ".join(lesion.resources),
    )


def place(site: str, side: Side | None, speaker: Speaker, level: str | None = None) -> str:
    """Say a bone with its side and level."""
    t = texts(speaker.language)
    bone = plain(word(site, speaker.language)) if site else t["site_unknown"]
    bone = f"{bone} {level}" if level else bone
    return t[f"side_{side}"].format(bone=bone) if side else bone


def _mirels(risk: ScoredLesion, speaker: Speaker) -> Mirels:
    t = texts(speaker.language)
    parts = tuple(
        Part(plain(label(item.fact.name, speaker.language)), item.lowest, item.highest, found(item.fact, speaker))
        for item in risk.score.items
    )
    notes = [] if risk.applies.yes else [t["mirels_if"]]
    if risk.operated.yes:
        notes.append(t["mirels_operated"])
    return Mirels(parts, risk.score.lowest, risk.score.highest, t["semicolon"].join(notes))


def _done(site: str, side: Side | None, assessment: Assessment, speaker: Speaker) -> Iterator[str]:
    """What the chart says was done to, or befell, this bone: only where it names the same site and no other side."""
    for event in assessment.facts.sre:
        if site and event.site == site and (not event.side or not side or event.side == side):
            yield _event(event, speaker)


def _event(event: Event, speaker: Speaker) -> str:
    day = event.start or event.date
    told = said(speaker, event.type)
    return f"{told} ({speaker.day(day)})" if day else told


def _scale(finding: Finding, speaker: Speaker) -> Scale:
    words = DICTIONARY[finding.name].words
    steps = tuple((step, plain(word(step, speaker.language))) for step in words)
    possible = {str(finding.value)} if finding.is_known else set(finding.possible or words)
    return Scale(plain(label(finding.name, speaker.language)), steps, frozenset(possible), found(finding, speaker))
