"""A site's own codes, units and words: what its feed says instead of standard codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from fhir_mapping.terms import codes, units
from fhir_mapping.words.cytogenetics import ABNORMALITIES
from recommenders.vocabulary.dictionary import DICTIONARY


class SiteMappingError(ValueError):
    """A site mapping that cannot be used; the message names the entry, what was there and what to do."""


@dataclass(frozen=True, slots=True)
class SiteMapping:
    """
    What a site configures, checked.

    `rows` extend the code table (concept, kinds, system, code, display); `names` map a folded result name to
    a fact path or concept; `unit_aliases` a folded spelling to UCUM; `cn_icd_systems` are the addresses of
    China's national clinical edition of ICD-10; `systems` map any other address to the one that we know it by.
    `cutoffs` are the laboratory's shares of cells (%) from which an abnormality of FISH counts as found, by fact path.
    """

    rows: tuple[tuple[str, str, str, str, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    unit_aliases: Mapping[str, str] = field(default_factory=dict)
    cn_icd_systems: tuple[str, ...] = ()
    systems: Mapping[str, str] = field(default_factory=dict)
    cutoffs: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the site adds nothing."""
        ours = (self.rows, self.names, self.unit_aliases, self.cn_icd_systems, self.systems, self.cutoffs)
        return not any(ours)

    def table(self) -> codes.CodeTable:
        """Give the code table with the site's own codes."""
        if not self.rows and not self.cn_icd_systems and not self.systems:
            return codes.STANDARD
        return codes.CodeTable((*codes.shipped_rows(), *self.rows), self.cn_icd_systems, self.systems)


NO_SITE = SiteMapping()


def site_mapping(settings: Mapping[str, Any]) -> SiteMapping:
    """
    Make a site mapping from its TOML table; raise `SiteMappingError` naming entry and remedy.

    ```toml
    cn_icd_systems = ["http://hospital.example/icd-10"]
    [[codes]]
    system = "http://hospital.example/lab"
    code = "CA"
    concept = "calcium_total"
    [[names]]
    text = "血清钙(校)"
    concept = "calcium_corrected"
    [units]
    "mmol/公升" = "mmol/L"
    [systems]
    "http://hospital.example/icd" = "icd-10-national"
    [cutoffs]
    "cyto.del17p" = 10
    ```

    The words of `systems` are those of `code_systems.csv`: `icd-10`, `icd-10-cm`, `icd-10-national`, `loinc`, …
    """
    known = {"codes", "names", "units", "cn_icd_systems", "systems", "cutoffs"}
    if extra := sorted(set(settings) - known):
        raise SiteMappingError(f"site mapping: {extra[0]!r} is not a setting; use {', '.join(sorted(known))}.")
    kinds = _kinds()
    rows = tuple(_row(entry, number, kinds) for number, entry in enumerate(_list(settings, "codes"), 1))
    names: dict[str, str] = {}
    for number, entry in enumerate(_list(settings, "names"), 1):
        text, concept = _words(entry, f"names, entry {number}", "text", "concept")
        names[units.fold(text)] = _concept(concept, f"names, entry {number}", kinds)
    aliases: dict[str, str] = {}
    table = settings.get("units", {})
    if not isinstance(table, Mapping):
        raise SiteMappingError('site mapping: units must be a table of "as written" = "UCUM".')
    for written, meant in table.items():
        unit = units.spelled(str(meant))
        if unit is None:
            raise SiteMappingError(
                f"site mapping: units, {written!r}: {meant!r} is not a unit we know; write it in UCUM."
            )
        aliases[units.fold(str(written))] = unit
    systems = settings.get("cn_icd_systems", [])
    if not isinstance(systems, list) or not all(isinstance(system, str) and system.strip() for system in systems):
        raise SiteMappingError("site mapping: cn_icd_systems must be a list of addresses.")
    return SiteMapping(
        rows,
        names,
        aliases,
        tuple(systems),
        _systems(settings.get("systems", {})),
        _cutoffs(settings.get("cutoffs", {})),
    )


def _systems(table: object) -> dict[str, str]:
    """Give the site's own addresses with the one that we know each by."""
    if not isinstance(table, Mapping):
        raise SiteMappingError('site mapping: systems must be a table of "address" = "how it is read".')
    for address, word in table.items():
        if word not in codes.READ_AS:
            raise SiteMappingError(
                f"site mapping: systems, {address!r}: {word!r} is no way to read; use {', '.join(codes.READ_AS)}."
            )
    return {str(address): codes.READ_AS[word] for address, word in table.items()}


def _cutoffs(table: object) -> dict[str, Decimal]:
    """Check the cut-offs of a laboratory: a percentage for each abnormality that is named."""
    if not isinstance(table, Mapping):
        raise SiteMappingError('site mapping: cutoffs must be a table of "cyto.…" = percent of cells.')
    found: dict[str, Decimal] = {}
    for path, percent in table.items():
        if path not in ABNORMALITIES:
            listed = ", ".join(ABNORMALITIES)
            raise SiteMappingError(f"site mapping: cutoffs: {path!r} is no abnormality; use one of {listed}.")
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100:
            raise SiteMappingError(f"site mapping: cutoffs, {path!r}: {percent!r} is no percentage of cells.")
        found[path] = Decimal(str(percent))
    return found


@cache
def _shipped() -> dict[tuple[str, str], set[str]]:
    """Give the concepts of every code of the shipped table, by system and code in upper case."""
    found: dict[tuple[str, str], set[str]] = {}
    for concept, _, system, code, _ in codes.shipped_rows():
        found.setdefault((codes.normal_system(system), code.upper()), set()).add(concept)
    return found


def _kinds() -> dict[str, str]:
    """Give the resource kinds of every concept of the shipped table."""
    return {concept: kinds for concept, kinds, *_ in codes.shipped_rows()}


def _list(settings: Mapping[str, Any], name: str) -> list[Any]:
    found = settings.get(name, [])
    if not isinstance(found, list):
        raise SiteMappingError(f"site mapping: {name} must be a list of tables ([[{name}]]).")
    return found


def _words(entry: object, where: str, *names: str) -> tuple[str, ...]:
    if not isinstance(entry, Mapping):
        raise SiteMappingError(f"site mapping: {where} must be a table with {', '.join(names)}.")
    for name in names:
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            raise SiteMappingError(f"site mapping: {where}: {name} is missing; give it as text.")
    if extra := sorted(set(entry) - set(names)):
        raise SiteMappingError(f"site mapping: {where}: {extra[0]!r} is not known; use {', '.join(names)}.")
    return tuple(entry[name].strip() for name in names)


def _concept(concept: str, where: str, kinds: Mapping[str, str]) -> str:
    if concept in kinds:
        return concept
    if concept in DICTIONARY:
        return concept
    raise SiteMappingError(
        f"site mapping: {where}: {concept!r} is neither a concept of codes.csv nor a fact; look it up in codes.csv."
    )


def _row(entry: object, number: int, kinds: Mapping[str, str]) -> tuple[str, str, str, str, str]:
    where = f"codes, entry {number}"
    system, code, concept = _words(entry, where, "system", "code", "concept")
    found = _concept(concept, where, kinds)
    meant = _shipped().get((codes.normal_system(system), code.upper()), set())
    if codes.is_standard(system) and meant and found not in meant:
        raise SiteMappingError(
            f"site mapping: {where}: {code} of an international terminology is {' and '.join(sorted(meant))} already,"
            " and cannot be given another meaning."
        )
    return found, kinds.get(found, "Observation"), system, code, ""
