"""Observations into single facts: the newest usable value of each, its contradictions, and its series."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.delivery.context import Used
from fhir_mapping.delivery.items import Candidate
from fhir_mapping.delivery.notes import SUPERSEDED
from fhir_mapping.elements import tested, values
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import code_text, codings, text_of, texts_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import durations
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading, exactly, replace, round_half_up
from recommenders.vocabulary.records import Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item, Selected
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.dictionary import ReadingRule

SKIP = "skip"
"""A value that says nothing either way (the SNOMED code of a grade with `valueBoolean=false`)."""


class ObservationReader:
    """Reads the single facts that Observations carry; the answers gather in `changes`, `series` and `used`."""

    def __init__(self, selected: Selected, context: ReadingContext, notes: Notes, sex: str | None) -> None:
        self.selected = selected
        self.context = context
        self.notes = notes
        self.sex = sex
        self.changes: dict[str, Fact] = {}
        self.series: dict[str, tuple[Reading, ...]] = {}
        self.used: list[Used] = []
        self.studies: list[Study] = []
        self.reported_bone_metastasis: list[tuple[dt.date, str, Literal["present", "suspected", "absent"]]] = []
        """What reports conclude of bone metastasis: day, report, verdict."""
        self.of_myeloma = False
        """Whether a Condition speaks of a plasma-cell disorder: then reports are read for its lesions."""
        self.passed: dict[str, list[Fact]] = {}
        """By name, facts of results without a value: they leave the place to others, and are not "not on record"."""

    # --- what a candidate holds ---

    def copy_of(self, candidate: Candidate) -> Mapping[str, Any] | None:
        """Give the tidy copy of a candidate's resource."""
        return candidate.item.copy(self.context.timezone, self.notes)

    def element(self, candidate: Candidate) -> Mapping[str, Any] | None:
        """Give what holds the candidate's value: the Observation, or one of its components."""
        resource = self.copy_of(candidate)
        if resource is None or candidate.part is None:
            return resource
        components = resource.get("component", ())
        if candidate.part < len(components) and isinstance(components[candidate.part], dict):
            part: Mapping[str, Any] = components[candidate.part]
            return part
        return None

    def stamped(self, fact: Fact, candidate: Candidate, resource: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - the same kind of fact
        """Give the fact with its date, resource and the flags of its origin; `more` are further fields of it."""
        flags = [*fact.flags, *more.pop("flags", ()), *candidate.item.flags]
        if candidate.slot.rank == 3:
            flags.append("local-code")
        elif candidate.slot.rank == 4:
            flags.append("from-text")
        if any(_is_person(performer) for performer in resource.get("performer", ())):
            flags.append("reported")
        return replace(
            fact,
            date=candidate.item.stamp.day if candidate.item.stamp else None,
            moment=candidate.item.stamp.moment if candidate.item.stamp else None,
            resources=(candidate.item.name,),
            flags=tuple(dict.fromkeys(flags)),
            **more,
        )

    # --- the newest wins ---

    def timeline(
        self, candidates: Sequence[Candidate], read: Callable[[Candidate], Fact | None], *, highest: bool = False
    ) -> Iterator[Fact]:
        """
        Yield what was found at each time, newest first, already one fact per time.

        Results of the same time: corrected before amended before final, a standard code before a local one;
        equal values are one; values that differ make the fact `contradictory`. A result without a value
        ("hemolyzed") leaves the time to the others, and yields nothing alone.
        """
        rest = sorted(candidates, key=_order, reverse=True)
        while rest:
            top = rest[0]
            group = [one for one in rest if dates.same_time(one.stamp, top.stamp)]
            rest = [one for one in rest if not dates.same_time(one.stamp, top.stamp)]
            found = self._at_one_time(group, read, highest=highest)
            if found is not None:
                yield found

    def _at_one_time(  # noqa: C901 - who wins among results of one time is decided in one place
        self, group: Sequence[Candidate], read: Callable[[Candidate], Fact | None], *, highest: bool
    ) -> Fact | None:
        answers: list[tuple[Candidate, Fact]] = []
        for candidate in group:
            fact = read(candidate)
            if fact is None:
                continue
            if fact.reason in {"no-value", "missing", "haemolysed"} and not _is_open(fact):
                self.notes.add(candidate.item.name, f"no-value: nothing to read for {fact.name}")
                if not _was_not_done(self.element(candidate) or {}):
                    self.passed.setdefault(fact.name, []).append(fact)
                continue
            answers.append((candidate, fact))
        if not answers:
            return None
        readable = [pair for pair in answers if pair[1].is_known or _is_open(pair[1])]
        for candidate, fact in answers:
            if not fact.is_known and not _is_open(fact):
                self.notes.add(candidate.item.name, _EXPLAINED.get(fact.reason or "", str(fact.reason)))
        if not readable:
            return answers[0][1]
        best = max(_status(candidate) for candidate, _ in readable)
        for candidate, _ in readable:
            if _status(candidate) < best:
                self.notes.add(candidate.item.name, "superseded by a corrected result of the same time")
        readable = [pair for pair in readable if _status(pair[0]) == best]
        trusted = min(_trust(candidate) for candidate, _ in readable)
        spoken = [pair for pair in readable if pair[0].slot.rank == 4 and _trust(pair[0]) > trusted]
        for candidate, _ in readable:
            if candidate.slot.rank != 4 and _trust(candidate) > trusted:
                self.notes.add(candidate.item.name, "superseded by a better coded result of the same time")
        readable = [pair for pair in readable if _trust(pair[0]) == trusted] + spoken
        first = readable[0][1]
        if all(same_value(fact, first) for _, fact in readable):
            for candidate, _ in readable[1:]:
                if candidate.item is not readable[0][0].item:
                    self.notes.add(candidate.item.name, f"the same result as {readable[0][0].item.name}")
            return first
        if highest and isinstance(first, Reading):
            numbers = [fact for _, fact in readable if isinstance(fact, Reading)]
            return max(numbers, key=lambda fact: (fact.high or Decimal(0), fact.low or Decimal(0)))
        if isinstance(first, Reading) and first.name == "pain.nrs" and self._are_of_places(readable):
            scores = [fact for _, fact in readable if isinstance(fact, Reading)]
            worst = max(scores, key=lambda fact: fact.high or Decimal(0))
            return replace(worst, flags=(*worst.flags, "worst-of-several-places"))
        if isinstance(first, Reading) and first.name == "mm.m_protein" and _are_bands(readable):
            bands = [fact for _, fact in readable if isinstance(fact, Reading)]
            largest = max(bands, key=lambda fact: fact.high or Decimal(0))
            return replace(largest, flags=(*largest.flags, "largest-of-several-bands"))
        for candidate, _ in readable:
            self.notes.add(candidate.item.name, f"contradictory: another value of {first.name} at the same time")
        return contradiction([fact for _, fact in readable])

    def _are_of_places(self, readable: Sequence[tuple[Candidate, Fact]]) -> bool:
        """Tell whether pain scores of one time are of different body sites each: then they are pains of lesions."""
        places = [text_of((self.copy_of(candidate) or {}).get("bodySite")) for candidate, _ in readable]
        return all(places) and len(set(places)) == len(places)

    def newest(
        self, candidates: Sequence[Candidate], read: Callable[[Candidate], Fact | None], *, highest: bool = False
    ) -> Fact | None:
        """Give the newest of a list of candidates; the older ones are named."""
        found = next(self.timeline(candidates, read, highest=highest), None)
        self._name_older(candidates, found)
        return found

    def _name_older(self, candidates: Sequence[Candidate], found: Fact | None) -> None:
        if found is None:
            return
        for candidate in candidates:
            stamp = candidate.stamp
            if (
                stamp is None
                or (found.date is not None and stamp.day < found.date)
                or (stamp.moment is not None and found.moment is not None and stamp.moment < found.moment)
            ) and candidate.item.name not in found.resources:
                self.notes.add(candidate.item.name, SUPERSEDED)

    def take(self, path: str, fact: Fact | None, candidates: Sequence[Candidate]) -> None:
        """Keep a fact and note where it came from; what may not be the newest of a cut list is unknown."""
        if fact is None:
            return
        kinds = {name.partition("/")[0] for name in fact.resources}
        if any(self.context.may_be_newer(kind, fact.date) for kind in kinds):
            fact = fact.forget("list-cut")
        self.changes[path] = fact
        self.used += self._provenance(path, fact, candidates)

    def _provenance(self, path: str, fact: Fact, candidates: Sequence[Candidate]) -> list[Used]:
        found: list[Used] = []
        for candidate in candidates:
            if candidate.item.name not in fact.resources:
                continue
            element = self.element(candidate) or {}
            value = next((name for name in sorted(element) if name.startswith("value")), "")
            place = "" if candidate.part is None else f"component[{candidate.part}]"
            unit = fact.sent_unit if isinstance(fact, Reading) else None
            found.append(
                Used(
                    path,
                    candidate.item.name,
                    ".".join(step for step in (place, value) if step) or "code",
                    candidate.slot.system,
                    candidate.slot.code,
                    unit,
                    fact.unit if isinstance(fact, Reading) and unit not in {None, fact.unit} else None,
                    candidate.item.dated_by,
                )
            )
        return found

    # --- numbers ---

    def readings(self, wanted_series: Callable[[str], Callable[[dt.date], bool] | None]) -> None:
        """
        Read all numbers.

        `wanted_series` tells for a fact path which days a rule can need beside the newest (None: none).
        """
        for path, rule in dictionary.READINGS.items():
            candidates = self.candidates(path, "reading")
            if not candidates:
                continue
            candidates = _prepared(rule, candidates, self.notes)
            read = self.reader_of(rule)
            wanted = wanted_series(path) if rule.series else None
            if wanted is None:
                found = self.newest(candidates, read, highest=rule.highest)
                self.take(path, found, candidates)
                now = self.changes.get(path)
                if rule.series and isinstance(now, Reading) and now.is_known:
                    self.series[path] = (now,)
            else:
                self._with_series(path, rule, candidates, read, wanted)

    def _with_series(
        self,
        path: str,
        rule: ReadingRule,
        candidates: Sequence[Candidate],
        read: Callable[[Candidate], Fact | None],
        wanted: Callable[[dt.date], bool],
    ) -> None:
        newest = next(self.timeline(candidates, read, highest=rule.highest), None)
        self.take(path, newest, candidates)
        earlier = [one for one in candidates if one.stamp is not None and wanted(one.stamp.day)]
        listed = [fact for fact in self.timeline(earlier, read, highest=rule.highest) if isinstance(fact, Reading)]
        if isinstance(newest, Reading) and newest.date not in {fact.date for fact in listed}:
            listed.insert(0, newest)
        known = [fact for fact in listed if fact.is_known and not self.context.may_be_newer("Observation", fact.date)]
        self.series[path] = tuple(reversed(known))
        kept = {name for fact in listed for name in fact.resources}
        for candidate in candidates:
            if candidate not in earlier and candidate.item.name not in kept:
                self.notes.add(candidate.item.name, SUPERSEDED)

    def candidates(self, target: str, *topics: str) -> list[Candidate]:
        """Give the candidates of a target, in a fixed order."""
        listed = self.selected.candidates.get(target)
        if not listed:
            return []
        found = [one for one in listed if one.slot.topic in topics]
        return sorted(found, key=lambda one: (one.item.name, -1 if one.part is None else one.part))

    def reader_of(self, rule: ReadingRule) -> Callable[[Candidate], Fact | None]:
        """Give the function that reads one candidate by a rule."""
        special = {"ecog": self._ecog, "pain": self._pain, "life-expectancy": self._life_expectancy}.get(rule.reader)

        def read(candidate: Candidate) -> Fact | None:
            resource, element = self.copy_of(candidate), self.element(candidate)
            if resource is None or element is None:
                return None
            if special is not None:
                fact = special(element, resource, candidate, rule)
                if fact is None:
                    return None
            else:
                fact = values.reading_of(element, rule, self.context)
            if candidate.slot.rank == 4 and fact.reason == "no-value" and rule.analyte and not rule.reader:
                return None if not _has_value(element) else self.stamped(fact, candidate, resource)
            more: dict[str, Any] = {}
            if element.get("referenceRange") and isinstance(fact, Reading) and fact.is_known:
                low, high = values.own_range(fact, element, rule, self.context, self.sex)
                more = {"reference_low": low, "reference_high": high}
            extra = [flag for flag in (rule.flag, rule.flags.get(candidate.slot.concept, "")) if flag]
            if resource.get("note") and re.search(r"ha?emoly|溶血", _notes(resource)):
                extra.append("haemolysed-sample")
            if fact.reason == "no-value" and _HAEMOLYSED.search(_said(element, resource)):
                fact = replace(fact, reason="haemolysed")
            return self.stamped(fact, candidate, resource, flags=extra, **more)  # type: ignore[no-any-return] # the same kind of fact

        return read

    def tell_of_what_does_not_count(self) -> None:
        """
        Give facts that nothing tells the reason that is on record: pending, without a value, in the future.

        A known one with a newer result pending says so.
        """
        for path in (*dictionary.READINGS, *dictionary.FINDINGS):
            blank, found = dictionary.blank(path), self.changes.get(path)
            passed = self.passed.get(blank.name, ())
            aside = self.selected.aside.get(path, ())
            if found is None and not (isinstance(blank, Finding) and blank.is_known):
                told = [(one.date, one.reason, one.resources, one.sent) for one in passed]
                told += [(one.day, one.reason, (one.name,), None) for one in aside]
                if told:
                    day, reason, names, sent = max(told, key=lambda one: (one[0] or dt.date.min, one[2]))
                    self.changes[path] = replace(blank, date=day, reason=reason, resources=names, sent=sent)
            elif found is not None and found.is_known:
                pending = [one.day for one in aside if one.reason == "pending" and one.day]
                if pending and (found.date is None or max(pending) > found.date):
                    self.changes[path] = replace(found, flags=(*found.flags, "newer-pending"))

    # --- scores ---

    def _ecog(
        self, element: Mapping[str, Any], _: Mapping[str, Any], candidate: Candidate, rule: ReadingRule
    ) -> Reading | None:
        """ECOG from its number, its answer or its words; Karnofsky is converted and flagged so."""
        blank = _blank(rule)
        concept = candidate.slot.concept
        karnofsky = concept == "karnofsky_ps"
        if concept.startswith("ecog_answer_"):  # the code itself is the grade
            if element.get("valueBoolean") is False:
                return None
            grade = concept.removeprefix("ecog_answer_")[0]
            return exactly(blank, Decimal(grade), sent=f"grade {grade}")
        number = values.number_of(element, self.context)
        if isinstance(number, values.Number) and concept != "ecog_ps_interpretation":
            return _karnofsky(number, blank) if karnofsky else _whole_grade(values.measured(number, rule, blank))
        for source in ("valueCodeableConcept", "interpretation"):
            for match in self.context.concepts(element.get(source), "Observation"):
                answer = _graded(match.concept, karnofsky=karnofsky)
                if answer is not None:
                    flags = ("converted",) if karnofsky else ()
                    return exactly(blank, Decimal(answer), sent=match.display, flags=flags)
        for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
            if isinstance(said, str) and not karnofsky and (found := _spoken_grade(said)) is not None:
                low, high = found
                return replace(
                    blank, low=Decimal(low), high=Decimal(high), reason=None, sent=said, flags=("from-text",)
                )
        return replace(blank, reason=values.absence(element) or "no-value")

    def _pain(
        self, element: Mapping[str, Any], resource: Mapping[str, Any], candidate: Candidate, rule: ReadingRule
    ) -> Reading | None:
        """A pain score of 0 to 10; scales that the code leaves open must say so themselves."""
        blank = _blank(rule)
        said = " ".join(fold(one) for one in texts_of(resource.get("code")))
        if re.search(r"\bgoal\b|\bacceptable\b|目标", said, re.ASCII):
            self.notes.add(candidate.item.name, "a pain goal is no pain score")
            return None
        number = values.number_of(_without_ten(element), self.context)
        if not isinstance(number, values.Number):
            return _spoken_pain(element, blank)
        code = candidate.slot.code
        if code == "38214-3" and number.unit == "mm":
            tenth = replace(
                number,
                low=None if number.low is None else number.low / 10,
                high=None if number.high is None else number.high / 10,
                unit="{score}",
            )
            return values.measured(tenth, rule, blank)
        if code == "38214-3" and number.unit == "cm":
            return values.measured(replace(number, unit="{score}"), rule, blank)
        found = values.measured(number, rule, blank)
        if code == "38221-8" and _range_tops_at_five(element):
            return replace(blank, reason="unit", sent=number.written)
        return found

    def _life_expectancy(
        self, element: Mapping[str, Any], resource: Mapping[str, Any], candidate: Candidate, rule: ReadingRule
    ) -> Reading | None:
        """Months, exact or an interval; words without a number stay unknown, never short by inference."""
        blank = _blank(rule)
        number = values.number_of(element, self.context)
        if isinstance(number, values.Number) and number.unit not in {"", None}:
            return values.measured(number, rule, blank)
        said = [element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))]
        said += [note.get("text") for note in resource.get("note", ()) if isinstance(note, dict)]
        for one in said:
            span = durations.time_span(one) if isinstance(one, str) else None
            if span is not None:
                flags = ("from-text", "approximate") if span.rough else ("from-text",)
                low, high = Decimal(span.low), Decimal(span.high)
                spoken = values.Number(
                    None if span.comparator.startswith("<") else low,
                    None if span.comparator.startswith(">") else high,
                    span.unit,
                    low_open=span.comparator == ">",
                    high_open=span.comparator == "<",
                    written=one or "",
                    flags=flags,
                )
                return values.measured(spoken, rule, blank)
        if isinstance(number, values.Number):
            return replace(blank, reason="unit", sent=number.written)
        if any(isinstance(one, str) and one for one in said):
            self.notes.add(candidate.item.name, "limited prognosis documented without a number: ask for it")
        return replace(blank, reason=number if number == "masked" else "no-value")

    # --- yes, no, words, days ---

    def findings(self) -> None:
        """Read what clinicians enter under local codes, and the tests that tell the same."""
        for path in dictionary.FINDINGS:
            candidates = self.candidates(path, "finding", "test")
            if candidates:
                self.take(path, self.newest(candidates, self._finding(path)), candidates)

    def _finding(self, path: str) -> Callable[[Candidate], Fact | None]:
        def read(candidate: Candidate) -> Fact | None:
            resource, element = self.copy_of(candidate), self.element(candidate)
            if resource is None or element is None:
                return None
            if candidate.slot.topic == "test":
                limit = dictionary.FINDINGS[path].above.get(candidate.slot.concept)
                fact = tested.test_of(element, limit, dictionary.blank_finding(path), self.context)
            else:
                fact = values.finding_of(element, path, self.context)
            return self.stamped(fact, candidate, resource)  # type: ignore[no-any-return] # the same kind of fact

        return read

    def moments(self) -> None:
        """Read what happened on a day: the newest day counts."""
        for path in dictionary.MOMENTS.values():
            candidates = self.candidates(path, "moment")
            for candidate in sorted(candidates, key=_order, reverse=True):
                resource = self.copy_of(candidate)
                if resource is None or resource.get("valueBoolean") is False:
                    continue
                self.offer_moment(path, candidate.item, self._moment_day(resource, candidate), candidates)
                break

    def _moment_day(self, resource: Mapping[str, Any], candidate: Candidate) -> dates.Stamp | None:
        told = dates.parse(resource.get("valueDateTime"), self.context.timezone)
        return told if told is not None and not told.is_future(self.context.now) else candidate.item.stamp

    def offer_moment(
        self, path: str, item: Item, stamp: dates.Stamp | None, candidates: Sequence[Candidate] = ()
    ) -> None:
        """Take a day for a fact if it is the newest so far."""
        known = self.changes.get(path)
        blank = dictionary.blank_moment(path)
        if stamp is None:
            self.notes.add(item.name, f"no date: cannot be used for {blank.name}")
            return
        if (
            isinstance(known, Moment)
            and known.date is not None
            and (known.date, known.resources) >= (stamp.day, (item.name,))
        ):
            self.notes.add(item.name, SUPERSEDED)
            return
        if known is not None:
            for name in known.resources:
                self.notes.add(name, SUPERSEDED)
        fact = replace(
            blank, date=stamp.day, moment=stamp.moment, reason=None, resources=(item.name,), flags=item.flags
        )
        self.take(path, fact, candidates)


