"""What can be asked and how it is put: `questions.toml` beside the fact dictionary, checked once at import."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from hooks.cards.wording import word
from recommenders.assessing.decisive import LESION, SIDE, Item
from recommenders.vocabulary.dictionary import DICTIONARY, LESION_COMPONENTS
from recommenders.vocabulary.guidance import Wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.cards.wording import Language
    from recommenders.vocabulary.facts import FactSpec

Kind = Literal["yes-no", "word", "score", "count", "number", "date", "span"]
"""How a question is answered; a span is a number of months that may be known only from one side."""

NOT_OFFERED = frozenset({"bone"})
"""Words that a feed may say and that no person should be offered."""
_LINK = re.compile(r"lesions\[([A-Za-z0-9./-]{1,140})\]\.([a-z_]{1,40})")
LONGEST_LIST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One entry of `questions.toml`."""

    path: str
    kind: Kind
    wording: Wording
    low: Decimal | None = None
    high: Decimal | None = None
    tries: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()

    @property
    def spec(self) -> FactSpec:
        """Its entry of the fact dictionary."""
        return Item(self.path, "any" if self.component else "").spec

    @property
    def component(self) -> str:
        """The component of a lesion; empty for a plain fact."""
        return self.path.removeprefix(f"{LESION}.") if self.path.startswith(LESION) else ""

    @property
    def options(self) -> tuple[str, ...]:
        """The words that are offered; empty for numbers and dates."""
        if self.kind == "score":
            return tuple(str(number) for number in range(int(self.low or 0), int(self.high or 0) + 1))
        if self.kind == "span":
            return tuple(SPANS)
        return tuple(one for one in self.spec.words if one not in NOT_OFFERED) if self.kind == "word" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A usual answer to a life expectancy, in months; an open end is not itself a possible value."""

    code: str
    wording: Wording
    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False


def _load() -> dict[str, Any]:
    return tomllib.loads(resources.files("hooks.dossier.form").joinpath("questions.toml").read_text(encoding="utf-8"))


_TABLE = _load()


def _wording(row: Mapping[str, Any]) -> Wording:
    return Wording.model_validate({"en": row["en"], "zh-CN": row["zh-CN"]})


def _bound(row: Mapping[str, Any], name: str) -> Decimal | None:
    return Decimal(row[name]) if name in row else None


def _question(row: Mapping[str, Any]) -> Question:
    if row["as"] not in get_args(Kind):
        raise ValueError(f"questions.toml: {row['fact']}: {row['as']!r} is no way to answer; use {get_args(Kind)}.")
    known = row["fact"] in DICTIONARY or row["fact"].removeprefix(f"{LESION}.") in {*LESION_COMPONENTS, SIDE.path}
    if not known:
        raise ValueError(f"questions.toml: {row['fact']!r} is not in the fact dictionary.")
    return Question(
        path=row["fact"],
        kind=row["as"],
        wording=_wording(row),
        low=_bound(row, "low"),
        high=_bound(row, "high"),
        tries=tuple(row.get("tries", ())),
        companions=tuple(row.get("with", ())),
    )


def _span(row: Mapping[str, Any]) -> Span:
    return Span(
        code=row["code"],
        wording=_wording(row),
        low=_bound(row, "low"),
        high=_bound(row, "high"),
        low_open=row.get("low_open", False),
        high_open=row.get("high_open", False),
    )


SPANS: Mapping[str, Span] = MappingProxyType({row["code"]: _span(row) for row in _TABLE["spans"]})
QUESTIONS: Mapping[str, Question] = MappingProxyType({row["fact"]: _question(row) for row in _TABLE["questions"]})
"""Fact path -> its question; lesion components as `lesions[].pain`."""
ASKABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {path: question.tries for path, question in QUESTIONS.items()}
)
"""What a person can answer, with answers to try; see `recommenders.assessing.decisive`."""
NAMES = frozenset({question.spec.name for question in QUESTIONS.values()} | {LESION})
"""The same by the names of the specification, as cards and `appContext` have them."""
_WORDS: Mapping[str, Mapping[str, Wording]] = {
    path: {said: _wording(row) for said, row in table.items()} for path, table in _TABLE["words"].items()
}


def option_label(path: str, option: str, language: Language) -> str:
    """Say one offered word of a question."""
    if QUESTIONS[path].kind == "span":
        return SPANS[option].wording.text(language)
    own = _WORDS.get(path, {}).get(option)
    return own.text(language) if own else word(option, language)


def item_label(item: Item, language: Language) -> str:
    """Give the short label of an item."""
    return item.spec.zh if language == "zh-CN" else item.spec.en


def link_id(item: Item) -> str:
    """Give the `linkId` of an item: `status.ecog`, or `lesions[Observation/l1].pain` for one lesion."""
    return f"lesions[{item.lesion}].{item.component}" if item.lesion else item.path


def item_of(link: str) -> Item | None:
    """Give the item of a `linkId`; None for one that is no question of ours."""
    if match := _LINK.fullmatch(link):
        path = f"{LESION}.{match[2]}"
        return Item(path, match[1]) if path in QUESTIONS else None
    return Item(link) if link in QUESTIONS and not link.startswith(LESION) else None


def is_new(item: Item) -> bool:
    """Whether it is of a lesion that the form adds."""
    return item.lesion.startswith("new-")


def known_names(given: object) -> frozenset[str]:
    """Give the fact names among what an `appContext` lists; anything else is ignored."""
    if not isinstance(given, list):
        return frozenset()
    return frozenset(name for name in given[:LONGEST_LIST] if isinstance(name, str) and name in NAMES)
