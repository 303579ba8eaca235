"""The source attributes are complete, and the code does not read what they deny."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommenders.assessing.assessment import assess
from recommenders.assessing.topics import RECOMMENDERS
from recommenders.vocabulary.guidance import sources
from recommenders.vocabulary.logic import Criterion
from tests.vignettes import load_all

MAPPING = Path(__file__).parent.parent / "fhir_mapping"
NEVER_READ = (
    "us-core-race",
    "us-core-ethnicity",
    "us-core-birthsex",
    "genderIdentity",
    "sexual-orientation",
    "communication",
)
STANDS_FOR = {
    "patient.sex": ("sex",),
    "patient.age": ("date_of_birth",),
    "patient.birth_date": ("date_of_birth",),
    "lab.crcl": ("sex", "date_of_birth"),
    "status.ecog": ("health_status_assessments",),
    "status.life_expectancy": ("health_status_assessments",),
    "pain.nrs": ("health_status_assessments",),
    "psych.distress": ("health_status_assessments",),
}


def facts_in(criterion: Criterion) -> set[str]:
    found = {criterion.condition.fact} if criterion.condition is not None else set()
    for part in criterion.parts:
        found |= facts_in(part)
    return found


def test_every_recommender_has_its_thirteen_attributes() -> None:
    for found in RECOMMENDERS.values():
        assert len(found.attributes.uses.model_dump()) == 9
        assert all(key in sources() for key in found.attributes.sources)


def test_the_mapping_reads_no_demographic_element_that_all_recommenders_deny() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MAPPING.rglob("*.py")))
    for element in NEVER_READ:
        assert f'"{element}' not in text, element


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_no_rule_reads_an_element_that_its_recommender_denies(name: str) -> None:
    uses = RECOMMENDERS[name].attributes.uses
    seen: dict[str, set[str]] = {}
    for case in load_all():
        for verdict in assess(case.facts, case.hook, whole=True).verdicts.values():
            if verdict.recommender == name:
                for advice in verdict.advices:
                    for fact in facts_in(advice.because) | facts_in(advice.unless):
                        seen.setdefault(fact, set()).add(verdict.rule)
    for fact, rules in seen.items():
        for element in STANDS_FOR.get(fact, ()):
            assert not uses.denies(element), f"{sorted(rules)} read {fact}, but {name} denies {element}"
