"""Asks a FHIR server whether it can give us what we need, and drafts a mapping of what it says in its own words."""

from __future__ import annotations

import difflib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.terms import dictionary, units
from fhir_mapping.terms.codes import shipped_rows
from fhir_mapping.terms.queries import NEEDED, templates
from hooks.errors import Refused
from hooks.fhir_server.fetch import Breakers, FetchError, base_of, download, fetch_missing, next_query
from hooks.tools.validating import UNUSABLE, Look, Unmapped, look_at_resources, unmapped_json
from recommenders.vocabulary.dictionary import DICTIONARY, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fhir_mapping.terms.site import SiteMapping
    from hooks.settings import Settings

PATIENCE_S = 60.0
"""For one patient; the service itself has only `fetch_seconds`, and the doctor says how it compares."""

ANONYMOUS = "none"
"""Sent as the token where none is given: an open test server takes any, and we ask nothing without one."""

EXPECTED = (
    "patient.birth_date",
    "patient.sex",
    "patient.weight",
    "patient.height",
    "lab.ca_total",
    "lab.albumin",
    "lab.creatinine",
    "lab.hb",
    "lab.platelets",
    "lab.wbc",
    "lab.alp",
    "lab.ldh",
    "ever.malignancy",
)
"""What any chart of a cancer patient holds as discrete data: the score is how much of it is found."""

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")

CLOSE = 0.55
"""How alike two names must be for a guess; every guess stays a comment until a person has checked it."""


@dataclass(slots=True)
class Search:
    """What came of one of our templates over all patients asked."""

    key: str
    template: str
    offered: bool | None = None
    asked: int = 0
    answered: int = 0
    resources: int = 0
    problems: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Coverage:
    """Of how many patients one fact is found, and why it is not usable in others."""

    fact: str
    found: int = 0
    of: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Report:
    """All that the doctor found out; it holds no patient's id and no value."""

    base: str
    fhir_version: str | None = None
    capability: str = ""
    searches: dict[str, Search] = field(default_factory=dict)
    paging: str = "not tried"
    patients: int = 0
    slowest_seconds: float = 0.0
    unmapped: list[Unmapped] = field(default_factory=list)
    unknown_units: dict[str, int] = field(default_factory=dict)
    without_unit: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    coverage: dict[str, Coverage] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def score(self) -> float:
        """The share of expected facts that are found, over all patients; 0 when nobody could be looked at."""
        rows = [self.coverage[fact] for fact in EXPECTED if fact in self.coverage]
        asked = sum(row.of for row in rows)
        return sum(row.found for row in rows) / asked if asked else 0.0

    @property
    def fit(self) -> bool:
        """Whether the service can work with this server: R4, and the needed keys come."""
        r4 = self.fhir_version is None or self.fhir_version.startswith("4.0")
        return r4 and self.patients > 0 and all(self.searches[key].answered for key in NEEDED)


