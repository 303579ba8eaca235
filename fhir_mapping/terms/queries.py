"""What we ask an EHR for: the prefetch templates of each hook, safe for CDS Hooks 2.0.1 and 3.0 alike."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import LOINC, SNOMED, shipped_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recommenders.vocabulary.guidance import Hook

NEEDED = ("patient", "conditions")
"""The keys without which there is no answer; the others are optional and their absence is said."""

_SEARCHES: dict[str, str] = {
    "conditions": "Condition",
    "observations": "Observation",
    "medications": "MedicationRequest",
    "procedures": "Procedure",
    "allergies": "AllergyIntolerance",
    "medicationAdministrations": "MedicationAdministration",
    "serviceRequests": "ServiceRequest",
}
_SORTED: Mapping[str, Mapping[str, str]] = {"observations": {"_sort": "-date"}}
KEYS = ("patient", *_SEARCHES)
"""All prefetch keys, in the order in which they are advertised; the same for every hook."""

_PARAMETER = re.compile(r"(?:_count|_sort|[a-z][a-z-]*(?::in)?)$")
_VALUE = re.compile(r"[^\s&#{}?]+$")
_OWN = frozenset({"patient", "subject", "_id", "_include", "_revinclude", "_has"})


class QueryError(ValueError):
    """A site's narrowing of a template that cannot be used; the message names key, parameter and remedy."""


def templates(hook: Hook, narrow: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, str]:
    """
    Give the prefetch templates of a hook: key -> FHIR read or search, in a fixed order.

    Only the first-level field `context.patientId` is used as a token, and only searches by parameters that
    servers know widely. `observations` come newest first, so that of a list that is cut the newest is known; they
    are not narrowed by default: results that a laboratory names in words or local codes would be lost. A site
    narrows a search by key and parameter, for instance
    `{"observations": {"category": "laboratory", "_count": "500"}}`. Raises `QueryError` for a narrowing that
    is not of that kind.
    """
    del hook  # every hook may need every kind of data: an order is judged by the chart, the chart by its orders
    return dict(_usual()) if narrow is None else _narrowed(narrow)


@cache
def _usual() -> Mapping[str, str]:
    return _narrowed({})


def _narrowed(narrow: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found = {"patient": "Patient/{{context.patientId}}"}
    if unknown := sorted(set(narrow) - set(_SEARCHES)):
        raise QueryError(f"prefetch: {unknown[0]!r} cannot be narrowed; use one of {', '.join(_SEARCHES)}.")
    for key, kind in _SEARCHES.items():
        parameters = {**_SORTED.get(key, {})} | dict(_checked(key, narrow.get(key, {})))
        extra = "".join(f"&{name}={value}" for name, value in parameters.items())
        found[key] = f"{kind}?patient={{{{context.patientId}}}}{extra}"
    return found


def _checked(key: str, parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    for name, value in parameters.items():
        if name in _OWN or not _PARAMETER.match(name):
            raise QueryError(
                f"prefetch: {key}: {name!r} is not a search parameter that every client resolves;"
                " use a token or date parameter without modifier other than `:in`, `_count` or `_sort`."
            )
        if not _VALUE.match(value):
            raise QueryError(f"prefetch: {key}: the value of {name!r} holds a blank or one of & # {{ }} ?; encode it.")
    return list(parameters.items())


LONGEST_CODES = 1_600
"""Characters of one `code` parameter: some servers refuse a query string of more than 2,048."""


def codes_of_results(site: Iterable[str] = ()) -> tuple[str, ...]:
    """
    Give the codes under which rules look for results, as values of so many `code` parameters as it takes.

    They are written without their system (a code of any system matches), which keeps them short. `site` are the
    codes of a site's own mapping.
    """
    rows = shipped_rows()
    own = [code for _, kinds, system, code, _ in rows if "Observation" in kinds and system in {LOINC, SNOMED}]
    local = [code for rule in dictionary.READINGS.values() for code in rule.local]
    local += [rule.local for rule in dictionary.FINDINGS.values() if rule.local]
    local += [*dictionary.MOMENTS, *_LOCAL_LISTS]
    listed = [quote(code, safe="") for code in dict.fromkeys((*sorted(set(own)), *sorted(set(local)), *sorted(site)))]
    values: list[str] = []
    for code in listed:
        if values and len(values[-1]) + 1 + len(code) <= LONGEST_CODES:
            values[-1] += f",{code}"
        else:
            values.append(code)
    return tuple(values)


_LOCAL_LISTS = ("bone-lesion", "img-xray", "img-ct", "img-mri", "img-spect", "img-pet")


def observation_codes() -> str:
    """Give all LOINC codes that a rule can use, as the value of a `code` parameter, for sites that narrow by code."""
    found = {code for _, kinds, system, code, _ in shipped_rows() if system == LOINC and "Observation" in kinds}
    return ",".join(f"{LOINC}|{code}" for code in sorted(found))
