"""
The two passes before judging: who could be our business (stage A), and all lines of those, put together (stage B).

Both run slice by slice in any number of processes. What they leave on the disk are patients' data: files that only
their owner can read, in a folder that is removed when the run ends in any way that lets it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.delivery.screening import CHART_TYPES, ORDER_TYPES, Screen, line_of
from fhir_mapping.terms import exact, heads
from hooks.replay.places import NOBODY, SHARED_BY_ALL, UNTOLD, Places, mark_of, spans
from hooks.replay.sources import (
    ODD,
    PART,
    SHARED,
    TYPES,
    Record,
    Slice,
    lines,
    lines_within,
    of_line,
    patient_of,
    records,
)

if TYPE_CHECKING:
    from hooks.replay.sources import File

PART_BYTES = 32 * 1024 * 1024
FEWEST_PARTS, MOST_PARTS = 16, 4096
BUFFER_BYTES = 16 * 1024 * 1024
CHECKED_SHARE, CHECKED_AT_LEAST = 100, 200
"""One in so many of those whom the screen leaves out is judged whole, and at least so many."""

CALL_TYPES: Mapping[str, frozenset[str]] = {"encounters": frozenset({"Encounter"}), "orders": ORDER_TYPES}


@dataclass(slots=True)
class Screened:
    """
    What stage A found in one slice, or in all.

    `patients` are those with a Patient resource, `candidates` those with a line that may concern us; `calls` counts
    encounters and orders by patient; `faults` are (file, place, reason); `kinds` counts lines by type.
    """

    patients: set[str] = field(default_factory=set)
    candidates: set[str] = field(default_factory=set)
    calls: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[tuple[str, int, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    strays: int = 0

    def add(self, other: Screened) -> None:
        """Join what another slice found."""
        self.patients |= other.patients
        self.candidates |= other.candidates
        for name, counts in other.calls.items():
            self.calls.setdefault(name, Counter()).update(counts)
        self.faults += other.faults
        self.kinds += other.kinds
        self.strays += other.strays


@dataclass(frozen=True, slots=True)
class Looking:
    """
    What stage A looks for: past calls to count, between two days (ISO); where orders are asked they can bring one in.
    """

    calls: tuple[str, ...] = ()
    first: str = ""
    last: str = "9999"


def screened(one: Slice, screen: Screen, looking: Looking, places: Path | None = None) -> Screened:
    """Look at each line of a slice once; whose they are is noted in the file `places`, of which `parted` makes use."""
    stage = _Stage(one, screen, looking)
    if one.file.form == "document":
        for record in records(one):
            stage.take(record)
        return stage.found
    note = Places(places)
    # written out: every line of a hospital comes through here
    looked_at, plain, orders, concerns = stage.looked_at, TYPES - stage.counted.keys(), stage.orders, screen.concerns
    candidates, kinds = stage.found.candidates, stage.found.kinds
    reference: object = _UNMET
    patient: str | None = None
    where, raw = one.start, b""
    for where, raw in lines(one):
        try:
            line = line_of(raw)
        except exact.BROKEN:
            reference = stage.take_odd(raw, where, note)
            continue
        kind, subject = line.resourceType, line.subject or line.patient
        if subject is None or kind not in plain:
            reference = stage.take_odd(raw, where, note, kind)
            continue
        if subject.reference != reference:
            reference, patient = subject.reference, patient_of(subject.reference)
            note.add(mark_of(patient), where)
        if patient is None:
            reference = stage.take_odd(raw, where, note, kind)
            continue
        kinds[kind] += 1
        if kind in looked_at and patient not in candidates and concerns(line, orders=orders):
            candidates.add(patient)
    note.end(where + len(raw))
    return stage.found


_UNMET = object()
"""No reference of a line: the next one begins a run."""


class _Stage:
    """What stage A keeps of the lines of a slice."""

    def __init__(self, one: Slice, screen: Screen, looking: Looking) -> None:
        self.found = Screened()
        self.orders = "orders" in looking.calls
        self.looked_at = CHART_TYPES | ORDER_TYPES if self.orders else CHART_TYPES
        self.counted = {kind: name for name in looking.calls for kind in CALL_TYPES[name]}
        self._span = looking.first, looking.last
        self._screen = screen
        self._file = one.file.name

    def take_odd(self, raw: bytes, where: int, note: Places, kind: str = "") -> object:
        """Look at a line that is no plain resource of a patient; what is no business of ours is passed over."""
        marks: set[int] = set()
        for record in of_line(raw, where) if kind in TYPES or kind in ODD else ():
            self.take(record)
            marks.add(_mark_of(record))
        note.add(marks.pop() if len(marks) == 1 else UNTOLD if marks else NOBODY, where)
        return _UNMET

    def take(self, record: Record) -> None:
        """Look at one resource, or note that it cannot be read."""
        found, kind, patient = self.found, record.kind, record.patient
        if record.fault:
            found.faults.append((self._file, record.where, record.fault))
            if patient is not None:
                found.candidates.add(patient)  # nobody knows what the line said
            return
        found.kinds[kind] += 1
        if patient is None:
            found.strays += kind not in SHARED
            return
        if kind == "Patient":
            found.patients.add(patient)
        elif kind in self.looked_at and self._screen.may_concern(record.raw, orders=self.orders):
            found.candidates.add(patient)
        if kind in self.counted and self._is_asked(record.raw):
            found.calls.setdefault(self.counted[kind], Counter())[patient] += 1

    def _is_asked(self, raw: bytes) -> bool:
        """Tell whether an encounter began, or an order was written, within the days that are asked."""
        try:
            told = _happening(raw)
        except exact.BROKEN:
            return False
        day = (told.authoredOn or (told.period.start if told.period is not None else None) or "")[:10]
        return told.status not in NO_CALL and self._span[0] <= day <= self._span[1] and len(day) == len("2026-01-01")


class _Happening(msgspec.Struct, gc=False):
    status: str | None = None
    period: heads.Period | None = None
    authoredOn: str | None = None  # noqa: N815 - FHIR's own name


def _mark_of(record: Record) -> int:
    if record.fault:
        return UNTOLD
    return SHARED_BY_ALL if record.kind in SHARED else mark_of(record.patient)


_happening = msgspec.json.Decoder(_Happening).decode
NO_CALL = frozenset({"entered-in-error", "cancelled", "planned", "draft", "not-done"})
"""Status of an encounter or order that called nobody."""


# --- who is judged ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom a run judges: `judged`, and `checked` of those the screen left out; `patients` is how many there are."""

    judged: frozenset[str]
    checked: frozenset[str]
    patients: frozenset[str]


