"""
What was exported: files of any of the usual forms, read line by line as (resource, address in its Bundle, patient).

Forms: NDJSON as Bulk Data exports write it (.ndjson, .jsonl, also .gz), folders of SMART Fetch (numbered exports with
log.ndjson, links to them, deleted/), Bundles one a file as Synthea writes them, single resources. The type of a
resource stands in the resource, so file names do not matter; a file that is met twice counts once.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote

import msgspec

from fhir_mapping.delivery.shapes import ELEMENTS
from fhir_mapping.terms import decode, exact, heads
from hooks.replay.errors import ReplayError

if TYPE_CHECKING:
    from typing import IO

TYPES = frozenset(ELEMENTS) - {"Reference"}
"""Resource types that the mapping reads; lines of others are passed over."""
SHARED = frozenset({"Medication"})
"""Types that belong to nobody and are read where a resource refers to them."""

SLICE_BYTES = 64 * 1024 * 1024
WHOLE_HASH = 4 * 1024 * 1024
"""Files up to this size are hashed whole, larger ones by size, first and last mebibyte."""
EDGE = 1024 * 1024
BUFFER = 256 * 1024
"""Read at once: a line has less than a kilobyte, and each call of the system costs as much as reading one."""
UNPACKABLE = (EOFError, OSError, zlib.error)
"""What reading a packed file may raise that ends early or is damaged."""
METADATA = ".metadata"
"""What SMART Fetch notes beside each export."""
PART = "!"
"""Stands for the address of a line that could not be read: its patient's data of that type came in part."""

Form = Literal["lines", "document"]
_ID = re.compile(r"[A-Za-z0-9\-._]{1,128}")
_LOST_PATIENT = re.compile(rb'"reference"\s*:\s*"(?:[^"]*/)?Patient/([A-Za-z0-9\-.]{1,64})"')
_LOST_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]{1,40})"')
_DELETED_URL = re.compile(r"([A-Za-z]{1,40})/([A-Za-z0-9\-.]{1,64})$")


@dataclass(frozen=True, slots=True)
class File:
    """
    One file of an export.

    `name` is what it is called in results: relative to its source; a Bundle goes by its hash, since those who write one
    a patient name the file after the patient.
    """

    path: Path
    name: str
    size: int
    form: Form
    digest: str

    @property
    def packed(self) -> bool:
        """Whether it is compressed: then only one process can read it."""
        return self.path.suffix == ".gz"


@dataclass(frozen=True, slots=True)
class Survey:
    """
    What lies in the sources.

    `declared` are types that a manifest or log says were asked for, and `filtered` those of which only some were;
    `deleted` holds `Type/id` of what the server has deleted; `transaction` is the newest time of an export, as told
    (FHIR instant).
    """

    files: tuple[File, ...]
    declared: frozenset[str] = frozenset()
    filtered: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    transaction: str | None = None

    @property
    def fingerprint(self) -> str:
        """The input as a hash: the same files give the same one, wherever they lie and in whichever order."""
        told = sorted(f"{file.size}:{file.digest}" for file in self.files)
        return hashlib.sha256("\n".join([*told, *sorted(self.deleted)]).encode()).hexdigest()[:16]


class Slice(NamedTuple):
    """A part of a file that one process reads; `end` None: to its end."""

    file: File
    start: int
    end: int | None


class Record(NamedTuple):
    """
    One resource as delivered; `patient` is None when it is nobody's or it cannot be told whose.

    `where` is the place of its line or entry. A `fault` says that nothing could be read there; `raw` is then empty.
    """

    kind: str
    patient: str | None
    address: str
    raw: bytes
    where: int
    fault: str = ""


# --- finding ------------------------------------------------------------------------------------------------


class _Output(msgspec.Struct):
    type: str | None = None


class _Manifest(msgspec.Struct):
    transactionTime: str | None = None  # noqa: N815 - the specification's own name
    output: list[_Output] | None = None
    request: str | None = None


_manifest = msgspec.json.Decoder(_Manifest).decode


def _require(source: Path) -> None:
    if str(source) == "-":
        raise ReplayError("-: a population is read more than once, by several processes; save it to a file first.")
    if not source.exists():
        raise ReplayError(f"{source}: there is no such file or folder.")


