"""Three-valued logic: a criterion is yes, no or unknown, and remembers the conditions it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Truth = bool | None
"""True, False, or None for unknown."""

Relation = Literal["<", "<=", ">", ">=", "=", "!=", "is", "in", "known", "within"]
Op = Literal["leaf", "all", "any", "count", "not", "documented", "known", "given"]


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


class Logical:
    """Anything that can stand in a rule: a criterion, or a finding that is one by itself."""

    __slots__ = ()

    def criterion(self) -> Criterion:
        """Give the criterion that stands for this."""
        raise NotImplementedError

    def __and__(self, other: Logical) -> Criterion:
        return self.criterion() & other

    def __or__(self, other: Logical) -> Criterion:
        return self.criterion() | other

    def __invert__(self) -> Criterion:
        return ~self.criterion()

    def __bool__(self) -> bool:
        raise TypeError(
            "A criterion may be unknown, so it is neither true nor false."
            " Join criteria with & | ~ (not `and` `or` `not`), or read `.yes`, `.no`, `.holds`."
        )


class Criterion(msgspec.Struct, Logical, frozen=True, eq=False, gc=False):
    """
    Yes, no or unknown, with the tree of conditions behind it (Kleene's logic).

    A leaf is a `Condition`, all else is `Joined`. Thousands are made in each call and few are shown: a rule keeps only
    how it was joined, and the tree that people read is made when somebody asks for its `parts`.
    """

    @property
    def holds(self) -> Truth:
        """True, False, or None for unknown."""
        raise NotImplementedError

    @property
    def op(self) -> Op:
        """What the parts are joined by."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """What it was made of; nothing for a leaf."""
        return ()

    @property
    def condition(self) -> Condition | None:
        """The condition that a leaf is; None for what is joined."""
        return None

    def criterion(self) -> Criterion:
        """Give itself."""
        return self

    def __and__(self, other: Logical) -> Criterion:
        two = other.criterion()
        one, another = self.holds, two.holds
        return Joined(another if one else False if another is False else one, "all", (self, two))

    def __or__(self, other: Logical) -> Criterion:
        two = other.criterion()
        one, another = self.holds, two.holds
        return Joined(another if one is False else one or another or None, "any", (self, two))

    def __invert__(self) -> Criterion:
        holds = self.holds
        return Joined(None if holds is None else not holds, "not", (self,))

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

    def undecided(self) -> list[Condition]:
        """Give just the conditions that keep this from being told: knowing them could change the answer."""
        found: list[Condition] = []
        self.add_undecided(found)
        return found

    def support(self) -> list[Condition]:
        """Give the conditions that made it what it is: for a yes the true ones, for a no the false ones."""
        found: list[Condition] = []
        self.add_support(found)
        return found

    def missing(self) -> tuple[str, ...]:
        """
        Names of the facts that keep it undecided, each once, in the order they are asked for.

        For a derived fact these are its unknown inputs: nobody can be asked for a clearance, only for creatinine.
        """
        names = (name for condition in self.undecided() for name in condition.evidence.lacks or (condition.fact,))
        return tuple(dict.fromkeys(names))

    def add_undecided(self, found: list[Condition]) -> None:
        """Add its share to `undecided`."""
        raise NotImplementedError

    def add_support(self, found: list[Condition]) -> None:
        """Add its share to `support`."""
        raise NotImplementedError


class Condition(Criterion, frozen=True, eq=False, gc=False):
    """One look at one fact: which fact, which sign, which limit, and what came of it."""

    fact: str
    relation: Relation
    limit: object
    evidence: Evidence
    holds: Truth

    @property
    def op(self) -> Op:
        """A leaf, joined by nothing."""
        return "leaf"

    @property
    def condition(self) -> Condition:
        """Itself."""
        return self

    def add_undecided(self, found: list[Condition]) -> None:
        """Add what keeps it from being told."""
        if self.holds is None:
            found.append(self)

    def add_support(self, found: list[Condition]) -> None:
        """Add itself."""
        found.append(self)


class Joined(Criterion, frozen=True, eq=False, gc=False):
    """Criteria joined by a word: `made_of` is how the rule joined them, two at a time."""

    holds: Truth
    op: Op
    made_of: tuple[Criterion, ...] = ()

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """What it was made of; a & b & c is one list of three, not a pair in a pair: the tree is shown to people."""
        if self.op not in _LISTS:
            return self.made_of
        flat: list[Criterion] = []
        for part in self.made_of:
            flat += part.parts if part.op == self.op else (part,)
        return tuple(flat)

    def add_undecided(self, found: list[Condition]) -> None:
        """Add what keeps it from being told."""
        if self.holds is None and self.op != "documented":
            for part in self.made_of:
                if part.holds is None:
                    part.add_undecided(found)

    def add_support(self, found: list[Condition]) -> None:
        """Add what made it what it is."""
        every = self.holds is None or self.op in _TURNING
        for part in self.made_of:
            if every or part.holds is self.holds:
                part.add_support(found)


_LISTS = frozenset({"all", "any"})
_TURNING = frozenset({"not", "documented", "known"})
"""Of these the parts are what they are for another reason than that they hold as the whole does."""

YES = Joined(True, "given")
NO = Joined(False, "given")
_OPEN = Joined(None, "given")


def leaf(condition: Condition) -> Criterion:
    """Give the criterion that a condition is."""
    return condition


def given(holds: Truth) -> Criterion:
    """Make a criterion that no fact stands behind, such as "another rule fired"."""
    return YES if holds is True else NO if holds is False else _OPEN


def all_of(parts: Iterable[Logical]) -> Criterion:
    """Join by and; over nothing it is yes."""
    criteria: list[Criterion] = []
    holds: Truth = True
    for part in parts:
        criterion = part.criterion()
        criteria.append(criterion)
        one = criterion.holds
        holds = one if holds else False if one is False else holds
    return Joined(holds, "all", tuple(criteria))


def any_of(parts: Iterable[Logical]) -> Criterion:
    """Join by or; over nothing it is no."""
    criteria: list[Criterion] = []
    holds: Truth = False
    for part in parts:
        criterion = part.criterion()
        criteria.append(criterion)
        one = criterion.holds
        holds = one if holds is False else holds or one or None
    return Joined(holds, "any", tuple(criteria))


def at_least(count: int, parts: Iterable[Logical]) -> Criterion:
    """
    Tell whether at least `count` of the parts hold, as far as that can be told.

    Each part can be asked for as long as the count is open.
    """
    criteria = tuple(part.criterion() for part in parts)
    sure = sum(part.yes for part in criteria)
    possible = sum(not part.no for part in criteria)
    return counted(True if sure >= count else None if possible >= count else False, criteria)


def counted(holds: Truth, parts: tuple[Criterion, ...]) -> Criterion:
    """Give a criterion on how many of its parts hold, whose count was worked out elsewhere."""
    return Joined(holds, "count", parts)


def documented(what: Logical) -> Criterion:
    """Tell whether something is on record as true; never unknown (`¬documented(x)` is the safe exemption)."""
    inner = what.criterion()
    return Joined(inner.holds is True, "documented", (inner,))


def decided(what: Logical) -> Criterion:
    """Tell whether a criterion can be told either way; unknown only where it hangs on what `_is_open`."""
    inner = what.criterion()
    if inner.holds is None and any(_is_open(condition.evidence) for condition in inner.undecided()):
        return Joined(None, "known", (inner,))
    return Joined(inner.holds is not None, "known", (inner,))


def _is_open(evidence: Evidence) -> bool:
    """Tell whether nobody knows if there is a value: a part of its list did not come, or its report was not read."""
    return getattr(evidence, "reason", None) in {"list-cut", "unread"}


def known(fact: Evidence) -> Criterion:
    """Tell whether there is a value; unknown only where nobody knows: a list that was cut, a report not read."""
    return Condition(fact.name, "known", None, fact, None if _is_open(fact) else fact.is_known)
