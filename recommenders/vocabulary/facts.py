"""What a fact is: a number, a finding or a moment, known or unknown for a reason; and how facts are declared."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from msgspec import structs

from recommenders.vocabulary.logic import Condition, Criterion, Logical, Truth, given, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from recommenders.vocabulary.guidance import Limit

__all__ = ["known"]  # so that a rule topic needs one import for facts and one for logic

Reason = Literal[
    "missing",  # nobody recorded it
    "not-delivered",  # the list it would stand in did not come with the call
    "list-cut",  # of the list it would stand in only a part came: there may be a newer one, or one at all
    "unidentified",  # something is on record, and nobody can tell whether it is this
    "pending",  # ordered and not ready: registered, preliminary
    "undated",  # there is a value, and nobody knows of when
    "haemolysed",  # the sample could not be used
    "unread",  # it was reported in words that were not understood
    "stale",  # older than its window
    "implausible",  # outside what a living person can have
    "unit",  # no unit, or one that cannot be converted
    "contradictory",  # two equally good values that differ
    "suspected",  # recorded as suspected only
    "no-value",  # the result says that there is none ("see comment", "hemolyzed")
    "future-dated",
    "masked",  # withheld on purpose
    "not-applicable",  # the formula does not hold for this patient (Cockcroft-Gault in a child)
    "inputs",  # derived, and an input is unknown
]


T = TypeVar("T")


def replace(whole: T, **changes: Any) -> T:  # noqa: ANN401 - as dataclasses.replace
    """
    Give a copy of a value object with some parts changed.

    The same as `dataclasses.replace`, but several times faster.
    """
    if isinstance(whole, msgspec.Struct):
        return structs.replace(whole, **changes)
    kind: type = type(whole)
    names, values = parts_of(kind)
    made: T = kind(**(dict(zip(names, values(whole), strict=True)) | changes))
    return made


@cache
def parts_of(kind: type) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]]]:
    """Give the names of the parts of a kind of value object, and what reads all of them at once."""
    if issubclass(kind, msgspec.Struct):
        names: tuple[str, ...] = kind.__struct_fields__
    else:
        names = tuple(part.name for part in fields(kind) if part.init)  # type: ignore[arg-type] # else a dataclass
    # of a single name `attrgetter` gives the bare value
    return names, attrgetter(*names) if len(names) > 1 else lambda whole: (getattr(whole, names[0]),)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """
    What every fact carries, known or not.

    `date` is the day it was true, `moment` the exact time when one was told, `resources` the FHIR references
    it was read from, `reason` why it is unknown (None when known), `flags` what the reader should know about
    its origin ("reported", "from-text", "local-code", "uncorrected" …), `sent` the value as it was sent.
    `lacks` names the inputs that a derived fact would need.
    """

    name: str
    date: dt.date | None = None
    moment: dt.datetime | None = None
    resources: tuple[str, ...] = ()
    reason: Reason | None = "missing"
    flags: tuple[str, ...] = ()
    sent: str | None = None
    lacks: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return self.reason is None

    def within(self, days: Limit | int, as_of: dt.date) -> Criterion:
        """
        Tell whether it is known and its date lies at most so many days back.

        Closed: not found is no; but of a list that was cut, or did not come, nobody knows whether there is one.
        """
        span = days if isinstance(days, int) else int(days.value)
        recent: Truth = self.is_known and self.date is not None and as_of - self.date <= dt.timedelta(span)
        if self.reason in {"list-cut", "not-delivered"}:
            recent = None
        return Condition(self.name, "within", days, self, recent)

    def forget(self: FactT, reason: Reason) -> FactT:
        """Give the same fact as unknown, keeping where it came from and what it was (`sent`, `date`)."""
        raise NotImplementedError


FactT = TypeVar("FactT", bound=Fact)


class Reading(Fact, frozen=True, kw_only=True):
    """
    A number with its unit; an interval when only bounds are known (`<0.2`, a range).

    `low` and `high` are the ends (equal for an exact value); an open end is not itself a possible value.
    Comparisons round to `decimals` first, half away from zero. `rivals` are the values of a contradiction, and
    `rivals_sent` the same as they were sent, each in its own unit (empty where one has no text of its own).
    `reference_low/high` is the laboratory's own range for this very result, in the same unit.
    """

    unit: str
    decimals: int | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False
    reference_low: Decimal | None = None
    reference_high: Decimal | None = None
    rivals: tuple[Decimal, ...] = ()
    rivals_sent: tuple[str, ...] = ()
    sent_value: Decimal | None = None
    sent_unit: str | None = None

    @property
    def value(self) -> Decimal | None:
        """The exact value, unrounded; None when unknown or an interval."""
        return self.low if self.low is not None and self.low == self.high else None

    @property
    def rounded(self) -> Decimal | None:
        """The exact value as it is compared and shown; None when unknown or an interval."""
        value = self.value
        return None if value is None else self._round(value)

    def _round(self, number: Decimal) -> Decimal:
        return number if self.decimals is None else round_half_up(number, self.decimals)

    def _against(self, relation: Literal["<", "<=", ">", ">="], limit: Limit | Decimal | int) -> Criterion:
        number = _number(limit, self)
        holds: Truth = None
        if self.reason is None and self.low is not None and self.high is not None:
            low = self._round(self.low)
            high = low if self.high is self.low else self._round(self.high)
            if relation == "<":
                holds = _order(high < number or (high == number and self.high_open), low >= number)
            elif relation == "<=":
                holds = _order(high <= number, low > number or (low == number and self.low_open))
            elif relation == ">":
                holds = _order(low > number or (low == number and self.low_open), high <= number)
            else:
                holds = _order(low >= number, high < number or (high == number and self.high_open))
        return Condition(self.name, relation, limit, self, holds)

    def __lt__(self, limit: Limit | Decimal | int) -> Criterion:
        return self._against("<", limit)

    def __le__(self, limit: Limit | Decimal | int) -> Criterion:
        return self._against("<=", limit)

    def __gt__(self, limit: Limit | Decimal | int) -> Criterion:
        return self._against(">", limit)

    def __ge__(self, limit: Limit | Decimal | int) -> Criterion:
        return self._against(">=", limit)

    def equals(self, limit: Limit | Decimal | int) -> Criterion:
        """Tell whether it is exactly the limit, after rounding."""
        number = _number(limit, self)
        holds: Truth = None
        if self.rounded is not None and self.is_known:
            holds = self.rounded == number
        elif self.is_known and (self < limit).yes | (self > limit).yes:
            holds = False
        return Condition(self.name, "=", limit, self, holds)

    def differs_from(self, limit: Limit | Decimal | int) -> Criterion:
        """Tell whether it is something else than the limit, after rounding."""
        equal = self.equals(limit).holds
        return Condition(self.name, "!=", limit, self, None if equal is None else not equal)

    def forget(self, reason: Reason) -> Reading:
        """Give the same fact as unknown, keeping where it came from."""
        return structs.replace(self, low=None, high=None, reason=reason)

    def choose(self, which: Literal["lowest", "highest"]) -> Reading:
        """Give the less safe of two contradictory values (flag `less-safe-value`); itself otherwise."""
        if self.reason != "contradictory" or not self.rivals:
            return self
        value = min(self.rivals) if which == "lowest" else max(self.rivals)
        return structs.replace(self, low=value, high=value, reason=None, flags=(*self.flags, "less-safe-value"))


class Finding(Fact, Logical, frozen=True, kw_only=True):
    """
    Yes or no, or one word of a closed list; unknown is neither.

    A yes/no finding can stand in a rule by itself. `possible` holds the words still open when the record only
    narrows it down (an ESCC grade "1" is 1a, 1b or 1c).
    """

    value: bool | str | None = None
    possible: tuple[str, ...] = ()

    def criterion(self) -> Criterion:
        """Give the criterion "it is so"."""
        value = self.value
        if isinstance(value, str):
            raise TypeError(f"{self.name} holds one word of a list; ask `.one_of(…)`, not whether it is so.")
        return Condition(self.name, "is", True, self, value if self.reason is None else None)

    def is_(self, word: str) -> Criterion:
        """Tell whether it is this word."""
        return self.one_of(word)

    def one_of(self, *words: str) -> Criterion:
        """Tell whether it is one of these words; another known word (also `undetermined`) is a no."""
        holds: Truth = None
        if self.is_known and isinstance(self.value, str):
            holds = self.value in words
        elif self.possible:
            inside = [word in words for word in self.possible]
            holds = True if all(inside) else None if any(inside) else False
        limit = words[0] if len(words) == 1 else words
        return Condition(self.name, "is" if len(words) == 1 else "in", limit, self, holds)

    def is_suspected(self) -> Criterion:
        """Tell whether it is unknown because it was recorded as suspected; never unknown."""
        return Condition(self.name, "is", "suspected", self, self.reason == "suspected")

    def is_contradictory(self) -> Criterion:
        """Tell whether it is unknown because the record says two things; never unknown."""
        return Condition(self.name, "is", "contradictory", self, self.reason == "contradictory")

    def forget(self, reason: Reason) -> Finding:
        """Give the same fact as unknown, keeping where it came from."""
        return structs.replace(self, value=None, possible=(), reason=reason)


class Moment(Fact, frozen=True, kw_only=True):
    """That something happened, and when: a dental examination, the last tumour board."""

    @property
    def is_known(self) -> bool:
        """Whether the day is told."""
        return self.reason is None and self.date is not None

    def forget(self, reason: Reason) -> Moment:
        """Give the same fact as unknown."""
        return structs.replace(self, date=None, moment=None, reason=reason)


def round_half_up(number: Decimal, decimals: int) -> Decimal:
    """Round half away from zero, as specified; `decimals` places."""
    return number.quantize(_last_place(decimals), rounding=ROUND_HALF_UP)


@cache
def _last_place(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)


def _number(limit: Limit | Decimal | int, reading: Reading) -> Decimal:
    if isinstance(limit, (int, Decimal)):  # not `int | Decimal`: it would be built anew in each of many calls
        return Decimal(limit)
    if limit.unit != reading.unit:
        raise TypeError(f"{reading.name} is in {reading.unit!r}, but the limit {limit.name!r} is in {limit.unit!r}.")
    return limit.value


def _order(certainly: bool, certainly_not: bool) -> Truth:
    return True if certainly else False if certainly_not else None


# --- declaring facts ----------------------------------------------------------------------------------------

Counts = int | tuple[int, int] | str
"""For how many days a fact counts (one number, or at the chart and at an order), or in words why it does not age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSpec:
    """
    One entry of the fact dictionary.

    `path` is where it sits in `Facts` (`lab.ca_total`), `name` what the specification calls it (mostly the same).
    `closed` says that silence in a delivered record means no. `stale_means_no` says that too old is history, not
    unknown. `words` is the closed list of an enumeration, empty for a yes/no finding. `counts` says for how many days
    it counts (at the chart, at an order), or why it does not age.
    """

    path: str
    name: str
    kind: Literal["reading", "finding", "moment"]
    en: str
    zh: str
    unit: str = ""
    decimals: int | None = None
    words: tuple[str, ...] = ()
    closed: bool = False
    stale_means_no: bool = False
    derived: bool = False
    counts: Counts | None = None

    @property
    def window(self) -> tuple[int, int] | None:
        """For how many days it counts, at the chart and at an order; None where it does not age."""
        if isinstance(self.counts, int):
            return self.counts, self.counts
        return None if isinstance(self.counts, str) else self.counts


