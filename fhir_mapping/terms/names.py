"""
Which concept a whole name means: laboratory and diagnosis names as systems write them, and our own titles.

A name is compared after folding what changes nothing: case, width, accents, Greek letters, traditional characters,
hyphens and punctuation, the marks that laboratories print before a name, and the order of English words. Brackets
with an abbreviation, a method or a unit may stand or fall ("白蛋白(ALB)", "肌酐(酶法)"), as may words for serum and
level; a bracket that names another specimen may not ("肌酐(尿)").
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from fhir_mapping.terms import units
from fhir_mapping.terms.codes import Match, normal_system, shipped_rows
from fhir_mapping.words.fold import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_NAME = 200
"""Characters of a name; a longer text is none, and must fill no cache."""

_GREEK = str.maketrans({"α": "alpha", "β": "beta", "γ": "gamma", "κ": "kappa", "λ": "lambda"})
_SHORT = {"kap": "kappa", "lam": "lambda", "lt": "light", "chains": "chain"}
_MARKS = re.compile(r"^[\s*★☆△▲●○◆◇#·.]+")
_BRACKET = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")
_SEMANTIC_TAG = re.compile(
    r"(?:disorder|finding|procedure|situation|clinical|disease|morphologic abnormality|observable entity)$"
)
_ABBREVIATION = re.compile(r"[a-z][a-z0-9 ./+#-]{0,11}$")
_METHOD = re.compile(
    r"法$|定量$|比浊|比色|酶联|发光|电泳|干化学|试纸|镜检|计算|测定$|assay$|enzymatic$|calculated$|^急(?:诊|查)?$|^stat$|cockcroft|ckd-epi|mdrd"
)
_SPECIMEN = re.compile(r"\b(?:urine|ur|u|csf|24 ?h|stool|fluid|marrow)\b|尿|脑脊液|胸水|腹水|骨髓|24")
_ORDERED = frozenset({"ratio", "from", "to", "due", "per", "without", "with", "not", "no", "than"})
"""Words between which the order tells what is meant."""
_EMPTY = frozenset({"of", "the", "a", "an", "in"})
_OPTIONAL = re.compile(r"\bser(?:um)?(?:/plas(?:ma)?)?\b|\bplas(?:ma)?\b|\b(?:levels?|lvl|concentration)\b|, ?[sp]$")
_TOKEN = re.compile(r"[a-z0-9]+|[^\W\d_a-z]+")
_PREFIX = re.compile(r"^(?:急(?:诊|查))?(?:血清|血浆|血(?!小板|红|色))?(?=.)")
_SUFFIX = re.compile(r"(?<=.)(?:定量|测定|检测|浓度|水平|含量)$")


def concepts_named(text: str, *kinds: str) -> tuple[str, ...]:
    """
    Give the concepts that a text names as a whole; none when it says anything more or is no name that we know.

    `kinds` are resource types as in the code table ("Condition", "Observation", …): only concepts meant for one of
    them; none given, all. Traps are among the answers: they are known for what they are not.
    """
    return next((found for form in forms(text) if (found := concepts_of(form, *kinds))), ())


def concepts_of(form: str, *kinds: str) -> tuple[str, ...]:
    """Give the concepts that one of the `forms` of a name stands for; see `concepts_named`."""
    return tuple(dict.fromkeys(concept for kind in kinds or ("",) for concept in _index(kind).get(form, ())))


def titled(text: str, *kinds: str) -> tuple[Match, ...]:
    """
    Give what a text names as a whole, as the match of a code of that name, else of the concept's first code.

    A name of two diseases names none; a histology may bear the name of the disease that it is of.
    """
    for form in forms(text):
        if concepts := concepts_of(form, *kinds):
            several = len([concept for concept in concepts if not concept.startswith("morph_")]) > 1
            return () if several else tuple(_match(concept, form, text, kinds) for concept in concepts)
    return ()


def _match(concept: str, form: str, text: str, kinds: tuple[str, ...]) -> Match:
    for kind in kinds or ("",):
        rows = _rows(kind).get(concept, ())
        if rows:
            _, system, code, display = next((row for row in rows if row[0] == form or row[0] in forms(text)), rows[0])
            return Match(concept, normal_system(system), code, display)
    return Match(concept, "", "", text)


@lru_cache(maxsize=16)
def _rows(kind: str) -> Mapping[str, list[tuple[str, str, str, str]]]:
    """Give concept -> its rows of one resource type ("" for any): the form of the title, system, code, title."""
    found: dict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    for concept, kinds, system, code, display in shipped_rows():
        if not kind or kind in kinds:
            found[concept].append((_key(_without_tag(_plain(display))), system, code, display))
    return found


def forms(text: str) -> tuple[str, ...]:
    """Give the comparable forms of a name, the most literal first; none for a text too long to be one."""
    return _forms(text) if len(text) <= LONGEST_NAME else ()


@lru_cache(maxsize=4096)
def _forms(text: str) -> tuple[str, ...]:
    plain = _plain(text)
    bare = _without_brackets(plain)
    found = [_key(plain)]
    if bare is not None:
        found.append(_key(bare))
        shorter = _SUFFIX.sub("", _OPTIONAL.sub(" ", bare))
        found += [_key(_PREFIX.sub("", bare)), _key(shorter), _key(_PREFIX.sub("", shorter))]
    return tuple(form for form in dict.fromkeys(found) if form.strip("|"))


def _plain(text: str) -> str:
    """Fold what never tells two names apart."""
    return _MARKS.sub("", fold(text).translate(_GREEK)).strip()


def _without_brackets(plain: str) -> str | None:
    """Take away the brackets that change nothing; None when one of them tells another thing than the name alone."""
    if any(not _is_idle(inside) for inside in _BRACKET.findall(plain)):
        return None
    return _BRACKET.sub("", plain).strip()


def _is_idle(inside: str) -> bool:
    inside = inside.strip()
    if _SPECIMEN.search(inside):
        return False
    return bool(
        _SEMANTIC_TAG.fullmatch(inside)
        or _METHOD.search(inside)
        or _ABBREVIATION.fullmatch(inside)
        or units.spelled(inside) is not None
    )


def _key(plain: str) -> str:
    """Give Latin words (sorted, unless their order tells something) and the rest of a name, as one text."""
    words: list[str] = []
    rest: list[str] = []
    for token in _TOKEN.findall(plain):
        if not token.isascii():
            rest.append(token)
        elif token not in _EMPTY:
            words.append(_SHORT.get(token, token))
    if "/" not in plain and ":" not in plain and _ORDERED.isdisjoint(words):
        words.sort()
    return f"{' '.join(words)}|{''.join(rest)}"


# --- what is known ------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _index(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Give folded name -> concepts of one resource type ("" for any); names that were seen win over titles."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for concept, text in _names(kind):
        found[_key(_plain(text))][concept] = None
    titles: dict[str, dict[str, None]] = defaultdict(dict)
    for concept, text in _titles(kind):
        plain = _plain(text)
        for form in {_key(plain), _key(_without_tag(plain))}:
            titles[form][concept] = None
    return {form: _told_apart(concepts) for form, concepts in {**titles, **found}.items()}


def _told_apart(concepts: Iterable[str]) -> tuple[str, ...]:
    """Leave out the trap of a histology where its name is also that of a disease (a hepatoblastoma is a cancer)."""
    listed = tuple(concepts)
    return tuple(one for one in listed if not (one.startswith("morph_") and one.endswith("_TRAP"))) or listed


def _without_tag(plain: str) -> str:
    """Take the semantic tag off a SNOMED title ("… (disorder)")."""
    name, _, tag = plain.removesuffix(")").rpartition(" (")
    return name if name and _SEMANTIC_TAG.fullmatch(tag) else plain


@lru_cache(maxsize=1)
def shipped_names() -> tuple[tuple[str, str], ...]:
    """Give the rows of `names.csv`: concept and name."""
    rows = csv.DictReader(files("fhir_mapping.terms").joinpath("names.csv").read_text("utf-8").splitlines())
    return tuple((row["concept"], row["text"]) for row in rows)


def _names(kind: str) -> Iterator[tuple[str, str]]:
    meant = _kinds()
    for concept, text in shipped_names():
        if not kind or kind in meant.get(concept, frozenset({"Observation"})):
            yield concept, text


@lru_cache(maxsize=1)
def _kinds() -> Mapping[str, frozenset[str]]:
    """Give the resource types of every concept; a trap that no code stands for is a laboratory's."""
    found: dict[str, frozenset[str]] = {}
    for concept, kinds, *_ in shipped_rows():
        types = frozenset(one.partition(".")[0].partition("(")[0] for one in kinds.split("|"))
        found[concept] = found.get(concept, frozenset()) | types
    return found


def _titles(kind: str) -> Iterator[tuple[str, str]]:
    for concept, kinds, _, _, display in shipped_rows():
        if display and (not kind or kind in kinds):
            yield concept, display
