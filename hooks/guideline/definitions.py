"""The rules as FHIR R4 definitions: each rule a PlanDefinition, what may be ordered an ActivityDefinition."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, get_args, get_type_hints

from fhir_mapping.proposals import proposed_name, resource_for
from hooks.guideline.libraries import LIBRARY_OF, Json
from recommenders.patient.advice import ProposedMedication, ProposedService, Service
from recommenders.vocabulary.guidance import VERSION, Wording, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hooks.reference.catalogue import Entry, Section
    from recommenders.vocabulary.evidence import Row
    from recommenders.vocabulary.guidance import SourceLine

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
PLAN_TYPES = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
MEDICATIONS: tuple[str, ...] = get_args(get_type_hints(ProposedMedication)["drug"])
SERVICES: tuple[str, ...] = get_args(Service)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Canonical addresses under one base: joined by a colon under a URN, else by a slash."""

    base: str

    def of(self, kind: str, name: str) -> str:
        """Name a resource."""
        joint = ":" if self.base.startswith("urn:") else "/"
        return joint.join((self.base, kind, name))

    def exact(self, kind: str, name: str) -> str:
        """Name a resource of this edition."""
        return f"{self.of(kind, name)}|{VERSION}"


@cache
def proposes() -> Mapping[str, tuple[str, ...]]:
    """Give what each rule may propose: rule -> drugs and services, as the vignettes showed it."""
    text = resources.files("hooks.guideline").joinpath("proposes.toml").read_text(encoding="utf-8")
    return {rule: tuple(names) for rule, names in tomllib.loads(text)["proposes"].items()}


def said(name: str, wording: Wording) -> Json:
    """Give a text element in English, with the Chinese as its translation."""
    return {
        name: wording.en,
        f"_{name}": {
            "extension": [
                {
                    "url": TRANSLATION,
                    "extension": [
                        {"url": "lang", "valueCode": "zh-CN"},
                        {"url": "content", "valueString": wording.zh},
                    ],
                }
            ]
        },
    }


def heading(kind: str, name: str, title: str, addresses: Addresses) -> Json:
    """Give what every definition begins with."""
    return {
        "resourceType": kind,
        "id": name,
        "url": addresses.of(kind, name),
        "version": VERSION,
        "name": "OncoBone_" + name.replace("-", "_"),
        "title": title,
        "status": "active",
        "date": VERSION.replace(".", "-"),
        "publisher": "OncoBone",
    }


# --- rules --------------------------------------------------------------------------------------------------


def plan_of_rule(entry: Entry, addresses: Addresses) -> Json:
    """Give one rule: when it is asked, under which condition, what it says and proposes, and on what it rests."""
    info = entry.info
    plan = heading("PlanDefinition", entry.rule, info.title, addresses) | {
        "type": {"coding": [{"system": PLAN_TYPES, "code": "eca-rule", "display": "ECA Rule"}]},
        "description": _in_words(entry),
        **_more(entry),
        "relatedArtifact": [*map(_cited, info.source_lines), *map(_evidence, info.evidence, entry.evidence)],
    }
    library = LIBRARY_OF.get(entry.rule)
    if library is not None:
        plan["library"] = [addresses.exact("Library", library)]
    action: Json = {
        **said("title", info.summary),
        "description": info.condition,
        "priority": "urgent" if info.voice == "alert" else "routine",
        "trigger": [{"type": "named-event", "name": hook} for hook in info.hooks],
    }
    if library is not None:
        expression = {
            "description": info.condition,
            "language": "text/cql",
            "expression": f'"{entry.rule}"',
            "reference": addresses.of("Library", library),
        }
        action["condition"] = [{"kind": "applicability", "expression": expression}]
    if steps := [*_advised(entry), *_proposed(entry, addresses)]:
        action["action"] = steps
    plan["action"] = [action]
    return _without_empty(plan)


def _in_words(entry: Entry) -> str:
    """Say when the rule holds, what counts as done already, and what makes it new."""
    info = entry.info
    told = (("Holds when", info.condition), ("Done already when", info.done), ("New when", info.new_when))
    return "\n\n".join(f"{heading}: {words}" for heading, words in told if words)


