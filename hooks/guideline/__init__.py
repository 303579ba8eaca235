"""The rules as others read them: a FHIR package with their conditions in CQL."""

from __future__ import annotations

from pathlib import Path

CQL = Path(__file__).parent / "cql"
"""The CQL libraries: the rules of the families that can harm most, stated a second time."""
ELM = Path(__file__).parent / "elm"
"""The same translated to ELM, which engines run."""