def chosen(found: Screened, *, sample: int | None, seed: int) -> Chosen:
    """Choose by seed: of all patients a sample, of those whom the screen left out the ones that are checked."""
    patients = sorted(found.patients, key=lambda one: _by_seed(seed, "sample", one))
    patients = patients if sample is None else patients[:sample]
    judged = frozenset(one for one in patients if one in found.candidates)
    left_out = sorted((one for one in patients if one not in judged), key=lambda one: _by_seed(seed, "check", one))
    number = max(CHECKED_AT_LEAST, len(left_out) // CHECKED_SHARE)
    return Chosen(judged, frozenset(left_out[:number]), frozenset(patients))


def _by_seed(seed: int, purpose: str, patient: str) -> bytes:
    return hashlib.blake2b(f"{seed}|{purpose}|{patient}".encode(), digest_size=8).digest()


def number_of_parts(files: Sequence[File], chosen_ones: Chosen) -> int:
    """Give so many parts that one is about 32 MB; the same for any number of processes."""
    wanted, everybody = len(chosen_ones.judged | chosen_ones.checked), max(1, len(chosen_ones.patients))
    size = sum(file.size * (8 if file.packed else 1) for file in files) * wanted / everybody
    return max(FEWEST_PARTS, min(MOST_PARTS, int(size / PART_BYTES) + 1))


def part_of(patient: str, parts: int) -> int:
    """Give the part that a patient belongs to."""
    return zlib.crc32(patient.encode()) % parts


# --- putting together ---------------------------------------------------------------------------------------


class _Drug(msgspec.Struct, gc=False):
    medicationReference: heads.Ref | None = None  # noqa: N815 - FHIR's own name
    itemReference: heads.Ref | None = None  # noqa: N815 - FHIR's own name
    ingredient: list[_Drug] | None = None
    id: str | int | None = None


_drug = msgspec.json.Decoder(_Drug).decode
DRUG_TYPES = frozenset({"MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration"})


class Spool:
    """Writes lines of patients to the files of their parts; one for each process, told apart by its number."""

    def __init__(self, folder: Path, parts: int) -> None:
        self.folder = folder
        self.parts = parts
        self._waiting: dict[int, bytearray] = {}
        self._size = 0

    def add(self, patient: str, address: str, raw: bytes) -> None:
        """Keep one line: patient, address in its Bundle (or `!` and a type), the resource."""
        waiting = self._waiting.setdefault(part_of(patient, self.parts), bytearray())
        before = len(waiting)
        waiting += b"%s\t%s\t%s\n" % (patient.encode(), address.encode(), raw)
        self._size += len(waiting) - before
        if self._size > BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        for part, waiting in self._waiting.items():
            path = self.folder / f"part-{part:04d}.{os.getpid()}"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(waiting)
        self._waiting.clear()
        self._size = 0


@dataclass(slots=True)
class Parted:
    """What stage B leaves to be looked for: medications by reference, with the patients that refer to them."""

    medications: dict[str, set[str]] = field(default_factory=dict)


def parted(
    one: Slice, wanted: frozenset[str], spool: Spool, deleted: frozenset[str], places: Path | None = None
) -> Parted:
    """Put the lines of the wanted patients of a slice into their parts; `places` is what `screened` noted of it."""
    found = Parted()
    for record in wanted_records(one, wanted, places):
        patient = str(record.patient)
        if record.fault:
            spool.add(patient, PART, record.kind.encode())
            continue
        if deleted and name_of(record) in deleted:
            continue
        spool.add(patient, record.address, record.raw)
        if record.kind in DRUG_TYPES:
            for reference in references(record.raw):
                found.medications.setdefault(reference, set()).add(patient)
    spool.flush()
    return found


def wanted_records(one: Slice, wanted: frozenset[str], places: Path | None = None) -> Iterator[Record]:
    """
    Yield the resources of the wanted patients of a slice, and what of theirs cannot be read.

    With the notes of the first look only lines that may be theirs are read; each is looked at again all the same.
    """
    if one.file.form == "document":
        yield from (record for record in records(one, kinds=OWN) if record.patient in wanted)
        return
    found = _lines_of_wanted(one, wanted) if places is None else lines_within(one, spans(places, _marks(wanted)))
    for where, raw in found:
        yield from (record for record in of_line(raw, where, kinds=OWN) if record.patient in wanted)


def _marks(wanted: Iterable[str]) -> frozenset[int]:
    return frozenset([UNTOLD, *map(mark_of, wanted)])


def _lines_of_wanted(one: Slice, wanted: frozenset[str]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that may be theirs, without notes: what is plainly another's is left out."""
    reference, is_wanted = "", False
    for where, raw in lines(one):
        try:
            owner = _owner(raw)
        except exact.BROKEN:
            yield where, raw
            continue
        subject = owner.subject
        if subject is not None and subject.reference is not None and owner.resourceType not in ODD:
            if subject.reference != reference:
                reference = subject.reference
                is_wanted = patient_of(reference) in wanted
            if not is_wanted:
                continue
        yield where, raw


class _Owner(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    subject: heads.Ref | None = None


_owner = msgspec.json.Decoder(_Owner).decode
OWN = TYPES - SHARED


def name_of(record: Record) -> str:
    """Give `Type/id` of a record, as far as it has an id."""
    try:
        return f"{record.kind}/{_drug(record.raw).id}"
    except exact.BROKEN:
        return ""


def references(raw: bytes) -> Iterator[str]:
    """Yield the Medications that an order, a dose or a product refers to."""
    try:
        drug = _drug(raw)
    except exact.BROKEN:
        return
    parts = [drug, *(drug.ingredient or ())]
    for reference in (one for part in parts for one in (part.medicationReference, part.itemReference)):
        if reference is not None and reference.reference and not reference.reference.startswith("#"):
            yield reference.reference


def shared(slices: Iterable[tuple[Slice, Path]], wanted: Mapping[str, set[str]], spool: Spool) -> None:
    """
    Give each patient the Medications that their orders refer to, with what those are made of.

    References may be relative, an address, or a `urn:` of the same Bundle. Each slice comes with its notes.
    """
    listed = list(slices)
    waiting = {short(reference): set(patients) for reference, patients in wanted.items()}
    given: set[tuple[str, str]] = set()
    for _ in range(2):  # the product, and then what it is made of
        further: dict[str, set[str]] = {}
        for one, places in listed if waiting else []:
            for record in _shared_records(one, places):
                for name in {name_of(record), record.address} & waiting.keys():
                    for patient in waiting[name]:
                        if (patient, f"{name}|{zlib.crc32(record.raw)}") not in given:
                            given.add((patient, f"{name}|{zlib.crc32(record.raw)}"))
                            spool.add(patient, record.address, record.raw)
                    for reference in references(record.raw):
                        further.setdefault(short(reference), set()).update(waiting[name])
        waiting = further
    spool.flush()


def _shared_records(one: Slice, places: Path) -> Iterator[Record]:
    if one.file.form == "document":
        yield from records(one, kinds=SHARED)
        return
    for where, raw in lines_within(one, spans(places, {UNTOLD, SHARED_BY_ALL})):
        yield from of_line(raw, where, kinds=SHARED)


def short(reference: str) -> str:
    """Give a reference as `Type/id`, or as the `urn:` that it is."""
    if reference.startswith("urn:"):
        return reference
    return "/".join(reference.strip().partition("/_history/")[0].rstrip("/").split("/")[-2:])


def lines_of_part(folder: Path, part: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Yield the patients of a part, in order of their ids, each with their lines as (address, resource)."""
    by_patient: dict[bytes, list[tuple[str, bytes]]] = {}
    for path in sorted(folder.glob(f"part-{part:04d}.*")):
        with path.open("rb") as file:
            for line in file:
                patient, address, raw = line[:-1].split(b"\t", 2)
                by_patient.setdefault(patient, []).append((address.decode(), raw))
    for patient in sorted(by_patient):
        yield patient.decode(), by_patient[patient]
