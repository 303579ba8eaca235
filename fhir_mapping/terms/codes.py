"""Which concept a coding means: the code table, with the tolerance that real feeds need."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fhir_mapping.words.fold import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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

_SAME_SYSTEM = {
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.88": RXNORM,
    "urn:oid:2.16.840.1.113883.6.90": ICD10_CM,
    "urn:oid:2.16.840.1.113883.6.3": ICD10,
    "urn:oid:2.16.840.1.113883.6.73": ATC,
    "urn:oid:2.16.840.1.113883.6.8": UCUM,
    "urn:oid:2.16.840.1.113883.6.285": HCPCS,
    "urn:oid:2.16.840.1.113883.6.12": CPT,
    "http://www.cms.gov/medicare/coding/hcpcsreleasecodesets": HCPCS,
    "http://www.cms.gov/medicare/coding/medhcpcsgeninfo": HCPCS,
    "http://bluebutton.cms.gov/resources/codesystem/hcpcs": HCPCS,
    "http://www.genenames.org": HGNC,
}
_CASELESS = frozenset({ICD10, ICD10_CM, ICD10_CN, ATC, HGNC, HCPCS})
_HCPCS_SHAPE = re.compile(r"[A-V]\d{4}$", re.IGNORECASE)
"""A letter and four digits: level II. Many senders give it the address of CPT, whose own codes are five digits."""
_ICD_SHAPE = re.compile(r"[A-Z]\d[0-9A-Z]{1,5}$")
_CN_SHAPE = re.compile(r"[A-Z]\d{5}(X\d+)?$|[A-Z]\d{3,5}X\d+$")


@dataclass(frozen=True, slots=True)
class Match:
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
    text = system.strip().partition("|")[0].rstrip("/")
    if text[:4].lower() == "urn:":
        text = text.lower()
        return _SAME_SYSTEM.get(text, text)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    host, slash, path = rest.partition("/")
    text = f"{'http' if scheme.lower() in {'http', 'https'} else scheme.lower()}://{host.lower()}{slash}{path}"
    if text.startswith(SNOMED + "/"):
        return SNOMED
    lowered = text.lower()
    return _SAME_SYSTEM.get(lowered, _CANONICAL.get(lowered, text))


_CANONICAL = {
    name.lower(): name for name in (SNOMED, LOINC, RXNORM, ICD10, ICD10_CM, ATC, ICD_O_3, HGNC, HCPCS, CPT, UCUM, LOCAL)
}


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


SHORTEST_TITLE = 4
_TAG = re.compile(
    r" \((?:disorder|finding|morphologic abnormality|procedure|body structure|observable entity|situation|event"
    r"|regime/therapy|qualifier value|substance|product)\)$"
)
_PUNCTUATION = re.compile(r"[^\w+/%]+")


def title(said: str) -> str:
    """Give a title as titles are compared: folded, without its SNOMED tag and punctuation."""
    return _PUNCTUATION.sub(" ", _TAG.sub("", fold(said.strip()))).strip()


def _kinds(kinds: str) -> frozenset[str]:
    return frozenset(kind.partition(".")[0].partition("(")[0] for kind in kinds.split("|"))


class CodeTable:
    """
    The code table, with a site's own codes if it has any.

    `rows` are (concept, resource kinds, system, code, display); `cn_systems` are the addresses under which a
    site sends China's national clinical edition of ICD-10.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, str, str]], cn_systems: Iterable[str] = ()) -> None:
        self._exact: dict[tuple[str, str], list[tuple[str, frozenset[str], str]]] = defaultdict(list)
        self._icd: dict[str, dict[str, list[tuple[str, frozenset[str], str]]]] = {ICD10: {}, ICD10_CM: {}}
        self._classes: dict[str, list[tuple[str, frozenset[str], str]]] = {}
        self._cn = frozenset(normal_system(system) for system in cn_systems) | {ICD10_CN}
        self._rows = tuple(rows)
        self._by_title: Mapping[str, tuple[tuple[Match, frozenset[str]], ...]] | None = None
        for concept, kinds, system, code, display in self._rows:
            self._add(concept, kinds, normal_system(system), code, display)
        self._looked_up = lru_cache(maxsize=65536)(self._lookup)

    def _add(self, concept: str, kinds: str, system: str, code: str, display: str) -> None:
        row = (concept, _kinds(kinds), display)
        if system in self._icd:
            self._icd[system].setdefault(code.upper().replace(".", ""), []).append(row)
        elif system == ATC and concept.startswith("class_"):
            self._classes.setdefault(code.upper(), []).append(row)
        else:
            self._exact[(system, code.upper() if system in _CASELESS else code)].append(row)

    def lookup(self, system: str, code: str) -> tuple[tuple[Match, frozenset[str]], ...]:
        """Give the matches of every kind of a system and code as sent, with the kinds they are meant for."""
        if len(system) > LONGEST_CODE or len(code) > LONGEST_CODE:
            return ()
        return self._looked_up(system, code)

    def _lookup(self, system: str, code: str) -> tuple[tuple[Match, frozenset[str]], ...]:
        normal, trimmed = normal_system(system), code.strip()
        if not trimmed:
            return ()
        if normal == CPT and _HCPCS_SHAPE.match(trimmed):
            normal = HCPCS
        if normal in self._cn:
            rows, note = self._national(trimmed), ""
            normal = ICD10
        elif normal == ICD10:
            rows, normal, note = self._who(trimmed)
        elif normal == ICD10_CM:
            rows, note = self._longest(ICD10_CM, trimmed), ""
        elif normal == ATC:
            rows, note = self._atc(trimmed.upper()), ""
        elif normal == HGNC:
            number = trimmed.upper().removeprefix("HGNC:")
            rows, note = self._exact.get((HGNC, f"HGNC:{number}"), []), ""
        else:
            key = trimmed.upper() if normal in _CASELESS else trimmed
            rows, note = self._exact.get((normal, key), []), ""
        shown = trimmed.upper() if normal in _CASELESS else trimmed
        return tuple((Match(concept, normal, shown, display, note=note), kinds) for concept, kinds, display in rows)

    def _longest(self, edition: str, code: str) -> list[tuple[str, frozenset[str], str]]:
        """Find the longest listed beginning of an ICD code, three characters at least."""
        bare = code.upper().replace(".", "")
        table = self._icd[edition]
        for length in range(len(bare), 2, -1):
            if bare[:length] in table:
                return table[bare[:length]]
        return []

    def _who(self, code: str) -> tuple[list[tuple[str, frozenset[str], str]], str, str]:
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

    def _national(self, code: str) -> list[tuple[str, frozenset[str], str]]:
        """China's edition extends the WHO codes: letter, two digits, one decimal count, the rest is local."""
        return self._longest(ICD10, code.upper().replace(".", "")[:4])

    def _atc(self, code: str) -> list[tuple[str, frozenset[str], str]]:
        rows = list(self._exact.get((ATC, code), []))
        for length in range(len(code), 2, -1):
            rows += self._classes.get(code[:length], [])
        return rows

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

    def titled(self, said: str, *kinds: str) -> tuple[Match, ...]:
        """
        Give what a text stands for that is, as a whole, the official title of a code of the table.

        Titles are compared folded, without the semantic tag of SNOMED CT and without punctuation; `kinds` as in
        `concepts`.
        """
        if len(said) > LONGEST_CODE:
            return ()
        rows = self._titles().get(title(said), ())
        return tuple(match for match, meant_for in rows if not kinds or not meant_for.isdisjoint(kinds))

    def _titles(self) -> Mapping[str, tuple[tuple[Match, frozenset[str]], ...]]:
        """Give the table by its titles; made when first asked for."""
        if self._by_title is None:
            found: dict[str, dict[tuple[str, str], tuple[Match, frozenset[str]]]] = {}
            for concept, kinds, system, code, display in self._rows:
                name = title(display)
                if len(name) >= SHORTEST_TITLE:
                    match = Match(concept, normal_system(system), code, display)
                    found.setdefault(name, {}).setdefault((concept, kinds), (match, _kinds(kinds)))
            self._by_title = {name: tuple(rows.values()) for name, rows in found.items()}
        return self._by_title

    def is_icd10(self, system: object) -> bool:
        """Tell whether an address is one of ICD-10 in whatever edition, those of the site included."""
        if not isinstance(system, str):
            return False
        normal = normal_system(system)
        return normal in {ICD10, ICD10_CM, ICD10_CN} or normal in self._cn

    def codes_of(self, *concepts: str) -> tuple[tuple[str, str], ...]:
        """Give the exact (system, code) pairs of concepts, as the table lists them (ICD without its dot)."""
        wanted = frozenset(concepts)
        exact = [key for key, rows in self._exact.items() if any(row[0] in wanted for row in rows)]
        icd = [
            (system, code)
            for system, table in self._icd.items()
            for code, rows in table.items()
            if any(row[0] in wanted for row in rows)
        ]
        return (*exact, *icd)


