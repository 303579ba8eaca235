"""Cytogenetics and genes: each abnormality is a fact of its own, and a negative says nothing about the others."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.notes import TOO_LONG
from fhir_mapping.elements import values
from fhir_mapping.elements.answers import answer_of
from fhir_mapping.observations import interpretation_codes
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.words import cytogenetics, genes, targets
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Fact, Finding, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.words.assertions import Verdict

_GENES = {
    "EGFR": "driver.egfr",
    "ALK": "driver.alk",
    "ROS1": "driver.ros1",
    "RET": "driver.ret",
    "BRAF": "driver.braf",
    "KRAS": "gene.kras",
    "NRAS": "gene.nras",
    "MYC": "gene.myc",
}
_COPIES = compiled(r"(?:≥|>=|>)?\s*(\d)\s*(?:copies|copy|拷贝)|^\s*(?:≥|>=)?\s*([2-9])\s*$")


def read(reader: ObservationReader) -> None:
    """Read all cytogenetic and gene results into the reader's facts."""
    for path in reader.sent(dictionary.FINDINGS):
        candidates = reader.candidates(path, "presence")
        if candidates:
            rule = dictionary.FINDINGS[path]
            local = reader.candidates(path, "finding")
            both = [*candidates, *local]
            read_one = _presence(reader, path, rule.one_change)
            found = reader.newest(both, read_one)
            reader.take(path, found, both)
    _combined(reader)
    _variants(reader)
    for candidate in reader.candidates("cyto-text", "cyto-text"):
        resource = reader.copy_of(candidate)
        if resource is None:
            continue
        element = reader.element(candidate) or {}
        said = [element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))]
        offer(reader, "\n".join(one for one in said if isinstance(one, str)), candidate, resource)


def offer(reader: ObservationReader, report: str, candidate: Candidate, resource: Mapping[str, Any]) -> bool:
    """Take the abnormalities that a report tells in words, where no result of its own tells; tell whether any is."""
    told = cytogenetics.read(report, reader.context.site.cutoffs)
    for path, one in sorted(told.items()):
        if one.verdict in {"present", "absent"}:
            flags = ("from-text", *_amount(one.copies))
            _offer(reader, path, one.verdict == "present", candidate, resource, flags)
        elif one.verdict == "contradictory":
            reader.notes.add(candidate.item.name, f"contradictory: the text says yes and no of {path}")
            doubted = replace(dictionary.blank_finding(path), reason="contradictory", flags=("from-text",))
            reader.changes.setdefault(path, reader.stamped(doubted, candidate, resource))
        else:
            reader.notes.add(candidate.item.name, f"not read: what the text says of {path} is no result")
    if not told:
        reader.notes.add(candidate.item.name, "a report without discrete results: nothing can be read from it")
    if len(report) > targets.LONGEST:
        reader.notes.add(candidate.item.name, TOO_LONG)
    return bool(told)


def _offer(
    reader: ObservationReader,
    path: str,
    answer: bool,
    candidate: Candidate,
    resource: Mapping[str, Any],
    flags: tuple[str, ...] = ("from-text",),
) -> None:
    known = reader.changes.get(path)
    if known is None or not known.is_known:
        blank = dictionary.blank_finding(path)
        fact = reader.stamped(replace(blank, value=answer, reason=None, flags=flags), candidate, resource)
        reader.take(path, fact, [candidate])


def _amount(copies: int | None) -> tuple[str, ...]:
    """Give the flag of a gain: three copies, or four and more."""
    return ("amplification",) if copies is not None and copies >= 4 else ("gain",) if copies == 3 else ()


def doubt_impossible(reader: ObservationReader) -> None:
    """Two translocations of the same locus in one disease are next to impossible: both are doubted."""
    found = [path for path in cytogenetics.TRANSLOCATIONS if _is_true(reader.changes.get(path))]
    if len(found) < 2:
        return
    for path in found:
        fact = reader.changes[path]
        for name in fact.resources:
            reader.notes.add(name, "contradictory: two translocations of IGH at once, ask which it is")
        reader.changes[path] = fact.forget("contradictory")


def _is_true(fact: Fact | None) -> bool:
    return isinstance(fact, Finding) and fact.value is True


