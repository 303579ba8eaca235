"""Cytogenetics and genes: each abnormality is a fact of its own, and a negative says nothing about the others."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements import values
from fhir_mapping.observations import interpretation_codes
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.words import text
from recommenders.vocabulary.facts import Fact, Finding, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fhir_mapping.delivery.items import Candidate
    from fhir_mapping.observations import ObservationReader

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
_WILD = text.compiled(
    r"wild[- ]?type|\bno (?:[\w-]+ ){0,3}(?:mutations?|variants?|rearrangements?|alterations?|fusions?)\b|\bnone\b"
    r"|\bnot (?:detected|identified|found|seen|present|observed)\b|negative|absent"
    r"|野生型|未检出|未检测到|未见|未发现|未突变|无.{0,6}(?:突变|重排|融合)|阴性"
)
_DOUBTED = text.compiled(
    r"indeterminate|inconclusive|equivocal|borderline|uncertain|unknown significance|\bvus\b|\b(?:likely )?benign\b"
    r"|\bpolymorphism|不确定|可疑|临界|意义未明|意义不明|良性|多态性"
)
_UNTOLD = text.compiled(r"see (?:pdf|report|comment)|\bpdf\b|见报告|详见")
_COPIES = text.compiled(r"(?:≥|>=|>)?\s*(\d)\s*(?:copies|copy|拷贝)|^\s*(?:≥|>=)?\s*([2-9])\s*$")

# What an abnormality is called in reports and in ISCN.
_WRITTEN: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "cyto.del17p",
        text.compiled(
            r"del\s*\(?\s*17p(?:13)?\)?|del\s*\(17\)\s*\(p13[^)]*\)|17p(?:13(?:\.1)?)?\s*(?:deletion|del\b|缺失)"
            r"|(?:deletion|loss) of (?:chromosome )?17p(?:13(?:\.1)?)?"
        ),
    ),
    ("cyto.t4_14", text.compiled(r"t\s*\(4[;/]14\)(?:\s*\([^)]*\))?|fgfr3[/:-]+igh|igh[/:-]+fgfr3")),
    ("cyto.t14_16", text.compiled(r"t\s*\(14[;/]16\)(?:\s*\([^)]*\))?|igh[/:-]+maf\b")),
    ("cyto.t14_20", text.compiled(r"t\s*\(14[;/]20\)(?:\s*\([^)]*\))?|igh[/:-]+mafb\b")),
    (
        "cyto.gain1q",
        text.compiled(
            r"(?:gain|amp|dup)\s*\(?1q(?:21)?\)?|\+1q(?:21)?"
            r"|(?:gain|amplification) of (?:chromosome )?1q(?:21)?"
            r"|1q(?:21)?\s*(?:gain|amplification|duplication|扩增|增益|获得)"
        ),
    ),
    (
        "cyto.del13q",
        text.compiled(r"del\s*\(?\s*13q(?:14)?\)?|del\s*\(13\)\s*\(q14[^)]*\)|13q(?:14)?\s*(?:deletion|del\b|缺失)"),
    ),
)
_PROBES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("cyto.del17p", text.compiled(r"tp53[^()x]{0,20}\)?\s*x\s*(\d)")),
    ("cyto.gain1q", text.compiled(r"cks1b[^()x]{0,20}\)?\s*x\s*(\d)")),
)


_ANY = "|".join(f"(?:{pattern.pattern})" for _, pattern in _WRITTEN) + r"|t\s*\(\d+[;/]\d+\)(?:\s*\([^)]*\))?"
_FURTHER = text.compiled(rf"^(?:\s*(?:[,、/;&+]|and|or|及|和|与|以及|或)?\s*(?:{_ANY}))+")
_SAYS = r"^\s*(?:[:：=-]\s*)?(?:(?:were|are|is|was)\s+)?(?:all|both|均|都|皆)?\s*(?:为|呈|已)?\s*"
_TAIL_NO = text.compiled(
    _SAYS + r"(?:阴性|未检出|未见|未发现|未检测到|negative|absent|none\b|normal|正常|\(-\)"
    r"|not (?:detected|seen|present|found|identified|observed))"
)
_TAIL_YES = text.compiled(_SAYS + r"(?:阳性|检出|positive|detected|present|identified|found|\(\+\))")
_TAIL_NOTHING = text.compiled(
    _SAYS
    + r"(?:failed|失败|qns|insufficient|pending|not (?:done|performed|tested|evaluable|assessed)|未做|未检测(?!到)|待)"
)
_PROBE_LIST = text.compiled(
    r"(?:\bprobes?\b|\bpanel\b|\btest(?:ed|ing)? for\b|\banaly[sz]\w+ (?:of|for)\b|\bexamined for\b|\btargets?\b"
    r"|探针|检测项目|检查项目|检测位点)[^.。\n]{0,160}$"
)


def written(report: str) -> dict[str, bool]:
    """
    Give the abnormalities that a report's text states as found or not found; doubt states nothing.

    What stands behind a list ("t(4;14)、t(14;16)均阴性") is said of each of it; a list of the probes that were used
    says nothing.
    """
    folded = text.fold(report[: text.LONGEST])
    judged = re.sub(r";(?=[^()]*\))", "/", folded)  # the semicolon of t(4;14) ends no clause
    found: dict[str, set[bool]] = {}
    for path, pattern in _WRITTEN:
        for hit in itertools.islice(pattern.finditer(folded), text.MENTIONS):
            answer = _said_of(judged, hit.start(), hit.end())
            if answer is not None:
                found.setdefault(path, set()).add(answer)
    for path, pattern in _PROBES:
        for hit in itertools.islice(pattern.finditer(folded), text.MENTIONS):
            copies = int(hit[1])
            found.setdefault(path, set()).add(copies < 2 if path == "cyto.del17p" else copies > 2)
    return {path: answers.pop() for path, answers in found.items() if len(answers) == 1}


def _said_of(judged: str, start: int, end: int) -> bool | None:
    """Tell whether an abnormality named at a place is there; None when that is not told."""
    rest = judged[end : end + 200]
    further = _FURTHER.match(rest)
    tails = [rest, rest[further.end() :] if further else ""]
    if any(_TAIL_NOTHING.match(tail) for tail in tails):
        return None
    verdict = text.judge(judged, start, end)
    if verdict in {"absent", "nothing"} or any(_TAIL_NO.match(tail) for tail in tails):
        return False
    if verdict != "present":
        return None
    if _PROBE_LIST.search(judged[max(0, start - 200) : start]) and not any(_TAIL_YES.match(tail) for tail in tails):
        return None
    return True


def read(reader: ObservationReader) -> None:
    """Read all cytogenetic and gene results into the reader's facts."""
    for path, rule in dictionary.FINDINGS.items():
        candidates = reader.candidates(path, "presence")
        if candidates:
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
        said = [resource.get("valueString"), *texts_of(resource.get("valueCodeableConcept"))]
        answers = {path: answer for one in said if isinstance(one, str) for path, answer in written(one).items()}
        offer(reader, answers, candidate, resource)


