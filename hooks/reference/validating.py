"""Tells what would be made of a request or a Bundle: used, left out, codes and units that are not known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fhir_mapping.chart import Unavailable, read_chart
from fhir_mapping.delivery.context import KEY_OF, WrongPatientError
from fhir_mapping.delivery.notes import NAMED_AT_MOST, NOT_READ, SUPERSEDED
from fhir_mapping.terms import units
from fhir_mapping.terms.codes import is_standard
from fhir_mapping.terms.decode import NOT_FOLLOWED, TooManyEntriesError
from hooks.errors import Refused
from hooks.fhir_server.gather import NEEDED, delivered, is_part
from hooks.protocol import CONTEXT_FIELDS, read_call
from hooks.reference.guessing import guess
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading

if TYPE_CHECKING:
    from fhir_mapping.chart import Mapped
    from fhir_mapping.terms.decode import Brought
    from fhir_mapping.terms.site import SiteMapping
    from hooks.settings import Settings
    from recommenders.vocabulary.dictionary import Facts

TOGETHER = 80
"""So many resources are looked at in one go: of more, the mapping counts the unread ones and does not name them."""

UNUSABLE = frozenset({"unit", "implausible", "contradictory", "no-value", "future-dated", "undated", "haemolysed"})
"""Why a fact that was sent cannot be used."""

_ORDINARY = (NOT_READ, SUPERSEDED, "status:")
"""Reasons for leaving something out that are no fault of the feed."""


@dataclass(frozen=True, slots=True, order=True)
class Unmapped:
    """A code, or a mere text, that no rule reads: how it was written, in which unit, and how often it came."""

    kind: str
    system: str
    code: str
    text: str
    unit: str
    count: int = 0

    @property
    def local(self) -> bool:
        """Whether it is a site's own: nobody else knows what it means."""
        return not is_standard(self.system)


def is_loss(each: Unmapped) -> bool:
    """Tell whether a code that no rule reads may well carry a fact: by its name, and by a unit that fits."""
    return guess(each) is not None


def mapping_line(each: Unmapped) -> str:
    """Give the line for the site's mapping that makes such a code known."""
    found = guess(each)
    concept = found.concept if found else "?"
    if each.code and each.system:
        return f'codes = [{{ system = {_quoted(each.system)}, code = {_quoted(each.code)}, concept = "{concept}" }}]'
    return f'names = [{{ text = {_quoted(each.text or each.code)}, concept = "{concept}" }}]'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def worst_first(each: Unmapped) -> tuple[Any, ...]:
    """Order codes that no rule reads: what may well be lost, then what only the site knows, then the rest."""
    return (not is_loss(each), not each.local, -each.count, each)


@dataclass(slots=True)
class Look:
    """
    What became of one chart.

    `lacking` are the needed keys that are not there; `left_out` are notes on resources of which nothing was used.
    """

    mapped: Mapped
    lacking: tuple[str, ...] = ()
    unmapped: list[Unmapped] = field(default_factory=list)
    unknown_units: dict[str, int] = field(default_factory=dict)
    without_unit: list[str] = field(default_factory=list)

    @property
    def facts(self) -> Facts:
        """The facts as recorded."""
        return self.mapped.facts

    @property
    def unusable(self) -> list[tuple[str, Fact]]:
        """Facts that were sent and cannot be used, by path."""
        return [(spec.path, fact) for spec, fact in self.facts.known_facts() if fact.reason in UNUSABLE]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Resources (or keys) of which nothing is used, with the reason, where the feed can do better."""
        used = used_resources(self.facts)
        return [
            (note.resource, note.reason)
            for note in self.mapped.notes
            if note.resource not in used
            and not any(ordinary in note.reason for ordinary in _ORDINARY)
            and not note.resource.startswith("prefetch/")
        ]

    @property
    def fine(self) -> bool:
        """Whether nothing that was sent is lost."""
        lost = any(each.local or is_loss(each) for each in self.unmapped)
        return not (self.lacking or self.left_out or self.unusable or lost or self.unknown_units or self.without_unit)


def used_resources(facts: Facts) -> set[str]:
    """Give the resources that some fact was read from."""
    found = {name for _, fact in facts.known_facts() for name in fact.resources}
    for listed in (facts.lesions, facts.sre, facts.studies, facts.courses):
        found.update(name for item in listed for name in item.resources)
    return found | {order.reference for order in facts.orders}


def look_at_text(body: bytes, settings: Settings, mapping: SiteMapping, mapped: Mapped | None = None) -> Look:
    """
    Look at a CDS Hooks request, or at a Bundle with one Patient; `mapped` is what was read of it, if it was already.

    Raises Refused for what the service would refuse.
    """
    sent = _json(body)
    if sent.get("resourceType") == "Bundle":
        entries = entries_of(sent)
        return look_at_entries(entries, settings, mapping, as_prefetch(entries, whole=not is_part(body)))
    hook = next((each for each in CONTEXT_FIELDS if each == sent.get("hook")), None)
    if hook is None:
        raise Refused(400, f"hook: must be one of {', '.join(CONTEXT_FIELDS)}; or give a FHIR Bundle.", field="hook")
    call = read_call(body, hook)
    prefetch = {key: delivered(call.prefetch.get(key)) for key in ("patient", *KEY_OF.values())}
    lists = [sent["prefetch"][key] for key in prefetch if isinstance(sent.get("prefetch", {}).get(key), dict)]
    drafts = sent["context"].get("draftOrders")
    entries = [entry for listed in [*lists, drafts or {}] for entry in entries_of(listed)]
    if mapped is not None:
        return _looked(mapped, call.patient_id, prefetch, entries, settings, mapping)
    return _look(call.patient_id, prefetch, entries, settings, mapping, call.draft_orders, call.selections)


def _json(body: bytes) -> dict[str, Any]:
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The file is not JSON: {error}", code="structure") from None
    if not isinstance(sent, dict):
        raise Refused(
            400, "The file holds no JSON object; give a CDS Hooks request or a FHIR Bundle.", code="structure"
        )
    return sent


def entries_of(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the entries of a Bundle that hold a resource, with their `fullUrl`: others may refer to it."""
    if bundle.get("resourceType") != "Bundle":
        return [{"resource": dict(bundle)}] if bundle.get("resourceType") else []
    return [
        {name: entry[name] for name in ("fullUrl", "resource") if name in entry}
        for entry in bundle.get("entry") or []
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]


