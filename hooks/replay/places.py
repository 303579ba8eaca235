"""
Whose lines lie where in a slice: what the first look at each line notes, so that the second reads only what it wants.

Lines of one patient that follow each other are a run: a mark of the patient, and where the run begins. The mark is a
checksum, so that it needs no list of patients; two may share one, and whoever reads by marks looks at each line again.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Container, Iterator
from pathlib import Path

UNTOLD, SHARED_BY_ALL, NOBODY = range(3)
"""Marks of lines that have to be looked at again, of what belongs to nobody and is referred to, and of all others."""
_ENTRIES = 1 << 16
_OF_A_RUN = 2
NUMBER = "Q"


def mark_of(patient: str | None) -> int:
    """Give the mark of a patient's lines; of those that are nobody's, that of nobody."""
    return NOBODY if patient is None else max(zlib.crc32(patient.encode()), NOBODY + 1)


class Places:
    """Notes the runs of one slice in a file that only its owner can read; without a file it notes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._waiting = array(NUMBER)
        self._mark = -1
        if path is not None:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))

    def add(self, mark: int, begin: int) -> None:
        """Note that a line of this mark begins here; lines are noted in order."""
        if mark != self._mark:
            self._mark = mark
            self._waiting.extend((mark, begin))
            if len(self._waiting) >= _ENTRIES:
                self._write()

    def end(self, end: int) -> None:
        """Note where the last line ends."""
        self._mark = -1
        self.add(NOBODY, end)
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            with self._path.open("ab") as file:
                self._waiting.tofile(file)
        del self._waiting[:]


def spans(path: Path, wanted: Container[int]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the lines whose marks are wanted, in order."""
    begin: int | None = None
    for mark, place in _runs(path):
        is_wanted = mark in wanted
        if is_wanted and begin is None:
            begin = place
        elif not is_wanted and begin is not None:
            yield begin, place
            begin = None


def _runs(path: Path) -> Iterator[tuple[int, int]]:
    """Yield mark and begin of each run; the last one is nobody's and begins at the end."""
    with path.open("rb") as file:
        while True:
            numbers = array(NUMBER)
            numbers.frombytes(file.read(_ENTRIES * numbers.itemsize))
            if not numbers:
                return
            yield from zip(numbers[::_OF_A_RUN], numbers[1::_OF_A_RUN], strict=True)