def _more(entry: Entry) -> Json:
    """Give what the rule says beyond its headline and its advice: exemptions, differing sources, points, gaps."""
    info = entry.info
    asked = (wording for ask in info.ask if (wording := ask.wording()) is not None)
    lines: list[Wording] = [*info.unless, *info.sources_differ, *info.points, *asked, *info.if_missing]
    if info.also:
        lines.insert(0, info.also)
    if not lines:
        return {}
    english, chinese = ("\n".join(f"- {line.text(language)}" for line in lines) for language in ("en", "zh-CN"))
    return said("usage", Wording.model_validate({"en": english, "zh-CN": chinese}))


def _advised(entry: Entry) -> Iterator[Json]:
    """Yield what is said under one circumstance, and what the reader is told to do, each with its circumstance."""
    info = entry.info
    for variant in info.variants:
        for wording in (variant.summary, variant.also, variant.unless):
            if wording is not None:
                yield said("textEquivalent", wording) | _under(variant.when, info.circumstances)
    for line in info.do:
        yield said("textEquivalent", line) | _under(line.when, info.circumstances)


def _under(when: str | None, circumstances: Mapping[str, str]) -> Json:
    return {} if when is None else {"description": f"Where: {circumstances.get(when, when)}"}


def _proposed(entry: Entry, addresses: Addresses) -> Iterator[Json]:
    for name in proposes().get(entry.rule, ()):
        yield {
            "title": proposed_name(_item(name), "en"),
            "definitionCanonical": addresses.exact("ActivityDefinition", name),
        }


def _cited(line: SourceLine) -> Json:
    """Give what a source says; R4 has no Citation, so it stands beside the rule."""
    source = sources()[line.source]
    where = f", {line.where}" if line.where else ""
    return {
        "type": "citation",
        "label": line.source,
        "display": f"{source.title}{where}",
        **said("citation", line),
        **({"url": source.url} if source.url else {}),
    }


def _evidence(key: str, row: Row) -> Json:
    """Give one result as its source has it: who was studied, what was compared, what came out."""
    told = (row.population, row.arms, row.outcome, row.value, row.uncertainty)
    return {
        "type": "justification",
        "label": key,
        "display": f"{row.type}: {row.source}",
        "citation": "; ".join(part for part in told if part and part != "—"),
    }


def plan_of_topic(section: Section, addresses: Addresses) -> Json:
    """Give one topic: its rules in their order, and its limits in force, each with its source."""
    name = section.name.replace("_", "-")
    limits = [
        f"- {key}: {entry.value} {entry.unit} ({entry.source}{', ' + entry.where if entry.where else ''})"
        for key, entry in section.limits
    ]
    return _without_empty(
        heading("PlanDefinition", name, section.title, addresses)
        | {
            "type": {"coding": [{"system": PLAN_TYPES, "code": "clinical-protocol", "display": "Clinical Protocol"}]},
            "description": "\n".join(["Limits in force:", "", *limits]) if limits else section.title,
            "action": [
                {
                    **said("title", entry.info.summary),
                    "prefix": entry.rule,
                    "definitionCanonical": addresses.exact("PlanDefinition", entry.rule),
                }
                for entry in section.entries
            ],
        }
    )


# --- what may be ordered ------------------------------------------------------------------------------------


def activity(name: str, addresses: Addresses) -> Json:
    """
    Give one drug or service that rules propose, with its codes.

    Dose and interval are the rule's, by this patient's kidneys and age: they are not part of the definition.
    """
    item = _item(name)
    words = Wording.model_validate({"en": proposed_name(item, "en"), "zh-CN": proposed_name(item, "zh-CN")})
    order = resource_for(item, patient_id="any", reasons=(), drafts={}, intent="proposal", language="en", authored=None)
    element = "medicationCodeableConcept" if isinstance(item, ProposedMedication) else "code"
    concept = order[element] | said("text", words)
    return heading("ActivityDefinition", name, words.en, addresses) | {
        **said("title", words),
        "kind": order["resourceType"],
        "productCodeableConcept" if isinstance(item, ProposedMedication) else "code": concept,
        "intent": "proposal",
    }


def _item(name: str) -> ProposedMedication | ProposedService:
    if name in MEDICATIONS:
        return ProposedMedication(drug=name)  # type: ignore[arg-type] # one of them, as was just looked up
    return ProposedService(service=name)  # type: ignore[arg-type] # of a table that a test holds to the services


def _without_empty(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if value not in ([], {}, "", None)}
