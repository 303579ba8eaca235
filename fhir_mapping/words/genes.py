"""What the result of a gene test says in words: a change is there, is not, is doubted, or nothing is told."""

from __future__ import annotations

import itertools
from functools import lru_cache

from fhir_mapping.words import results
from fhir_mapping.words.assertions import Verdict, judge_all
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import MENTIONS, Mention

LONGEST = 2_000
"""Characters of a result that are read."""

_CHANGE = compiled(
    r"mutations?|mutated|variants?|rearrange(?:ments?|d)|alterations?|fusions?|amplif\w+|\bexon ?\d+"
    r"|\b[pc]\.[a-z0-9_*>()]+|(?<![a-z0-9])[a-z]\d{2,4}(?:[a-z*]|fs)(?![a-z0-9])|\bdel\w*|\bins\w*|突变|重排|融合|变异|外显子|缺失|插入|扩增"
)
_WILD = compiled(r"wild[- ]?type|\bwt\b|野生型|未突变")
_OPEN = compiled(
    r"indeterminate|inconclusive|equivocal|borderline|uncertain|unknown significance|\bvus\b|\b(?:likely )?benign\b"
    r"|\bpolymorphism|不确定|可疑|临界|意义未明|意义不明|良性|多态性"
)
_ELSEWHERE = compiled(r"see (?:pdf|report|comment)|\bpdf\b|见报告|详见")


def of(said: str) -> Verdict:
    """
    Give what a result says of a change of its gene.

    A named variant is the change itself: "exon 19 deletion" under EGFR is positive, without any further word.
    """
    return _of(said[:LONGEST])


@lru_cache(maxsize=1024)
def _of(said: str) -> Verdict:
    folded = fold(said)
    if results.is_no_value(said) or _ELSEWHERE.search(folded):
        return "unread"
    if _OPEN.search(folded):
        return "suspected"
    found = [Mention("gene", hit.start(), hit.end()) for hit in itertools.islice(_CHANGE.finditer(folded), MENTIONS)]
    verdicts = set(judge_all(folded, found))
    if _WILD.search(folded) and "present" not in verdicts - {"suspected"}:
        return "absent"
    for verdict in ("suspected", "absent", "present"):
        if verdict in verdicts:
            return verdict
    answer = results.polarity(said)
    return "present" if answer == "positive" else "absent" if answer == "negative" else "unread"