def reading(
    name: str,
    unit: str,
    decimals: int | None,
    en: str,
    zh: str,
    *,
    derived: bool = False,
    of: str | None = None,
    counts: Counts | None = None,
) -> Any:  # noqa: ANN401 - typed at its place
    """Declare a number: name, unit (UCUM), decimals kept in comparisons, labels; `of` its name outside."""
    spec = {"unit": unit, "decimals": decimals, "en": en, "zh": zh, "derived": derived, "counts": counts}
    default = Reading(name=of or name, unit=unit, decimals=decimals)
    return _declared(default, {"kind": "reading", **spec})


def finding(
    name: str,
    en: str,
    zh: str,
    *words: str,
    closed: bool = False,
    stale_means_no: bool = False,
    derived: bool = False,
    counts: Counts | None = None,
) -> Any:  # noqa: ANN401 - typed at its place
    """Declare a yes/no finding, or one of `words`; `closed` when silence in a delivered record means no."""
    spec = {"kind": "finding", "en": en, "zh": zh, "words": words, "closed": closed, "derived": derived}
    default = Finding(name=name, value=False, reason=None) if closed and not words else Finding(name=name)
    if closed and words:
        default = Finding(name=name, value=words[0], reason=None)
    return _declared(default, {"stale_means_no": stale_means_no, "counts": counts, **spec})