# --- helpers ------------------------------------------------------------------------------------------------

_EXPLAINED = {
    "unit": "unit: no unit, or none that can be converted",
    "implausible": "implausible: check value and unit",
    "masked": "masked: withheld on purpose",
    "no-value": "no-value",
}


def _blank(rule: ReadingRule) -> Reading:
    return dictionary.blank_reading(rule.fact)


def _order(candidate: Candidate) -> tuple[Any, ...]:
    item = candidate.item
    place = -1 if candidate.part is None else candidate.part
    return (*dates.order(candidate.stamp, item.head.status, item.issued, item.name), -_trust(candidate), -place)


def _status(candidate: Candidate) -> int:
    return dates.STATUS_RANK.get((candidate.item.head.status or "").strip(), 0)


def _trust(candidate: Candidate) -> int:
    """Give how little a value is to be trusted beside others of its time: code, then component, local, text."""
    rank = candidate.slot.rank
    return rank * 10 + candidate.behind + (1 if rank == 1 and candidate.part is not None else 0)


def _are_bands(readable: Sequence[tuple[Candidate, Fact]]) -> bool:
    """Tell whether values are coded as single bands or are components of one panel: bands are never added."""
    if all(candidate.slot.concept == "m_protein_serum_band" for candidate, _ in readable):
        return True
    return all(candidate.part is not None and candidate.item is readable[0][0].item for candidate, _ in readable)


