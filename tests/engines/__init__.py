"""What public tools say of what we send: HAPI's FHIR validator, and a CQL translator and engine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
PLACE = Path(sys.prefix) / "engines"
"""Where `.ci/engines` puts them."""
LONGEST_S = 600
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def needed(*programs: str) -> None:
    """Skip, saying why, where the engines are not (with `CI` set that is a failure)."""
    lacking = [name for name in programs if which(name) is None]
    if lacking:
        _without(f"{', '.join(lacking)} is not on this machine")
    if not (PLACE / ".have").is_file():
        _without("the public engines were not fetched: run `sh .ci/engines`")


def _without(reason: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@dataclass(frozen=True)
class Remark:
    """What the validator said of the resource at a place: severity, FHIRPath, words."""

    place: int
    severity: str
    path: str
    words: str


def validated(resources: Iterable[Any]) -> list[Remark]:
    """Hand resources to HAPI's validator; what has a canonical `url` is known to the others."""
    needed("javac")
    told = _java("Validate.java", given=b"\n".join(_ENCODER.encode(resource) for resource in resources))
    if told.returncode:
        raise RuntimeError(told.stderr.decode())
    rows = (line.split("\t", 3) for line in told.stdout.decode().splitlines())
    return [Remark(int(place), severity, path, words) for place, severity, path, words in rows]


def _java(program: str, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one of the programs of this folder from its source."""
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{PLACE / 'jars'}/*", str(HERE / program), *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=False, timeout=LONGEST_S)  # noqa: S603 - our own program


def translated(cql: Path, into: Path) -> str:
    """Translate a folder of CQL to ELM in another; give what the translator had to say of it."""
    needed("javac")
    told = _java("Translate.java", str(cql), str(into))
    return (told.stdout + (told.stderr if told.returncode else b"")).decode()


def evaluated(elm: Path, questions: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Ask CQL libraries, each with its parameters; give the values of all expressions, in the same order."""
    needed("node")
    lines = [_ENCODER.encode({"library": library, "parameters": given}) for library, given in questions]
    command = ["node", str(HERE / "evaluate.cjs"), str(elm), str(PLACE)]
    told = subprocess.run(command, input=b"\n".join(lines), capture_output=True, check=True, timeout=LONGEST_S)  # noqa: S603 - our own program
    return [msgspec.json.decode(line) for line in told.stdout.splitlines()]