def _presence(reader: ObservationReader, path: str, one_change: frozenset[str]) -> Callable[[Candidate], Fact | None]:
    def read_one(candidate: Candidate) -> Fact | None:
        resource, element = reader.copy_of(candidate), reader.element(candidate)
        if resource is None or element is None:
            return None
        blank = dictionary.blank_finding(path)
        concept = candidate.slot.concept
        if path == "mm.circulating_pc":
            fact = _counted(element, blank, reader)
        elif concept.endswith("_pct"):
            fact = _percent(element, blank)
        elif concept == "cyto-name":
            fact = _named(element, blank, path, candidate, reader)
        else:
            fact = _found(element, blank, path, reader)
        if fact.value is False and concept in one_change:
            reader.notes.add(candidate.item.name, "only this one change is absent; the gene is not told negative")
            return None
        stamped: Fact = reader.stamped(fact, candidate, resource)
        return stamped

    return read_one


def _counted(element: Mapping[str, Any], blank: Finding, reader: ObservationReader) -> Finding:
    """Cells that are counted are there, or none is."""
    number = values.number_of(element, reader.context)
    if isinstance(number, values.Number) and number.low is not None and number.low >= 0:
        return replace(blank, value=number.low > 0, reason=None, sent=number.written)
    answer = answer_of(element, reader.context)
    if answer in {"positive", "negative"}:
        return replace(blank, value=answer == "positive", reason=None)
    return replace(blank, reason="no-value")


def _percent(element: Mapping[str, Any], blank: Finding) -> Finding:
    """A share of cells is positive or negative only by the laboratory's own word: the cut-off is its own."""
    told = interpretation_codes(element)
    if told & {"POS", "A", "H", "DET"}:
        return replace(blank, value=True, reason=None)
    if told & {"NEG", "N", "ND"}:
        return replace(blank, value=False, reason=None)
    return replace(blank, reason="no-value")


def _named(
    element: Mapping[str, Any], blank: Finding, path: str, candidate: Candidate, reader: ObservationReader
) -> Finding:
    """
    Read a result that only its name tells: name and value together are a row of a table for the judge.

    A coded answer or an interpretation is the answer.
    """
    said = [element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))]
    values_said = [one for one in said if isinstance(one, str)]
    for one in values_said:
        told = cytogenetics.result(path, one, reader.context.site.cutoffs)
        if told.verdict in {"present", "absent"}:
            return replace(blank, value=told.verdict == "present", reason=None, flags=_amount(told.copies), sent=one)
        if told.verdict == "contradictory":
            reader.notes.add(candidate.item.name, f"contradictory: the text says yes and no of {path}")
            return replace(blank, reason="contradictory", sent=one)
    answer = "no-value" if values_said else answer_of(element, reader.context)
    if answer in {"positive", "negative"}:
        return replace(blank, value=answer == "positive", reason=None)
    return replace(blank, reason="masked" if answer == "masked" else "no-value")


def _found(element: Mapping[str, Any], blank: Finding, path: str, reader: ObservationReader) -> Finding:
    if path == "cyto.gain1q" and (copies := _copies(element)) is not None:
        return replace(blank, value=copies > 2, reason=None, flags=_amount(copies), sent=str(copies))
    answer = answer_of(element, reader.context)
    if answer in {"positive", "negative"}:
        return replace(blank, value=answer == "positive", reason=None)
    if answer == "inconclusive":
        return replace(blank, reason="no-value")
    for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
        if not isinstance(said, str):
            continue
        verdict = _said_of(path, said, reader)
        if verdict in {"present", "absent"}:
            return replace(blank, value=verdict == "present", reason=None, flags=("from-text",), sent=said)
        if verdict == "contradictory":
            return replace(blank, reason="contradictory", sent=said)
    return replace(blank, reason="masked" if answer == "masked" else "no-value")


def _said_of(path: str, said: str, reader: ObservationReader) -> Verdict:
    if path in cytogenetics.ABNORMALITIES:
        return cytogenetics.result(path, said, reader.context.site.cutoffs).verdict
    return genes.of(said)


