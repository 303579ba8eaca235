"""The rules travel whole: a FHIR package in which each rule has its condition, words, sources and proposals."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from fhir.resources.R4B import get_fhir_model_class

from hooks.guideline.definitions import MEDICATIONS, SERVICES, proposes
from hooks.guideline.libraries import LIBRARY_OF, rules_of
from hooks.guideline.package import BASE, definitions
from hooks.reference.catalogue import sections, wordings
from hooks.tools.cli import main
from recommenders.assessing.topics import TOPICS
from recommenders.patient.advice import ChangedOrder, ProposedMedication
from recommenders.vocabulary.guidance import sources
from tests.conftest import ROOT
from tests.oracle import ask
from tests.vignettes import load_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = {rule: info for topic in TOPICS for rule, info in topic.guidance.rules.items()}
MADE = list(definitions())
PLANS = {one["id"]: one for one in MADE if one["resourceType"] == "PlanDefinition"}


def chinese(element: dict[str, Any]) -> str:
    """The Chinese of a text element."""
    ((extension,),) = (element["extension"],)
    told = {part["url"]: part.get("valueCode", part.get("valueString")) for part in extension["extension"]}
    assert told["lang"] == "zh-CN"
    return str(told["content"])


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a resource, and each point of a list in one."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)
    elif isinstance(value, str):
        yield value
        yield from (line.removeprefix("- ") for line in value.splitlines())


@pytest.mark.parametrize("resource", MADE, ids=lambda one: f"{one['resourceType']}/{one['id']}")
def test_each_definition_is_valid_r4(resource: dict[str, Any]) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_there_with_its_words_condition_and_sources(rule: str) -> None:
    info, plan = RULES[rule], PLANS[rule]
    (action,) = plan["action"]
    assert (plan["title"], action["title"]) == (info.title, info.summary.en)
    assert chinese(action["_title"]) == info.summary.zh
    assert info.condition in plan["description"]
    spoken = {text for wording in wordings(info) if wording not in info.buttons for text in (wording.en, wording.zh)}
    assert spoken <= set(texts_of(plan)), "whatever the rule may say is there, in both languages"
    assert [trigger["name"] for trigger in action["trigger"]] == list(info.hooks)
    cited = [one for one in plan["relatedArtifact"] if one["type"] == "citation"]
    assert [(one["citation"], chinese(one["_citation"])) for one in cited] == [
        (line.en, line.zh) for line in info.source_lines
    ]
    assert all(sources()[one["label"]].title in one["display"] for one in cited)
    evidence = [one["label"] for one in plan["relatedArtifact"] if one["type"] == "justification"]
    assert evidence == list(info.evidence)


def test_a_condition_that_is_stated_in_cql_names_its_library_and_the_others_are_said_in_words() -> None:
    for rule in RULES:
        stated = PLANS[rule]["action"][0].get("condition")
        if rule not in LIBRARY_OF:
            assert stated is None
            continue
        assert stated is not None
        assert stated[0]["expression"]["expression"] == f'"{rule}"'
        assert PLANS[rule]["library"][0].startswith(stated[0]["expression"]["reference"])
    assert set(LIBRARY_OF) <= set(RULES)
    assert len(LIBRARY_OF) == 53


def test_whatever_is_named_is_in_the_package() -> None:
    there = {f"{one['url']}|{one['version']}" for one in MADE}
    named = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in {"definitionCanonical", "resource"} and isinstance(inner, str):
                    named.add(inner)
                elif key == "library":
                    named.update(inner)
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    for one in MADE:
        look(one)
    assert named <= there
    guide = MADE[-1]
    listed = {one["reference"]["reference"] for one in guide["definition"]["resource"]}
    assert listed == {f"{one['resourceType']}/{one['id']}" for one in MADE[:-1]}
    assert len(listed) == len(MADE) - 1


def test_each_topic_lists_its_rules() -> None:
    for section in sections():
        plan = PLANS[section.name.replace("_", "-")]
        assert [step["prefix"] for step in plan["action"]] == [entry.rule for entry in section.entries]


def test_a_rule_names_what_the_vignettes_saw_it_propose() -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for vignette in load_all():
        for rule, advices in ask(vignette).said.items():
            for item in (item for advice in advices for proposal in advice.proposals for item in proposal.items):
                if not isinstance(item, ChangedOrder):
                    seen[rule].add(item.drug if isinstance(item, ProposedMedication) else item.service)
    order = [*MEDICATIONS, *SERVICES]
    found = {rule: tuple(sorted(seen[rule], key=order.index)) for rule in RULES if seen[rule]}
    if os.environ.get("ONCOBONE_RENEW") == "1":
        lines = [
            "# Which drugs and services each rule was seen to propose in the vignettes (a test writes and holds it).",
            "",
        ]
        lines += ["[proposes]", *(f"{rule} = {json.dumps(list(names))}" for rule, names in found.items())]
        (ROOT / "hooks" / "guideline" / "proposes.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        proposes.cache_clear()
    assert proposes() == found


def test_the_guide_for_integrators_lists_the_libraries_and_their_rules() -> None:
    guide = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")
    assert f"{len(LIBRARY_OF)} rules have their condition in CQL" in guide
    rows = dict(re.findall(r"^\| `(OncoBone\w+)` \| [^|]+ \| ([^;|]+)", guide, re.MULTILINE))
    for library in set(LIBRARY_OF.values()):
        assert set(listed(rows[library])) == set(rules_of(library)), library


def listed(text: str) -> Iterator[str]:
    """The rules of "DOSE-001 to -003, -007": the family is said once, a span is all of it that there is."""
    family, ids = text.strip().split("-", 1)
    numbers = [int(rule.rpartition("-")[2]) for rule in RULES if rule.rpartition("-")[0] == family]
    for part in ids.split(","):
        first, _, last = part.replace("-", " ").strip().partition("to")
        yield from (f"{family}-{one:03}" for one in numbers if int(first) <= one <= int(last or first))


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_writes_a_package_that_others_can_install(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main, ["export", "cpg", "--to", str(tmp_path), "--canonical", "https://cds.example.org/fhir/"]
    )
    assert done.exit_code == 0, done.output
    place = tmp_path / "package"
    manifest = json.loads((place / "package.json").read_text(encoding="utf-8"))
    assert (manifest["canonical"], manifest["fhirVersions"]) == ("https://cds.example.org/fhir", ["4.0.1"])
    index = json.loads((place / ".index.json").read_text(encoding="utf-8"))
    assert {one["filename"] for one in index["files"]} == {path.name for path in place.glob("*-*.json")}
    plan = json.loads((place / "PlanDefinition-DOSE-003.json").read_text(encoding="utf-8"))
    assert plan["url"] == "https://cds.example.org/fhir/PlanDefinition/DOSE-003"
    assert BASE not in json.dumps(plan)


def test_a_folder_that_holds_a_package_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "package.json").write_text("{}", encoding="utf-8")
    done = CliRunner().invoke(main, ["export", "cpg", "--to", str(tmp_path)])
    assert done.exit_code == 1
    assert "is not empty" in done.output
    assert (tmp_path / "package" / "package.json").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("address", ["cds.example.org", "https://x.org/a?b", "urn:", "https://x.org/a|1"])
def test_an_address_that_cannot_name_a_definition_is_refused(tmp_path: Path, address: str) -> None:
    done = CliRunner().invoke(main, ["export", "cpg", "--to", str(tmp_path), "--canonical", address])
    assert done.exit_code == 2
    assert not list(tmp_path.iterdir())