class Doctor:
    """Looks at one server; every request goes through the service's own way of fetching."""

    def __init__(self, base: str, token: str | None, settings: Settings, mapping: SiteMapping) -> None:
        if base_of(base) is None:
            raise Refused(400, "--fhir: must be a FHIR base, such as https://ehr.example.org/fhir", field="fhir")
        self.base = base.rstrip("/")
        self.token = token or ANONYMOUS
        self.settings = settings
        self.mapping = mapping
        self.report = Report(self.base)
        self._counts: Counter[Unmapped] = Counter()
        self._units: Counter[str] = Counter()
        for key, template in templates("patient-view").items():
            self.report.searches[key] = Search(key, template)

    # --- what the server says of itself ---

    def capability(self) -> None:
        """Read the CapabilityStatement: version, and which of our searches it offers."""
        try:
            statement = self._get("metadata")
        except FetchError as error:
            self.report.capability = f"no CapabilityStatement ({error.reason})"
            return
        if statement.get("resourceType") != "CapabilityStatement":
            self.report.capability = "what came from /metadata is no CapabilityStatement"
            return
        self.report.capability = "read"
        self.report.fhir_version = str(statement.get("fhirVersion") or "") or None
        offered = dict(_offered(statement))
        for key, search in self.report.searches.items():
            kind = "Patient" if key == "patient" else search.template.partition("?")[0]
            interactions, parameters = offered.get(kind, (set(), set()))
            search.offered = "read" in interactions if key == "patient" else "patient" in parameters

    def _get(self, query: str) -> dict[str, Any]:
        headers = {"Accept": "application/fhir+json", "Authorization": f"Bearer {self.token}"}
        body = download(f"{self.base}/{query}", headers, time.monotonic() + PATIENCE_S)
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            raise FetchError("not-json") from None
        return found if isinstance(found, dict) else {}

    def some_patients(self, count: int) -> list[str]:
        """
        Give the ids of some patients that the server lists.

        Raises Refused when it does not let itself be asked for patients.
        """
        try:
            bundle = self._get(f"Patient?_count={count}")
        except FetchError as error:
            raise Refused(
                502, f"The server does not list patients ({error.reason}); name some with --patient ID."
            ) from None
        found = [str(each["id"]) for each in _resources(bundle) if each.get("resourceType") == "Patient"]
        return list(dict.fromkeys(found))[:count]

    # --- one patient ---

    def patient(self, patient_id: str) -> None:
        """
        Fetch one patient's data as the service would, and look at what is made of them.

        Raises Refused for an id that is none.
        """
        if not _ID.fullmatch(patient_id):
            raise Refused(400, "--patient: must be a bare FHIR id, without Patient/ before it", field="patient")
        wanted: dict[str, str | bytes] = {
            key: template.replace("{{context.patientId}}", patient_id)
            for key, template in templates("patient-view").items()
        }
        start = time.monotonic()
        fetched = fetch_missing(wanted, base=self.base, token=self.token, seconds=PATIENCE_S, breakers=Breakers())
        self.report.slowest_seconds = max(self.report.slowest_seconds, time.monotonic() - start)
        resources: list[dict[str, Any]] = []
        for key, search in self.report.searches.items():
            search.asked += 1
            came = fetched.data[key]
            if isinstance(came, Unavailable):
                search.problems[came.reason] += 1
                continue
            search.answered += 1
            if fetched.outcomes[key] != "ok":
                search.problems[fetched.outcomes[key]] += 1
            listed = _resources(json.loads(came))
            search.resources += len(listed)
            resources += listed
        if isinstance(fetched.data["patient"], Unavailable):
            return
        try:
            look = look_at_resources(resources, self.settings, self.mapping)
        except Refused as refused:
            self.report.refused[refused.diagnostics] += 1
            return
        self._count(look)

    def _count(self, look: Look) -> None:
        report = self.report
        report.patients += 1
        for each in look.unmapped:
            self._counts[replace(each, count=0)] += each.count
        self._units.update(look.unknown_units)
        report.without_unit += len(look.without_unit)
        report.unusable.update(f"{path}: {fact.reason}" for path, fact in look.unusable)
        for spec, fact in look.facts.known_facts():
            if spec.derived and spec.path not in EXPECTED:
                continue
            row = report.coverage.setdefault(spec.path, Coverage(spec.path))
            row.of += 1
            if fact.is_known and fact.resources:
                row.found += 1
            elif fact.reason in UNUSABLE:
                row.reasons[str(fact.reason)] += 1

    def paging(self) -> None:
        """Ask for a small page and follow its link, as the service would."""
        try:
            bundle = self._get("Observation?_count=1")
        except FetchError as error:
            self.report.paging = f"could not be tried ({error.reason})"
            return
        links = [each for each in bundle.get("link") or () if isinstance(each, dict) and each.get("relation") == "next"]
        if not links:
            self.report.paging = "no further page was offered"
            return
        query = next_query(str(links[0].get("url")), self.base)
        if query is None:
            self.report.paging = "the next link leads elsewhere than the base, and is not followed"
            return
        try:
            self._get(query.lstrip("/"))
        except FetchError as error:
            self.report.paging = f"the next page does not come ({error.reason})"
        else:
            self.report.paging = "works"

    def finish(self) -> Report:
        """Sort what was counted."""
        found = [replace(each, count=count) for each, count in self._counts.items()]
        self.report.unmapped = sorted(found, key=lambda each: (not each.local, -each.count, each))
        self.report.unknown_units = dict(self._units.most_common())
        return self.report


def _offered(statement: Mapping[str, Any]) -> Iterator[tuple[str, tuple[set[str], set[str]]]]:
    for rest in statement.get("rest") or ():
        for each in rest.get("resource") or ():
            interactions = {str(one.get("code")) for one in each.get("interaction") or ()}
            yield str(each.get("type")), (interactions, {str(one.get("name")) for one in each.get("searchParam") or ()})