def _is_open(fact: Fact) -> bool:
    """Tell whether a finding is unknown only in part (an ESCC grade `1` is 1a, 1b or 1c)."""
    return isinstance(fact, Finding) and bool(fact.possible)


def same_value(one: Fact, other: Fact) -> bool:
    if isinstance(one, Reading) and isinstance(other, Reading):
        return _ends(one) == _ends(other)
    if isinstance(one, Finding) and isinstance(other, Finding):
        return (one.value, one.possible) == (other.value, other.possible)
    return one == other


def _ends(fact: Reading) -> tuple[Any, ...]:
    def rounded(end: Decimal | None) -> Decimal | None:
        return end if end is None or fact.decimals is None else round_half_up(end, fact.decimals)

    return rounded(fact.low), rounded(fact.high), fact.low_open, fact.high_open


def contradiction(facts: Sequence[Fact]) -> Fact:
    """Give the fact as unknown, with all rival values and where they came from."""
    first = facts[0]
    names = tuple(dict.fromkeys(name for fact in facts for name in fact.resources))
    sent = "; ".join(dict.fromkeys(fact.sent for fact in facts if fact.sent)) or None
    if isinstance(first, Reading):
        numbers = [fact for fact in facts if isinstance(fact, Reading)]
        rivals = {end for fact in numbers for end in (fact.low, fact.high) if end is not None}
        return replace(
            first,
            low=None,
            high=None,
            low_open=False,
            high_open=False,
            rivals=tuple(sorted(rivals)),
            rivals_sent=_as_sent(numbers),
            resources=names,
            sent=sent,
            sent_value=None,
            reason="contradictory",
        )
    return replace(first.forget("contradictory"), resources=names, sent=sent)


