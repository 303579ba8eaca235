"""Of two findings on one order or one bone the graver speaks: the order of precedence, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from recommenders.vocabulary.bones import bone_of, same_bone
from recommenders.vocabulary.guidance import GuidanceError, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from recommenders.assessing.speaking import Utterance

Subject = Literal["order", "bone", "problem", "patient"]
"""What both must be about: the same draft order, bone or problem, or only the same patient."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What is said, and what is not said because something graver is."""

    said: tuple[Utterance, ...]
    unsaid: tuple[Utterance, ...]


def settle(utterances: Sequence[Utterance]) -> Settled:
    """Leave out what something graver about the same thing makes void; the order stays."""
    heard = [said for said in utterances if said.voice != "reference"]
    void = {id(said) for said in heard if any(_silences(graver, said) for graver in heard if graver is not said)}
    return Settled(
        tuple(said for said in utterances if id(said) not in void),
        tuple(said for said in utterances if id(said) in void),
    )


def _silences(graver: Utterance, other: Utterance) -> bool:
    subject = precedence().get((graver.rule, other.rule))
    if subject is None or graver.loudness < other.loudness:
        return False
    if subject == "order":
        return None in {graver.advice.order, other.advice.order} or graver.advice.order == other.advice.order
    if subject == "problem":
        return graver.problem == other.problem
    if subject == "bone":
        one, two = graver.advice.about, other.advice.about
        return one == two or (None not in {one, two} and same_bone(bone_of(str(one)), bone_of(str(two))) is True)
    return True


@cache
def precedence() -> Mapping[tuple[str, str], Subject]:
    """
    Give the table of `settling.toml` as (graver rule, lesser rule) -> what both must be about.

    Raises GuidanceError for a row that names a rule twice, contradicts another row or has no known subject.
    """
    table: dict[tuple[str, str], Subject] = {}
    for row in read_toml("settling")["settled"]:
        subject = row["about"]
        if subject not in get_args(Subject):
            raise GuidanceError(f"settling.toml: {row['graver']}: about {subject!r} is none of {get_args(Subject)}")
        for graver, lesser in _pairs(row["graver"], row["lesser"]):
            if graver == lesser or (lesser, graver) in table:
                raise GuidanceError(f"settling.toml: {graver} and {lesser} cannot both be the graver one")
            table[graver, lesser] = subject
    return table


def _pairs(gravers: Iterable[str], lessers: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((graver, lesser) for graver in gravers for lesser in lessers)
