"""The consensus lists: indications, time points and contraindications of surgery, line by line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from recommenders.operating.fractures import broken_bone
from recommenders.operating.parts import skeleton_study
from recommenders.operating.spine import compressed_nerves, paraplegia_risk
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.bone_words import bare
from recommenders.patient.surgery import asked_together, surgery
from recommenders.vocabulary.later import Later
from recommenders.vocabulary.logic import documented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill


_LEADING = frozenset({"SURG-006", "SURG-007", "SURG-008", *(f"SURG-02{n}" for n in range(1, 10))})
_OWN_WORDS = frozenset({"SURG-026", "SURG-027", "SURG-028"})
"""Lines of the lists that speak for themselves; the others are told in the words of SURG-030."""
LISTED = tuple(f"SURG-{n:03}" for n in (*range(1, 9), *range(11, 15), *range(21, 30)))
"""The lines of the lists."""


def surgical_lists(case: Case) -> Iterator[Advice]:
    """SURG-001 to SURG-029: each line of the lists, those with words of their own in these."""
    lists = surgery(case)
    on_record = documented(lists.scope)
    for item in lists.items:
        if item.rule not in _OWN_WORDS:
            because = asked_together(lists.scope, item.found) if item.rule in _LEADING else on_record & item.found
            fill = Later(partial(_list_fill, case, item.rule))
            yield Advice(rule=item.rule, because=because, unless=item.done, fill=fill)
    yield from broken_bone(case, lists)
    yield from compressed_nerves(case, lists)
    yield from paraplegia_risk(case, lists)


def _list_fill(case: Case, rule: str) -> dict[str, Fill]:
    """Give what the words of a line of the lists name, for the dossier."""
    facts = case.facts
    if rule in {"SURG-006", "SURG-021"}:
        return {"study": skeleton_study(case), "date": facts.bx.bone_done.date or ""}
    if rule in {"SURG-001", "SURG-011"}:
        return {"life": bare(facts.status.life_expectancy)}
    if rule == "SURG-012":
        return {"count": facts.dx.bone_met_count}
    if rule == "SURG-013":
        return {"organs": facts.dx.visceral_met_organs}
    if rule == "SURG-014":
        return {"unfit": Phrase("unfit" if facts.status.fit_for_surgery.value is False else "poor")}
    return {"last_treatment": Phrase("conservative"), "date": ""}