def _as_sent(numbers: Sequence[Reading]) -> tuple[str, ...]:
    """Give the results as they were written, the lowest first; nothing where one of them has no text."""
    in_order = sorted(numbers, key=lambda one: (one.low is None, one.low))
    return tuple(dict.fromkeys(one.sent for one in in_order if one.sent)) if all(one.sent for one in numbers) else ()


def _prepared(rule: ReadingRule, candidates: Sequence[Candidate], notes: Notes) -> list[Candidate]:
    """Set what a rule says about the order of its sources before times are compared."""
    coded_days = {one.stamp.day for one in candidates if one.stamp is not None and one.slot.rank < 4}
    ecog_days = {
        one.stamp.day
        for one in candidates
        if one.stamp is not None and one.slot.concept.startswith("ecog") and rule.reader == "ecog"
    }
    found: list[Candidate] = []
    for one in candidates:
        stamp, behind = one.stamp, 0
        if stamp is not None and one.slot.rank == 4 and stamp.day in coded_days:
            stamp = dates.Stamp(stamp.day, stamp.last)  # words never win over a code of the same day
        if stamp is not None and one.slot.concept == "karnofsky_ps" and stamp.day in ecog_days:
            notes.add(one.item.name, "Karnofsky of the same day as ECOG: ECOG is used")
            continue
        if f"{one.slot.system}|{one.slot.code}" in rule.behind:
            behind = 2
        if rule.reader == "pain":
            behind = _PAIN_ORDER.get(one.slot.code, 0)
        found.append(Candidate(one.item, one.slot, one.part, stamp, behind))
    return found