def _resources(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    if bundle.get("resourceType") != "Bundle":
        return [dict(bundle)]
    found = [entry.get("resource") for entry in bundle.get("entry") or () if isinstance(entry, dict)]
    return [each for each in found if isinstance(each, dict)]


# --- the draft of the site's mapping ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guess:
    """What a local code may stand for: the concept or fact, and how alike the names are (0 to 1)."""

    concept: str
    label: str
    likeness: float


def guess(each: Unmapped) -> Guess | None:
    """
    Guess what a local code stands for, from its words and unit; None when nothing is alike enough.

    For results the unit must be one that the fact can be converted from. It is a guess for a person to check.
    """
    said = [_words(text) for text in (each.text, each.code) if text]
    best: Guess | None = None
    for concept, label, names in _candidates(each):
        likeness = max((_alike(one, name) for one in said for name in names), default=0.0)
        if likeness >= CLOSE and (best is None or likeness > best.likeness):
            best = Guess(concept, label, likeness)
    return best


def _candidates(each: Unmapped) -> Iterator[tuple[str, str, list[str]]]:
    if each.kind == "Observation":
        for path, rule in dictionary.READINGS.items():
            if path in DICTIONARY and _fits(each.unit, rule):
                en, zh = LABELS.get(DICTIONARY[path].name, (path, path))
                yield path, en, [_words(name) for name in (en, zh, path.partition(".")[2], *rule.names, *rule.concepts)]
        return
    yield from _named("Medication" if each.kind.startswith("Medication") else each.kind)


@lru_cache(maxsize=16)
def _named(kinds: str) -> tuple[tuple[str, str, list[str]], ...]:
    """Give every concept of a kind of resource with its label and its names, comparable."""
    named: dict[str, set[str]] = {}
    for concept, of, _, _, display in shipped_rows():
        if kinds in of and not concept.endswith("_TRAP"):
            named.setdefault(concept, {_words(concept)}).add(_words(display))
    return tuple((concept, concept.replace("_", " "), sorted(names - {""})) for concept, names in named.items())


def _fits(unit: str, rule: dictionary.ReadingRule) -> bool:
    if not unit:
        return True
    known = units.spelled(unit)
    return known is None or units.convert(Decimal(1), known, rule.unit, rule.analyte) is not None


def _words(text: str) -> str:
    """Give the comparable form of a name: lower case, words only, without what says where it was measured."""
    found = re.findall(r"[a-z]+|[0-9]+|[一-鿿]+", text.lower().replace("_", " "))
    plain = [word for word in found if word not in {"serum", "plasma", "blood", "level", "s", "p", "b", "in", "of"}]
    return " ".join(plain or found)


def _alike(one: str, other: str) -> float:
    if not one or not other:
        return 0.0
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) >= 3 and longer.startswith(shorter):
        return 0.9 if longer != shorter else 1.0
    if _parts(shorter) <= _parts(longer):
        return 0.85
    if 2 * len(shorter) < CLOSE * (len(one) + len(other)):
        return 0.0  # too unlike in length to be a guess
    matcher = difflib.SequenceMatcher(None, one, other)
    return matcher.ratio() if matcher.quick_ratio() >= CLOSE else 0.0


@lru_cache(maxsize=20_000)
def _parts(words: str) -> frozenset[str]:
    return frozenset(words.split())


def draft(report: Report) -> str:
    """
    Draft the site's mapping in TOML, ready for the settings file.

    Everything is a comment until somebody has checked it; what is left as it is changes nothing.
    """
    return "\n".join(_draft(report)) + "\n"


def _draft(report: Report) -> Iterator[str]:
    yield "# A draft of this site's mapping, made from codes that no rule could read."
    yield '# Every entry is switched off. Check each with the laboratory or pharmacy, replace "?" by a concept or fact,'
    yield "# then take away the '# ' before its lines. Facts: oncobone facts. Concepts: fhir_mapping/terms/codes.csv."
    yield "# Put the result into the file that ONCOBONE_CONFIG names. Delete what no rule needs."
    for each in report.unmapped:
        if not each.local or not (each.code or each.text):
            continue
        found = guess(each)
        yield ""
        unit = f" in {_plain(each.unit)}" if each.unit else ""
        yield f"## {each.count} x {_plain(each.kind)}: {_plain(each.text or each.code)}{unit}"
        if found:
            yield f"## perhaps: {found.label}"
        else:
            yield "## no guess: most such codes are not needed by any rule"
        concept = found.concept if found else "?"
        if each.code and each.system:
            yield "# [[mapping.codes]]"
            yield f"# system = {_toml(each.system)}"
            yield f"# code = {_toml(each.code)}"
        else:
            yield "# [[mapping.names]]"
            yield f"# text = {_toml(each.text or each.code)}"
        yield f"# concept = {_toml(concept)}"
    if report.unknown_units:
        yield ""
        yield "## Units that could not be read. Write the UCUM unit on the right."
        yield "# [mapping.units]"
        for unit, count in report.unknown_units.items():
            near = difflib.get_close_matches(units.fold(unit), sorted({u for _, u in units.factors()}), 1, 0.6)
            yield f"# {_toml(unit)} = {_toml(near[0] if near else '?')} # {count} times"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:200]


