"""The house holds: imports point one way, and the inside stays pure."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("recommenders", "fhir_mapping", "hooks")
MAY_IMPORT = {
    "recommenders": {"recommenders"},
    "fhir_mapping": {"recommenders", "fhir_mapping"},
    "hooks": {"recommenders", "fhir_mapping", "hooks"},
}
IMPURE = {
    "recommenders": {"flask", "requests", "fhir", "time", "random", "socket", "os", "sqlalchemy", "jwt"},
    "fhir_mapping": {"flask", "requests", "time", "random", "socket", "os", "sqlalchemy", "jwt"},
    "hooks": set(),
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".", maxsplit=1)[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    for path in modules(package):
        foreign = (imported(path) & set(PACKAGES)) - MAY_IMPORT[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize("package", ["recommenders", "fhir_mapping"])
def test_the_inside_knows_no_web_network_or_environment(package: str) -> None:
    for path in modules(package):
        assert not imported(path) & IMPURE[package], path.relative_to(ROOT)


@pytest.mark.parametrize("package", ["recommenders", "fhir_mapping"])
def test_the_inside_never_looks_at_the_clock(package: str) -> None:
    for path in modules(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"today", "now", "utcnow"}, f"{path.name}:{node.lineno}"


def test_recommenders_import_only_the_standard_library_pydantic_and_structs() -> None:
    allowed = {"recommenders", "pydantic", "msgspec", "__future__"}
    for path in modules("recommenders"):
        outside = imported(path) - allowed - sys.stdlib_module_names
        assert not outside, f"{path.name} imports {outside}"


def test_recommenders_use_no_wire_format_of_the_library_of_structs() -> None:
    for path in modules("recommenders"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "msgspec":
                assert node.attr in {"Struct", "field", "structs"}, f"{path.name}:{node.lineno}"


# --- the rooms of each floor --------------------------------------------------------------------------------

HOUSE: dict[str, tuple[tuple[str, str], ...]] = {
    "recommenders": (
        ("vocabulary", "what rules are written in: facts, logic, guidance"),
        ("patient", "what several topics know of one patient"),
        ("ordering", "the rules of order safety, by what is ordered"),
        ("operating", "the rules of surgical timing, by what is looked at"),
        ("protecting", "the rules of bone protection in myeloma, and of its start and stop"),
        ("staging", "the rules of myeloma: class, stage, risk"),
        ("irradiating", "what radiotherapy is judged by"),
        ("working_up", "the rules of imaging and of the team"),
        (".", "the topics"),
        ("assessing", "runs the topics, and settles who speaks"),
    ),
    "fhir_mapping": (
        ("words", "what a text asserts"),
        ("terms", "codes, units, names, drugs, dates"),
        ("delivery", "what came, whole or cut"),
        ("places", "which bone, which side"),
        ("elements", "what one element says: a dose, a value, a product"),
        ("diagnoses", "what the diagnoses on record say, one by one and together"),
        ("joining", "what several results, or several lists, say together"),
        ("findings", "what is told in a way of its own: a symptom, a density, a stage, the cord"),
        ("skeleton", "the lesions of the bones, and which of them are one"),
        ("writing", "how an order is written"),
        (".", "one reader for each FHIR resource, the chart, the way out"),
    ),
    "hooks": (
        ("charts", "drawings from numbers"),
        ("errors", "what is said to a caller when something is wrong"),
        ("cards", "what the reader sees"),
        ("terminal", "what every command shares"),
        ("settings", "what a site can set"),
        ("configuration", "how settings are read"),
        ("opening", "the lists of a long call, opened as it is read"),
        ("protocol", "what CDS Hooks sends and takes"),
        ("services", "which services there are"),
        ("fhir_server", "what we read elsewhere"),
        ("store", "what is kept"),
        ("trust", "who may call"),
        ("watching", "what is seen from outside: logs, metrics, traces"),
        ("views", "one call"),
        ("recording", "and its record"),
        ("reference", "pages' and tools' knowledge of the rules and samples"),
        ("guideline", "the rules as others read them: FHIR definitions, CQL"),
        ("dossier", "everything about one patient, and the form"),
        ("console", "the pages for trying out"),
        ("application", "all of it as a Flask application"),
        ("replay", "a whole population"),
        ("running", "as processes"),
        ("tools", "the command line"),
    ),
}
"""The rooms of each floor, the lowest first ("." is the floor's own level): no import that runs goes up."""


def room_of(package: str, path: Path) -> str:
    """Give the room of a module: its folder; on the floor's own level the module itself where the table names it."""
    inside = path.relative_to(ROOT / package).with_suffix("").parts
    named = {room for room, _ in HOUSE[package]}
    return inside[0] if len(inside) > 1 or inside[0] in named else "."


def rooms_imported(package: str, path: Path) -> set[str]:
    """Give the rooms that a module imports from at run time; names that only a type needs do not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in only_types or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        first, *inner = node.module.split(".")
        if first == package:
            for name in [inner[0]] if inner else [alias.name for alias in node.names]:
                place = ROOT / package / name
                found.add(room_of(package, place / "x.py" if place.is_dir() else place.with_suffix(".py")))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_goes_up_between_rooms(package: str) -> None:
    height = {room: place for place, (room, _) in enumerate(HOUSE[package])}
    for path in modules(package):
        if path.name == "__init__.py" and path.parent == ROOT / package:
            continue
        here = room_of(package, path)
        assert here in height, f"{path.relative_to(ROOT)}: the table names no room {here!r}"
        for there in rooms_imported(package, path):
            assert height[there] <= height[here], f"{path.relative_to(ROOT)} ({here}) imports from {there}, above it"


def test_every_room_of_the_house_stands() -> None:
    for package, rooms in HOUSE.items():
        for room, _ in rooms:
            place = ROOT / package / room
            assert room == "." or place.is_dir() or place.with_suffix(".py").exists(), f"{package}: {room}"
