"""Observations into single facts: the newest usable value of each, its contradictions, and its series."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from fhir_mapping.delivery.context import Used
from fhir_mapping.delivery.items import Candidate
from fhir_mapping.delivery.notes import SUPERSEDED
from fhir_mapping.elements import scores, tested, values
from fhir_mapping.elements.answers import finding_of
from fhir_mapping.elements.own_range import own_range
from fhir_mapping.joining import one_time
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import LOCAL, code_text, codings, texts_of
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading
from recommenders.vocabulary.records import Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item, Slot
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.delivery.selected import Selected
    from fhir_mapping.joining.one_time import Days
    from fhir_mapping.terms.dictionary import ReadingRule


class ObservationReader:
    """Reads the single facts that Observations carry; the answers gather in `changes` and `series`."""

    def __init__(self, selected: Selected, context: ReadingContext, notes: Notes, sex: str | None) -> None:
        self.selected = selected
        self.context = context
        self.notes = notes
        self.sex = sex
        self.changes: dict[str, Fact] = {}
        self.series: dict[str, tuple[Reading, ...]] = {}
        self._taken: list[tuple[str, Fact, Sequence[Candidate]]] = []
        self.lesions: list[Item] = []
        """The Observations that are a lesion each."""
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

    def reading_of(self, path: str) -> Reading:
        """Give what was read of a measurement; blank where nothing was."""
        found = self.changes.get(path)
        return found if isinstance(found, Reading) else dictionary.blank_reading(path)

    def element(self, candidate: Candidate) -> Mapping[str, Any] | None:
        """Give what holds the candidate's value: the Observation, or one of its components."""
        resource = self.copy_of(candidate)
        return resource if resource is None or candidate.part is None else self._part_of(resource, candidate.part)

    @staticmethod
    def _part_of(resource: Mapping[str, Any], number: int) -> Mapping[str, Any] | None:
        components = resource.get("component", ())
        if number < len(components) and isinstance(components[number], dict):
            part: Mapping[str, Any] = components[number]
            return part
        return None

    def stamped(self, fact: Fact, candidate: Candidate, resource: Mapping[str, Any], **more: Any) -> Any:  # noqa: ANN401 - the same kind of fact
        """Give the fact with its date, resource and the flags of its origin; `more` are further fields of it."""
        item, stamp = candidate.item, candidate.item.stamp
        flags = [*fact.flags, *more.pop("flags", ()), *item.flags]
        if candidate.slot.rank == 3:
            flags.append("local-code")
        elif candidate.slot.rank == 4:
            flags.append("from-text")
        if resource.get("performer"):  # of those only people are read
            flags.append("reported")
        return replace(
            fact,
            date=stamp.day if stamp else None,
            moment=stamp.moment if stamp else None,
            resources=(item.name,),
            flags=tuple(dict.fromkeys(flags)) if flags else (),
            **more,
        )

    # --- the newest wins ---

    def timeline(
        self, candidates: Sequence[Candidate], read: Callable[[Candidate], Fact | None], *, highest: bool = False
    ) -> Iterator[Fact]:
        """
        Yield what was found at each time, newest first, already one fact per time (see `one_time.settled`).

        A result without a value ("hemolyzed") leaves the time to the others, and yields nothing alone.
        """
        return self._over(one_time.by_day(candidates), read, highest=highest)

    def _over(self, days: Days, read: Callable[[Candidate], Fact | None], *, highest: bool) -> Iterator[Fact]:
        for group in one_time.by_time(days):
            told = self._told(group, read)
            if len(told) == 1 and told[0][1].is_known:
                yield told[0][1]
            elif told:
                yield one_time.settled(told, self.notes, highest=highest, resource_of=self.copy_of)

    def _told(
        self, group: Sequence[Candidate], read: Callable[[Candidate], Fact | None]
    ) -> list[tuple[Candidate, Fact]]:
        """Read candidates of one time; those without a value are noted, and passed over."""
        told: list[tuple[Candidate, Fact]] = []
        for candidate in group:
            fact = read(candidate)
            if fact is None:
                continue
            if fact.reason in _WITHOUT_VALUE and not one_time.is_open(fact):
                self.notes.add(candidate.item.name, f"no-value: nothing to read for {fact.name}")
                if not _was_not_done(self.element(candidate) or {}):
                    self.passed.setdefault(fact.name, []).append(fact)
                continue
            told.append((candidate, fact))
        return told

    def newest(
        self, candidates: Sequence[Candidate], read: Callable[[Candidate], Fact | None], *, highest: bool = False
    ) -> Fact | None:
        """Give the newest of a list of candidates; the older ones are named."""
        days = one_time.by_day(candidates)
        found = next(self._over(days, read, highest=highest), None)
        if found is not None and len(candidates) > 1:
            self._name_older(days, found)
        return found

    def _name_older(self, days: Days, found: Fact) -> None:
        """Name those of an earlier day or time as superseded, and those without a date."""
        day, moment = found.date or one_time.UNDATED, found.moment
        names = [
            one.item.name for told, listed in days.items() if told < day or told == one_time.UNDATED for one in listed
        ]
        if moment is not None:
            names += [
                one.item.name
                for one in days.get(day, ())
                if (stamp := one.stamp) is not None and stamp.moment is not None and stamp.moment < moment
            ]
        for used in found.resources:
            if used in names:
                names = [name for name in names if name != used]
        self.notes.add_each(names, SUPERSEDED)

    def take(self, path: str, fact: Fact | None, candidates: Sequence[Candidate]) -> None:
        """Keep a fact, and what it came from; what may not be the newest of a cut list is unknown."""
        if fact is None:
            return
        if self.context.cut and any(
            self.context.may_be_newer(name.partition("/")[0], fact.date) for name in fact.resources
        ):
            fact = fact.forget("list-cut")
        self.changes[path] = fact
        self._taken.append((path, fact, candidates))

    def used(self) -> list[Used]:
        """Name the values that facts and lesions came from."""
        values = [used for taken in self._taken for used in self._provenance(*taken)]
        lesions = [
            Used("lesions[]", one.name, "component", LOCAL, "bone-lesion", dated_by=one.dated_by)
            for one in self.lesions
        ]
        return [*values, *lesions]

    def _provenance(self, path: str, fact: Fact, candidates: Sequence[Candidate]) -> list[Used]:
        found: list[Used] = []
        for candidate in [one for one in candidates if one.item.name in fact.resources]:
            element = self.element(candidate) or {}
            value = "valueQuantity"
            if value not in element:
                value = next((name for name in sorted(element) if name.startswith("value")), "")
            place = value or "code"
            if candidate.part is not None:
                place = f"component[{candidate.part}]" + (f".{value}" if value else "")
            unit = fact.sent_unit if isinstance(fact, Reading) else None
            found.append(
                Used(
                    path,
                    candidate.item.name,
                    place,
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
        for path in self.sent(dictionary.READINGS):
            rule, sent = dictionary.READINGS[path], self._of(path, "reading")
            if not sent:
                continue
            candidates = prepared(rule, sent, self.notes, worded=path in self.selected.worded)
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
        earlier: list[Candidate] = []
        left: list[Candidate] = []
        for one in candidates:
            (earlier if one.stamp is not None and wanted(one.stamp.day) else left).append(one)
        listed = [fact for fact in self.timeline(earlier, read, highest=rule.highest) if isinstance(fact, Reading)]
        if isinstance(newest, Reading) and newest.date not in {fact.date for fact in listed}:
            listed.insert(0, newest)
        known = [fact for fact in listed if fact.is_known and not self.context.may_be_newer("Observation", fact.date)]
        self.series[path] = tuple(reversed(known))
        kept = {name for fact in listed for name in fact.resources}
        self.notes.add_each((one.item.name for one in left if one.item.name not in kept), SUPERSEDED)

    def candidates(self, target: str, *topics: str) -> list[Candidate]:
        """Give the candidates of a target, in a fixed order."""
        found = self._of(target, *topics)
        return sorted(found, key=lambda one: (one.item.name, -1 if one.part is None else one.part)) if found else []

    def sent(self, paths: Iterable[str]) -> list[str]:
        """Give those of the fact paths for which anything was sent."""
        return list(filter(self.selected.candidates.__contains__, paths))

    def _of(self, target: str, *topics: str) -> Sequence[Candidate]:
        listed = self.selected.candidates.get(target, ())
        if not listed or self.selected.topics[target].issubset(topics):
            return listed
        return [one for one in listed if one.slot.topic in topics]

    def reader_of(self, rule: ReadingRule) -> Callable[[Candidate], Fact | None]:
        """Give the function that reads one candidate by a rule."""

        def read(candidate: Candidate) -> Fact | None:
            resource = self.copy_of(candidate)
            if resource is None:
                return None
            element = resource if candidate.part is None else self._part_of(resource, candidate.part)
            if element is None:
                return None
            fact: Reading | None
            if rule.reader:
                tell = partial(self.notes.add, candidate.item.name)
                fact = scores.read(scores.Score(element, resource, candidate.slot, rule, self.context, tell))
            else:
                fact = values.reading_of(element, rule, self.context)
                if candidate.slot.rank == 4 and fact.reason == "no-value" and rule.analyte:
                    return self.stamped(fact, candidate, resource) if _has_value(element) else None
            return None if fact is None else self._with_what_stands_beside(fact, candidate, resource, element, rule)

        return read

    def _with_what_stands_beside(
        self,
        fact: Reading,
        candidate: Candidate,
        resource: Mapping[str, Any],
        element: Mapping[str, Any],
        rule: ReadingRule,
    ) -> Fact:
        """Add to a reading its range, its flags, and what is said of the sample."""
        more: dict[str, Any] = {}
        if fact.is_known and element.get("referenceRange"):
            low, high = own_range(fact, element, rule, self.context, self.sex)
            more = {"reference_low": low, "reference_high": high}
        flags = [flag for flag in (rule.flag, rule.flags.get(candidate.slot.concept, "")) if flag]
        if resource.get("note") and _HAEMOLYTIC.search(_notes(resource)):
            flags.append("haemolysed-sample")
        if fact.reason == "no-value" and _HAEMOLYSED.search(_said(element, resource)):
            fact = replace(fact, reason="haemolysed")
        return self.stamped(fact, candidate, resource, flags=flags, **more)  # type: ignore[no-any-return] # the same kind of fact

    def tell_of_what_does_not_count(self) -> None:
        """
        Give facts that nothing tells the reason that is on record: pending, without a value, in the future.

        A known one with a newer result pending says so.
        """
        if not self.passed and not self.selected.aside:
            return
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

    # --- yes, no, words, days ---

    def findings(self) -> None:
        """Read what clinicians enter under local codes, and the tests that tell the same."""
        for path in self.sent(dictionary.FINDINGS):
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
                fact = finding_of(element, path, self.context)
            return self.stamped(fact, candidate, resource)  # type: ignore[no-any-return] # the same kind of fact

        return read

    def moments(self) -> None:
        """Read what happened on a day: the newest day counts."""
        for path in dictionary.MOMENTS.values():
            candidates = self.candidates(path, "moment")
            for candidate in sorted(candidates, key=one_time.order, reverse=True):
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

_WITHOUT_VALUE = frozenset({"no-value", "missing", "haemolysed"})


def prepared(rule: ReadingRule, candidates: Sequence[Candidate], notes: Notes, *, worded: bool) -> Sequence[Candidate]:
    """
    Set what a rule says about the order of its sources, before times are compared.

    `worded` tells whether some were found by their words; where none was, most rules have nothing to set.
    """
    is_ecog = rule.reader == "ecog"
    if not worded and not is_ecog and not rule.behind and rule.reader != "pain":
        return candidates
    coded_days = _days_of(candidates, lambda slot: slot.rank < 4) if worded else frozenset()
    ecog_days = _days_of(candidates, lambda slot: slot.concept.startswith("ecog")) if is_ecog else frozenset()
    found: list[Candidate] = []
    for one in candidates:
        stamp, behind = one.stamp, _behind(rule, one.slot)
        if stamp is not None and one.slot.concept == "karnofsky_ps" and stamp.day in ecog_days:
            notes.add(one.item.name, "Karnofsky of the same day as ECOG: ECOG is used")
            continue
        if stamp is not None and one.slot.rank == 4 and stamp.day in coded_days:
            stamp = dates.Stamp(stamp.day, stamp.last)  # words never win over a code of the same day
        unchanged = stamp is one.stamp and not behind
        found.append(one if unchanged else Candidate(one.item, one.slot, one.part, stamp, behind))
    return found


def _days_of(candidates: Sequence[Candidate], chosen: Callable[[Slot], bool]) -> frozenset[dt.date]:
    return frozenset(one.stamp.day for one in candidates if one.stamp is not None and chosen(one.slot))


def _behind(rule: ReadingRule, slot: Slot) -> int:
    """Give how far a source stands behind the others of its rule, at the same time."""
    if rule.reader == "pain":
        return _PAIN_ORDER.get(slot.code, 0)
    return 2 if f"{slot.system}|{slot.code}" in rule.behind else 0


_PAIN_ORDER = {"72514-3": 0, "38208-5": 2, "38214-3": 3, "38221-8": 4}


_HAEMOLYSED = compiled(r"ha?emoly[sz]|溶血")
_HAEMOLYTIC = compiled(r"ha?emoly|溶血")


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


def interpretation_codes(element: Mapping[str, Any]) -> set[str]:
    """Give the interpretation codes of an Observation or component."""
    return {code_text(coding.get("code")) for coding in codings(element.get("interpretation"))} - {""}