def moment(name: str, en: str, zh: str, *, counts: Counts | None = None) -> Any:  # noqa: ANN401 - typed at its place
    """Declare something that happened on a day."""
    return _declared(Moment(name=name), {"kind": "moment", "en": en, "zh": zh, "counts": counts})


def _declared(default: Fact, said: dict[str, Any]) -> Fact:
    _SAID[id(default)] = default, said
    return default


_SAID: dict[int, tuple[Fact, dict[str, Any]]] = {}
"""What was declared of each blank fact, and the fact, so that no other can get its number."""


def declared(kind: type) -> dict[str, tuple[Fact, dict[str, Any]]]:
    """Give the facts that a group or record is declared with, by attribute: each blank, and what was said of it."""
    if issubclass(kind, msgspec.Struct):
        names, blanks = kind.__struct_fields__, kind.__struct_defaults__  # of the last names; the first must be told
        parts = list(zip(names[len(names) - len(blanks) :], blanks, strict=True))
    else:
        parts = [(part.name, part.default) for part in fields(kind)]  # type: ignore[arg-type] # a dataclass
    return {name: _SAID[id(blank)] for name, blank in parts if id(blank) in _SAID}


def exactly(fact: Reading, value: Decimal | int | str, **extra: Any) -> Reading:  # noqa: ANN401 - fields of Reading
    """Give the reading with an exact value."""
    number = Decimal(value)
    return structs.replace(fact, low=number, high=number, reason=None, **extra)


def stated(fact: Finding, value: bool | str, **extra: Any) -> Finding:  # noqa: ANN401 - fields of Finding; a finding's value
    """Give the finding with a value."""
    return structs.replace(fact, value=value, reason=None, **extra)


def first_known(facts: Iterable[FactT]) -> FactT | None:
    """Give the first fact that is known."""
    return next((fact for fact in facts if fact.is_known), None)


def from_truth(holds: Truth) -> Criterion:
    """Make a criterion of a plain truth value."""
    return given(holds)
