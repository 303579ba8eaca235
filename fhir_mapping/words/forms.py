"""
Boxes of a form: what was not ticked says nothing, what was ticked is said.

`骨转移：□有 ☑无`, `[ ] bone metastases [x] liver metastases`, `有□ 无☑`: the words of an empty box are set aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhir_mapping.words.fold import compiled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NEAR = 8
"""Characters between a question and its first box."""
_BOX = compiled(r"(?P<empty>[□☐◻]|\[ ?\]|\( \))|(?P<ticked>[☑☒■✓✔√✅]|\[ ?[x√✓] ?\]|\( ?[√✓] ?\))")
_EMPTY = compiled(r"[□☐◻]|\[ ?\]|\( \)")
_LINE = compiled(r"[^\n]+")
_NO_WORDS = compiled(r"[ .,;。:]*")
_OPTION_BEGINS = compiled(r"[ :,;]")
_OPTION_ENDS = compiled(r"[,;。|]")


@dataclass(frozen=True, slots=True)
class Empty:
    """A stretch `start:end` of the text behind empty boxes; `answered`: another box of its line was ticked."""

    start: int
    end: int
    answered: bool


def read(folded: str) -> tuple[str, Sequence[Empty]]:
    """Give the text without boxes and without the words of empty ones, places kept, and where those words stood."""
    if not _EMPTY.search(folded):
        return folded, ()
    found = [
        one for line in _LINE.finditer(folded) if _EMPTY.search(line.group()) for one in _of_line(folded, *line.span())
    ]
    signs = list(folded)
    for start, end in [(one.start, one.end) for one in found] + [box.span() for box in _BOX.finditer(folded)]:
        signs[start:end] = " " * (end - start)
    return "".join(signs), found


def _of_line(text: str, start: int, end: int) -> Iterable[Empty]:
    boxes = list(_BOX.finditer(text, start, end))
    answered = any(box["ticked"] for box in boxes)
    first, last = boxes[0], boxes[-1]
    if not answered:
        yield Empty(max(start, first.start() - NEAR), first.start(), answered=False)
    behind = _NO_WORDS.fullmatch(text, last.end(), end) is not None
    for number, box in enumerate(boxes):
        if box["ticked"]:
            continue
        if behind:
            since = boxes[number - 1].end() if number else _option_begins(text, start, box.start())
            yield Empty(since, box.start(), answered)
        else:
            until = boxes[number + 1].start() if number + 1 < len(boxes) else end
            stop = _OPTION_ENDS.search(text, box.end(), until)
            yield Empty(box.end(), stop.start() if stop else until, answered)


def _option_begins(text: str, start: int, box: int) -> int:
    """Give where the words of the first option begin, which stand before its box."""
    ends = [hit.end() for hit in _OPTION_BEGINS.finditer(text, start, box) if text[hit.end() : box].strip()]
    return ends[-1] if ends else start
