"""Holds a resource against what US Core 6.1.0 asks of it (`us_core.toml`): structure, words, invariants."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

URL = "http://hl7.org/fhir/us/core/StructureDefinition/"
VERSION = "6.1.0"
PROFILES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("us_core.toml").read_text(encoding="utf-8"))
ORDERS = {"order", "original-order", "reflex-order", "filler-order", "instance-order"}
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"

Json = dict[str, Any]


def at(value: Any, path: str) -> list[Any]:
    """Everything at a dotted path, lists opened."""
    head, _, rest = path.partition(".")
    found = value.get(head) if isinstance(value, dict) else None
    listed = found if isinstance(found, list) else [] if found is None else [found]
    return [inner for each in listed for inner in at(each, rest)] if rest else listed


def _is_everywhere(resource: Json, path: str) -> bool:
    """Whether an element is there, in each of its parents: `identifier.system` in every identifier."""
    head, _, rest = path.partition(".")
    parents = at(resource, head)
    return bool(parents) and (not rest or all(_is_everywhere(each, rest) for each in parents))


def _codings(resource: Json, path: str) -> set[tuple[str, str]]:
    return {(one.get("system", ""), one.get("code", "")) for one in at(resource, f"{path}.coding")}


def _value(resource: Json) -> bool:
    return any(key.startswith("value") for key in resource)


def _status(resource: Json, name: str) -> set[str]:
    return {one.get("code", "") for one in at(resource, f"{name}.coding")}


INVARIANTS: Mapping[str, Callable[[Json], bool]] = {
    "us-core-1": lambda one: len(str(one.get("effectiveDateTime", "0000-00-00"))) >= 10,
    "us-core-2": lambda one: bool(
        one.get("component") or one.get("hasMember") or one.get("dataAbsentReason") or _value(one)
    ),
    "us-core-3": lambda one: all(system == UCUM for system in at(one, "valueQuantity.system")),
    "us-core-4": lambda one: all(system == SNOMED for system in at(one, "valueCodeableConcept.coding.system")),
    "us-core-6": lambda one: all(name.get("family") or name.get("given") for name in at(one, "name")),
    "us-core-7": lambda one: (
        one.get("status") not in {"completed", "in-progress"} or any(key.startswith("performed") for key in one)
    ),
    "us-core-21": lambda one: one.get("intent") not in ORDERS or bool(one.get("requester")),
    "con-3": lambda one: bool(one.get("clinicalStatus")) or _status(one, "verificationStatus") == {"entered-in-error"},
    "con-4": lambda one: (
        not any(key.startswith("abatement") for key in one)
        or bool(_status(one, "clinicalStatus") & {"resolved", "remission", "inactive"})
    ),
    "prr-1": lambda one: not one.get("orderDetail") or bool(one.get("code")),
}


def faults(resource: Json, profile: str) -> Iterator[str]:
    """Say what keeps a resource from conforming."""
    asked = PROFILES[profile]
    if resource.get("resourceType") != asked["type"]:
        yield f"is no {asked['type']}"
    for path in asked["required"]:
        if not any(_is_everywhere(resource, one) for one in path.split("|")):
            yield f"{path} is missing"
    for path, words in asked.get("words", {}).items():
        yield from (f"{path} is {found!r}" for found in at(resource, path) if found not in words)
    for path, wanted in asked.get("coded", {}).items():
        if not _codings(resource, path) & {(system, code) for system, code in wanted}:
            yield f"{path} is none of {wanted}"
    for path, systems in asked.get("systems", {}).items():
        if not {system for system, _ in _codings(resource, path)} & set(systems):
            yield f"{path} has no coding of {systems}"
    yield from (f"{key} does not hold" for key in asked.get("holds", ()) if not INVARIANTS[key](resource))


def unsaid(resource: Json, profile: str) -> list[str]:
    """Elements that a sender who knows them writes, and that are not there."""
    return [path for path in PROFILES[profile].get("known", ()) if not _is_everywhere(resource, path)]
