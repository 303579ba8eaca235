"""Which concept a coding means: the code table, with the tolerance that real feeds need."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from functools import cached_property, lru_cache
from importlib.resources import files
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD10_CN = "urn:oncobone:icd-10-cn"
"""China's national clinical edition has no canonical address: a site's own addresses are read as this one."""
ATC = "http://www.whocc.no/atc"
ICD_O_3 = "http://terminology.hl7.org/codesystem/icd-o-3"
HGNC = "http://www.genenames.org/geneid"
HCPCS = "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes"
CPT = "http://www.ama-assn.org/go/cpt"
UCUM = "http://unitsofmeasure.org"
LOCAL = "urn:oncobone:facts"
"""Site-local facts that no standard code carries (specification §1)."""

ICD9_CM = "http://hl7.org/fhir/sid/icd-9-cm"
ICD9_PROCEDURES = "urn:oid:2.16.840.1.113883.6.104"
"""Volume 3 of ICD-9-CM shares the address of the diagnoses; only its OID tells it apart."""
ICD10_PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
ICD10_NATIONAL = "urn:oncobone:icd-10-national"
"""A national edition (German, Australian, Canadian, Dutch, British, Japanese …): read as the WHO part of its codes."""
MEDIS = "http://medis.or.jp/CodeSystem/master-disease-exCode"
"""Japan's exchange codes of diseases: four characters that look like ICD-10 and are none."""
NCIT = "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl"
NDC = "http://hl7.org/fhir/sid/ndc"

READ_AS: Mapping[str, str] = MappingProxyType(
    {
        "snomed": SNOMED,
        "loinc": LOINC,
        "rxnorm": RXNORM,
        "icd-10": ICD10,
        "icd-10-cm": ICD10_CM,
        "icd-10-cn": ICD10_CN,
        "icd-10-national": ICD10_NATIONAL,
        "icd-10-pcs": ICD10_PCS,
        "icd-9-cm": ICD9_CM,
        "icd-9-cm-procedures": ICD9_PROCEDURES,
        "icd-o-3": ICD_O_3,
        "atc": ATC,
        "hgnc": HGNC,
        "hcpcs": HCPCS,
        "cpt": CPT,
        "medis": MEDIS,
        "ncit": NCIT,
        "ndc": NDC,
        "ucum": UCUM,
    }
)
"""The word of `code_systems.csv` for how an address is read -> the address that we know it by."""
_NATIONAL_SHAPE = re.compile(r"http://hl7\.org/fhir/sid/icd-10-[a-z]{2,3}$")
"""HL7's rule for addresses of national editions; those with a reading of their own stand in `code_systems.csv`."""
_CASELESS = frozenset(
    {ICD10, ICD10_CM, ICD10_CN, ICD10_NATIONAL, ICD10_PCS, ICD9_CM, ICD9_PROCEDURES, ATC, HGNC, HCPCS, MEDIS}
)
_ICD9_MALIGNANT = re.compile(r"(?:1[4-9]\d|20[0-8])(?:\.?\d{1,2})?$|209\.?[0-37]\d?$")
_DOTLESS = frozenset({ICD9_CM, ICD9_PROCEDURES})
"""Systems whose codes come with and without their dot."""
_HCPCS_SHAPE = re.compile(r"[A-V]\d{4}$", re.IGNORECASE)
"""A letter and four digits: level II. Many senders give it the address of CPT, whose own codes are five digits."""
_ICD_SHAPE = re.compile(r"[A-Z]\d[0-9A-Z]{1,5}$")
_CN_PROCEDURE_SHAPE = re.compile(r"(\d\d)\.?(\d\d)\d\d(?:x\d+)?$", re.IGNORECASE)
"""China's surgical codes: those of ICD-9-CM, padded to four decimals, then an `x` and three digits."""
_CN_SHAPE = re.compile(r"[A-Z]\d{5}(X\d+)?$|[A-Z]\d{3,5}X\d+$")


class Match(msgspec.Struct, frozen=True, gc=False):
    """
    One concept that a coding stands for.

    `system` is the normal form, `code` as sent (trimmed; ICD upper-case with its dot), `display` that of the
    table, `sent_display` what came with the coding. `note` names a tolerance that was needed ("number for a
    code", "ICD-10-CM code under the WHO address").
    """

    concept: str
    system: str
    code: str
    display: str = ""
    sent_display: str = ""
    note: str = ""

    @property
    def is_trap(self) -> bool:
        """Whether the code is known and must not be taken for what it looks like."""
        return self.concept.endswith("_TRAP")


LONGEST_CODE = 500
"""Characters of a code or system that are looked at: a longer one is none, and must fill no cache."""


