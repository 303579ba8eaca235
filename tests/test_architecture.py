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
    "recommenders": {"flask", "requests", "fhir", "msgspec", "time", "random", "socket", "os", "sqlalchemy", "jwt"},
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


def test_recommenders_import_only_the_standard_library_and_pydantic() -> None:
    allowed = {"recommenders", "pydantic", "__future__"}
    for path in modules("recommenders"):
        outside = imported(path) - allowed - sys.stdlib_module_names
        assert not outside, f"{path.name} imports {outside}"
