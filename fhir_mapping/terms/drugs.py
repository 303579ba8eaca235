"""Which drug a medication is: by code, else by name, with look-alikes kept apart."""

from __future__ import annotations

import csv
import re
import tomllib
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.terms.codes import ATC, RXNORM, SNOMED, STANDARD, codings, normal_system, texts_of
from fhir_mapping.terms.units import MILLIGRAMS_IN
from fhir_mapping.words.fold import compiled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.terms.codes import CodeTable, Match
    from recommenders.vocabulary.records import BmaClass

KINDS = ("MedicationRequest", "MedicationAdministration", "MedicationStatement", "Procedure", "Claim")
"""The resource kinds of the code table's drug rows."""

TOGETHER = (
    frozenset({"calcium", "calcium-gluconate", "calcium-vitamin-d", "vitamin-d"}),
    frozenset({"opioid", "acetaminophen", "nsaid", "aspirin"}),
    frozenset({"ifosfamide", "mesna", "ifosfamide-mesna"}),
    frozenset({"other-bisphosphonate", "alendronate-vitamin-d", "vitamin-d"}),
)
"""Substances that come in one product; any other two names in one text leave the drug open."""


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


@dataclass(frozen=True, slots=True)
class Strength:
    """How much is in a product: mg per mL, and mg in one vial, tablet or syringe, as far as told."""

    mg_per_ml: Decimal | None = None
    mg_per_piece: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Identified:
    """
    What a medication turned out to be.

    `drugs` are keys of `drugs.toml` (several for a combination, none when it could not be told); `words` all
    texts that came with it, `displays` those of the code table; `reasons` what a reader should know
    (`display-mismatch`, `drug-from-text`, `unmapped-code`, `look-alike`, `ambiguous-name`); `local` that it goes
    to eye, ear, skin or airways.
    """

    drugs: tuple[str, ...] = ()
    product: str | None = None
    label: str = ""
    by: Literal["code", "text", "none"] = "none"
    strength: Strength = field(default_factory=Strength)
    oral: bool = False
    injected: bool = False
    local: bool = False
    words: tuple[str, ...] = ()
    displays: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    codes: tuple[tuple[str, str], ...] = ()

    @property
    def classes(self) -> frozenset[str]:
        """The classes of all its drugs."""
        return frozenset(name for key in self.drugs for name in DRUGS[key].classes)


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

_BY_CONCEPT: dict[str, tuple[str, str | None]] = {}
_NAMES: list[tuple[str, Mention]] = []
for _key, _row in _TABLE["drugs"].items():
    _BY_CONCEPT |= dict.fromkeys(_row["concepts"], (_key, None))
    _NAMES += [(name, Mention("drug", name, _key)) for name in _row["names"]]
    for _name, _inner in _row.get("products", {}).items():
        _BY_CONCEPT |= dict.fromkeys(_inner["concepts"], (_key, _name))
        _NAMES += [(name, Mention("drug", name, _key, _name)) for name in _inner["names"]]
for _brand in brands():
    _NAMES.append((_brand["name"], Mention("drug", _brand["name"], _brand["drug"], _brand["product"] or None)))