def normal_system(system: str) -> str:
    """
    Give the normal form of a code system's address.

    Blanks, a trailing slash and `|version` are dropped, the host is lower-cased, `https` counts as `http`,
    `urn:oid:` forms and the addresses of SNOMED editions become the usual address.
    """
    return _normal_system(system) if len(system) <= LONGEST_CODE else system


@lru_cache(maxsize=4096)
def _normal_system(system: str) -> str:
    text = plain_system(system)
    known = _addresses().get(text.lower())
    if known is not None:
        return known
    if text.startswith(SNOMED + "/"):
        return SNOMED
    return ICD10_NATIONAL if _NATIONAL_SHAPE.match(text.lower()) else text


def plain_system(system: str) -> str:
    """Give an address without blanks, trailing slash and version, its host in lower case and `https` as `http`."""
    text = system.strip().partition("|")[0].rstrip("/")
    if text[:4].lower() == "urn:":
        return text.lower()
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    host, slash, path = rest.partition("/")
    return f"{'http' if scheme.lower() in {'http', 'https'} else scheme.lower()}://{host.lower()}{slash}{path}"


@lru_cache(maxsize=1)
def _addresses() -> dict[str, str]:
    """Give every address of `code_systems.csv` (plain, lower case) with the one that we know it by."""
    known = {name.lower(): name for name in (*READ_AS.values(), LOCAL)}
    for address, _, word, *_ in _table("code_systems.csv"):
        if word not in READ_AS:
            raise ValueError(f"code_systems.csv: {address}: {word!r} is no way to read; use {', '.join(READ_AS)}.")
        known[plain_system(address).lower()] = READ_AS[word]
    return known


def _table(name: str) -> Iterator[list[str]]:
    """Yield the rows of a table of this room, without its head."""
    rows = csv.reader(files("fhir_mapping.terms").joinpath(name).read_text("utf-8").splitlines())
    next(rows)
    yield from rows


def codings(codeable: object) -> Iterator[Mapping[str, Any]]:
    """Yield the codings of a CodeableConcept, or of several, however they are wrapped."""
    if isinstance(codeable, list):
        for item in codeable:
            yield from codings(item)
    elif isinstance(codeable, dict):
        inner = codeable.get("coding")
        if isinstance(inner, dict):
            yield inner
        elif isinstance(inner, list):
            yield from (coding for coding in inner if isinstance(coding, dict))
        elif inner is None and ("code" in codeable or "system" in codeable):
            yield codeable  # a bare Coding where a CodeableConcept belongs


def texts_of(codeable: object) -> tuple[str, ...]:
    """Give what a CodeableConcept says in words: its text, then the displays; no blanks, no repeats."""
    found: list[str] = []
    for item in codeable if isinstance(codeable, list) else [codeable]:
        if isinstance(item, str):
            found.append(item.strip())
        elif isinstance(item, dict):
            found.append(_text(item.get("text")))
            found += [_text(coding.get("display")) for coding in codings(item)]
    return tuple(dict.fromkeys(text for text in found if text))


def text_of(codeable: object) -> str:
    """Give the words of a CodeableConcept: its text or, failing that, the first display; empty if none."""
    found = texts_of(codeable)
    return found[0] if found else ""


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def code_text(code: object) -> str:
    """Give a code as text; some feeds send a JSON number. Empty for anything else."""
    if isinstance(code, str):
        return code.strip()
    if isinstance(code, int) and not isinstance(code, bool):
        return str(code)
    return ""


Row = tuple[str, str, str, str, str]
"""Concept, resource kinds, system, code, display."""
_Meant = tuple[str, frozenset[str], str]
"""Concept, the resource types it is meant for, display."""


