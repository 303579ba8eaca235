"""Asks a FHIR server whether it can give us what we need, and drafts a mapping of what it says in its own words."""

from __future__ import annotations

import difflib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.terms import units
from fhir_mapping.terms.queries import NEEDED, templates
from hooks.errors import Refused
from hooks.fhir_server.addresses import as_written, base_of, next_query
from hooks.fhir_server.breaker import Breakers
from hooks.fhir_server.download import download
from hooks.fhir_server.fetch import of_token
from hooks.fhir_server.gather import GOOD, Reading
from hooks.fhir_server.reasons import sentence
from hooks.fhir_server.watches import FetchError
from hooks.protocol import Authorization, Call
from hooks.reference.guessing import guess
from hooks.reference.validating import (
    UNUSABLE,
    Look,
    Unmapped,
    entries_of,
    is_loss,
    look_at_entries,
    mapping_line,
    unmapped_json,
    worst_first,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fhir_mapping.terms.site import SiteMapping
    from hooks.settings import Settings

PATIENCE_S = 60.0
"""For one patient; the service itself has only `fetch_seconds`, and the doctor says how it compares."""

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
        base = as_written(base)
        if base_of(base) is None:
            raise Refused(400, "--fhir: must be a FHIR base, such as https://ehr.example.org/fhir", field="fhir")
        self.base = base
        self.token = token
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
            self.report.capability = f"no CapabilityStatement ({error.reason}): {sentence(error.reason)}"
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
        if not self.token and not self.settings.fhir_anonymous:
            raise FetchError("no-token")
        headers = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        deadline = time.monotonic() + PATIENCE_S
        try:
            body = download(f"{self.base}/{query}", headers, deadline, ca_file=self.settings.ca_file)
        except FetchError as error:
            raise of_token(error, sent=bool(self.token)) from None
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
                502,
                f"The server does not list patients ({error.reason}): {sentence(error.reason)}"
                " If only the list is refused, name some with --patient ID.",
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
        settings = self.settings.model_copy(update={"fetch_seconds": PATIENCE_S})
        call = Call("patient-view", "doctor", "Practitioner/oncobone", patient_id, None, {})
        if self.token:
            call = replace(call, authorization=Authorization(self.token))
        start = time.monotonic()
        reading = Reading(call, self.base, settings, None, self.mapping, breakers=Breakers())
        came = reading.complete(dict.fromkeys(self.report.searches, Unavailable("not-sent")), templates("patient-view"))
        self.report.slowest_seconds = max(self.report.slowest_seconds, time.monotonic() - start)
        entries: list[dict[str, Any]] = []
        for key, search in self.report.searches.items():
            search.asked += 1
            found = came.prefetch[key]
            if isinstance(found, Unavailable):
                search.problems[found.reason] += 1
                continue
            search.answered += 1
            if came.fetched.get(key, "ok") not in GOOD:
                search.problems[came.fetched[key]] += 1
            listed = entries_of(json.loads(bytes(found)))
            search.resources += len(listed)
            entries += listed
        medications = came.fetched.get("medicationReference", "ok")
        if medications not in GOOD:
            self.report.searches["medications"].problems[medications] += 1
        if isinstance(came.prefetch["patient"], Unavailable):
            return
        try:
            look = look_at_entries(entries, self.settings, self.mapping, came.prefetch)
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
        self.report.unmapped = sorted(found, key=worst_first)
        self.report.unknown_units = dict(self._units.most_common())
        return self.report


def _offered(statement: Mapping[str, Any]) -> Iterator[tuple[str, tuple[set[str], set[str]]]]:
    for rest in statement.get("rest") or ():
        for each in rest.get("resource") or ():
            interactions = {str(one.get("code")) for one in each.get("interaction") or ()}
            yield str(each.get("type")), (interactions, {str(one.get("name")) for one in each.get("searchParam") or ()})


def _resources(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in entries_of(bundle)]


# --- the draft of the site's mapping ------------------------------------------------------------------------


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
        if not (each.local or is_loss(each)) or not (each.code or each.text):
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
        "unmapped": [unmapped_json(each) for each in report.unmapped],
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
    yield from _searches(report)
    yield ""
    yield f"Coverage: {report.score:.0%} of what any chart can be expected to hold"
    for row in report.coverage.values():
        if row.fact in EXPECTED or row.found:
            why = "".join(f", {reason} x {count}" for reason, count in row.reasons.items())
            mark = "" if row.fact in EXPECTED else " (more)"
            yield f"  {row.found:4} of {row.of}  {row.fact}{why}{mark}"
    yield from _unread(report)
    yield ""
    yield (
        "The service can work with this server." if report.fit else "The service cannot work with this server as it is."
    )


def _searches(report: Report) -> Iterator[str]:
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
    cures = {sentence(reason, key) for key, one in report.searches.items() for reason in one.problems}
    for cure in sorted(cures):
        yield f"  -> {cure}"


def _unread(report: Report) -> Iterator[str]:
    """Say what no rule reads: what may well be lost first, then what only the site knows, then units and values."""
    losses = [each for each in report.unmapped if is_loss(each)]
    if losses:
        yield ""
        yield f"Lost: codes that may well be what a rule looks for ({len(losses)}); map them"
        for each in losses[:40]:
            yield f"  {each.count:4} x {_plain(each.text or each.code)}"
            yield f"         {_plain(mapping_line(each))}"
    local = [each for each in report.unmapped if each.local and not is_loss(each)]
    if local:
        yield ""
        yield f"Codes seen and not mapped ({len(local)})"
        for each in local[:40]:
            code = f"{each.system}|{each.code}" if each.system else each.code
            told = " ".join(_plain(part) for part in (each.kind, code, each.text, each.unit) if part)
            yield f"  {each.count:4} x {told}"
        if len(local) > 40:
            yield f"  and {len(local) - 40} more (--json names all)"
    for unit, count in report.unknown_units.items():
        yield f"  unit not known: {_plain(unit)} ({count} times)"
    if report.without_unit:
        yield f"  results without a unit: {report.without_unit}"
    for what, count in report.unusable.items():
        yield f"  not usable: {what} ({count} patients)"
