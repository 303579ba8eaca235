"""The conditions in CQL as they are kept: the libraries, their rules, and the facts that they ask for."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from recommenders.vocabulary.dictionary import DICTIONARY

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

CQL = Path(__file__).parent / "cql"
"""The CQL libraries: the rules of the families that can harm most, stated a second time."""
ELM = Path(__file__).parent / "elm"
"""The same translated to ELM, which engines run."""

ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "OncoBoneLogic": "Comparisons with numbers that may be known within bounds only, and formulas.",
        "OncoBoneOrders": "One draft order and its patient: dose, route, speed, interval, kidneys, calcium, allergies. "
        "To be evaluated once for each order, and once without one.",
        "OncoBoneTogether": "One draft order beside the other drafts and what stands on the chart: two agents at once, "
        "two strengths of one, the same one twice. To be evaluated once for each order, and once without one.",
        "OncoBoneWeight": "One draft order for an adult of extreme weight: ideal and adjusted weight, body surface. "
        "It takes the facts of OncoBoneOrders as well, under the same names. To be evaluated once for each order.",
        "OncoBoneMirels": "One lesion: Mirels' score, with the range that missing items leave. "
        "To be evaluated once for each lesion.",
        "OncoBoneMyeloma": "One patient: myeloma-defining events, class of plasma-cell disorder, ISS, R-ISS, R2-ISS.",
        "OncoBoneProtection": "One patient: who should have a bone-modifying agent. "
        "It takes the facts of OncoBoneMyeloma as well, under the same names.",
    }
)
"""What each library decides, and of what."""

_RULE = re.compile(r'^define "([A-Z]+-\d{3})":', re.MULTILINE)
_INCLUDE = re.compile(r"^include (\w+) version", re.MULTILINE)
_TYPES = {"Boolean": "boolean", "String": "string", "Decimal": "decimal"}


def library_names() -> tuple[str, ...]:
    """Name the libraries, what others build on first."""
    return tuple(ABOUT)


@cache
def cql_of(library: str) -> str:
    """Give the text of a library."""
    return (CQL / f"{library}.cql").read_text(encoding="utf-8")


def rules_of(library: str) -> tuple[str, ...]:
    """Give the rules whose conditions a library states."""
    return tuple(_RULE.findall(cql_of(library)))


LIBRARY_OF: Mapping[str, str] = MappingProxyType({rule: name for name in ABOUT for rule in rules_of(name)})
"""Rule -> the library that states its condition."""


def included_by(library: str) -> tuple[str, ...]:
    """Give the libraries that one builds on."""
    return tuple(_INCLUDE.findall(cql_of(library)))


def contents(library: str) -> list[Json]:
    """Give a library's text and its translation, as attachments."""
    elm = (ELM / f"{library}.json").read_bytes()
    return [
        {"contentType": "text/cql", "data": b64encode(cql_of(library).encode()).decode()},
        {"contentType": "application/elm+json", "data": b64encode(elm).decode()},
    ]


def parameters(library: str) -> Iterator[Json]:
    """Yield the facts that a library takes, and the rules that it gives; a Range is a number within bounds."""
    elm = json.loads((ELM / f"{library}.json").read_bytes())["library"]
    for given in elm.get("parameters", {}).get("def", ()):
        yield _fact(given["name"], given["parameterTypeSpecifier"])
    for rule in rules_of(library):
        yield {"name": rule, "use": "out", "min": 0, "max": "1", "type": "boolean"}


def _fact(name: str, kind: Mapping[str, Any]) -> Json:
    many = kind["type"] == "ListTypeSpecifier"
    number = kind["type"] == "IntervalTypeSpecifier"
    parts = kind.get("elementType", {}).get("element", ())
    plain = kind.get("name") or kind.get("elementType", {}).get("name", "")
    found: Json = {
        "name": name,
        "use": "in",
        "min": 0,
        "max": "*" if many else "1",
        "type": "BackboneElement" if parts else "Range" if number else _TYPES[plain.rpartition("}")[2]],
    }
    if parts:
        found["documentation"] = f"each with {', '.join(part['name'] for part in parts)}"
    if (spec := DICTIONARY.get(name)) is not None:
        unit = f", {spec.unit}" if spec.unit else ""
        words = f": {', '.join(spec.words)}" if spec.words else ""
        found["documentation"] = f"{spec.en} / {spec.zh}{unit}{words}"
    return found