class CodeTable:
    """
    The code table, with a site's own codes if it has any.

    `rows` give (concept, resource kinds, system, code, display), or the function that gives them: they are read at
    the first look-up. `cn_systems` are the addresses under which a site sends China's national clinical edition of
    ICD-10, `systems` any other addresses of its own with the one that we know each by.
    """

    def __init__(
        self,
        rows: Iterable[Row] | Callable[[], Iterable[Row]],
        cn_systems: Iterable[str] = (),
        systems: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._rows = rows
        self._systems = {plain_system(address).lower(): known for address, known in systems.items()}
        self._systems |= {plain_system(address).lower(): ICD10_CN for address in cn_systems}
        self._looked_up = lru_cache(maxsize=65536)(self._lookup)

    @cached_property
    def _index(self) -> _Index:
        return _Index(self._rows() if callable(self._rows) else self._rows)

    def normal(self, system: str) -> str:
        """Give the normal form of an address, the site's own addresses included; see `normal_system`."""
        if self._systems and len(system) <= LONGEST_CODE:
            own = self._systems.get(plain_system(system).lower())
            if own is not None:
                return own
        return normal_system(system)

    def lookup(self, system: str, code: str) -> tuple[tuple[Match, frozenset[str]], ...]:
        """Give the matches of every kind of a system and code as sent, with the kinds they are meant for."""
        if len(system) > LONGEST_CODE or len(code) > LONGEST_CODE:
            return ()
        return self._looked_up(system, code)

    def _lookup(self, system: str, code: str) -> tuple[tuple[Match, frozenset[str]], ...]:
        normal, trimmed = self.normal(system), code.strip()
        if not trimmed:
            return ()
        if normal == CPT and _HCPCS_SHAPE.match(trimmed):
            normal = HCPCS
        rows, normal, note = self._index.find(normal, trimmed)
        shown = trimmed.upper() if normal in _CASELESS else trimmed
        return tuple((Match(concept, normal, shown, display, note=note), kinds) for concept, kinds, display in rows)

    def concepts(self, codeable: object, *kinds: str) -> tuple[Match, ...]:
        """
        Give every concept that any coding of a CodeableConcept stands for.

        `kinds` are resource types as in the table ("Condition", "Observation", …): only concepts meant for
        one of them; none given, all. Traps are among the answers (`Match.is_trap`): recognised, to be rejected.
        """
        found: dict[tuple[str, str, str], Match] = {}
        for coding in codings(codeable):
            system, raw = coding.get("system"), coding.get("code")
            code = code_text(raw)
            if not code:
                continue
            for match, meant_for in self.lookup(system if isinstance(system, str) else "", code):
                if kinds and meant_for.isdisjoint(kinds):
                    continue
                note = match.note or ("" if isinstance(raw, str) else "number for a code")
                full = Match(match.concept, match.system, match.code, match.display, _text(coding.get("display")), note)
                found.setdefault((full.concept, full.system, full.code), full)
        return tuple(found.values())

    def is_icd10(self, system: object) -> bool:
        """Tell whether an address is one of ICD-10 in whatever edition, those of the site included."""
        if not isinstance(system, str):
            return False
        return self.normal(system) in {ICD10, ICD10_CM, ICD10_CN, ICD10_NATIONAL}

    def is_malignancy(self, system: object, code: str) -> bool:
        """
        Tell whether a code of ICD-10 or ICD-9-CM stands in the chapter of malignancies, the skin's included.

        C00–C97; 140–208, 209.0–209.3 and 209.7 (the rest of 209 is benign).
        """
        if not code or not isinstance(system, str):
            return False
        if code[0] in "Cc":
            return self.is_icd10(system)
        return _ICD9_MALIGNANT.match(code) is not None and self.normal(system) == ICD9_CM

    def codes_of(self, *concepts: str) -> tuple[tuple[str, str], ...]:
        """Give the exact (system, code) pairs of concepts, as the table lists them (ICD without its dot)."""
        return self._index.codes_of(frozenset(concepts))


class _Index:
    """The rows of a code table, by system and code."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._exact: dict[tuple[str, str], list[_Meant]] = defaultdict(list)
        self._icd: dict[str, dict[str, list[_Meant]]] = {ICD10: {}, ICD10_CM: {}}
        self._classes: dict[str, list[_Meant]] = {}
        for concept, kinds, system, code, display in rows:
            self._add(normal_system(system), code, (concept, _resources(kinds), display))

    def _add(self, system: str, code: str, row: _Meant) -> None:
        if system in self._icd:
            self._icd[system].setdefault(code.upper().replace(".", ""), []).append(row)
        elif system == ATC and row[0].startswith("class_"):
            self._classes.setdefault(code.upper(), []).append(row)
        else:
            self._exact[(system, _key(system, code))].append(row)

    def find(self, system: str, code: str) -> tuple[Sequence[_Meant], str, str]:
        """Give the rows of a code, the system that it was read in, and the tolerance that was needed."""
        if system == ICD10_CN:
            return self._national(code), ICD10, ""
        if system == ICD10_NATIONAL:
            rows = self._national(code)
            return rows, ICD10, "a national edition of ICD-10, read as the WHO part of the code" if rows else ""
        if system == ICD10:
            return self._who(code)
        if system == ICD10_CM:
            return self._longest(ICD10_CM, code), system, ""
        if system == ATC:
            return self._atc(code.upper()), system, ""
        if system == HGNC:
            code = f"HGNC:{code.upper().removeprefix('HGNC:')}"
        rows = self._exact.get((system, _key(system, code)), [])
        if not rows and system == ICD9_PROCEDURES and (chinese := _CN_PROCEDURE_SHAPE.match(code)):
            return self._exact.get((system, chinese[1] + chinese[2]), []), system, ""
        return rows, system, ""

    def _longest(self, edition: str, code: str) -> list[_Meant]:
        """Find the longest listed beginning of an ICD code, three characters at least."""
        bare = code.upper().replace(".", "")
        table = self._icd[edition]
        for length in range(len(bare), 2, -1):
            if bare[:length] in table:
                return table[bare[:length]]
        return []

    def _who(self, code: str) -> tuple[list[_Meant], str, str]:
        """Read a code under the WHO address; some sites send the US or the Chinese edition under it."""
        bare = code.upper().replace(".", "")
        if len(bare) > 4 and _ICD_SHAPE.match(bare):
            listed = self._icd[ICD10_CM]
            chinese = _CN_SHAPE.match(bare) and bare not in listed
            if not chinese:
                rows = self._longest(ICD10_CM, code)
                return rows, ICD10_CM, "ICD-10-CM code under the WHO address" if rows else ""
        if _CN_SHAPE.match(bare):
            return self._national(code), ICD10, ""
        return self._longest(ICD10, code), ICD10, ""

    def _national(self, code: str) -> list[_Meant]:
        """An edition that extends the WHO codes: letter, two digits, one decimal count, the rest is its own."""
        return self._longest(ICD10, code.upper().replace(".", "")[:4])

    def _atc(self, code: str) -> list[_Meant]:
        rows = list(self._exact.get((ATC, code), []))
        for length in range(len(code), 2, -1):
            rows += self._classes.get(code[:length], [])
        return rows

    def codes_of(self, wanted: frozenset[str]) -> tuple[tuple[str, str], ...]:
        """Give the exact (system, code) pairs of concepts."""
        exact = [key for key, rows in self._exact.items() if any(row[0] in wanted for row in rows)]
        icd = [
            (system, code)
            for system, table in self._icd.items()
            for code, rows in table.items()
            if any(row[0] in wanted for row in rows)
        ]
        return (*exact, *icd)


def _key(system: str, code: str) -> str:
    plain = code.replace(".", "") if system in _DOTLESS else code
    return plain.upper() if system in _CASELESS else plain


@lru_cache(maxsize=256)
def _resources(kinds: str) -> frozenset[str]:
    """Give the resource types of a row's kinds (`Procedure|ServiceRequest`, `MedicationRequest.dosageInstruction`)."""
    return frozenset(kind.partition(".")[0].partition("(")[0] for kind in kinds.split("|"))


_TABLES = ("codes.csv", "cancers.csv")
"""The code tables: the concepts that rules name one by one, and what counts as a cancer or as its spread."""


@lru_cache(maxsize=1)
def shipped_rows() -> tuple[Row, ...]:
    """
    Give the rows of the code tables: concept, resource kinds, system, code, display.

    Raises ValueError, naming both, for a code that is given twice for the same kinds.
    """
    found: dict[tuple[str, str, str], Row] = {}
    for row in (row for name in _TABLES for row in _rows_of(name)):
        concept, kinds, system, code, _ = row
        if (twice := found.setdefault((kinds, system, code), row)) is not row:
            raise ValueError(f"codes.csv: {system}|{code} is given twice, as {twice[0]} and as {concept}.")
    return tuple(found.values())


def _rows_of(name: str) -> Iterator[Row]:
    """Yield the rows of one code table; columns are found by their head, those of provenance are not needed here."""
    rows = csv.reader(files("fhir_mapping.terms").joinpath(name).read_text("utf-8").splitlines())
    head = next(rows)
    wanted = itemgetter(*(head.index(column) for column in ("concept", "resource", "system", "code", "display")))
    yield from map(wanted, rows)


STANDARD = CodeTable(shipped_rows)
"""The table as shipped."""


def concepts(codeable: object, *kinds: str) -> tuple[Match, ...]:
    """Give the concepts of a CodeableConcept by the shipped table; see `CodeTable.concepts`."""
    return STANDARD.concepts(codeable, *kinds)


def is_terminology(system: str) -> bool:
    """Tell whether a normal system is a terminology that others share too, not a site's own list."""
    return system in _SHARED


_SHARED = frozenset(
    {SNOMED, LOINC, RXNORM, ATC, ICD10, ICD10_CM, ICD10_CN, ICD10_NATIONAL, ICD10_PCS, ICD9_CM, ICD9_PROCEDURES}
    | {ICD_O_3, HGNC, HCPCS, CPT, MEDIS}
)


def is_standard(system: object) -> bool:
    """Tell whether a system is an international terminology (SNOMED CT, LOINC, RxNorm, ATC, ICD-10 and editions)."""
    return isinstance(system, str) and normal_system(system) in _STANDARD_SYSTEMS


_STANDARD_SYSTEMS = frozenset({SNOMED, LOINC, RXNORM, ATC, ICD10, ICD10_CM, ICD10_NATIONAL})
