"""The names of drugs, and which of them a text says: look-alikes kept apart, one wrong letter forgiven."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.words.fold import SIMPLIFIED, compiled
from fhir_mapping.words.plain import LONGEST_NAME, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Product:
    """A brand or strength that tells more than the substance; `mg` its nominal single dose."""

    name: str
    mg: Decimal | None
    mg_per_ml: Decimal | None


@dataclass(frozen=True, slots=True)
class Drug:
    """One entry of `drugs.toml`: its names in both languages, the classes it belongs to, its only route."""

    key: str
    en: str
    zh: str
    classes: frozenset[str]
    route: str | None
    products: Mapping[str, Product]


@dataclass(frozen=True, slots=True)
class Mention:
    """One drug name found in a text; `key` is a drug, or "" for another drug or a look-alike."""

    kind: Literal["drug", "other", "look-alike"]
    name: str
    key: str = ""
    product: str | None = None


# --- the tables ---------------------------------------------------------------------------------------------


def _load() -> dict[str, Any]:
    text = files("fhir_mapping.terms").joinpath("drugs.toml").read_text("utf-8")
    return tomllib.loads(text, parse_float=Decimal)


_TABLE = _load()


def brands() -> tuple[dict[str, str], ...]:
    """Give the rows of `brands.csv`: name, drug, product (its strength, where the name tells), region, seen."""
    text = files("fhir_mapping.terms").joinpath("brands.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _product(name: str, row: Mapping[str, Any]) -> Product:
    mg, per_ml = row.get("mg"), row.get("mg_per_ml")
    return Product(name, None if mg is None else Decimal(mg), None if per_ml is None else Decimal(per_ml))


DRUGS: dict[str, Drug] = {
    key: Drug(
        key,
        row["en"],
        row["zh-CN"],
        frozenset(row["classes"]),
        row.get("route"),
        {name: _product(name, inner) for name, inner in row.get("products", {}).items()},
    )
    for key, row in _TABLE["drugs"].items()
}

BY_CONCEPT: dict[str, tuple[str, str | None]] = {}
_NAMES: list[tuple[str, Mention]] = []
for _key, _row in _TABLE["drugs"].items():
    BY_CONCEPT |= dict.fromkeys(_row["concepts"], (_key, None))
    _NAMES += [(name, Mention("drug", name, _key)) for name in _row["names"]]
    for _name, _inner in _row.get("products", {}).items():
        BY_CONCEPT |= dict.fromkeys(_inner["concepts"], (_key, _name))
        _NAMES += [(name, Mention("drug", name, _key, _name)) for name in _inner["names"]]
for _brand in brands():
    _NAMES.append((_brand["name"], Mention("drug", _brand["name"], _brand["drug"], _brand["product"] or None)))
_NAMES += [(name, Mention("other", name)) for name in _TABLE["others"]["names"]]
_NAMES += [(name, Mention("look-alike", name)) for name in _TABLE["look-alikes"]["names"]]
_NAMES = [(name.translate(SIMPLIFIED), mention) for name, mention in _NAMES]  # as the texts they are looked for in
KNOWN_CONCEPTS: frozenset[str] = frozenset(
    {*BY_CONCEPT, *_TABLE["others"]["concepts"], *_TABLE["look-alikes"]["concepts"]}
)
"""Every drug concept of the code table that has its place in `drugs.toml`."""


def _whole_word(name: str) -> str:
    """Give the pattern of a name: Latin as a whole word, `*` for any ending, Chinese anywhere."""
    pattern = re.escape(name).replace(r"\*", "[a-z]*").replace(r"\ ", r"[ \-]+")
    before = r"(?<![a-z])" if name[0].isascii() else ""
    after = r"(?![a-z])" if name[-1].isascii() else ""
    return f"{before}{pattern}{after}"


def _alternation(names: Iterable[str]) -> re.Pattern[str]:
    # grouped by first letter, longest first within a group: the group decides quickly, the length rightly
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[name[0]].append(name)
    return compiled(
        "|".join(
            f"(?={re.escape(first)})(?:{'|'.join(_whole_word(n) for n in sorted(group, key=len, reverse=True))})"
            for first, group in sorted(groups.items())
        )
    )


_PLAIN = {name: mention for name, mention in _NAMES if not name.startswith("re:") and "*" not in name}
_OPEN = sorted(
    ((compiled(_whole_word(name)), mention) for name, mention in _NAMES if "*" in name and name[:3] != "re:"),
    key=lambda pair: -len(pair[1].name),
)
_SPECIAL = [(compiled(name.removeprefix("re:")), mention) for name, mention in _NAMES if name.startswith("re:")]
_ANY_NAME = _alternation(name for name, _ in _NAMES if not name.startswith("re:"))
_LOCAL = _alternation(_TABLE["local"]["names"])


def is_local(text: str) -> bool:
    """Tell whether a product's or route's words say that it goes to eye, ear, skin, airways or a joint only."""
    return _LOCAL.search(plain(text)) is not None


def mentions(text: str) -> tuple[Mention, ...]:
    """
    Give the drugs that a text names, in order, each once; the longest name wins where names overlap.

    异环磷酰胺 is ifosfamide and not cyclophosphamide; melphalan flufenamide is a look-alike of melphalan.
    """
    return _mentions(text[:LONGEST_NAME])


@lru_cache(maxsize=16384)
def _mentions(text: str) -> tuple[Mention, ...]:
    words = plain(text)
    found: list[tuple[int, Mention]] = []
    rest = words
    for hit in _ANY_NAME.finditer(words):
        found.append((hit.start(), _meaning(hit[0])))
        rest = rest[: hit.start()] + "\0" * len(hit[0]) + rest[hit.end() :]
    for pattern, mention in _SPECIAL:
        if special := pattern.search(rest):
            found.append((special.start(), mention))
    ordered = (mention for _, mention in sorted(found, key=lambda pair: pair[0]))
    return tuple(dict.fromkeys(ordered))


def _meaning(name: str) -> Mention:
    tidy = re.sub(r"[ \-]+", " ", name)
    for known in (name, tidy):
        if known in _PLAIN:
            return _PLAIN[known]
    for known, mention in _PLAIN.items():
        if re.sub(r"[ \-]+", " ", known) == tidy:
            return mention
    return next(mention for pattern, mention in _OPEN if pattern.fullmatch(name))


# --- misspellings -------------------------------------------------------------------------------------------

SHORTEST_MISSPELT = 8
"""Letters that a name must have to be read with one letter wrong: shorter ones are too near to other words."""

_WORD = re.compile(r"[a-z]{7,40}")


def _one_less(word: str) -> frozenset[str]:
    return frozenset(word[:at] + word[at + 1 :] for at in range(len(word))) | {word}


_LONG: dict[str, list[tuple[str, Mention]]] = defaultdict(list)
"""Each long Latin name, and it with one letter left out -> the names that it may be."""
for _known, _mention in _NAMES:
    _stem = _known.rstrip("*")
    if len(_stem) >= SHORTEST_MISSPELT and _stem.isascii() and _stem.isalpha():
        for _shape in _one_less(_stem):
            _LONG[_shape].append((_known, _mention))


def misspelt(text: str) -> Mention | None:
    """
    Give the drug whose long Latin name stands in a text with one letter wrong, missing or too many.

    None where no word is that near to a name, or one is to names of several drugs.
    """
    return _misspelt(text[:LONGEST_NAME])


@lru_cache(maxsize=4096)
def _misspelt(text: str) -> Mention | None:
    found = [mention for word in _WORD.findall(plain(text)) for mention in _near_names(word)]
    drugs = {(mention.kind, mention.key) for mention in found}
    return found[0] if len(drugs) == 1 and found[0].kind == "drug" else None


def _near_names(word: str) -> list[Mention]:
    near: dict[str, Mention] = {}
    for known, mention in _shaped(word):
        stem = known.rstrip("*")
        heads = {word} if known == stem else {word[: len(stem) + extra] for extra in (-1, 0, 1)}
        if any(_one_off(head, stem) for head in heads):
            near[known] = mention
    return list(near.values())


def _shaped(word: str) -> list[tuple[str, Mention]]:
    heads = {word, *(word[:length] for length in range(SHORTEST_MISSPELT - 1, len(word)))}
    return [pair for head in heads for shape in _one_less(head) for pair in _LONG.get(shape, ())]


def _one_off(word: str, name: str) -> bool:
    """Tell whether a word is a name with one letter changed, left out or put in."""
    if word == name or abs(len(word) - len(name)) > 1:
        return False
    at = next(
        (n for n, pair in enumerate(zip(word, name, strict=False)) if pair[0] != pair[1]), min(len(word), len(name))
    )
    return word[at + (len(word) >= len(name)) :] == name[at + (len(name) >= len(word)) :]
