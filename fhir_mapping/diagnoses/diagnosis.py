"""One Condition: its codes, what its words say, whether it stands, and since when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.delivery.notes import TOO_LONG
from fhir_mapping.places.sites import body_sites
from fhir_mapping.terms import codes, dates, names
from fhir_mapping.terms.codes import ICD10_CM, code_text, codings, texts_of
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import LONGEST
from recommenders.vocabulary.facts import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.codes import Match
    from fhir_mapping.terms.dates import Stamp

State = Literal["current", "history", "refuted", "suspected"]

_OVER = frozenset({"inactive", "remission", "resolved"})
_DOUBTED = frozenset({"unconfirmed", "provisional", "differential"})
_HISTOLOGY = "mcode-histology-morphology-behavior"


@dataclass(slots=True, eq=False)
class Diagnosis:
    """One Condition as far as it matters: its codes, what its words say, whether it stands, and since when."""

    item: Item
    resource: Mapping[str, Any]
    state: State
    status: str
    matches: tuple[Match, ...]
    concepts: frozenset[str]
    words: tuple[str, ...]
    spoken: Mapping[str, assertions.Verdict]
    onset: Stamp | None
    recorded: Stamp | None
    reported: bool
    titled: bool = False
    """Whether the concepts are those of an official title among the words, not of a code."""

    @property
    def is_trap(self) -> bool:
        """Whether a code is known for what it is easily mistaken for."""
        return any(match.is_trap for match in self.matches)

    def signs(self) -> Iterator[str]:
        """Yield the concepts, codes and words by which a fact may be told."""
        yield from self.concepts
        yield from self.spoken
        yield from (match.code for match in self.matches)

    @property
    def since(self) -> Stamp | None:
        """
        Onset or, failing that, when it was recorded.

        An onset told as a month or a year reaches to the day of recording, if that lies within it: a fracture of
        "2026" that was recorded last week may be of last week.
        """
        if (
            self.onset is not None
            and self.recorded is not None
            and self.onset.day < self.recorded.day <= self.onset.last
        ):
            return self.recorded
        return self.onset or self.recorded


def read_diagnosis(item: Item, context: ReadingContext, notes: Notes, *, born: Stamp | None = None) -> Diagnosis | None:
    """Read one Condition; None, noted, when it does not count at all. `born` makes a year of an age at onset."""
    resource = item.copy(context.timezone, notes)
    if resource is None:
        return None
    verification = _status(resource.get("verificationStatus"))
    if verification == "entered-in-error":
        notes.add(item.name, "status: entered-in-error")
        return None
    words = _words(resource)
    if any(assertions.is_about_others(said) for said in words):
        notes.add(item.name, "about the family, a screening or a fear: no fact of this patient")
        return None
    if resource.get("subject") is None:
        notes.add(item.name, "no-subject: used, since it came with this patient's data")
    matches, titled = _matches(resource, words, context)
    _note_matches(item, matches, notes)
    if any(len(said) > LONGEST for said in words):
        notes.add(item.name, TOO_LONG)
    clinical = _status(resource.get("clinicalStatus"))
    concepts = frozenset(match.concept for match in matches if not match.is_trap)
    spoken = _spoken(words)
    return Diagnosis(
        item=item,
        resource=resource,
        state=_state(resource, verification, clinical, context),
        status=clinical,
        matches=matches,
        concepts=concepts | _in_bone(resource, matches, spoken, context),
        words=words,
        spoken=spoken,
        onset=_onset(resource, context, born),
        recorded=dates.parse(resource.get("recordedDate"), context.timezone),
        reported=_is_person(resource.get("asserter")),
        titled=titled,
    )


def _in_bone(
    resource: Mapping[str, Any],
    matches: Sequence[Match],
    spoken: Mapping[str, assertions.Verdict],
    context: ReadingContext,
) -> frozenset[str]:
    """
    A metastasis whose code or words leave the place open is where its body site says.

    So mCODE's secondary cancers may be told: "metastatic malignant neoplasm", and a bone as the site.
    """
    named = {match.concept for match in matches}
    spread = "metastatic_malignancy_nos" in named if named else spoken.get("spread_word") == "present"
    if spread and any(place.is_bone for place in body_sites(resource, context)):
        return frozenset({"bone_metastasis_child"})
    return frozenset()


def _state(resource: Mapping[str, Any], verification: str, clinical: str, context: ReadingContext) -> State:
    if verification == "refuted":
        return "refuted"
    if verification in _DOUBTED:
        return "suspected"
    return "history" if clinical in _OVER or _has_ended(resource, context) else "current"


def _matches(
    resource: Mapping[str, Any], words: tuple[str, ...], context: ReadingContext
) -> tuple[tuple[Match, ...], bool]:
    """Give what the codes stand for, and whether it was read from the words alone: the official title of a code."""
    matches = context.concepts(resource.get("code"), "Condition") + _histology_matches(resource, context)
    standard = tuple(match for match in matches if codes.is_terminology(match.system))
    if standard:
        return standard, False  # a local code never outvotes a standard one
    if matches:
        return matches, False
    # a title names the bone and the side that it names, whatever else its concept's other codes are called
    titles = tuple(replace(match, display=said) for said in words for match in names.titled(said, "Condition"))
    return titles, bool(titles)


def _note_matches(item: Item, matches: tuple[Match, ...], notes: Notes) -> None:
    for match in matches:
        if match.is_trap:
            notes.add(item.name, _TRAPS.get(match.concept, "trap: recognised and rejected"))
        if match.note:
            notes.add(item.name, match.note)
        if match.system == ICD10_CM and match.code.replace(".", "") == "C795":
            notes.add(item.name, "C79.5 without its fifth character: read as bone (C79.51)")
        if _says_something_else(match):
            notes.add(item.name, "display-mismatch: the display names something else than the code, which is kept")


def _spoken(words: tuple[str, ...]) -> dict[str, assertions.Verdict]:
    spoken: dict[str, assertions.Verdict] = {}
    for said in words:
        for target, verdict in assertions.verdicts(said).items():
            spoken.setdefault(target, verdict)
    return spoken


_SIGNIFICANT = compiled(r"[a-z]{4,}")


def _says_something_else(match: Match) -> bool:
    """Tell whether a coding's own display shares no word with that of the table (English displays only)."""
    if not match.sent_display or not match.sent_display.isascii():
        return False
    sent, listed = (set(_SIGNIFICANT.findall(fold(said))) for said in (match.sent_display, match.display))
    return bool(sent and listed) and not sent & listed


