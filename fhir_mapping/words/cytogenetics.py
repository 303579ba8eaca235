"""
The cytogenetics of myeloma as reports tell it: words, table cells, percentages with their cut-off, copies, ISCN.

A mention alone says nothing: present needs a result word, a percentage, a number of copies or an ISCN result.
"""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from fhir_mapping.words import iscn
from fhir_mapping.words.assertions import REMEMBERED, Verdict, judge_all
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import LONGEST, MENTIONS, Mention

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

Change = Literal["loss", "gain", "fusion"]
TELLING = 90
"""Characters behind a name in which its numbers are looked for."""


@dataclass(frozen=True, slots=True)
class Abnormality:
    """How one abnormality is written; `limit` is the share of cells (%) that counts where no cut-off is told."""

    path: str
    called: str
    change: Change
    limit: Decimal
    probes: frozenset[str]
    names: re.Pattern[str]
    loci: re.Pattern[str] | None
    genes: re.Pattern[str] | None
    karyotype: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a text says of one abnormality; `copies` of a gain where they are told."""

    verdict: Verdict
    copies: int | None = None


def _pattern(listed: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(listed)
    return compiled(joined) if joined else None


def _load() -> dict[str, Abnormality]:
    table = tomllib.loads(files("fhir_mapping.words").joinpath("cytogenetics.toml").read_text("utf-8"))
    return {
        f"cyto.{name}": Abnormality(
            path=f"cyto.{name}",
            called=row["called"],
            change=row["change"],
            limit=Decimal(row["limit"]),
            probes=frozenset(row["probes"]),
            names=compiled("|".join(row["names"])),
            loci=_pattern(row.get("loci", ())),
            genes=_pattern(row.get("genes", ())),
            karyotype=_pattern(row.get("karyotype", ())),
        )
        for name, row in table["cyto"].items()
    }


ABNORMALITIES: Mapping[str, Abnormality] = MappingProxyType(_load())
"""Fact path -> how the abnormality is written."""
TRANSLOCATIONS = tuple(path for path, one in ABNORMALITIES.items() if one.change == "fusion")
"""Partners of one locus (IGH): a cell has one of them, seldom two."""

_STEMS = (
    *("17p", "13q", "1q", "del", "t(", "t (", "igh", "p53", "cks1b", "rb", "d13s", "dleu", "omy", "ish", "-13", "-17"),
    *("gain", "amp", "dup", "13", "14易位", "16易位", "20易位", "号染色体"),
)
"""One of these is in whatever names an abnormality; a text without any is not searched."""
_KARYOTYPE = compiled(r"(?<!\d)\d{2}(?:[~-]\d{2,3})?(?:<\dn>)?,[xy]{1,4}[^ \n。]{0,400}")
_PERCENT = compiled(r"(?P<words>[^\d%,;<>≤≥()|]{0,24})(?P<sign>[<>≤≥]=?)? ?(?P<number>\d{1,3}(?:\.\d{1,2})?) ?%")
_LIMIT = compiled(r"cut-? ?off|threshold|reference|normal|\bref\b|阈值|界值|临界|截断值|参考|正常")
_WITHIN = compiled(
    r"within (?:the )?(?:normal|reference)|(?:below|under) (?:the )?(?:\w+ )?(?:cut-? ?off|threshold)"
    r"|正常(?:值|参考)?范围[之以]?内|低于"
)
_BEFORE = compiled(
    r"(?P<number>\d{1,3}(?:\.\d{1,2})?) ?%(?: of)?(?: (?:the|all|plasma|analy[sz]ed|counted|tumou?r))*"
    r"(?: (?:cells|nuclei))?(?: (?:with|showed|show|had|have|carr(?:y|ied)|were|positive for))*(?: (?:a|an))? ?\Z"
    r"|(?P<zh>\d{1,3}(?:\.\d{1,2})?) ?%的?(?:浆|肿瘤|分析)?(?:细胞)?(?:可?见|存在|检出|有|呈)? ?\Z"
)
_CELLS = compiled(r"(?<![\d/a-z.])(?P<cells>\d{1,4}) ?(?:/|of|out of) ?(?P<of>\d{2,4})(?![\d/a-z])")
_COPIES = compiled(
    r"(?P<sign>[≥>]=?)? ?(?P<number>\d) ?(?:-|~)?\d? ?(?:个|份)?(?:copies|copy|signals?\b|拷贝|信号)"
    r"|[x×] ?(?P<times>\d)(?!\d)"
    r"|\b(?P<spelt>one|two|three|four|five|six) (?:copies|copy|signals?)\b|(?P<zh>[一二两三四五六])个?(?:拷贝|信号)"
)
_NUMBERS = ("", "one 一", "two 二 两", "three 三", "four 四", "five 五", "six 六")
_SPELT = {word: number for number, listed in enumerate(_NUMBERS) for word in listed.split()}
_DEFINITION = compiled(r"^ ?\([^()]{0,12}(?:[≥>]=?|at least|or more|以上)[^()]{0,16}\)")
"""What an amplification is, behind its name: not how many copies were counted."""
_CELL_ENDS = compiled(
    r"[;。](?! ?(?:the )?(?:lab\w* |normal )?(?:cut-? ?off|threshold|reference|参考|阈值|界值|临界|截断值))"
    r"|\n|\.(?= |$)|\|\|"
)
_NO_SHARE = compiled(r"sensitiv|specific|敏感|灵敏|特异|of (?:all )?(?:the )?(?:patients|cases)|的?(?:患者|病例)")
_OTHER_TEST = compiled(
    r"mutat|突变|variant|变异|sequenc|测序|\bihc\b|protein|蛋白|表达|expression|immuno|免疫组|exon|外显子"
)


def named(text: str) -> frozenset[str]:
    """Give the abnormalities that a name of a result speaks of."""
    folded = fold(text[:200])
    return frozenset(
        path
        for path, one in ABNORMALITIES.items()
        if not _OTHER_TEST.search(folded)
        and any(pattern is not None and pattern.search(folded) for pattern in (one.names, one.loci, one.genes))
    )


def result(path: str, said: str, cutoffs: Mapping[str, Decimal] | None = None) -> Told:
    """Give what the value of a result says of the one abnormality that the result is of: a row of a table."""
    found = read(f"{ABNORMALITIES[path].called} : {said}", cutoffs).get(path)
    return found if found is not None else Told("unread")


def read(text: str, cutoffs: Mapping[str, Decimal] | None = None) -> dict[str, Told]:
    """
    Give what a report says of each abnormality that it names.

    `cutoffs` are the site's shares of cells in % by fact path, for percentages without a cut-off beside them.
    """
    limits = tuple(sorted((cutoffs or {}).items()))
    return dict(_remembered(text, limits) if len(text) <= REMEMBERED else _read(text[:LONGEST], limits))


@lru_cache(maxsize=1024)
def _remembered(text: str, cutoffs: tuple[tuple[str, Decimal], ...]) -> tuple[tuple[str, Told], ...]:
    return _read(text, cutoffs)


def _read(text: str, cutoffs: tuple[tuple[str, Decimal], ...]) -> tuple[tuple[str, Told], ...]:
    folded = fold(text)
    if not any(stem in folded for stem in _STEMS):
        return ()
    strings = iscn.find(folded)
    answers: dict[str, list[Told]] = {}
    for string in strings:
        folded = folded[: string.start] + " " * (string.end - string.start) + folded[string.end :]
        for path, told in _of_string(string, cutoffs):
            answers.setdefault(path, []).append(told)
    for path, told in _of_words(folded, cutoffs):
        answers.setdefault(path, []).append(told)
    return tuple((path, _together(listed)) for path, listed in answers.items())


def _together(listed: list[Told]) -> Told:
    """Weigh several sayings: a yes beside a no contradicts; what is unread or doubted yields to either."""
    verdicts = {one.verdict for one in listed}
    copies = max((one.copies for one in listed if one.copies is not None), default=None)
    if {"present", "absent"} <= verdicts or "contradictory" in verdicts:
        return Told("contradictory")
    for verdict in ("suspected", "present", "absent", "historical", "hypothetical", "other"):
        if verdict in verdicts:
            return Told(verdict, copies)
    return Told("unread")


# --- words --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A name, locus or gene of an abnormality in the text."""

    path: str
    start: int
    end: int
    weak: bool = False
    karyotype: bool = False