def offer(
    reader: ObservationReader, answers: Mapping[str, bool], candidate: Candidate, resource: Mapping[str, Any]
) -> None:
    """Take abnormalities told in words, where no result of its own tells."""
    if not answers:
        reader.notes.add(candidate.item.name, "a report without discrete results: nothing can be read from it")
    for path, answer in sorted(answers.items()):
        known = reader.changes.get(path)
        if known is not None and known.is_known:
            continue
        blank = dictionary.blank_finding(path)
        fact = reader.stamped(replace(blank, value=answer, reason=None, flags=("from-text",)), candidate, resource)
        reader.take(path, fact, [candidate])


def _presence(reader: ObservationReader, path: str, one_change: frozenset[str]) -> Callable[[Candidate], Fact | None]:
    def read_one(candidate: Candidate) -> Fact | None:
        resource, element = reader.copy_of(candidate), reader.element(candidate)
        if resource is None or element is None:
            return None
        blank = dictionary.blank_finding(path)
        concept = candidate.slot.concept
        fact = _percent(element, blank) if concept.endswith("_pct") else _found(element, blank, path, reader)
        if fact.value is False and concept in one_change:
            reader.notes.add(candidate.item.name, "only this one change is absent; the gene is not told negative")
            return None
        stamped: Fact = reader.stamped(fact, candidate, resource)
        return stamped

    return read_one


def _percent(element: Mapping[str, Any], blank: Finding) -> Finding:
    """A share of cells is positive or negative only by the laboratory's own word: the cut-off is its own."""
    told = interpretation_codes(element)
    if told & {"POS", "A", "H", "DET"}:
        return replace(blank, value=True, reason=None)
    if told & {"NEG", "N", "ND"}:
        return replace(blank, value=False, reason=None)
    return replace(blank, reason="no-value")


def _found(element: Mapping[str, Any], blank: Finding, path: str, reader: ObservationReader) -> Finding:
    if path == "cyto.gain1q" and (copies := _copies(element)) is not None:
        flags = ("amplification",) if copies >= 4 else ("gain",) if copies == 3 else ()
        return replace(blank, value=copies > 2, reason=None, flags=flags, sent=str(copies))
    answer = values.answer_of(element, reader.context)
    if answer in {"positive", "negative"}:
        return replace(blank, value=answer == "positive", reason=None)
    if answer == "inconclusive":
        return replace(blank, reason="no-value")
    for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
        if not isinstance(said, str) or text.is_no_value(said) or _UNTOLD.search(text.fold(said)):
            continue
        stated = written(said).get(path)
        if stated is not None:
            return replace(blank, value=stated, reason=None, flags=("from-text",), sent=said)
        if _DOUBTED.search(text.fold(said)):
            continue
        if _WILD.search(text.fold(said)):
            return replace(blank, value=False, reason=None, sent=said)
        if path.startswith(("gene.", "driver.")):
            # an "Identifier" code carries the variant found as its text
            return replace(blank, value=True, reason=None, sent=said)
    return replace(blank, reason="masked" if answer == "masked" else "no-value")


def _copies(element: Mapping[str, Any]) -> int | None:
    if isinstance(element.get("valueInteger"), int) and not isinstance(element.get("valueInteger"), bool):
        return int(element["valueInteger"])
    quantity = element.get("valueQuantity")
    if isinstance(quantity, dict) and isinstance(quantity.get("value"), int | Decimal):
        return int(quantity["value"])
    for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
        found = _COPIES.search(text.fold(said)) if isinstance(said, str) else None
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
            answer = values.answer_of(element, reader.context)
            said = " ".join(
                str(one) for one in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))) if one
            )
            if answer == "negative" or (answer == "no-value" and said and _WILD.search(text.fold(said))):
                offer(reader, dict.fromkeys(paths, False), candidate, resource)
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
        answer = values.answer_of(resource, reader.context)
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
        said = " ".join(text.fold(one) for one in texts_of(value))
        if "LA26333-7" in codes or "uncertain" in said or "意义不明" in said or "vus" in said:
            return "of uncertain significance"
        if codes & {"LA6675-8", "LA26334-5"} or "benign" in said or "良性" in said:
            return "benign"
    return None