_NAMES += [(name, Mention("other", name)) for name in _TABLE["others"]["names"]]
_NAMES += [(name, Mention("look-alike", name)) for name in _TABLE["look-alikes"]["names"]]
KNOWN_CONCEPTS: frozenset[str] = frozenset(
    {*_BY_CONCEPT, *_TABLE["others"]["concepts"], *_TABLE["look-alikes"]["concepts"]}
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
_ORAL = compiled(r"(?<![a-z])(oral|tablets?|caps?(?:ules?)?|pills?|chewable|by mouth)(?![a-z])|片|胶囊|口服")
_INJECTED = compiled(r"(?<![a-z])(injec\w*|infusion|vials?|syringe|intravenous|ampoules?)(?![a-z])|注射|静脉|针剂|冻干")


LONGEST_NAME = 4000
"""Characters of a text in which names are looked for: a longer one is no name, and must neither hold up a call nor fill
a cache."""


def plain(text: str) -> str:
    """Give a text as names are looked for in: NFKC, lower case, no accents on Latin letters, single blanks."""
    return _plain(text[:LONGEST_NAME])


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    # A row of digits as long as that is no number, and patterns that look for one would try it from every digit on.
    shown = re.sub(r"[0-9]{20,}", "#", _without_accents(text))
    return re.sub(r"\s+", " ", shown).strip().lower()


def _without_accents(text: str) -> str:
    """Zolédronique is zoledronique; the marks of kana and hangul are letters of their own and stay."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))


_ACCENTS = re.compile(r"[\u0300-\u036f]")


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


# --- strengths ----------------------------------------------------------------------------------------------

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_MASS_WORD = r"(mg|g|ug|mcg|毫克|克|微克)"
_ML = r"(?:ml|毫升)"
_IN_ML = compiled(rf"{_NUMBER}\s*{_MASS_WORD}\s*(?:/|per|:|,|in)\s*{_NUMBER}?\s*{_ML}(?![a-z])")
_ML_FIRST = compiled(rf"{_NUMBER}\s*{_ML}\s*[:/]\s*{_NUMBER}\s*{_MASS_WORD}(?![a-z])")
_VOLUME_FIRST = compiled(rf"^{_NUMBER}\s*{_ML}\s")
_ALONE = compiled(rf"{_NUMBER}\s*{_MASS_WORD}(?![a-z])(?!\s*/\s*(?:ml|毫升|m2|kg))")
_UNITS = compiled(rf"{_NUMBER}\s*(?:unt|iu|\[iu\]|international units?|units?|国际单位|单位)(?![a-z])")
_ELEMENTAL = (
    compiled(rf"{_NUMBER}\s*(mg|g|毫克|克)\s*(?:of\s+)?elemental"),
    compiled(rf"elemental calcium\s*\(?{_NUMBER}\s*(mg|g)"),
    compiled(rf"(?:元素钙|含钙|钙元素|以钙计)\s*{_NUMBER}\s*(mg|g|毫克|克)"),
    compiled(rf"{_NUMBER}\s*(mg|g|毫克|克)\s*[(（]?\s*以(?:元素)?钙计"),
    compiled(rf"(?<![a-z])calcium\s+{_NUMBER}\s*(mg|g)(?![a-z])"),
    compiled(rf"(?<![\u4e00-\u9fff])钙\s*{_NUMBER}\s*(mg|g|毫克|克)"),
)


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def strength_in(text: str) -> Strength:
    """Read a strength out of a product's name ("4 mg/5 mL", "70 MG/ML", "4mg:5ml", "400 mg tablet")."""
    return _strength_in(text[:LONGEST_NAME])


@lru_cache(maxsize=4096)
def _strength_in(text: str) -> Strength:
    words = plain(text).replace("µ", "u").replace("μ", "u")
    if hit := _IN_ML.search(words):
        mg = _decimal(hit[1]) * MILLIGRAMS_IN[hit[2]]
        volume = _decimal(hit[3]) if hit[3] else None
        if volume == 0:
            return Strength()
        per_ml = mg / volume if volume else mg
        piece = mg if volume else None
        if piece is None and (whole := _VOLUME_FIRST.match(words)):
            piece = _decimal(whole[1]) * per_ml
        return Strength(per_ml, piece)
    if hit := _ML_FIRST.search(words):
        volume, mg = _decimal(hit[1]), _decimal(hit[2]) * MILLIGRAMS_IN[hit[3]]
        return Strength(mg / volume if volume else None, mg)
    alone = {(_decimal(hit[1]) * MILLIGRAMS_IN[hit[2]]) for hit in _ALONE.finditer(words)}
    return Strength(None, alone.pop()) if len(alone) == 1 else Strength()


def units_in(text: str) -> Decimal | None:
    """Read the international units of vitamin D in one tablet or drop out of a product's name."""
    found = {_decimal(hit[1]) for hit in _UNITS.finditer(plain(text))}
    return found.pop() if len(found) == 1 else None


def elemental_calcium_in(text: str) -> Decimal | None:
    """
    Read the mg of calcium itself out of a product's name; None when only the salt's weight is told.

    1500 mg of calcium carbonate are not 1500 mg of calcium, and no source here gives the share.
    """
    words = plain(text)
    for pattern in _ELEMENTAL:
        if hit := pattern.search(words):
            return _decimal(hit[1]) * MILLIGRAMS_IN[hit[2]]
    return None


# --- identification -----------------------------------------------------------------------------------------


def identify(
    codeables: Sequence[object], texts: Sequence[str] = (), *, table: CodeTable = STANDARD, at_hand: bool = False
) -> Identified:
    """
    Tell which drug a medication is.

    `codeables` are CodeableConcepts of one product (its code, or each ingredient), `texts` further words
    (a reference's display, the dose form). A code decides before any word. `at_hand` is for draft orders:
    there a display that names another drug than its code leaves the drug untold.
    """
    words = tuple(dict.fromkeys(word for word in (*(t for c in codeables for t in texts_of(c)), *texts) if word))
    matches = [match for codeable in codeables for match in table.concepts(codeable, *KINDS)]
    sent = ((str(coding.get("system") or ""), str(coding.get("code") or "")) for coding in codings(list(codeables)))
    coded = tuple(dict.fromkeys(sent))
    base = Identified(
        label=words[0] if words else "",
        words=words,
        codes=coded,
        local=any(is_local(word) for word in words),
        oral=any(_ORAL.search(plain(word)) for word in words),
        injected=any(_INJECTED.search(plain(word)) for word in words),
    )
    own = [match for match in matches if match.concept in _BY_CONCEPT and not _is_superfluous(match, matches)]
    if own:
        return _by_code(base, own, matches, at_hand=at_hand)
    if matches:
        reason = "look-alike" if any(match.is_trap for match in matches) else ""
        return replace(base, by="code", reasons=(reason,) if reason else ())
    return _by_text(base, coded, at_hand=at_hand)


def _is_superfluous(match: Match, matches: Sequence[Match]) -> bool:
    """A class row says nothing beside the drug itself (M05BA beside M05BA08)."""
    return match.concept.startswith("class_") and any(
        not other.concept.startswith("class_") and other.code == match.code for other in matches
    )


def _by_code(base: Identified, own: Sequence[Match], matches: Sequence[Match], *, at_hand: bool) -> Identified:
    keys = tuple(dict.fromkeys(_BY_CONCEPT[match.concept][0] for match in own))
    product = _sole(_products(own) or _named_products(base.words, keys))
    partners = [
        mention.key
        for match in own
        if match.concept.endswith(("_combination", "_combinations"))
        for mention in mentions(match.display) + mentions(match.sent_display)
        if mention.kind == "drug"
    ]
    reasons: list[str] = [match.note for match in own if match.note]
    if _contradicted(keys, base.words):
        reasons.append("display-mismatch")
        if at_hand:
            return replace(base, by="code", reasons=tuple(dict.fromkeys(reasons)))
    displays = [plain(match.display) for match in matches]
    shown = tuple(dict.fromkeys(match.display for match in own if match.display))
    return replace(
        base,
        drugs=tuple(dict.fromkeys((*_ranked(keys, own), *partners))),
        product=product,
        by="code",
        label=base.label or own[0].display or DRUGS[keys[0]].en,
        strength=_strength(keys, product, shown, base.words),
        displays=shown,
        oral=base.oral or any(_ORAL.search(display) for display in displays),
        injected=base.injected or any(_INJECTED.search(display) for display in displays),
        reasons=tuple(dict.fromkeys(reasons)),
    )


def _ranked(keys: tuple[str, ...], own: Sequence[Match]) -> tuple[str, ...]:
    # the cough syrup's and the maintenance programme's ATC codes say that the opioid is not given for pain
    if keys == ("opioid",) and all(match.system == ATC and match.code.startswith("N07BC") for match in own):
        return ("opioid-not-analgesic",)
    return keys


def _products(own: Sequence[Match]) -> set[str]:
    return {product for match in own if (product := _BY_CONCEPT[match.concept][1])}


def _named_products(words: Sequence[str], keys: Sequence[str]) -> set[str]:
    return {m.product for word in words for m in mentions(word) if m.product and m.key in keys}


def _sole(found: set[str]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None


def _contradicted(keys: Sequence[str], words: Sequence[str]) -> bool:
    """Tell whether the words name drugs, and none of them is one of those that the codes mean."""
    named = [mention for word in words for mention in mentions(word)]
    if not named:
        return False
    family = {key for group in TOGETHER if group & set(keys) for key in group} | set(keys)
    return not any(mention.key in family for mention in named)


def _strength(keys: Sequence[str], product: str | None, displays: Sequence[str], words: Sequence[str]) -> Strength:
    if len(keys) != 1:
        return Strength()
    told = DRUGS[keys[0]].products.get(product or "")
    read = next((s for text in (*displays, *words) if (s := strength_in(text)) != Strength()), Strength())
    if told is None:
        return read
    return Strength(told.mg_per_ml or read.mg_per_ml, told.mg or read.mg_per_piece)


def _by_text(base: Identified, coded: Sequence[tuple[str, str]], *, at_hand: bool) -> Identified:
    named = [mention for word in base.words for mention in mentions(word)]
    keys = tuple(dict.fromkeys(mention.key for mention in named if mention.kind == "drug"))
    reasons: list[str] = []
    if any(is_drug_code(system) for system, code in coded if code):
        reasons.append("unmapped-code")
    if any(mention.kind == "look-alike" for mention in named):
        return replace(base, reasons=(*reasons, "look-alike"))
    if not keys and not named:
        return _by_near_name(base, reasons)
    if not keys:
        return replace(base, reasons=tuple(reasons))
    alone = len(keys) == 1 or any(set(keys) <= group for group in TOGETHER)
    if not alone or (at_hand and any(mention.kind == "other" for mention in named)):
        return replace(base, reasons=(*reasons, "ambiguous-name"))
    product = _sole(_named_products(base.words, keys))
    return replace(
        base,
        drugs=keys,
        product=product,
        by="text",
        strength=_strength(keys, product, (), base.words),
        reasons=(*reasons, "drug-from-text"),
    )


def _by_near_name(base: Identified, reasons: Sequence[str]) -> Identified:
    near = [mention for word in base.words if (mention := misspelt(word))]
    if len({mention.key for mention in near}) != 1:
        return replace(base, reasons=tuple(reasons))
    keys, product = (near[0].key,), near[0].product
    strength = _strength(keys, product, (), base.words)
    told = (*reasons, "drug-from-text", "name-misspelt")
    return replace(base, drugs=keys, product=product, by="text", strength=strength, reasons=told)


def is_drug_code(system: str) -> bool:
    """Tell whether a code system is one of those the drug table knows."""
    return normal_system(system) in {RXNORM, ATC, SNOMED}


# --- classes of bone-modifying agents -----------------------------------------------------------------------

TENTH = Decimal("0.1")
HALF_A_YEAR = Decimal(150)
"""Days; a denosumab without product and dose that is given so rarely is the osteoporosis one."""
QUARTER = Decimal(60)
"""Days; an ibandronate of 3 mg that is given so rarely is the osteoporosis one."""
LONG = Decimal(300)
"""Days; an interval from which on a zoledronic acid of unknown dose is the yearly osteoporosis one."""


def _near(dose: Decimal | None, target: int) -> bool:
    return dose is not None and abs(dose - target) <= target * TENTH


@dataclass(frozen=True, slots=True)
class BmaVerdict:
    """The class of a bone-modifying agent, and whether product and dose contradict each other."""

    drug: BmaClass
    mismatch: bool = False


def bma_class(
    product: Identified,
    dose_mg: Decimal | None,
    *,
    route: str | None = None,
    interval_days: Decimal | None = None,
    indication: str | None = None,
) -> BmaVerdict | None:
    """
    Tell the class of a bone-modifying agent; None for any other drug.

    Product, else dose and interval together, tell denosumab 120 from 60, zoledronic acid 4 from 5 mg, ibandronate
    6 from 3 mg; where they contradict each other the dose decides, since it is what will go in, and that is told.
    """
    key = next((key for key in product.drugs if "bma" in DRUGS[key].classes), None)
    if key is None:
        return None
    if key == "denosumab":
        return _denosumab(product.product, dose_mg, interval_days)
    if key == "zoledronic":
        return _zoledronic(product.product, dose_mg, interval_days, indication)
    if key == "zoledronic-calcium-vitamin-d":
        return _zoledronic("5", dose_mg, interval_days, indication)
    if key == "ibandronate":
        return _ibandronate(product, dose_mg, route, interval_days, indication)
    if key == "incadronate":
        return BmaVerdict("incadronate")
    if key == "pamidronate":
        return BmaVerdict("pamidronate")
    if key == "clodronate":
        return BmaVerdict("clodronate")
    return BmaVerdict("other-bisphosphonate")


def _ibandronate(
    product: Identified, dose: Decimal | None, route: str | None, interval: Decimal | None, indication: str | None
) -> BmaVerdict:
    """50 mg a day by mouth and 6 mg by vein are oncologic; 150 mg a month, 2.5 mg a day, 3 mg a quarter are not."""
    if route == "PO" or (route is None and product.oral and not product.injected):
        daily_50 = _near(dose, 50) or (dose is None and _near(product.strength.mg_per_piece, 50))
        return BmaVerdict("ibandronate" if daily_50 else "ibandronate-oral")
    quarterly = (interval is not None and interval >= QUARTER) or indication == "osteoporosis"
    three = _near(dose, 3) or (dose is None and _near(product.strength.mg_per_piece, 3))
    if three and (quarterly or product.product == "3"):
        return BmaVerdict("ibandronate-3", mismatch=product.product == "6")
    if dose is None and product.product == "3":
        return BmaVerdict("ibandronate-3")
    return BmaVerdict("ibandronate", mismatch=product.product == "3")


def _denosumab(product: str | None, dose: Decimal | None, interval: Decimal | None) -> BmaVerdict:
    by_dose = "120" if _near(dose, 120) else "60" if _near(dose, 60) else None
    if dose is None and product is None and interval is not None and interval >= HALF_A_YEAR:
        return BmaVerdict("denosumab-60")
    told = by_dose or product
    mismatch = product is not None and by_dose is not None and product != by_dose
    if told == "120":
        return BmaVerdict("denosumab-120", mismatch)
    if told == "60":
        return BmaVerdict("denosumab-60", mismatch)
    return BmaVerdict("denosumab-unspecified")


def _zoledronic(
    product: str | None, dose: Decimal | None, interval: Decimal | None, indication: str | None
) -> BmaVerdict:
    five = _near(dose, 5)
    four = dose is not None and dose <= Decimal("4.4")
    if five or four:
        mismatch = (product == "4" and five) or (product == "5" and four)
        return BmaVerdict("zoledronic-5" if five else "zoledronic", mismatch)
    if product == "5":
        return BmaVerdict("zoledronic-5")
    yearly = interval is not None and interval >= LONG
    benign = indication in {"osteoporosis", "paget"}
    if product is None and dose is None and (yearly or benign):
        return BmaVerdict("zoledronic-5")
    return BmaVerdict("zoledronic")