def survey(sources: Sequence[Path]) -> Survey:
    """
    Find all files of the sources.

    Raises ReplayError for a source that is not there, and when nothing that is read lies in any of them.
    """
    files: dict[Path, File] = {}
    declared: set[str] = set()
    filtered: set[str] = set()
    deleted: set[str] = set()
    times: list[str] = []
    for source in sources:
        _require(source)
        base = source if source.is_dir() else source.parent
        for path in _walk(source):
            real = path.resolve()
            if real in files:
                continue
            name = path.relative_to(base).as_posix()
            if path.name == METADATA:
                _read_metadata(path, declared, filtered)
            elif path.name == "log.ndjson":
                _read_log(path, declared, filtered, times)
            elif "deleted" in path.relative_to(base).parts[:-1]:
                deleted |= _deletions(path)
            elif (form := _form(path)) == "document" and (told := _as_manifest(path)) is not None:
                declared |= {one.type for one in told.output or () if one.type} | _asked_types(told.request or "")
                filtered |= _filtered_types(told.request or "")
                times += [told.transactionTime] if told.transactionTime else []
            elif form is not None:
                digest = _digest(path)
                shown = name if form == "lines" else f"sha256:{digest[:12]}"
                files[real] = File(path, shown, path.stat().st_size, form, digest)
    if not files:
        raise ReplayError("There is no .ndjson, .jsonl or .json file (or .gz of one) in the sources.")
    ordered = tuple(sorted(files.values(), key=lambda file: (file.name, file.digest)))
    return Survey(
        ordered, frozenset(declared & TYPES), frozenset(filtered & TYPES), frozenset(deleted), max(times, default=None)
    )