def _copies(element: Mapping[str, Any]) -> int | None:
    if isinstance(element.get("valueInteger"), int) and not isinstance(element.get("valueInteger"), bool):
        return int(element["valueInteger"])
    quantity = element.get("valueQuantity")
    if isinstance(quantity, dict) and isinstance(quantity.get("value"), int | Decimal):
        return int(quantity["value"])
    for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
        found = _COPIES.search(fold(said)) if isinstance(said, str) else None
        if found:
            return int(found[1] or found[2])
    return None


def _combined(reader: ObservationReader) -> None:
    """A test of two at once: negative denies both, positive says only "one of them"."""
    for target, paths in (("kras-nras", ("gene.kras", "gene.nras")), ("del17p-14q32", ("cyto.del17p",))):
        for candidate in reader.candidates(target, "combined"):
            resource, element = reader.copy_of(candidate), reader.element(candidate)
            if resource is None or element is None:
                continue
            answer = answer_of(element, reader.context)
            said = " ".join(
                str(one) for one in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))) if one
            )
            if answer == "negative" or (answer == "no-value" and genes.of(said) == "absent"):
                for path in paths:
                    _offer(reader, path, False, candidate, resource)
            else:
                reader.notes.add(candidate.item.name, "a combined test that is not negative: which one is not told")


def _variants(reader: ObservationReader) -> None:
    """Genomics Reporting variants: present means this gene is changed; absent speaks of one change only."""
    for candidate in reader.candidates("variant", "variant"):
        resource = reader.copy_of(candidate)
        if resource is None:
            continue
        name = candidate.item.name
        path, significance = _gene(resource, reader), _significance(resource, reader)
        if path is None:
            reader.notes.add(name, "a variant of a gene that no rule reads")
            continue
        answer = answer_of(resource, reader.context)
        if answer == "negative":
            reader.notes.add(name, "only this one change is absent; the gene is not told negative")
            continue
        if answer != "positive" and not (answer == "no-value" and resource.get("component")):
            reader.notes.add(name, "a variant without a clear result")
            continue
        if significance is not None:
            reader.notes.add(name, f"a variant that is {significance}: not counted")
            continue
        known = reader.changes.get(path)
        blank = dictionary.blank_finding(path)
        fact: Fact = reader.stamped(replace(blank, value=True, reason=None), candidate, resource)
        if isinstance(known, Finding) and known.value is False and known.date == fact.date:
            fact = replace(fact, resources=(*known.resources, *fact.resources)).forget("contradictory")
        elif isinstance(known, Finding) and known.is_known and (known.date or fact.date or 0) and _later(known, fact):
            reader.notes.add(name, "superseded by a newer result")
            continue
        reader.take(path, fact, [candidate])


def _later(known: Fact, other: Fact) -> bool:
    return known.date is not None and other.date is not None and known.date > other.date


def _gene(resource: Mapping[str, Any], reader: ObservationReader) -> str | None:
    for part in resource.get("component", ()):
        concepts = {match.concept for match in reader.context.concepts(part.get("code"), "Observation")}
        if "gene_studied" not in concepts:
            continue
        value = part.get("valueCodeableConcept")
        for match in reader.context.concepts(value, "Observation"):
            symbol = match.concept.removeprefix("gene_").upper()
            if symbol in _GENES:
                return _GENES[symbol]
        for said in (part.get("valueString"), *texts_of(value), *(code_text(c.get("code")) for c in codings(value))):
            if isinstance(said, str) and said.strip().upper() in _GENES:
                return _GENES[said.strip().upper()]
    return None


def _significance(resource: Mapping[str, Any], reader: ObservationReader) -> str | None:
    """Give why a variant does not count: benign, or of uncertain significance."""
    for part in resource.get("component", ()):
        concepts = {match.concept for match in reader.context.concepts(part.get("code"), "Observation")}
        if "variant_significance" not in concepts:
            continue
        value = part.get("valueCodeableConcept")
        codes = {code_text(coding.get("code")) for coding in codings(value)}
        said = " ".join(fold(one) for one in texts_of(value))
        if "LA26333-7" in codes or "uncertain" in said or "意义不明" in said or "vus" in said:
            return "of uncertain significance"
        if codes & {"LA6675-8", "LA26334-5"} or "benign" in said or "良性" in said:
            return "benign"
    return None