def look_at_entries(
    entries: Sequence[dict[str, Any]],
    settings: Settings,
    mapping: SiteMapping,
    prefetch: Mapping[str, Brought | Unavailable | None] | None = None,
) -> Look:
    """
    Look at the entries of one patient; `prefetch` is what they were delivered in, where that is known.

    Raises Refused unless there is exactly one Patient among them.
    """
    resources = [entry["resource"] for entry in entries]
    patients = {str(each.get("id")) for each in resources if each.get("resourceType") == "Patient"}
    if len(patients) != 1:
        raise Refused(400, f"The Bundle must hold one Patient, and it holds {len(patients)}.", code="structure")
    return _look(patients.pop(), prefetch or as_prefetch(entries), entries, settings, mapping)


def as_prefetch(entries: Iterable[dict[str, Any]], *, whole: bool = True) -> dict[str, Brought | Unavailable | None]:
    """
    Sort entries into the prefetch keys that they would come under; a list of none is known to be empty.

    Of a page that goes on (not `whole`) nobody knows which of the lists go on: each of them may.
    """
    listed: dict[str, list[dict[str, Any]]] = {key: [] for key in KEY_OF.values()}
    prefetch: dict[str, Brought | Unavailable | None] = {"patient": Unavailable("not-sent")}
    for entry in entries:
        kind = str(entry["resource"].get("resourceType"))
        if kind == "Patient":
            prefetch["patient"] = json.dumps(entry["resource"]).encode()
        else:
            listed[_KEYS.get(kind, "observations")].append(entry)
    return prefetch | {key: _searchset(found, whole=whole) for key, found in listed.items()}


_KEYS: Mapping[str, str] = {
    **KEY_OF,
    "MedicationStatement": "medications",
    "MedicationDispense": "medications",
    "Medication": "medications",
    "DiagnosticReport": "observations",
    "ImagingStudy": "procedures",
    "Encounter": "conditions",
}
"""The key under which each kind of resource is delivered; what has none of its own comes with the observations."""


def _searchset(entries: Sequence[Mapping[str, Any]], *, whole: bool) -> bytes:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    more = {"total": len(entries)} if whole else {"link": [{"relation": "next", "url": NOT_FOLLOWED}]}
    return json.dumps(bundle | more).encode()


def _look(
    patient_id: str,
    prefetch: Mapping[str, Brought | Unavailable | None],
    entries: Sequence[dict[str, Any]],
    settings: Settings,
    mapping: SiteMapping,
    drafts: bytes | None = None,
    selections: Sequence[str] | None = None,
) -> Look:
    moment, zone = settings.moment(), settings.zone
    try:
        mapped = read_chart(
            prefetch,
            patient_id=patient_id,
            now=moment,
            timezone=zone,
            draft_orders=drafts,
            selections=selections,
            site=mapping,
        )
        return _looked(mapped, patient_id, prefetch, entries, settings, mapping)
    except WrongPatientError as error:
        raise Refused(400, str(error), code="conflict", field="context.patientId") from None
    except TooManyEntriesError as error:
        raise Refused(413, str(error), code="too-costly") from None