_PAIN_ORDER = {"72514-3": 0, "38208-5": 2, "38214-3": 3, "38221-8": 4}


def _is_person(performer: object) -> bool:
    reference = performer.get("reference") if isinstance(performer, dict) else None
    return isinstance(reference, str) and re.search(r"(?:^|/)(?:Patient|RelatedPerson)/", reference) is not None


_HAEMOLYSED = compiled(r"ha?emoly[sz]|溶血")


def _said(element: Mapping[str, Any], resource: Mapping[str, Any]) -> str:
    """Give what a result without a value says instead."""
    said = [
        element.get("valueString"),
        *texts_of(element.get("dataAbsentReason")),
        *texts_of(element.get("interpretation")),
    ]
    said += texts_of(element.get("valueCodeableConcept"))
    return " ".join([*(fold(one) for one in said if isinstance(one, str)), _notes(resource)])


def _was_not_done(element: Mapping[str, Any]) -> bool:
    return bool({code_text(one.get("code")) for one in codings(element.get("dataAbsentReason"))} & _NOT_DONE)


_NOT_DONE = frozenset({"not-performed", "not-asked"})


def _has_value(element: Mapping[str, Any]) -> bool:
    return any(name.startswith("value") for name in element)


def _notes(resource: Mapping[str, Any]) -> str:
    return " ".join(
        fold(note["text"])
        for note in resource.get("note", ())
        if isinstance(note, dict) and isinstance(note.get("text"), str)
    )


