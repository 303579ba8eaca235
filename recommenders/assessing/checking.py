"""What the guidance files promise each other: checked when the topics are loaded, each fault named with its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recommenders.patient.faces import AT_CHART, AT_ORDER
from recommenders.patient.fills import FILLS
from recommenders.patient.reasons import known_reason
from recommenders.vocabulary.dictionary import DICTIONARY, ORDER_COMPONENTS
from recommenders.vocabulary.guidance import GuidanceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recommenders.vocabulary.guidance import Guidance, RuleInfo, Wording

BUILT_IN = frozenset({"offered_agents"})
"""Placeholders that the card fills: what its own buttons offer."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_FACTS = frozenset(DICTIONARY) | {spec.name for spec in DICTIONARY.values()}
_ORDER = {spec.name for spec in ORDER_COMPONENTS.values()}


def check(guidances: Iterable[Guidance]) -> None:
    """
    Check every rule's face.

    Raises GuidanceError for the first thing that cannot be: a rule without a source line, a circumstance that is named
    and not declared or declared and not named, a reason or placeholder that nobody fills, two buttons of one key, a
    rule of a recommender that no file declares, a rule or recommender of two files.
    """
    files = tuple(guidances)
    home = _homes(files)
    values = frozenset(value for file in files for who in file.recommenders.values() for value in who.values)
    for file in files:
        for rule, info in file.rules.items():
            if info.recommender not in home:
                raise GuidanceError(
                    f"{file.topic}.toml: {rule}: speaks for {info.recommender!r}, which no file declares; write"
                    f" [recommenders.{info.recommender}] with title and attributes, or one of {', '.join(home)}"
                )
            for fault in faults(rule, info, file, values):
                raise GuidanceError(f"{file.topic}.toml: {rule}: {fault}")


def _homes(files: Iterable[Guidance]) -> dict[str, str]:
    """Give the file of each recommender; refuse one that two files declare, and a rule that two files have."""
    home: dict[str, str] = {}
    rules: dict[str, str] = {}
    for file in files:
        for found, names, what in ((home, file.recommenders, "recommender"), (rules, file.rules, "rule")):
            for name in names:
                if name in found:
                    raise GuidanceError(f"{file.topic}.toml: the {what} {name} is in {found[name]}.toml already")
                found[name] = file.topic
    return home


def faults(rule: str, info: RuleInfo, guidance: Guidance, values: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what is wrong with one rule's face, each with the cure; `values` are the computed ones there are."""
    if not info.source_lines:
        yield f"has no source line; add [[rules.{rule}.source_lines]] with source, where, en and zh-CN"
    yield from _circumstances(rule, info)
    keys = [button.key for button in info.buttons]
    for key in {key for key in keys if keys.count(key) > 1}:
        yield f"has two buttons with the key {key!r}"
    own = FILLS.keys() | guidance.fills.keys() | BUILT_IN | values | _FACTS | _ORDER
    for name in (*info.why, *(name for variant in info.variants for name in variant.why or ())):
        if not known_reason(name) and name not in own:
            yield f"gives {name!r} as a reason, which is no fact; declare it under [fills] and fill it in Advice.fill"
    for wording in _wordings(info):
        for name in _BRACES.findall(wording.en + wording.zh):
            if name not in own:
                yield f"has the placeholder {{{name}}}, which nobody fills; declare it under [fills] and fill it"


def _circumstances(rule: str, info: RuleInfo) -> Iterator[str]:
    lines = (*info.do, *info.unless, *info.sources_differ)
    named = {line.when for line in lines if line.when} | {variant.when for variant in info.variants}
    named |= {variant.unless.when for variant in info.variants if variant.unless and variant.unless.when}
    for name in sorted(named - {AT_CHART, AT_ORDER} - set(info.circumstances)):
        yield f"names the circumstance {name!r}; say in words under [rules.{rule}.circumstances] what it is"
    for name in sorted(set(info.circumstances) - named):
        yield f"declares the circumstance {name!r}, which no line of its face names"


def _wordings(info: RuleInfo) -> Iterator[Wording]:
    yield info.summary
    if info.also:
        yield info.also
    yield from (*info.do, *info.unless, *info.sources_differ, *info.buttons)
    yield from (wording for ask in info.ask if (wording := ask.wording()))
    for variant in info.variants:
        yield from (wording for wording in (variant.summary, variant.also, variant.unless) if wording)
