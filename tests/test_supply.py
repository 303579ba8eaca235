"""What we take from others: declared, locked with hashes, and under licences that a hospital can live with."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = ("hooks", "fhir_mapping", "recommenders", "fixtures")
LOCKS = {
    "requirements.lock": ("postgres",),
    "requirements-sandbox.lock": ("postgres", "sandbox"),
    "requirements-dev.lock": ("postgres", "sandbox", "otel", "dev"),
}
COME_WITH = {"werkzeug": "flask", "jinja2": "flask", "markupsafe": "flask", "opentelemetry-api": "opentelemetry-sdk"}
"""What is imported as a part of something declared, as its documentation does."""

NOT_IMPORTED = {
    "pandas": "Spark asks for it before it hands over anything as Arrow",
    "psycopg": "SQLAlchemy loads it for a postgresql:// URL",
    "sekmet-fhir": "the FHIR server of the sandbox runs in a process of its own",
}
LICENCES = re.compile(r"\b(?:MIT|MIT-0|BSD|Apache|PSF|ZPL|Zope|ISC)\b|Apache Software|Python Software")
OTHER_LICENCES = {
    "certifi": "MPL-2.0: a list of certificates, used as it is",
    "psycopg": "LGPL-3.0, an extra: used as it is, and only with PostgreSQL",
    "psycopg-binary": "LGPL-3.0, as psycopg",
}


def declared(*extras: str) -> dict[str, Requirement]:
    """The requirements of the project itself and of these extras, by name."""
    listed = list(PROJECT["dependencies"])
    for extra in extras:
        listed += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name((found := Requirement(each)).name): found for each in listed}


def locked(lock: str) -> dict[str, tuple[Version, int]]:
    """Of each package in a lock file the version, and how many hashes it may have."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: dict[str, tuple[Version, int]] = {}
    for line in lines:
        requirement = Requirement(line.split("--hash")[0].strip())
        (pin,) = requirement.specifier
        assert pin.operator == "==", line.split()[0]
        found[canonicalize_name(requirement.name)] = (Version(pin.version), line.count("--hash=sha256:"))
    return found


def imported() -> dict[str, Path]:
    """Every module of others that our code imports (its first name), and a file that does so."""
    found: dict[str, Path] = {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    first = name if name.startswith("opentelemetry.") else name.partition(".")[0]
                    if first not in sys.stdlib_module_names and first not in OURS:
                        found.setdefault(first, path)
    return found


def distributions(module: str) -> set[str]:
    """The packages that a module may come from."""
    by_module = metadata.packages_distributions()
    if module.startswith("opentelemetry."):  # a namespace of many packages
        return {"opentelemetry-exporter-otlp-proto-http"} if ".exporter." in module else {
            "opentelemetry-sdk" if ".sdk" in module else "opentelemetry-api"
        }  # fmt: skip
    return {canonicalize_name(name) for name in by_module.get(module, ())}


def test_what_the_code_imports_is_declared() -> None:
    known = declared("postgres", "otel", "sandbox", "replay", "spark")
    for module, path in imported().items():
        sources = {COME_WITH.get(name, name) for name in distributions(module)}
        assert sources & set(known), f"{path.relative_to(ROOT)} imports {module}"


def test_what_is_declared_is_imported_or_has_a_reason() -> None:
    used = {COME_WITH.get(name, name) for module in imported() for name in distributions(module)}
    assert set(declared("postgres", "otel", "sandbox", "replay", "spark")) - used == set(NOT_IMPORTED)


@pytest.mark.parametrize(("lock", "extras"), list(LOCKS.items()), ids=list(LOCKS))
def test_each_lock_file_holds_what_is_declared_with_hashes(lock: str, extras: tuple[str, ...]) -> None:
    pins = locked(lock)
    for name, requirement in declared(*extras).items():
        assert requirement.specifier, f"{name} has no lower bound"
        assert pins[name][0] in requirement.specifier, name
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []


def test_the_lock_files_agree_with_each_other() -> None:
    dev, sandbox, run = (locked(lock) for lock in reversed(LOCKS))
    assert {name: version for name, version in dev.items() if name in sandbox} == sandbox
    assert {name: version for name, version in sandbox.items() if name in run} == run


def test_what_runs_is_under_licences_that_ask_for_nothing_but_their_text() -> None:
    odd = set()
    for name in locked("requirements.lock"):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # for another system (tzdata on Windows)
        told = [*(about.get_all("License-Expression") or []), *(text[:100] for text in about.get_all("License") or [])]
        told += [line for line in about.get_all("Classifier") or [] if line.startswith("License")]
        if not any(LICENCES.search(each) for each in told):
            odd.add(name)
    assert odd == set(OTHER_LICENCES)