_KARNOFSKY = ((100, 100, 0), (80, 90, 1), (60, 70, 2), (40, 50, 3), (10, 30, 4), (0, 0, 5))
"""From, to, ECOG grade (specification §1.1)."""


def _karnofsky(number: values.Number, blank: Reading) -> Reading:
    value = number.low if number.low == number.high else None
    for least, most, grade in _KARNOFSKY:
        if value is not None and least <= value <= most and number.unit in {"", "1", "%", "{score}"}:
            return exactly(blank, Decimal(grade), sent=number.written, flags=("converted",))
    return replace(blank, reason="implausible" if value is not None else "no-value", sent=number.written)


def _whole_grade(found: Reading) -> Reading:
    """ECOG grades are whole: 1.5 is none of them."""
    if found.value is not None and found.value != found.value.to_integral_value():
        return replace(found, low=None, high=None, reason="no-value")
    return found


def _graded(concept: str, *, karnofsky: bool) -> int | None:
    if concept == "ecog_answer_5_kps_0":
        return 5  # LA9627-6 stands for both scales; Karnofsky 0 is ECOG 5 as well
    if karnofsky:
        return {"kps_answer_100": 0, "kps_answer_90": 1}.get(concept)
    return int(concept[-1]) if concept.startswith("ecog_answer_") and concept[-1].isdigit() else None