def _of_words(folded: str, cutoffs: tuple[tuple[str, Decimal], ...]) -> Iterable[tuple[str, Told]]:
    places = _places(folded)
    if not places:
        return
    verdicts = judge_all(folded, [Mention(one.path, one.start, one.end) for one in places], needs_evidence=True)
    for place, verdict in zip(places, verdicts, strict=True):
        around = _around(folded, place, places)
        if place.weak and _OTHER_TEST.search(around.cell):
            continue
        stated = "present" if place.karyotype and verdict == "unread" else verdict
        weighed = _weighed(stated, around, ABNORMALITIES[place.path], dict(cutoffs))
        if place.weak and weighed.verdict == "present" and around.copies is None:
            weighed = Told("unread")
        yield place.path, weighed


def _places(folded: str) -> list[_Place]:
    found: list[_Place] = []
    strands = [hit.span() for hit in itertools.islice(_KARYOTYPE.finditer(folded), 10)]
    for path, one in ABNORMALITIES.items():
        taken: list[tuple[int, int]] = []
        for pattern, weak in ((one.names, False), (one.loci, False), (one.genes, True)):
            for hit in itertools.islice(pattern.finditer(folded), MENTIONS) if pattern else ():
                if any(start < hit.end() and hit.start() < end for start, end in taken):
                    continue
                taken.append(hit.span())
                inside = any(start <= hit.start() < end for start, end in strands)
                found.append(_Place(path, hit.start(), hit.end(), weak, inside and pattern is one.names))
        found += [
            _Place(path, hit.start(), hit.end(), karyotype=True)
            for start, end in strands
            for hit in (itertools.islice(one.karyotype.finditer(folded, start, end), 3) if one.karyotype else ())
        ]
    return sorted(found, key=lambda one: (one.start, one.end))


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands behind a name in its cell: the share of cells, the cut-off beside it, the copies."""

    cell: str
    share: Decimal | None = None
    below: bool = False
    cutoff: Decimal | None = None
    copies: int | None = None


def _around(folded: str, place: _Place, places: list[_Place]) -> _Around:
    limit = min(len(folded), place.end + TELLING)
    following = next((one.start for one in places if one.start >= place.end and one.path != place.path), limit)
    cell = folded[place.end : min(limit, following)]
    end = _CELL_ENDS.search(cell)
    cell = _DEFINITION.sub("", cell[: end.start()] if end else cell)
    *_, head = _CELL_ENDS.split(folded[max(0, place.start - 60) : place.start])
    number = _copies(cell)
    share, below, cutoff = (None, False, None) if _NO_SHARE.search(cell) else _shares(cell, head)
    return _Around(cell, share, below, cutoff, number)


def _copies(cell: str) -> int | None:
    """Give the copies that a cell tells of ("3 copies", "x3", "two copies", 三个拷贝)."""
    hit = _COPIES.search(cell)
    if hit is None:
        return None
    spelt = hit["spelt"] or hit["zh"]
    return _SPELT[spelt] if spelt else int(hit["number"] or hit["times"])


def _shares(cell: str, head: str) -> tuple[Decimal | None, bool, Decimal | None]:
    """Give the share of cells (%), whether it is told as "below", and the cut-off, as far as they are told."""
    share: Decimal | None = None
    cutoff: Decimal | None = None
    below = within = _WITHIN.search(cell) is not None
    for hit in _PERCENT.finditer(cell):
        number = Decimal(hit["number"])
        if _LIMIT.search(hit["words"]) or (hit["sign"] and share is not None):
            cutoff = number if cutoff is None else cutoff
        elif share is None:
            share, below = number, (hit["sign"] or "").startswith(("<", "≤")) or within
    if share is None and (cells := _CELLS.search(cell)) is not None:
        share = Decimal(100 * int(cells["cells"])) / int(cells["of"])
    if share is None and (before := _BEFORE.search(head)) is not None:
        share = Decimal(before["number"] or before["zh"])
    return share, below, cutoff


def _weighed(verdict: Verdict, around: _Around, one: Abnormality, cutoffs: Mapping[str, Decimal]) -> Told:
    """Set the numbers beside the words; where they disagree nothing is told."""
    copies = around.copies if one.change == "gain" else None
    if verdict not in {"present", "absent", "unread"}:
        return Told(verdict, copies)
    counted = _by_share(around, one, cutoffs)
    if one.change != "fusion" and around.copies is not None and _is_usual(around.copies, one):
        counted = "absent" if around.share is None or around.share >= 100 - one.limit else None
    elif counted is None and copies is not None:
        counted = "present"
    if counted is None or counted == verdict:
        return Told(verdict, copies)
    return Told(counted, copies) if verdict == "unread" else Told("contradictory")


def _is_usual(copies: int, one: Abnormality) -> bool:
    """Tell whether so many copies are no change: a share beside them is one of normal cells."""
    return copies <= 2 if one.change == "gain" else copies >= 2


def _by_share(around: _Around, one: Abnormality, cutoffs: Mapping[str, Decimal]) -> Verdict | None:
    """
    Compare the share of cells with the cut-off beside it, else with the site's, else with the usual one.

    Between nothing and the usual one a share tells nothing: laboratories differ.
    """
    if around.share is None:
        return None
    if around.share == 0:
        return "absent"
    own = around.cutoff if around.cutoff is not None else cutoffs.get(one.path)
    if own is not None:
        return "present" if around.share >= own and not around.below else "absent"
    if around.below:
        return "absent" if around.share <= one.limit else None
    return "present" if around.share >= one.limit else None


# --- ISCN ---------------------------------------------------------------------------------------------------


def _of_string(string: iscn.Written, cutoffs: tuple[tuple[str, Decimal], ...]) -> Iterable[tuple[str, Told]]:
    """Read an interphase string as it is written: an abnormal clone is found, or too small to tell."""
    for path, one in ABNORMALITIES.items():
        found = [told for clone in string.clones if (told := _of_clone(clone, one, dict(cutoffs))) is not None]
        if any(told.verdict == "present" for told in found):
            yield path, next(told for told in found if told.verdict == "present")
        elif found:
            yield path, next((told for told in found if told.verdict != "absent"), found[0])


def _of_clone(clone: iscn.Clone, one: Abnormality, cutoffs: Mapping[str, Decimal]) -> Told | None:
    if one.change == "fusion":
        changed, copies = _fused(clone, one), None
    else:
        changed, copies = _counted(clone, one)
    if changed is None:
        return None
    if changed and clone.share is not None and clone.share < cutoffs.get(one.path, one.limit):
        return Told("absent" if one.path in cutoffs else "unread")
    return Told("present" if changed else "absent", copies)


def _fused(clone: iscn.Clone, one: Abnormality) -> bool | None:
    """Tell whether IGH lies beside its partner; None where the string does not show both."""
    if any("igh" in pair and (pair - {"igh"}) <= one.probes for pair in clone.together if len(pair) == 2):
        return True
    return False if "igh" in clone.copies and one.probes & clone.copies.keys() else None


def _counted(clone: iscn.Clone, one: Abnormality) -> tuple[bool | None, int | None]:
    """Tell whether copies are lost or gained, and of a gain how many there are at least."""
    told = next((clone.copies[probe] for probe in sorted(one.probes) if probe in clone.copies), None)
    if told is None:
        return None, None
    low, high = told
    if one.change == "gain":
        return (True if low > 2 else False if high <= 2 else None), low if low > 2 else None
    if high < 2:
        return True, None
    centromere = max(
        (most for probe, (_, most) in clone.copies.items() if probe.startswith(("d17z", "cep17"))), default=2
    )
    return (False if low >= max(2, centromere) else None), None
