"""Three-valued logic: a criterion is yes, no or unknown, and remembers the conditions it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Truth = bool | None
"""True, False, or None for unknown."""

Relation = Literal["<", "<=", ">", ">=", "=", "!=", "is", "in", "known", "within"]


class Evidence(Protocol):
    """What a condition was read from; every fact of `facts.py` is one."""

    @property
    def name(self) -> str:
        """The fact's name, as in the fact dictionary."""

    @property
    def is_known(self) -> bool:
        """Whether there is a value at all."""

    @property
    def lacks(self) -> tuple[str, ...]:
        """Names of the inputs it would need, when it is derived and unknown."""


@dataclass(slots=True, eq=False)  # made by the thousand in each call: not frozen, since that triples the cost
class Condition:
    """One look at one fact: which fact, which sign, which limit, and what came of it. Never changed."""

    fact: str
    relation: Relation
    limit: object
    evidence: Evidence
    holds: Truth


class Logical:
    """Anything that can stand in a rule: a criterion, or a finding that is one by itself."""

    __slots__ = ()

    def criterion(self) -> Criterion:
        """Give the criterion that stands for this."""
        raise NotImplementedError

    def __and__(self, other: Logical) -> Criterion:
        return all_of((self, other))

    def __or__(self, other: Logical) -> Criterion:
        return any_of((self, other))

    def __invert__(self) -> Criterion:
        inner = self.criterion()
        return Criterion(None if inner.holds is None else not inner.holds, "not", (inner,))

    def __bool__(self) -> bool:
        raise TypeError(
            "A criterion may be unknown, so it is neither true nor false."
            " Join criteria with & | ~ (not `and` `or` `not`), or read `.yes`, `.no`, `.holds`."
        )


@dataclass(slots=True, eq=False)  # as Condition
class Criterion(Logical):
    """
    Yes, no or unknown, with the tree of conditions behind it (Kleene's logic). Never changed.

    `op` tells what the parts are joined by; a leaf has a `condition` and no parts.
    """

    holds: Truth
    op: Literal["leaf", "all", "any", "count", "not", "documented", "known", "given"]
    parts: tuple[Criterion, ...] = ()
    condition: Condition | None = field(default=None)

    def criterion(self) -> Criterion:
        """Give itself."""
        return self

    @property
    def yes(self) -> bool:
        """Whether it certainly holds."""
        return self.holds is True

    @property
    def no(self) -> bool:
        """Whether it certainly does not hold."""
        return self.holds is False

    @property
    def unknown(self) -> bool:
        """Whether it cannot be told."""
        return self.holds is None

    def undecided(self) -> Iterator[Condition]:
        """Yield just the conditions that keep this from being told: knowing them could change the answer."""
        if self.holds is not None or self.op == "documented":
            return
        if self.condition is not None:
            yield self.condition
        for part in self.parts:
            yield from part.undecided()

    def support(self) -> Iterator[Condition]:
        """Yield the conditions that made it what it is: for a yes the true ones, for a no the false ones."""
        if self.condition is not None:
            yield self.condition
        elif self.op in {"not", "documented", "known"} or self.holds is None:
            for part in self.parts:
                yield from part.support()
        else:
            for part in self.parts:
                if part.holds is self.holds:
                    yield from part.support()

    def missing(self) -> tuple[str, ...]:
        """
        Names of the facts that keep it undecided, each once, in the order they are asked for.

        For a derived fact these are its unknown inputs: nobody can be asked for a clearance, only for creatinine.
        """
        names = (name for condition in self.undecided() for name in condition.evidence.lacks or (condition.fact,))
        return tuple(dict.fromkeys(names))


YES = Criterion(True, "given")
NO = Criterion(False, "given")


def leaf(condition: Condition) -> Criterion:
    """Make a criterion of one condition."""
    return Criterion(condition.holds, "leaf", (), condition)


def given(holds: Truth) -> Criterion:
    """Make a criterion that no fact stands behind, such as "another rule fired"."""
    return YES if holds is True else NO if holds is False else Criterion(None, "given")


def all_of(parts: Iterable[Logical]) -> Criterion:
    """Join by and; over nothing it is yes."""
    holds: Truth = True
    flat: list[Criterion] = []
    for part in parts:
        criterion = part if type(part) is Criterion else part.criterion()
        if criterion.holds is False:
            holds = False
        elif criterion.holds is None and holds:
            holds = None
        # a & b & c is one list of three, not a pair in a pair: the tree is shown to people
        if criterion.op == "all":
            flat.extend(criterion.parts)
        else:
            flat.append(criterion)
    return Criterion(holds, "all", tuple(flat))


def any_of(parts: Iterable[Logical]) -> Criterion:
    """Join by or; over nothing it is no."""
    holds: Truth = False
    flat: list[Criterion] = []
    for part in parts:
        criterion = part if type(part) is Criterion else part.criterion()
        if criterion.holds is True:
            holds = True
        elif criterion.holds is None and holds is False:
            holds = None
        if criterion.op == "any":
            flat.extend(criterion.parts)
        else:
            flat.append(criterion)
    return Criterion(holds, "any", tuple(flat))


def at_least(count: int, parts: Iterable[Logical]) -> Criterion:
    """
    Tell whether at least `count` of the parts hold, as far as that can be told.

    Each part can be asked for as long as the count is open.
    """
    criteria = tuple(part.criterion() for part in parts)
    sure = sum(part.yes for part in criteria)
    possible = sum(not part.no for part in criteria)
    holds: Truth = True if sure >= count else None if possible >= count else False
    return Criterion(holds, "count", criteria)


def documented(what: Logical) -> Criterion:
    """Tell whether something is on record as true; never unknown (`¬documented(x)` is the safe exemption)."""
    inner = what.criterion()
    return Criterion(inner.holds is True, "documented", (inner,))


def decided(what: Logical) -> Criterion:
    """Tell whether a criterion can be told either way; unknown only where it hangs on a list that was cut."""
    inner = what.criterion()
    if inner.holds is None and any(_is_cut(condition.evidence) for condition in inner.undecided()):
        return Criterion(None, "known", (inner,))
    return Criterion(inner.holds is not None, "known", (inner,))


def _is_cut(evidence: Evidence) -> bool:
    """Tell whether a fact is unknown because only a part of its list came: then nobody knows whether there is one."""
    return getattr(evidence, "reason", None) == "list-cut"


def known(fact: Evidence) -> Criterion:
    """Tell whether there is a value; unknown only where its list was cut: then nobody knows whether there is one."""
    return leaf(Condition(fact.name, "known", None, fact, None if _is_cut(fact) else fact.is_known))