def _walk(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for path in sorted(source.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        if (not hidden or path.name == METADATA) and path.is_file():
            yield path


def _form(path: Path) -> Form | None:
    name = path.name.removesuffix(".gz")
    if name.endswith((".ndjson", ".jsonl")):
        return "lines"
    return "document" if name.endswith(".json") else None


def _open(path: Path) -> IO[bytes]:
    return io.BufferedReader(_Unpacked(path), BUFFER) if path.suffix == ".gz" else path.open("rb", BUFFER)


class _Unpacked(io.RawIOBase):
    """What is in a packed file; all that can be unpacked is given before an error is raised."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path)  # noqa: SIM115 - closed with this

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read some bytes."""
        found = self._file.read1(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE_HASH:
            digest.update(file.read())
        else:
            digest.update(file.read(EDGE))
            file.seek(size - EDGE)
            digest.update(file.read(EDGE))
    return digest.hexdigest()


def _as_manifest(path: Path) -> _Manifest | None:
    if path.stat().st_size > WHOLE_HASH:
        return None
    try:
        with _open(path) as file:
            found = _manifest(file.read())
    except (*exact.BROKEN, *UNPACKABLE):
        return None
    return found if found.transactionTime and found.output is not None else None


def _asked_types(url: str) -> set[str]:
    return {
        kind
        for told in re.findall(r"[?&]_type=([^&#]+)", url)
        for kind in re.split(r",|%2C", told, flags=re.IGNORECASE)
        if kind
    }


def _filtered_types(url: str) -> set[str]:
    """Give the types of which an export asked for some only (`_typeFilter=Observation?category=…`)."""
    told = [unquote(one) for one in re.findall(r"[?&]_typeFilter=([^&#]+)", url)]
    return {kind for one in told for kind in re.findall(r"(?:^|,)([A-Za-z]{1,40})\?", one)}


class _Metadata(msgspec.Struct):
    filters: dict[str, list[str]] = {}
    done: dict[str, str | None] = {}


_metadata = msgspec.json.Decoder(_Metadata).decode


def _read_metadata(path: Path, declared: set[str], filtered: set[str]) -> None:
    """Read SMART Fetch's own note: which types it has asked for to the end, and of which only some."""
    try:
        told = _metadata(path.read_bytes())
    except exact.BROKEN:
        return  # somebody else's
    declared.update(told.done)
    filtered |= {kind for kind, filters in told.filters.items() if filters}


def _read_log(path: Path, declared: set[str], filtered: set[str], times: list[str]) -> None:
    """Read the log of a bulk export: what was asked for, and the moment up to which it is complete."""
    with _open(path) as file:
        for line in file:
            try:
                event = msgspec.json.decode(line)
            except exact.BROKEN:
                continue
            detail = event.get("eventDetail") if isinstance(event, dict) else None
            if not isinstance(detail, dict):
                continue
            if isinstance(time := detail.get("transactionTime"), str):
                times.append(time)
            if isinstance(url := detail.get("exportUrl"), str):
                declared |= _asked_types(url)
                filtered |= _filtered_types(url)
            if isinstance(kind := detail.get("resourceType"), str):
                declared.add(kind)


def _deletions(path: Path) -> set[str]:
    found: set[str] = set()
    try:
        with _open(path) as file:
            told = file.readlines() if _form(path) == "lines" else [file.read()]
    except UNPACKABLE as error:
        raise ReplayError(f"{path}: cannot be read to its end, and what was deleted must be known.") from error
    for line in told:
        try:
            bundle = msgspec.json.decode(line)
        except exact.BROKEN:
            continue
        for entry in exact.listed(bundle.get("entry") if isinstance(bundle, dict) else None):
            request = entry.get("request")
            url = request.get("url") if isinstance(request, dict) and request.get("method") == "DELETE" else None
            if isinstance(url, str) and (match := _DELETED_URL.search(url)):
                found.add(f"{match[1]}/{match[2]}")
    return found


def slices(files: Sequence[File], size: int = SLICE_BYTES) -> list[Slice]:
    """Cut the files so that several processes have something to do; a packed file or a document stays whole."""
    found: list[Slice] = []
    for file in files:
        if file.form == "document" or file.packed or file.size <= size:
            found.append(Slice(file, 0, None))
        else:
            found += [Slice(file, start, min(start + size, file.size)) for start in range(0, file.size, size)]
    return found


# --- reading ------------------------------------------------------------------------------------------------


class _Owned(msgspec.Struct, gc=False):
    resourceType: str = ""  # noqa: N815 - FHIR's own names
    id: str | int | None = None
    subject: heads.Ref | None = None
    patient: heads.Ref | None = None


_owned = msgspec.json.Decoder(_Owned).decode


def records(one: Slice, *, kinds: frozenset[str] = TYPES) -> Iterator[Record]:
    """
    Yield the resources of a slice that are of these types, and a record with a `fault` for what cannot be read.

    Nothing raises but the reading of the file itself (OSError); a packed file that ends early is a fault at its end.
    """
    if one.file.form == "document":
        yield from _document(one.file, kinds)
        return
    for where, line in lines(one):
        yield from of_line(line, where, kinds)


ODD = frozenset({"Bundle", ""})
"""Types of a line that is no plain resource."""


def of_line(line: bytes, where: int, kinds: frozenset[str] = TYPES) -> Iterator[Record]:
    """Yield what stands in a line: a resource, those of a Bundle, or a fault."""
    if not line.strip():
        return
    try:
        owned = _owned(line)
    except exact.BROKEN:
        yield from _tolerant(line, where, kinds)
        return
    kind = owned.resourceType
    if kind in kinds:
        yield _record(owned, line.rstrip(b"\r\n"), where)
    elif kind == "Bundle":
        yield from _bundle(line, where, kinds)
    elif not kind:
        yield Record("", None, "", b"", where, "no resourceType")


def lines(one: Slice) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of the lines that begin in a slice of a file of lines."""
    end = one.end if one.end is not None else sys.maxsize
    with _open(one.file.path) as file:
        offset = _first_line(file, one.start)
        try:
            for line in file:
                if offset >= end:
                    return
                yield offset, line
                offset += len(line)
        except UNPACKABLE as error:
            if not one.file.packed:
                raise
            yield offset, b"\x00" + type(error).__name__.encode()


def _first_line(file: IO[bytes], start: int) -> int:
    """Go to the first line that begins at or after a place, and give where that is."""
    if not start:
        return 0
    file.seek(start - 1)
    return start - 1 + len(file.readline())  # the rest of a line that began before


def lines_within(one: Slice, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """
    Yield the same of some spans of it, which come in order and begin where a line begins.

    A packed file is read through in the same way as before, so that one that is damaged gives the same lines.
    """
    if one.file.packed:
        told = iter(spans)
        begin, end = next(told, (sys.maxsize, sys.maxsize))
        for where, line in lines(one):
            if where >= end:
                begin, end = next(told, (sys.maxsize, sys.maxsize))
            if where >= begin:
                yield where, line
        return
    with _open(one.file.path) as file:
        for begin, end in spans:
            file.seek(begin)
            offset = begin
            while offset < end and (line := file.readline()):
                yield offset, line
                offset += len(line)


def line_number(file: File, offset: int) -> int:
    """Give the number of the line at an offset (of what is in a packed file), from 1."""
    number, left = 1, offset
    try:
        with _open(file.path) as opened:
            while left > 0 and (chunk := opened.read(min(left, EDGE))):
                number += chunk.count(b"\n")
                left -= len(chunk)
    except UNPACKABLE:
        pass  # it ends early, and that is what is told
    return number


def _record(owned: _Owned, raw: bytes, where: int) -> Record:
    kind = owned.resourceType
    if kind == "Patient":
        patient = _plain_id(owned.id)
    else:
        subject = owned.subject or owned.patient
        patient = patient_of(subject.reference if subject is not None else None)
    return Record(kind, patient, "", raw, where)


def patient_of(reference: str | None) -> str | None:
    """Give the id of the Patient that a reference names; None for any other reference."""
    if reference is None:
        return None
    if reference.startswith("Patient/") and reference.count("/") == 1:
        return _plain_id(reference[8:])
    parts = reference.strip().partition("/_history/")[0].rstrip("/").split("/")
    return _plain_id(parts[-1]) if len(parts) >= 2 and parts[-2] == "Patient" else None


def _plain_id(number: str | int | None) -> str | None:
    text = str(number) if number is not None else ""
    return text if _ID.fullmatch(text) else None


def _tolerant(line: bytes, where: int, kinds: frozenset[str]) -> Iterator[Record]:
    """A line whose head is not of its types may still be a resource; else it is a fault, and whose is guessed at."""
    try:
        head = heads.head_of(line)
    except exact.ResourceFaultError:
        kind, patient = _LOST_TYPE.search(line), _LOST_PATIENT.search(line)
        yield Record(
            kind[1].decode() if kind else "",
            patient[1].decode() if patient else None,
            PART,
            b"",
            where,
            "file ends early" if line.startswith(b"\x00") else "not JSON",
        )
        return
    if head.resourceType in kinds:
        yield _record(_Owned(head.resourceType, head.id, head.subject, head.patient), line.rstrip(b"\r\n"), where)


def _document(file: File, kinds: frozenset[str]) -> Iterator[Record]:
    try:
        with _open(file.path) as opened:
            body = opened.read()
    except UNPACKABLE:
        yield Record("", None, "", b"", 0, "file ends early")
        return
    try:
        kind = _owned(body).resourceType
    except exact.BROKEN:
        yield from _tolerant(body, 0, kinds)
        return
    if kind == "Bundle":
        yield from _bundle(body, 0, kinds)
    elif kind in kinds:
        yield _record(_owned(body), on_one_line(body), 0)


def on_one_line(raw: bytes) -> bytes:
    """Give JSON without line ends: they are blanks there, since a text holds none."""
    return raw.translate(_ONE_LINE)


_ONE_LINE = bytes(32 if byte in b"\r\n\t" else byte for byte in range(256))


def _bundle(body: bytes, where: int, kinds: frozenset[str]) -> Iterator[Record]:
    """Yield the entries of a Bundle, whose references by `urn:` mean its own entries."""
    opened = decode.open_key(body)
    heads: list[tuple[int, decode.Entry, _Owned]] = []
    for number, entry in enumerate(opened.entries):
        try:
            heads.append((number, entry, _owned(entry.resource)))
        except exact.BROKEN:
            yield from _tolerant(on_one_line(bytes(entry.resource)), where + number, kinds)
    for fault in opened.faults:
        yield Record("", None, "", b"", where, fault)
    patients = {
        entry.fullUrl or f"Patient/{owned.id}": _plain_id(owned.id)
        for _, entry, owned in heads
        if owned.resourceType == "Patient"
    }
    only = next(iter(patients.values())) if len(patients) == 1 else None
    for number, entry, owned in heads:
        if owned.resourceType not in kinds:
            continue
        found = _record(owned, on_one_line(bytes(entry.resource)), where + number)
        if found.patient is None:
            subject = owned.subject or owned.patient
            named = subject.reference if subject is not None else None
            found = found._replace(patient=only if named is None else patients.get(named))
        yield found._replace(address=on_one_line((entry.fullUrl or "").encode()).decode())
    if opened.truncated:
        subjects = {_record(owned, b"", where).patient for _, _, owned in heads}
        for patient in sorted({one for one in (*patients.values(), *subjects) if one is not None}):
            yield Record("", patient, PART, b"", where, "a Bundle that goes on elsewhere")


def delivered_types(survey_of: Survey, seen: frozenset[str]) -> frozenset[str]:
    """Give the types that came: those that were met, and those that a manifest says were asked for."""
    return (survey_of.declared | seen) & TYPES