def _toml(text: str) -> str:
    return json.dumps("".join(char for char in text if char.isprintable())[:500], ensure_ascii=False)


# --- telling ------------------------------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """Give all of it as JSON."""
    return {
        "base": report.base,
        "fit": report.fit,
        "fhir_version": report.fhir_version,
        "capability": report.capability,
        "patients": report.patients,
        "slowest_seconds": round(report.slowest_seconds, 3),
        "paging": report.paging,
        "searches": [
            {
                "key": search.key,
                "template": search.template,
                "needed": search.key in NEEDED,
                "offered": search.offered,
                "asked": search.asked,
                "answered": search.answered,
                "resources": search.resources,
                "problems": dict(search.problems),
            }
            for search in report.searches.values()
        ],
        "score": round(report.score, 4),
        "coverage": [
            {"fact": row.fact, "found": row.found, "of": row.of, "expected": row.fact in EXPECTED}
            | ({"unusable": dict(row.reasons)} if row.reasons else {})
            for row in report.coverage.values()
        ],
        "unmapped": [
            unmapped_json(each) | ({"perhaps": found.concept} if each.local and (found := guess(each)) else {})
            for each in report.unmapped
        ],
        "unknown_units": report.unknown_units,
        "without_unit": report.without_unit,
        "unusable": dict(report.unusable),
        "refused": dict(report.refused),
        "mapping_draft": draft(report),
    }


def as_text(report: Report, budget: float) -> Iterator[str]:
    """Yield the report for people; `budget` is the time that the service has for fetching."""
    yield f"{report.base}"
    yield f"  FHIR version: {report.fhir_version or 'not told'} (needed: 4.0)"
    yield f"  capability statement: {report.capability}"
    yield f"  paging: {report.paging}"
    late = report.slowest_seconds > budget
    slow = ": longer than the service waits; raise fetch_seconds or send prefetch" if late else ""
    yield f"  slowest patient: {report.slowest_seconds:.2f} s of {budget:g} s{slow}"
    yield ""
    yield f"Searches ({report.patients} patients)"
    for search in report.searches.values():
        offered = {True: "offered", False: "NOT in the capability statement", None: "not stated"}[search.offered]
        trouble = "".join(f", {reason} x {count}" for reason, count in search.problems.items())
        needed = " (needed)" if search.key in NEEDED else ""
        yield (
            f"  {search.key}{needed}: {search.answered} of {search.asked} answered, {search.resources} resources,"
            f" {offered}{trouble}"
        )
    for reason, count in report.refused.items():
        yield f"  {count} patients could not be looked at: {reason}"
    yield ""
    yield f"Coverage: {report.score:.0%} of what any chart can be expected to hold"
    for row in report.coverage.values():
        if row.fact in EXPECTED or row.found:
            why = "".join(f", {reason} x {count}" for reason, count in row.reasons.items())
            mark = "" if row.fact in EXPECTED else " (more)"
            yield f"  {row.found:4} of {row.of}  {row.fact}{why}{mark}"
    local = [each for each in report.unmapped if each.local]
    if local:
        yield ""
        yield f"Codes seen and not mapped ({len(local)})"
        for each in local[:40]:
            found = guess(each)
            code = f"{each.system}|{each.code}" if each.system else each.code
            told = " ".join(_plain(part) for part in (each.kind, code, each.text, each.unit) if part)
            yield f"  {each.count:4} x {told}" + (f"  perhaps {found.concept}" if found else "")
        if len(local) > 40:
            yield f"  and {len(local) - 40} more (--json names all)"
    for unit, count in report.unknown_units.items():
        yield f"  unit not known: {_plain(unit)} ({count} times)"
    if report.without_unit:
        yield f"  results without a unit: {report.without_unit}"
    for what, count in report.unusable.items():
        yield f"  not usable: {what} ({count} patients)"
    yield ""
    yield (
        "The service can work with this server." if report.fit else "The service cannot work with this server as it is."
    )