def _looked(
    mapped: Mapped,
    patient_id: str,
    prefetch: Mapping[str, Brought | Unavailable | None],
    entries: Sequence[dict[str, Any]],
    settings: Settings,
    mapping: SiteMapping,
) -> Look:
    unread = {note.resource for note in mapped.notes if NOT_READ in note.reason}
    if len(unread) >= NAMED_AT_MOST:  # there may be more, counted and not named
        unread = set(_unread(patient_id, entries, settings, mapping))
    lacking = [key for key in NEEDED if prefetch.get(key) is None or isinstance(prefetch.get(key), Unavailable)]
    look = Look(mapped, tuple(lacking))
    resources = [entry["resource"] for entry in entries]
    look.unmapped = unmapped(each for each in resources if name_of(each) in unread)
    read = [each for each in resources if name_of(each) not in unread]
    look.unknown_units, look.without_unit = _units(read, mapping)
    return look


def _unread(
    patient_id: str, entries: Sequence[dict[str, Any]], settings: Settings, mapping: SiteMapping
) -> Iterator[str]:
    """Yield the names of the resources in which nothing is read, a few at a time so that all are named."""
    chart = [
        each for each in entries if each["resource"].get("resourceType") != "Patient" and each["resource"].get("id")
    ]
    for start in range(0, len(chart), TOGETHER):
        few = as_prefetch(chart[start : start + TOGETHER])
        notes = read_chart(
            few, patient_id=patient_id, now=settings.moment(), timezone=settings.zone, site=mapping
        ).notes
        yield from (note.resource for note in notes if NOT_READ in note.reason)


def name_of(resource: Mapping[str, Any]) -> str:
    """Give `Type/id`."""
    return f"{resource.get('resourceType')}/{resource.get('id')}"


# --- codes --------------------------------------------------------------------------------------------------

_CODED = ("code", "medicationCodeableConcept", "vaccineCode", "type")


def unmapped(resources: Iterable[Mapping[str, Any]]) -> list[Unmapped]:
    """Count the codes of resources that are not read, the most frequent first; a text alone counts as its own."""
    counts: Counter[Unmapped] = Counter()
    for resource in resources:
        counts[_described(resource)] += 1
    found = [replace(each, count=count) for each, count in counts.items()]
    return sorted(found, key=worst_first)


def _described(resource: Mapping[str, Any]) -> Unmapped:
    kind = str(resource.get("resourceType"))
    coded: Mapping[str, Any] = next((resource[name] for name in _CODED if isinstance(resource.get(name), dict)), {})
    codings = [each for each in coded.get("coding") or () if isinstance(each, dict)]
    # A standard code says what it is, whatever the site's own beside it is called.
    chosen = min(codings, key=lambda each: not is_standard(each.get("system") or ""), default={})
    words = coded.get("text") or next((each["display"] for each in codings if each.get("display")), "")
    quantity = resource.get("valueQuantity")
    unit = (quantity.get("unit") or quantity.get("code") or "") if isinstance(quantity, dict) else ""
    return Unmapped(kind, str(chosen.get("system") or ""), str(chosen.get("code") or ""), str(words), str(unit))


# --- units --------------------------------------------------------------------------------------------------


def _units(resources: Iterable[Mapping[str, Any]], mapping: SiteMapping) -> tuple[dict[str, int], list[str]]:
    """Count units that cannot be read, and name results without any, among the resources that carry a fact."""
    unknown: Counter[str] = Counter()
    without: list[str] = []
    for resource in resources:
        if resource.get("resourceType") != "Observation":
            continue
        parts = [resource, *(each for each in resource.get("component") or () if isinstance(each, dict))]
        for quantity in (part.get("valueQuantity") for part in parts):
            if not isinstance(quantity, dict) or quantity.get("value") is None:
                continue
            unit = units.ucum(quantity, mapping.unit_aliases)
            if unit is None:
                unknown[str(quantity.get("unit") or quantity.get("code"))] += 1
            elif unit == "" and name_of(resource) not in without:
                without.append(name_of(resource))
    return dict(unknown.most_common()), without


# --- telling ------------------------------------------------------------------------------------------------


def value_of(fact: Fact) -> Any:  # noqa: ANN401 - JSON
    """Give a known fact's value as JSON: a number, a pair of ends, a word, yes or no, a day."""
    if isinstance(fact, Reading):
        if fact.rounded is not None:
            return fact.rounded
        return [fact.low, fact.high]
    if isinstance(fact, Finding):
        return fact.value
    return fact.date.isoformat() if isinstance(fact, Moment) and fact.date else None


