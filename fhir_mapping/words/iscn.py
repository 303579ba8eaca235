"""
Interphase FISH as ISCN writes it: `nuc ish(FGFR3,IGH)x3(FGFR3 con IGHx2)[150/200]`.

A string holds clones, parted by `/`. A clone lists probes with their copies (`TP53x1`, `(TP53,D17Z1)x2`, `CKS1Bx4~6`),
probes that lie together (`con`) or apart (`sep`), and how many cells of how many showed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.words.fold import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST, MOST = 400, 20
"""Characters of one string, and strings of one text."""

_START = compiled(r"\bnuc ?ish\b ?")
_COPIES = r"[x×] ?(?P<copies>[≥>]?\d{1,2}(?:~\d{1,2})?)"
_GROUP = compiled(rf" ?(?:[0-9xy]{{1,2}}[pqc][a-z0-9.~-]{{0,14}} ?)?\((?P<items>[^()\[\]]{{1,160}})\) ?(?:{_COPIES})?")
_COUNT = compiled(r" ?\[ ?(?P<cells>\d{1,4}) ?(?:/ ?(?P<of>\d{1,4}) ?)?\]")
_NEXT = compiled(r" ?[/,] ?(?:nuc ?ish ?)?(?=[(\[0-9xy])")
_ITEM = compiled(rf"^(?P<name>[a-z0-9'._/ -]{{1,40}}?) ?(?:{_COPIES})?(?: ?con [a-z0-9' ]+)?$")
_LINK = compiled(r" (con|sep) ")


@dataclass(frozen=True, slots=True)
class Clone:
    """One clone: copies of each probe (from, to), pairs of probes that lie together or apart, cells counted."""

    copies: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    together: frozenset[frozenset[str]] = frozenset()
    apart: frozenset[frozenset[str]] = frozenset()
    cells: int | None = None
    of: int | None = None

    @property
    def share(self) -> Decimal | None:
        """Percentage of cells, where both numbers are told."""
        return Decimal(100 * self.cells) / self.of if self.cells is not None and self.of else None


@dataclass(frozen=True, slots=True)
class Written:
    """An ISCN string at `start:end` of the text."""

    start: int
    end: int
    clones: tuple[Clone, ...]


def find(folded: str) -> list[Written]:
    """Give the interphase strings of a folded text."""
    found: list[Written] = []
    for hit in _START.finditer(folded):
        if len(found) == MOST or (found and hit.start() < found[-1].end):
            continue
        clones, end = _clones(folded, hit.end(), hit.end() + LONGEST)
        if clones:
            found.append(Written(hit.start(), end, tuple(clones)))
    return found


def _clones(text: str, position: int, limit: int) -> tuple[list[Clone], int]:
    clones: list[Clone] = []
    while position < limit:
        clone, position = _clone(text, position, limit)
        if clone is None:
            break
        clones.append(clone)
        further = _NEXT.match(text, position)
        if further is None:
            break
        position = further.end()
    return clones, position


def _clone(text: str, position: int, limit: int) -> tuple[Clone | None, int]:
    copies: dict[str, tuple[int, int]] = {}
    together: set[frozenset[str]] = set()
    apart: set[frozenset[str]] = set()
    while position < limit and (group := _GROUP.match(text, position)) is not None:
        for item in group["items"].split(","):
            _item(item.strip(), group["copies"], copies, together, apart)
        position = group.end()
    if not copies and not together and not apart:
        return None, position
    count = _COUNT.match(text, position)
    if count is None:
        return Clone(copies, frozenset(together), frozenset(apart)), position
    of = int(count["of"]) if count["of"] else None
    cells = int(count["cells"]) if of is not None else None
    return Clone(copies, frozenset(together), frozenset(apart), cells, of), count.end()


def _item(
    item: str,
    shared: str | None,
    copies: dict[str, tuple[int, int]],
    together: set[frozenset[str]],
    apart: set[frozenset[str]],
) -> None:
    """Read one item of a bracket: a probe with its copies, or probes that are linked."""
    linked = _LINK.split(item)
    told = _ITEM.match(linked[-1].strip())
    if told is None:
        return
    number = _range(told["copies"] or shared)
    if len(linked) == 1:
        if number is not None:
            copies[told["name"].strip()] = number
        return
    if number is not None and number[1] == 0:
        return  # "con … x0": none of them lies together
    names = [_bare(name) for name in (*linked[0:-1:2], told["name"])]
    for one, link, other in zip(names, linked[1::2], names[1:], strict=False):
        (together if link == "con" else apart).add(frozenset((one, other)))


def _bare(name: str) -> str:
    """Give a probe without the sign of its end (5'IGH)."""
    return name.strip().removeprefix("5'").removeprefix("3'")


def _range(told: str | None) -> tuple[int, int] | None:
    if told is None:
        return None
    low, _, high = told.lstrip("≥>").partition("~")
    return int(low), int(high or (99 if told[0] in "≥>" else low))
