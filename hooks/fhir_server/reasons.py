"""Why a FHIR server gave nothing: for each reason a sentence with its cure, the same in answers, logs and tools."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def sentences() -> Mapping[str, str]:
    """Give the sentence of every reason (`reasons.toml`)."""
    text = resources.files("hooks.fhir_server").joinpath("reasons.toml").read_text(encoding="utf-8")
    found: dict[str, str] = tomllib.loads(text)["sentences"]
    return found


def sentence(reason: str, key: str = "") -> str:
    """Say a reason; for the key `patient` "not found" means that nobody there knows the patient."""
    known = sentences()
    if reason == "not-found" and key == "patient":
        reason = "unknown-patient"
    return known.get(reason, reason)