@lru_cache(maxsize=1)
def shipped_rows() -> tuple[tuple[str, str, str, str, str], ...]:
    """Give the rows of `codes.csv`: concept, resource kinds, system, code, display."""
    text = files("fhir_mapping.terms").joinpath("codes.csv").read_text("utf-8")
    return tuple(
        (row["concept"], row["resource"], row["system"], row["code"], row["display"])
        for row in csv.DictReader(text.splitlines())
    )


STANDARD = CodeTable(shipped_rows())
"""The table as shipped."""


def concepts(codeable: object, *kinds: str) -> tuple[Match, ...]:
    """Give the concepts of a CodeableConcept by the shipped table; see `CodeTable.concepts`."""
    return STANDARD.concepts(codeable, *kinds)


def is_terminology(system: str) -> bool:
    """Tell whether a normal system is a terminology that others share too, not a site's own list."""
    return system in _SHARED


_SHARED = frozenset({SNOMED, LOINC, RXNORM, ATC, ICD10, ICD10_CM, ICD10_CN, ICD_O_3, HGNC, HCPCS, CPT})


def is_standard(system: object) -> bool:
    """Tell whether a system is an international terminology (SNOMED CT, LOINC, RxNorm, ATC, ICD-10)."""
    return isinstance(system, str) and normal_system(system) in {SNOMED, LOINC, RXNORM, ATC, ICD10, ICD10_CM}
