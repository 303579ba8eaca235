"""Walks the guidance data and checks that each thing has its neighbour."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from recommenders.assessing.topics import TOPICS
from recommenders.patient.courses import GUIDANCE as COURSES
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.vocabulary.dictionary import DICTIONARY, LABELS
from recommenders.vocabulary.guidance import Guidance, GuidanceError, TopicFile, guidance, override_sets, sources
from tests.vignettes import load_all

FOLDER = Path(__file__).parent.parent / "recommenders"
ALL = {topic.name: topic.guidance for topic in TOPICS} | {"courses": COURSES, "common": COMMON}
RULES = {rule: (name, found.rules[rule]) for name, found in ALL.items() for rule in found.rules}
CASES = load_all()


ROOMS = sorted((FOLDER / "patient").glob("*.py"))
"""What several topics know of a patient; the lists of the consensus on surgery are written there."""


ROOM_OF = {
    "order_safety": "ordering",
    "surgical_timing": "operating",
    "bone_protection": "protecting",
    "myeloma_staging": "staging",
    "radiotherapy": "irradiating",
    "workup": "working_up",
}
"""Topics whose rules need more than one module."""


def code_of(topic: str) -> str:
    name = f"{topic if topic != 'common' else 'derived'}.py"
    room = sorted((FOLDER / ROOM_OF[topic]).glob("*.py")) if topic in ROOM_OF else []
    return "\n".join(path.read_text(encoding="utf-8") for path in (next(FOLDER.rglob(name)), *room))


def test_all_187_rules_of_the_specification_are_here() -> None:
    counts: dict[str, int] = {}
    for rule in RULES:
        counts[rule.rsplit("-", 1)[0]] = counts.get(rule.rsplit("-", 1)[0], 0) + 1
    specified = {
        "BP": 29, "MON": 13, "SUPP": 6, "DOSE": 23, "RT": 13, "MIRELS": 5, "ESCC": 4, "SURG": 28,
        "DX": 12, "PAIN": 6, "MDT": 5, "MM": 11, "SMM": 10, "TX": 9, "SARC": 13,
    }  # fmt: skip
    assert sum(specified.values()) == 187
    for group, number in specified.items():
        assert counts[group] >= number, group  # a new rule may join; none of these may go


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_every_rule_of_the_guidance_is_written_and_every_written_rule_is_in_the_guidance(topic: str) -> None:
    written = set(re.findall(r'"((?:[A-Z]+)-\d{3})"', code_of(topic)))
    in_rooms = set(re.findall(r'"((?:[A-Z]+)-\d{3})"', "".join(path.read_text("utf-8") for path in ROOMS)))
    assert set(ALL[topic].rules) <= written | in_rooms, set(ALL[topic].rules) - written - in_rooms
    assert written <= set(RULES), written - set(RULES)


@pytest.mark.parametrize("topic", sorted(ALL))
def test_every_limit_is_used_and_every_used_limit_exists(topic: str) -> None:
    everywhere = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.rglob("*.py")))
    for name in ALL[topic].entries:
        assert re.search(rf"\blimits\.{name}\b|\b{name}\b", everywhere), f"{topic}.toml: limit {name} is used nowhere"


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_every_placeholder_that_a_topic_declares_is_filled_by_code_and_named_by_a_face(topic: str) -> None:
    everywhere = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.rglob("*.py")))
    faces = (FOLDER / f"{topic}.toml").read_text(encoding="utf-8").partition("[fills]")[2]
    for name in ALL[topic].fills:
        assert f'"{name}"' in everywhere, f"{topic}.toml declares {name} under [fills], and no Advice.fill gives it"
        assert f"{{{name}}}" in faces or f'"{name}"' in faces, f"{topic}.toml declares {name}, which no face names"


@pytest.mark.parametrize(("rule", "language"), list(product(sorted(RULES), ("en", "zh-CN"))))
def test_every_rule_can_be_said_in_every_language(rule: str, language: str) -> None:
    info = RULES[rule][1]
    assert info.summary.text(language).strip()
    bare = re.sub(r"\{[^}]*\}", "", info.summary.text(language))
    assert len(bare) < 140


def test_every_rule_cites_a_source_that_is_listed() -> None:
    for rule, (_, info) in RULES.items():
        for line in info.source_lines:
            assert line.source in sources(), rule


def test_every_rule_is_proved_by_a_vignette_in_which_it_fires() -> None:
    proved = {rule for case in CASES for rule in case.expected.get("fires", ())}
    assert set(RULES) <= proved, f"no vignette fires {sorted(set(RULES) - proved)}"


def test_every_rule_has_a_vignette_in_which_it_stays_silent() -> None:
    silent = {
        rule
        for case in CASES
        for rule in (
            *case.expected.get("silent", ()),
            *case.expected.get("undecided", ()),
            *case.expected.get("suppressed", ()),
            *case.expected.get("superseded", ()),
        )
    }
    assert set(RULES) <= silent, f"no vignette keeps {sorted(set(RULES) - silent)} silent on purpose"


def test_vignettes_have_names_of_their_own() -> None:
    names = [str(case) for case in CASES]
    assert len(names) == len(set(names))


def test_every_fact_has_a_label_in_both_languages() -> None:
    for spec in DICTIONARY.values():
        assert all(LABELS[spec.name])


def test_supersession_is_one_level_deep_and_has_no_cycles() -> None:
    over = {rule: set(info.supersedes) for rule, (_, info) in RULES.items()}
    for rule, below in over.items():
        for other in below:
            assert other in RULES, f"{rule} supersedes {other}, which is no rule"
            assert rule not in over[other], f"{rule} and {other} supersede each other"


def test_override_sets_are_those_of_the_specification() -> None:
    assert set(override_sets()) == {"OV-IND", "OV-DOSE", "OV-DUP", "OV-SURG", "OV-DATA", "OV-EVID"}
    assert override_sets()["OV-EVID"] == ()


def test_a_limit_without_a_known_source_is_refused_with_the_place_named(tmp_path: Path) -> None:
    data = TopicFile.model_validate(
        {"title": "x", "limits": {"a": [{"since": "2022-01-01", "value": 1, "unit": "d", "source": "S003"}]}}
    )
    found = Guidance("x", data)
    assert found.limits(dt.date(2026, 1, 1)).a.value == 1
    with pytest.raises(GuidanceError, match="not a site's to change"):
        found.limits(dt.date(2026, 1, 1), {"x.a": Decimal(2)})
    with pytest.raises(AttributeError, match="has no limit 'b'"):
        _ = found.limits(dt.date(2026, 1, 1)).b


def test_a_new_entry_takes_over_from_its_day_and_the_old_one_stays_explainable() -> None:
    entry = {"unit": "d", "source": "S003"}
    data = TopicFile.model_validate(
        {
            "title": "x",
            "limits": {
                "a": [{"since": "2022-01-01", "value": 1, **entry}, {"since": "2025-06-01", "value": 2, **entry}]
            },
        }
    )
    found = Guidance("x", data)
    assert found.limits(dt.date(2025, 5, 31)).a.value == 1
    assert found.limits(dt.date(2025, 6, 1)).a.value == 2


def test_the_guidance_is_read_once() -> None:
    assert guidance("common") is guidance("common")