_GRADE = compiled(r"(?:ecog|zubrod|\bps\b|体能)?\D{0,12}?([0-5])(?:\s*[-–~]\s*([0-5]))?\s*(?:分|级)?\s*$")


def _spoken_grade(said: str) -> tuple[str, str] | None:
    folded = fold(said).strip()
    if re.search(r"karnofsky|kps|lansky|\d\d", folded):
        return None
    found = _GRADE.fullmatch(folded)
    return (found[1], found[2] or found[1]) if found else None


_OF_TEN = compiled(r"(\d+(?:\.\d+)?)\s*(?:/|out of|of)\s*10")


def _without_ten(element: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read "7/10" as 7: the scale of the pain scores is 0 to 10."""
    said = element.get("valueString")
    found = _OF_TEN.fullmatch(fold(said).strip()) if isinstance(said, str) else None
    return {**element, "valueString": found[1]} if found else element


_PAIN_WORDS = (
    ("none", 0),
    ("no pain", 0),
    ("无", 0),
    ("mild", 2),
    ("轻", 2),
    ("moderate", 5),
    ("中", 5),
    ("severe", 8),
    ("重", 8),
)


def _spoken_pain(element: Mapping[str, Any], blank: Reading) -> Reading:
    for said in (element.get("valueString"), *texts_of(element.get("valueCodeableConcept"))):
        if isinstance(said, str):
            folded = fold(said).strip()
            for word, score in _PAIN_WORDS:
                if folded.startswith(word):
                    return exactly(blank, score, sent=said, flags=("from-words",))
    return replace(blank, reason=values.absence(element) or "no-value")


def _range_tops_at_five(element: Mapping[str, Any]) -> bool:
    for entry in element.get("referenceRange", ()):
        high = entry.get("high") if isinstance(entry, dict) else None
        if isinstance(high, dict) and is_number(high.get("value")) and Decimal(str(high["value"])) == 5:
            return True
    return False


def interpretation_codes(element: Mapping[str, Any]) -> set[str]:
    """Give the interpretation codes of an Observation or component."""
    return {code_text(coding.get("code")) for coding in codings(element.get("interpretation"))} - {""}
