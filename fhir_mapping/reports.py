"""What the text of a report tells beside its codes: grades, marrow, lesions of myeloma, the cytogenetics."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping import genomics
from fhir_mapping.delivery.items import Candidate, Slot
from fhir_mapping.delivery.notes import TOO_LONG
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words import assertions, cytogenetics, grades
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import LONGEST
from recommenders.vocabulary.facts import Fact, Finding, Reading, exactly, replace, stated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.items import Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.terms.dates import Stamp

_MARROW = compiled(r"marrow|myelogram|骨髓")
_STABLE, _AT_RISK = 6, 12
"""SINS up to which a spine is stable, and potentially unstable (Fisher 2010)."""


def read(item: Item, resource: Mapping[str, Any], stamp: Stamp | None, reader: ObservationReader) -> bool:
    """Read the conclusion of a report for everything that words can tell; tell whether anything was found."""
    conclusion = resource.get("conclusion")
    if not isinstance(conclusion, str) or not conclusion:
        return False
    if len(conclusion) > LONGEST:
        reader.notes.add(item.name, TOO_LONG)
    item.stamp = stamp
    told = [fact for fact in (_escc(conclusion), _sins(conclusion), _marrow(resource, conclusion)) if fact is not None]
    if reader.of_myeloma:
        told += _lesions(conclusion)
    for fact in told:
        _take(fact, item, resource, stamp, reader)
    if not cytogenetics.read(conclusion):
        return bool(told)
    return genomics.offer(reader, conclusion, _candidate(item, stamp), resource) or bool(told)


def _candidate(item: Item, stamp: Stamp | None) -> Candidate:
    return Candidate(item, Slot("cyto-text", "cyto-text", 4, "conclusion"), None, stamp)


def _take(
    fact: Finding | Reading, item: Item, resource: Mapping[str, Any], stamp: Stamp | None, reader: ObservationReader
) -> None:
    """Take what words tell, unless a result of its own tells it of that day or later."""
    path = fact.name
    known = reader.changes.get(path)
    if known is not None and known.is_known and not _is_newer(stamp, known):
        return
    told: Fact = reader.stamped(fact, _candidate(item, stamp), resource)
    reader.take(path, told, [_candidate(item, stamp)])


def _is_newer(stamp: Stamp | None, known: Fact) -> bool:
    return stamp is not None and (known.date is None or stamp.day > known.date)


def _escc(conclusion: str) -> Finding | None:
    found = grades.escc(conclusion)
    blank = dictionary.blank_finding("spine.escc")
    if not found:
        return None
    if len(found) == 1:
        return stated(blank, found[0])
    return replace(blank, possible=found, reason="no-value")


def _sins(conclusion: str) -> Finding | None:
    score = grades.sins(conclusion)
    if score is None:
        return None
    word = "stable" if score <= _STABLE else "at-risk" if score <= _AT_RISK else "unstable"
    return stated(dictionary.blank_finding("spine.instability"), word, sent=f"SINS {score}")


def _marrow(resource: Mapping[str, Any], conclusion: str) -> Reading | None:
    named = " ".join((*texts_of(resource.get("code")), conclusion[:LONGEST]))
    found = grades.marrow(conclusion) if _MARROW.search(fold(named)) else None
    if found is None:
        return None
    return replace(dictionary.blank_reading("mm.bmpc"), low=found.low, high=found.high, reason=None)


def _lesions(conclusion: str) -> list[Finding | Reading]:
    """Lytic lesions and active ones, in a patient with a plasma-cell disorder; their number is "at least one"."""
    verdicts = assertions.verdicts(conclusion)
    found: list[Finding | Reading] = []
    lytic = verdicts.get("lytic_lesion")
    if lytic == "present":
        rule = dictionary.READINGS["mm.lytic_lesions"]
        blank = dictionary.blank_reading("mm.lytic_lesions")
        found.append(replace(blank, low=Decimal(1), high=rule.high, reason=None))
    elif lytic == "absent":
        found.append(exactly(dictionary.blank_reading("mm.lytic_lesions"), 0))
    suv = grades.suv_max(conclusion)
    if suv is not None:
        found.append(exactly(dictionary.blank_reading("mm.pet_suvmax"), suv))
    active = verdicts.get("focal_lesion")
    if active in {"present", "absent"} and (suv is not None or assertions.verdict(conclusion, "pet") is not None):
        found.append(stated(dictionary.blank_finding("mm.pet_focal_active"), active == "present"))
    return found