def as_json(look: Look) -> dict[str, Any]:
    """Give all of it as JSON."""
    origin = {used.fact: used for used in look.mapped.used}
    return {
        "fine": look.fine,
        "lacking": list(look.lacking),
        "unavailable": sorted(look.facts.unavailable),
        "used": [_used(path, fact, origin.get(path)) for path, fact in _found(look.facts)],
        "lists": {
            name: len(tuple(listed))
            for name, listed in (
                ("lesions", look.facts.lesions),
                ("events", look.facts.sre),
                ("studies", look.facts.studies),
                ("courses", look.facts.courses),
                ("orders", look.facts.orders),
            )
        },
        "unusable": [
            {"fact": path, "reason": fact.reason, "sent": fact.sent, "resources": list(fact.resources)}
            for path, fact in look.unusable
        ],
        "left_out": [{"resource": resource, "reason": reason} for resource, reason in look.left_out],
        "notes": [{"resource": note.resource, "reason": note.reason} for note in look.mapped.notes],
        "unmapped": [unmapped_json(each) for each in look.unmapped],
        "unknown_units": look.unknown_units,
        "without_unit": look.without_unit,
    }


def unmapped_json(each: Unmapped) -> dict[str, Any]:
    """Give one code that no rule reads as JSON."""
    told = {"kind": each.kind, "system": each.system, "code": each.code, "text": each.text, "unit": each.unit}
    found = guess(each)
    lost = {"perhaps": found.concept, "mapping": mapping_line(each)} if found else {}
    return {key: value for key, value in told.items() if value} | {"count": each.count, "local": each.local} | lost


def _found(facts: Facts) -> Iterator[tuple[str, Fact]]:
    for spec, fact in facts.known_facts():
        if fact.is_known and fact.resources:
            yield spec.path, fact


def _used(path: str, fact: Fact, origin: Any) -> dict[str, Any]:  # noqa: ANN401 - a Used or None
    told: dict[str, Any] = {"fact": path, "value": value_of(fact)}
    if isinstance(fact, Reading):
        told["unit"] = fact.unit
    told |= {"sent": fact.sent, "date": fact.date.isoformat() if fact.date else None, "resources": list(fact.resources)}
    if origin is not None and origin.code:
        told["code"] = f"{origin.system}|{origin.code}" if origin.system else origin.code
    return {key: value for key, value in told.items() if value not in (None, [], "")}


def as_text(look: Look) -> Iterator[str]:
    """Yield all of it line by line, for people."""
    told = as_json(look)
    yield f"Used ({len(told['used'])} facts)"
    for row in told["used"]:
        sent = f", sent as {row['sent']}" if row.get("sent") else ""
        where = ", ".join([row.get("date", ""), *row["resources"], row.get("code", "")]).strip(", ")
        yield f"  {row['fact']}: {row['value']} {row.get('unit', '')}".rstrip() + f"{sent} ({where})"
    for name, count in told["lists"].items():
        if count:
            yield f"  {name}: {count}"
    yield from _section("Sent, but not usable", (_unusable(row) for row in told["unusable"]))
    yield from _section("Left out", (f"{row['resource']}: {row['reason']}" for row in told["left_out"]))
    losses = [each for each in look.unmapped if is_loss(each)]
    yield from _section("Lost: codes that may well be what a rule looks for (map them)", map(_lost, losses))
    local = [each for each in look.unmapped if each.local and not is_loss(each)]
    yield from _section("Local codes and texts that are not known (map them, or leave them)", map(described, local))
    standard = [each for each in look.unmapped if not each.local and not is_loss(each)]
    yield from _section("Standard codes that no rule needs", map(described, standard))
    yield from _section("Units that are not known", (f"{unit} ({count})" for unit, count in look.unknown_units.items()))
    yield from _section("Results without a unit", look.without_unit)
    yield from _section("Needed and not there", (f"prefetch.{key}" for key in look.lacking))
    yield from _section("Lists that did not come", told["unavailable"])
    others = [note for note in told["notes"] if (note["resource"], note["reason"]) not in look.left_out]
    yield from _section("Other notes", (f"{note['resource']}: {note['reason']}" for note in others))
    yield ""
    yield "Nothing that was sent is lost." if look.fine else "Something that was sent cannot be used; see above."


def _unusable(row: Mapping[str, Any]) -> str:
    sent = f" (sent as {row['sent']})" if row["sent"] else ""
    return f"{row['fact']}: {row['reason']}{sent} {', '.join(row['resources'])}".rstrip()


def _lost(each: Unmapped) -> str:
    return f"{described(each)}\n      {mapping_line(each)}"


def described(each: Unmapped) -> str:
    """Say one code that no rule reads in one line."""
    code = f"{each.system}|{each.code}" if each.system else each.code
    parts = [each.kind, code, f'"{each.text}"' if each.text else "", f"[{each.unit}]" if each.unit else ""]
    return f"{each.count} x {' '.join(part for part in parts if part)}"


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield ""
        yield heading
        yield from (f"  {line}" for line in found)
