"""What it means that a list does not say something: "no" where all of it came, unknown where it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_mapping.delivery.selected import Selected
    from recommenders.vocabulary.facts import Fact, Finding, Reason

_OBSERVED = frozenset({*dictionary.READINGS, *dictionary.FINDINGS, *dictionary.MOMENTS.values()})
"""Facts that stand in Observations."""
_PERFORMED = frozenset({"dental.last_exam", "mdt.last_date"})
"""Facts that stand in Procedures as well."""
_FIRST_OF: Mapping[str, tuple[str, ...]] = {
    "conditions": ("mm.onset_date",),
    "medications": ("mm.antimyeloma_start",),
    "medicationAdministrations": ("mm.antimyeloma_start",),
}
"""Prefetch key -> facts that are the first of their kind in its list."""


def filled(changes: dict[str, Fact], found: Selected) -> dict[str, Fact]:
    """
    A closed-world "no" holds only where the list it would stand in came, and came whole.

    What only Observations tell is not "not on record" while their list is cut or did not come, and the first of
    something is not known from a part.
    """
    whole = whole_keys(found)
    cut = found.cut.keys()
    told = dict(changes)
    for keys, paths in dictionary.CLOSED.items():
        if not whole.issuperset(keys):
            told |= {path: _unsaid(path, keys, whole, found) for path in paths if path not in changes}
    if why := _why_unobserved(found):
        told |= {path: dictionary.blank(path).forget(why) for path in _OBSERVED - told.keys()}
    if "procedures" in cut:
        for path in _PERFORMED:
            told[path] = told.get(path, dictionary.blank(path)).forget("list-cut")
    for key, paths in _FIRST_OF.items():
        if key in cut:
            told |= {path: told[path].forget("list-cut") for path in paths if path in told}
    return told


def _why_unobserved(found: Selected) -> Reason | None:
    """Tell why an Observation that is not there may exist all the same; None where their list came whole."""
    if "observations" not in found.delivered:
        return "not-delivered"
    return "list-cut" if "observations" in found.cut else None


def _unsaid(path: str, keys: Sequence[str], whole: set[str], found: Selected) -> Finding:
    """Give a closed-world fact of which nothing is said, and why that is no "no"."""
    blank = dictionary.blank_finding(path)
    if found.cut.keys() & set(keys):
        return blank.forget("list-cut")
    names = tuple(sorted(name for key in keys for name in found.unidentified.get(key, ())))
    if names and whole.issuperset(set(keys) - found.unidentified.keys()):
        return replace(blank.forget("unidentified"), resources=names)
    return blank.forget("not-delivered")


def tells(fact: Fact) -> bool:
    """Tell whether a fact says more than that the list it would stand in did not come whole."""
    return fact.reason not in {"not-delivered", "list-cut", "unidentified"}


def whole_keys(found: Selected) -> set[str]:
    """Give the keys whose lists came whole, and every resource of them readable."""
    return found.delivered - found.truncated - faulty_keys(found)


def faulty_keys(found: Selected) -> frozenset[str]:
    """Give the keys of which a resource could not be read: it may be the diagnosis or drug that is looked for."""
    return frozenset(item.key for listed in found.items.values() for item in listed if item.is_faulty)
