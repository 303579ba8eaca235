"""What the conclusion of an examination of bone says of spread to bone, named so or meant by what was looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_mapping.places.sites import place_in
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold

if TYPE_CHECKING:
    from fhir_mapping.words.assertions import Assertion, Verdict

_ELSEWHERE = frozenset(
    {"brain_metastasis", "liver_metastasis", "lung_metastasis", "adrenal_metastasis", "pleural_metastasis"}
)
_ENDS = compiled(r"[;。\n]|\.(?= |$)")


def spread_to_bone(conclusion: str, *, bones_alone: bool, of_a_bone: bool) -> Verdict | None:
    """
    Give what a conclusion says of bone metastasis; None where it says nothing of it.

    In an examination that shows bones alone (`bones_alone`: a bone scan) or one bone (`of_a_bone`: an MRI of the
    spine) a metastasis of no other organ is one of bone; the latter shows more, so that only a bone named beside it
    makes it sure.
    """
    told = assertions.verdict(conclusion, "bone_metastasis")
    if told is not None or not (bones_alone or of_a_bone):
        return told
    said = assertions.said(conclusion)
    elsewhere = [one.where for one in said if one.target in _ELSEWHERE]
    meant = [
        one
        for one in said
        if one.target == "spread_word"
        and not any(start < one.where[1] and one.where[0] < end for start, end in elsewhere)
    ]
    folded = fold(conclusion)
    verdicts: list[Verdict] = [
        "suspected" if one.verdict == "present" and not (bones_alone or _names_bone(folded, one)) else one.verdict
        for one in meant
    ]
    return max(verdicts, key=assertions.STRENGTH.index, default=None)


def _names_bone(folded: str, one: Assertion) -> bool:
    """Tell whether the sentence of a mention names a bone."""
    start, end = one.where
    begin = max((hit.end() for hit in _ENDS.finditer(folded, 0, start)), default=0)
    stop = next((hit.start() for hit in _ENDS.finditer(folded, end)), len(folded))
    return place_in(folded[begin:stop]).is_bone is True
