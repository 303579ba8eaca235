"""Stages and risks: each model with its inputs, the arithmetic, the range that missing inputs leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.cards.wording import label, number
from hooks.dossier.texts import texts
from hooks.dossier.trees import ANSWERS, Branch, found, tree
from hooks.reference.safe import plain
from recommenders.patient.myeloma_class import myeloma_class, plasma_cell_disorder
from recommenders.patient.myeloma_models import possible_groups
from recommenders.patient.myeloma_risk import smouldering_risk, staging
from recommenders.staging.parts import GUIDANCE
from recommenders.vocabulary.facts import Fact, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.myeloma_models import Row, Stage, Tally
    from recommenders.vocabulary.logic import Criterion


@dataclass(frozen=True, slots=True)
class Input:
    """
    One input of a model: what is asked, the answer, and the points that it gives (empty where none are counted).

    `is_value` marks a number that goes into a formula: it answers no question.
    """

    asked: Branch
    points: str = ""
    is_value: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """
    One model for this patient.

    `result` is a word or number, or the range that missing inputs leave (`open`); `sum` is the arithmetic.
    """

    name: str
    result: str
    is_open: bool
    sum: str
    inputs: tuple[Input, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Models:
    """All models that apply, and in words where they do not agree."""

    models: tuple[Model, ...]
    differ: tuple[str, ...]


def models_of(assessment: Assessment, speaker: Speaker) -> Models:
    """Give the models that apply to this patient: what was computed of kidney and calcium, stages and risks."""
    models = [*_computed(assessment, speaker)]
    case = assessment.case
    if not case.once(plasma_cell_disorder).no:
        models.append(_class(assessment, speaker))
        if case.once(staging).applies.yes:
            models += _stages(assessment, speaker)
        if case.once(smouldering_risk).applies.yes:
            models += _risks(assessment, speaker)
    return Models(tuple(models), tuple(_differences(models, speaker)))


# --- computed from a formula --------------------------------------------------------------------------------

FORMULAS = {
    "lab.crcl": ("patient.age", "patient.weight", "lab.creatinine"),
    "lab.ca_corr": ("lab.ca_total", "lab.albumin"),
}
"""What the two formulas are fed with; the sex of the patient, too, enters the clearance."""


def _computed(assessment: Assessment, speaker: Speaker) -> Iterator[Model]:
    t, facts = texts(speaker.language), assessment.facts
    for path, inputs in FORMULAS.items():
        fact = facts.fact(path)
        if not isinstance(fact, Reading) or (not fact.is_known and not any(facts.fact(one).is_known for one in inputs)):
            continue
        rows = tuple(_input(facts.fact(one), speaker) for one in inputs)
        result = plain(speaker.value(fact)) if fact.is_known else t["not_computed"]
        key = path.partition(".")[2]
        yield Model(plain(label(fact.name, speaker.language)), result, not fact.is_known, t[f"formula_{key}"], rows, "")


def _input(fact: Fact, speaker: Speaker) -> Input:
    text = plain(label(fact.name, speaker.language))
    return Input(Branch("yes" if fact.is_known else "unknown", text, found(fact, speaker)), is_value=True)


# --- classes and stages -------------------------------------------------------------------------------------


def _class(assessment: Assessment, speaker: Speaker) -> Model:
    t = texts(speaker.language)
    found_class = assessment.case.once(myeloma_class)
    inputs = tuple(
        Input(Branch(ANSWERS[criterion.holds], t[f"class_{key}"], "", tree(criterion, speaker).parts))
        for key, criterion in (
            ("active", found_class.is_active_mm),
            ("smouldering", found_class.is_smm),
            ("mgus", found_class.is_mgus),
        )
    )
    word = plain(speaker.value(found_class.finding))
    return Model(t["model_class"], word, found_class.word == "undetermined", "", inputs, "IMWG")


def _stages(assessment: Assessment, speaker: Speaker) -> Iterator[Model]:
    found_stage = assessment.case.once(staging)
    yield _stage("iss", found_stage.iss, (found_stage.iss.first, found_stage.iss.third), speaker)
    bad = (found_stage.ldh_raised, assessment.facts.cyto.high_risk_riss.criterion())
    yield _stage("riss", found_stage.riss, bad, speaker)
    yield _tally("r2iss", found_stage.r2iss, GUIDANCE.tables["r2iss_groups"], speaker)


def _stage(key: str, stage: Stage, inputs: Sequence[Criterion], speaker: Speaker) -> Model:
    t = texts(speaker.language)
    rows = tuple(Input(tree(criterion, speaker)) for criterion in inputs)
    return Model(t[f"model_{key}"], " / ".join(stage.possible), stage.word is None, "", rows, t[f"model_{key}_source"])


def _risks(assessment: Assessment, speaker: Speaker) -> Iterator[Model]:
    smm, tables = assessment.case.once(smouldering_risk), GUIDANCE.tables
    yield _tally("mayo_2008", smm.mayo_2008, (), speaker)
    yield _tally("mayo_2018", smm.mayo_2018, tables["mayo_2018_groups"], speaker)
    yield _tally("imwg_2020", smm.imwg_factors, tables["imwg_2020_groups"], speaker)
    yield _tally("imwg_score", smm.imwg_score, tables["imwg_score_groups"], speaker)


def _tally(key: str, tally: Tally, groups: Sequence[Row], speaker: Speaker) -> Model:
    """A sum of points: `1 + 0 + 0.5 = 1.5`, or from what is certain to what is possible."""
    t = texts(speaker.language)
    rows, terms = [], []
    for item in tally.items:
        low = item.points if item.criterion.yes else 0
        high = 0 if item.criterion.no else item.points
        points = number(low) if low == high else f"{number(low)}–{number(high)}"
        terms.append(points)
        rows.append(Input(tree(item.criterion, speaker), points))
    total = number(tally.lowest) if tally.value is not None else f"{number(tally.lowest)}–{number(tally.highest)}"
    words = [plain(speaker.fill(str(row["word"]), GUIDANCE)) for row in possible_groups(tally, groups) if "word" in row]
    shown = f"{total} ({' / '.join(words)})" if words else total
    is_open = tally.value is None and len(words) != 1
    return Model(
        t[f"model_{key}"], shown, is_open, f"{' + '.join(terms)} = {total}", tuple(rows), t[f"model_{key}_source"]
    )


def _differences(models: Sequence[Model], speaker: Speaker) -> Iterator[str]:
    """Say which models of one question come to different answers for this patient."""
    t = texts(speaker.language)
    for names in (("iss", "riss"), ("mayo_2018", "imwg_score")):
        chosen = [one for one in models if one.name in {t[f"model_{name}"] for name in names} and not one.is_open]
        verdicts = {one.result.partition(" (")[2].rstrip(")") or one.result for one in chosen}
        if len(chosen) == len(names) and len(verdicts) > 1:
            told = t["semicolon"].join(f"{one.name}{t['colon']}{one.result}" for one in chosen)
            yield t["models_differ"].format(models=told)
