"""Draws a patient: laboratory series with their limits, and lesions on a body outline; plain SVG parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.wording import Language, Speaker, fixed, label, unit, word
from hooks.console.texts import texts
from hooks.reference.safe import plain
from recommenders.patient.series import history
from recommenders.surgical_timing import fracture_risks
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.facts import Reading
from recommenders.vocabulary.guidance import guidance, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from hooks.console.inspection import Inspection
    from recommenders.assessing.assessment import Assessment
    from recommenders.surgical_timing import FractureRisk
    from recommenders.vocabulary.dictionary import Facts

WIDTH, HEIGHT = 400, 180
LEFT, RIGHT, TOP, BOTTOM = 14, 386, 22, 154
"""The plot's edges in the chart's own box."""

SERIES = ("lab.ca_total", "lab.ca_corr", "lab.creatinine", "mm.m_protein", "mm.kappa", "mm.lambda_", "lab.hb")
LIMITS: dict[str, tuple[tuple[str, str], ...]] = {
    "lab.ca_corr": (
        ("bone_protection", "hypocalcaemia"),
        ("common", "hypercalcaemia"),
        ("bone_protection", "severe_hypercalcaemia"),
    ),
    "lab.creatinine": (("myeloma_staging", "mde_creatinine"),),
    "mm.m_protein": (("myeloma_staging", "smm_m_protein"),),
    "mm.kappa": (("myeloma_staging", "mde_light_chain_involved"),),
    "mm.lambda_": (("myeloma_staging", "mde_light_chain_involved"),),
    "lab.hb": (("myeloma_staging", "mde_haemoglobin"),),
}
"""Where the limit lines of a chart come from: topic and limit. Total calcium has none of its own."""

PLACES = {
    "skull": (100, 18),
    "spine-cervical": (100, 58),
    "spine-thoracic": (100, 98),
    "spine-lumbar": (100, 150),
    "spine": (100, 124),
    "sacrum": (100, 182),
    "pelvis": (84, 188),
    "acetabulum": (78, 204),
    "femur-proximal": (76, 218),
    "femur-pertrochanteric": (76, 232),
    "femur": (78, 258),
    "femur-other": (79, 276),
    "lower-limb": (80, 300),
    "tibia": (80, 336),
    "fibula": (72, 340),
    "foot": (76, 386),
    "clavicle": (82, 66),
    "scapula": (74, 80),
    "sternum": (100, 78),
    "rib": (80, 112),
    "humerus": (54, 108),
    "upper-limb": (48, 134),
    "radius": (42, 168),
    "ulna": (50, 172),
    "hand": (38, 206),
}
"""Where each lesion site lies on the outline, in its 200 × 400 box; the side is not told."""

NEXT_TO = 20
"""How far a second lesion of the same site is drawn from the first."""


@dataclass(frozen=True, slots=True)
class Point:
    """One result on a chart."""

    x: float
    y: float
    day: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """One limit line on a chart, with what it is and who says so."""

    y: float
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One series ready to be drawn."""

    title: str
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One lesion on the outline; `x` is None when its place is not told. `mirels` is a number or a range."""

    number: int
    x: int | None
    y: int | None
    site: str
    type: str
    pain: str
    cortex: str
    mirels: str
    day: str
    resources: str


def limits_of(path: str, assessment: Assessment) -> Iterator[tuple[str, Decimal, str, str]]:
    """
    Yield name, value, unit and source key of the limits drawn for a fact, as in force for this call.

    Raises AttributeError for a limit that its topic does not have.
    """
    for topic, name in LIMITS.get(path, ()):
        if topic == "myeloma_staging" and not _has_plasma_cells(assessment.facts):
            continue  # the limits of myeloma say nothing about another patient
        limit = getattr(assessment.case.limits(guidance(topic)), name)
        yield name, limit.value, limit.unit, limit.source


def _has_plasma_cells(facts: Facts) -> bool:
    return not all(finding.criterion().no for finding in (facts.dx.mm, facts.dx.smm, facts.dx.mgus))


def charts(found: Inspection, language: Language) -> list[Chart]:
    """Make a chart of every series that the data hold."""
    if found.assessment is None:
        return []
    made = (_chart(path, found.assessment, language) for path in SERIES)
    return [chart for chart in made if chart is not None]


def _chart(path: str, assessment: Assessment, language: Language) -> Chart | None:
    results = [
        (reading, value) for reading in history(assessment.facts, path) if (value := _height(reading)) is not None
    ]
    if not results:
        return None
    drawn = list(limits_of(path, assessment))
    shown = unit(DICTIONARY[path].unit, language)
    low, high = _range([value for _, value in results], [float(value) for _, value, _, _ in drawn])
    days = [reading.date.toordinal() for reading, _ in results if reading.date is not None]
    first, span = days[0], max(days[-1] - days[0], 1)

    def across(day: int) -> float:
        inset = 12
        return LEFT + inset + (RIGHT - LEFT - 2 * inset) * ((day - first) / span if len(results) > 1 else 0.5)

    def up(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 1)

    points = tuple(
        Point(round(across(day), 1), up(value), reading.date.isoformat() if reading.date else "", fixed(reading))
        for (reading, value), day in zip(results, days, strict=True)
    )
    lines = tuple(
        Line(up(float(value)), f"{value:f} {shown}".strip(), sources()[source].label.text(language))
        for _, value, _, source in drawn
    )
    route = " ".join(f"{'L' if place else 'M'}{point.x} {point.y}" for place, point in enumerate(points))
    title = label(DICTIONARY[path].name, language)
    return Chart(f"{title} ({shown})" if shown else title, points, lines, route)


def _height(reading: Reading) -> float | None:
    """Where a result is drawn: an interval at the end that is told."""
    for value in (reading.rounded, reading.high if reading.low == 0 else reading.low, reading.high):
        if value is not None:
            return float(value)
    return None


def _range(values: Sequence[float], limits: Sequence[float]) -> tuple[float, float]:
    low, high = min([*values, *limits]), max([*values, *limits])
    margin = ((high - low) or max(abs(high), 1.0)) * 0.12
    return low - margin, high + margin


def lesions(found: Inspection, language: Language) -> list[Mark]:
    """Make a mark of every lesion, with its Mirels score where it may have one."""
    if found.assessment is None:
        return []
    speaker = Speaker(found.assessment, language)
    risks = {id(risk.lesion): risk for risk in fracture_risks(found.assessment.case)}
    seen: Counter[str] = Counter()
    marks = []
    for place, lesion in enumerate(found.assessment.facts.lesions, 1):
        site = str(lesion.site.value) if lesion.site.is_known else ""
        spot = PLACES.get(site)
        beside = NEXT_TO * seen[site]
        seen[site] += 1
        marks.append(
            Mark(
                place,
                spot[0] + beside if spot else None,
                spot[1] if spot else None,
                plain(word(site, language)) if site else "?",
                plain(speaker.value(lesion.type)),
                plain(speaker.value(lesion.pain)),
                plain(speaker.value(lesion.cortical_fraction)),
                _mirels(risks.get(id(lesion)), language),
                lesion.date.isoformat() if lesion.date else "",
                ", ".join(lesion.resources),
            )
        )
    return marks


def _mirels(risk: FractureRisk | None, language: Language) -> str:
    """Say a lesion's Mirels score: a number, a range while items are missing, or why it has none."""
    t = texts(language)
    if risk is None:
        return t["mirels_not_for"]
    low, high = risk.score.lowest, risk.score.highest
    told = str(low) if low == high else f"{low}–{high}"
    if not risk.applies.yes:
        told += f" ({t['mirels_if']})"
    if risk.operated.yes:
        told += f" ({t['mirels_operated']})"
    return told


def escc(found: Inspection, language: Language) -> tuple[str, str]:
    """Give the ESCC grade in words and its day; both empty when there is no assessment."""
    if found.assessment is None:
        return "", ""
    grade = found.assessment.facts.spine.escc
    return plain(Speaker(found.assessment, language).value(grade)), grade.date.isoformat() if grade.date else ""