_TRAPS = {
    "metastasis_from_bone_tumour_TRAP": "trap: metastasis from bone, not to bone",
    "bone_malignancy_unspecified_TRAP": "trap: malignancy of bone, primary or secondary not told",
    "gist_TRAP": "trap: gastrointestinal stromal tumour, not an ifosfamide sarcoma",
}


def _status(codeable: object) -> str:
    for coding in codings(codeable):
        if code := code_text(coding.get("code")):
            return code.lower()
    found = texts_of(codeable)
    return found[0].strip().lower() if found else ""


def _words(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the Condition's own words: its text, or the displays of codings that no table knows."""
    code = resource.get("code")
    if isinstance(code, dict) and isinstance(code.get("text"), str):
        return (code["text"],)
    return texts_of(code)


def _has_ended(resource: Mapping[str, Any], context: ReadingContext) -> bool:
    """An abatement ends a Condition even when its status still says active."""
    if resource.get("abatementString") or resource.get("abatementAge"):
        return True
    period = resource.get("abatementPeriod")
    told = [resource.get("abatementDateTime")]
    if isinstance(period, dict):
        told += [period.get("end"), period.get("start")]
    stamps = [stamp for one in told if (stamp := dates.parse(one, context.timezone)) is not None]
    return bool(stamps) and not stamps[0].is_future(context.now)


def _onset(resource: Mapping[str, Any], context: ReadingContext, born: Stamp | None) -> Stamp | None:
    period = resource.get("onsetPeriod")
    for told in (resource.get("onsetDateTime"), period.get("start") if isinstance(period, dict) else None):
        if (stamp := dates.parse(told, context.timezone)) is not None:
            return stamp
    age, said = resource.get("onsetAge"), resource.get("onsetString")
    if isinstance(age, dict) and born is not None:
        return dates.at_age(born, age)
    return dates.written(said, context.timezone) if isinstance(said, str) else None


def _histology_matches(resource: Mapping[str, Any], context: ReadingContext) -> tuple[Match, ...]:
    """Give the histology of the mCODE extension: primary behaviour (/3), or the tumour type of a metastasis (/6)."""
    found: list[Match] = []
    for extension in resource.get("extension", ()):
        if not str(extension.get("url", "")).endswith(_HISTOLOGY):
            continue
        value = extension.get("valueCodeableConcept")
        if isinstance(value, dict):
            value = {
                **value,
                "coding": [
                    {**coding, "code": re.sub(r"^(\d{4})/6$", r"\1/3", code_text(coding.get("code")))}
                    for coding in codings(value)
                ],
            }
        found += context.concepts(value)
    return tuple(found)


def _is_person(reference: object) -> bool:
    told = reference.get("reference") if isinstance(reference, dict) else None
    return isinstance(told, str) and re.search(r"(?:^|/)(?:Patient|RelatedPerson)/", told) is not None
