"""The wheel: what it installs, and that it gets along with the PyPI package whose name our sample data bear."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, oncobone
from tests.wire import DAY

if TYPE_CHECKING:
    from pathlib import Path

OURS = {"hooks", "fhir_mapping", "recommenders"}
STRANGER = {
    "fixtures/__init__.py": "",
    "fixtures/patients/__init__.py": "",
    "fixtures-4.3.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: fixtures\nVersion: 4.3.2\n",
    "fixtures-4.3.2.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
"""A package of the name `fixtures`, as PyPI has one."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own build
    (built,) = folder.glob("*.whl")
    return built


def test_it_brings_no_top_level_name_but_its_own(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == OURS
    assert any(name.startswith("hooks/fixtures/patients/") for name in names)


def test_a_sample_is_answered_beside_and_after_the_package_fixtures(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site-packages"
    stranger = tmp_path / "fixtures-4.3.2-py3-none-any.whl"
    with zipfile.ZipFile(stranger, "w") as archive:
        for name, text in STRANGER.items():
            archive.writestr(name, text)
        archive.writestr("fixtures-4.3.2.dist-info/RECORD", "".join(f"{name},,\n" for name in STRANGER))
    for each in (stranger, wheel):
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(place)]
        subprocess.run([*install, str(each)], check=True, capture_output=True)  # noqa: S603 - pip, our own files
    assert "CrCl 45" in answered(place, tmp_path)
    with (place / "fixtures-4.3.2.dist-info" / "RECORD").open(encoding="utf-8", newline="") as record:
        for name, *_ in csv.reader(record):
            (place / name).unlink(missing_ok=True)
    assert "CrCl 45" in answered(place, tmp_path)


def answered(place: Path, folder: Path) -> str:
    """What an installation in a folder of its own says to one of its samples."""
    sample = place / "hooks" / "fixtures" / "requests" / "zoledronic-order-crcl-45.json"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ONCOBONE_")}
    done = subprocess.run(  # noqa: S603 - our own command
        oncobone("call", "--request", str(sample)),
        cwd=folder,
        env=environment | {"PYTHONPATH": str(place), "ONCOBONE_NOW": DAY},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout
