"""Advice: what a rule hands back, and the case it is asked about."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import msgspec

from recommenders.patient import derived
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading, known
from recommenders.vocabulary.logic import NO, YES, Criterion, Joined, Logical, Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Set

    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Guidance, Hook, Limits
    from recommenders.vocabulary.records import Order

__all__ = ["known"]

T = TypeVar("T")
Value = Decimal | int | str
"""A computed value of the specification's §1.11."""


class Label(msgspec.Struct, frozen=True):
    """A fact's label, put into the reader's language at the end."""

    fact: str


class Phrase(msgspec.Struct, frozen=True):
    """A sentence or word of the topic's `[phrases]`, with what fills its braces."""

    key: str
    fill: Mapping[str, Fill] = msgspec.field(default_factory=dict)


class Why(msgspec.Struct, frozen=True):
    """Why a fact is not known, said in a word or two ("result pending", "list not delivered")."""

    fact: Fact


Fill = str | int | Decimal | dt.date | Label | Phrase | Why | Reading | Finding | Moment | tuple["Fill", ...]
"""What a `{name}` in a wording may become; a tuple is a list in the reader's language."""


Service = Literal[
    "dental-examination",
    "oral-surgery-consultation",
    "calcium",
    "calcium-weekly",
    "albumin",
    "ionised-calcium",
    "creatinine",
    "phosphate",
    "magnesium",
    "electrolytes",
    "blood-count",
    "urinalysis",
    "body-weight",
    "creatinine-clearance",
    "coagulation-tests",
    "m-protein",
    "free-light-chains",
    "bone-marrow",
    "ldh",
    "b2-microglobulin",
    "ferritin",
    "fish",
    "mrd",
    "xray",
    "ct",
    "mri",
    "mri-spine",
    "mri-whole-spine",
    "mri-whole-body",
    "ct-whole-spine",
    "low-dose-ct",
    "bone-scan",
    "pet-ct",
    "dxa",
    "bone-biopsy",
    "hydration",
    "mdt-conference",
    "orthopaedic-consultation",
    "spine-surgery-consultation",
    "radiation-oncology-consultation",
    "interventional-radiology-consultation",
    "haematology-consultation",
    "nephrology-consultation",
    "urology-consultation",
    "psychiatry-consultation",
]


class ProposedMedication(msgspec.Struct, frozen=True, kw_only=True):
    """
    A new medication order; the FHIR side knows codes and forms. Doses in mg (vitamin D in IU).

    `indication` is written on the order where another rule of the dose hangs on it.
    """

    drug: Literal[
        "denosumab",
        "zoledronic",
        "ibandronate",
        "incadronate",
        "calcium-oral",
        "vitamin-d-oral",
        "calcium-gluconate-iv",
        "mesna",
    ]
    dose: Decimal | None = None
    route: Literal["IV", "SC", "PO"] | None = None
    interval_days: int | None = None
    times_per_day: int | None = None
    infusion_min: int | None = None
    diluent_ml: int | None = None
    once: bool = False
    hours: tuple[int, ...] = ()
    indication: Literal["hypercalcaemia"] | None = None


class ProposedService(msgspec.Struct, frozen=True, kw_only=True):
    """A new service order: laboratory, imaging, consultation; site, side and level are those of a bone."""

    service: Service
    priority: Literal["routine", "urgent", "asap", "stat"] = "routine"
    site: str | None = None
    side: Literal["left", "right"] | None = None
    level: str | None = None


class ChangedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    The draft at hand with only these parts changed (an `update`); None leaves a part as written.

    `starts` is the first day on which it may be given.
    """

    order: str
    dose_mg: Decimal | None = None
    route: Literal["IV", "SC", "PO"] | None = None
    interval_days: int | None = None
    infusion_min: int | None = None
    diluent_ml: int | None = None
    starts: dt.date | None = None


Item = ProposedMedication | ProposedService | ChangedOrder


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """
    One suggestion: its items are carried out together.

    `button` is the key of its label among the rule's `buttons`. Proposals of one `alternative` exclude each
    other. `replaces` is the draft order that it takes the place of (deleted with it; without items it is only taken
    out). `reasons` are facts whose resources the new orders give as their reason.
    """

    button: str = ""
    items: tuple[Item, ...]
    alternative: str | None = None
    replaces: str | None = None
    reasons: tuple[str, ...] = ()
    recommended: bool = False
    fill: Mapping[str, Fill] = msgspec.field(default_factory=dict)


class SourceVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one source's own condition says for this patient; `line` is its place in the rule's source lines."""

    line: int
    criterion: Criterion

    @property
    def holds(self) -> Truth:
        """Yes, no or unknown."""
        return self.criterion.holds


class Advice(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """
    What one rule says of one case (or of one order or lesion: several advices may bear the same rule).

    It fires when `because` holds and `unless`, the part that says "already done", does not; it is suppressed
    when both hold. `lines` picks source lines by place (None: all). `superseded` says that a louder rule already
    says all of this about the same order (an overdose also misses the recommended dose): it is then listed, but not
    shown. `holds` answers the rule's `circumstances` by name: which variant and which lines of its face speak.
    `about` is the bone that it speaks of (`Place.key`, with side and level), where it speaks of one. `beside` are
    the other draft orders that it is about as well (a duplicate). `new` says for a `result` whether it is new or
    differs from the charted one (None: its inputs are at most 30 days old). `has_range` says that it has a range to
    show although it is not decided.
    """

    rule: str
    because: Criterion
    unless: Criterion = NO
    fill: Mapping[str, Fill] = msgspec.field(default_factory=dict)
    verdicts: tuple[SourceVerdict, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    values: Mapping[str, Value] = msgspec.field(default_factory=dict)
    order: str | None = None
    lines: tuple[int, ...] | None = None
    superseded: bool = False
    holds: Mapping[str, Criterion] = msgspec.field(default_factory=dict)
    about: str | None = None
    beside: tuple[str, ...] = ()
    new: Criterion | None = None
    has_range: Criterion = NO

    @property
    def truth(self) -> Truth:
        """Whether the rule's condition as a whole holds; to ask this makes no tree."""
        because = self.because.holds
        if because is False or self.unless is NO:
            return because
        unless = self.unless.holds
        return False if unless else because if unless is False else None

    @property
    def whole(self) -> Criterion:
        """The rule's condition as a whole, to be shown."""
        return self.because & ~self.unless if self.unless is not NO else self.because


def case_of(because: Logical) -> Criterion:
    """Give the criterion of a finding or criterion, for `Advice(because=…)`."""
    return because.criterion()


class Case:
    """
    One patient, one hook, one day: what rule topics are asked about.

    `facts` are as seen in this setting (stale values unknown, derived values filled in). `whole` asks topics to
    speak of every rule, also of those that are certainly not met. `guidance_day` is the day whose limits count
    (None: the day of the facts). `certain` asks only for what certainly holds. What does not hang on the orders is
    taken from the `chart`, where there is one.
    """

    def __init__(
        self,
        facts: Facts,
        hook: Hook,
        site: Mapping[str, Decimal] | None = None,
        *,
        whole: bool = False,
        guidance_day: dt.date | None = None,
        certain: bool = False,
        chart: ChartAlone | None = None,
    ) -> None:
        self.facts = facts
        self.hook: Hook = hook
        self.site = site
        self.whole = whole
        self.certain = certain
        self.guidance_day = guidance_day or facts.as_of
        self.wanted: Set[str] | None = None
        """The rules that are asked for of the topic at hand (None: all)."""
        self._said: dict[str, list[Advice]] = {}
        self._superseded_by: dict[str, set[str]] = {}
        self._once: dict[object, object] = {}
        self._cautious: dict[str, Facts] = {}
        self._limits: dict[Guidance, Limits] = {}
        self._chart = chart

    @property
    def orders_at_hand(self) -> tuple[Order, ...]:
        """The draft orders that the call is about; none on chart hooks."""
        return tuple(order for order in self.facts.orders if order.at_hand)

    def limits(self, guidance: Guidance) -> Limits:
        """Give a topic's limits in force on the day of the guidance, with the site's own choices."""
        found = self._limits.get(guidance)
        if found is None:
            found = self._limits[guidance] = guidance.limits(self.guidance_day, self.site)
        return found

    def cautious(self, calcium: Literal["lowest", "highest"] = "lowest") -> Facts:
        """
        Give the facts with the less safe of two contradictory results, for the safety rules (§0.4).

        Calcium the lowest where low calcium is the danger, the highest where high calcium is.
        """
        if calcium not in self._cautious:
            self._cautious[calcium] = derived.safest(self.facts, calcium, self.site, self.guidance_day)
        return self._cautious[calcium]

    def once(self, compute: Callable[[Case], T]) -> T:
        """Compute something about this case once, and give it again when asked again."""
        if compute not in self._once:
            self._once[compute] = compute(self) if self._chart is None else self._chart.shared(self, compute)
        found: T = self._once[compute]  # type: ignore[assignment] # stored under the function that made it
        return found

    def once_of(self, order: Order, compute: Callable[[Case, Order], T]) -> T:
        """Compute something about one of the orders once, and give it again when asked again."""
        key = (compute, id(order))
        if key not in self._once:
            self._once[key] = order, compute(self, order)  # the order is kept: no other can get its number
        found: tuple[Order, T] = self._once[key]  # type: ignore[assignment] # stored under the function that made it
        return found[1]

    def asked(
        self,
        section: Callable[..., Iterable[Advice]],
        *rules: str,
        where: Callable[[], Logical] | None = None,
        of: Order | None = None,
    ) -> Iterable[Advice]:
        """
        Give what a section says, of the case or `of` one order; nothing where none of its rules is asked for.

        None of its rules can hold but `where` that holds: where it certainly does not, the section is passed over.
        """
        if not self.whole:
            if self.wanted is not None and self.wanted.isdisjoint(rules):
                return ()
            if where is not None and not self.may_hold(where().criterion()):
                return ()
        return section(self) if of is None else section(self, of)

    def may_hold(self, because: Criterion) -> bool:
        """
        Tell whether a rule of this condition is worth putting into words: it holds or may hold.

        Most rules are certainly not met, and nobody asks for those unless the `whole` is asked for; nor for what
        is open where only the `certain` is.
        """
        return because.holds or (because.holds is None and not self.certain) or self.whole

    def hear(self, advice: Advice, supersedes: tuple[str, ...]) -> None:
        """Note what a rule said, so that later rules can refer to it."""
        self._said.setdefault(advice.rule, []).append(advice)
        for other in supersedes:
            self._superseded_by.setdefault(other, set()).add(advice.rule)

    def all_have_spoken(self) -> None:
        """
        Forget what was said: nothing is asked about it any more, and `Later` words keep hold of the case.

        To ask for it afterwards raises NotOfTheChartError.
        """
        nothing: Any = _NotThere()
        self._said = self._superseded_by = nothing

    def criterion(self, rule: str) -> Criterion:
        """Give another rule's condition as it came out earlier in this call (may be unknown); else no."""
        loudest = self._loudest(rule)
        return NO if loudest is None else loudest.whole

    @property
    def superseded_rules(self) -> Iterable[str]:
        """The rules that a rule heard in this call may supersede."""
        return self._superseded_by

    def is_superseded(self, rule: str) -> bool:
        """Tell whether a rule that supersedes this one holds in this call (as far as heard)."""
        gravers = self._superseded_by.get(rule)
        if gravers is None:
            return False
        loudest = [self._loudest(graver) for graver in gravers]
        return any(said is not None and said.truth is True for said in loudest)

    def fired(self, rule: str) -> Criterion:
        """
        Tell whether another rule fired earlier in this call and was not superseded.

        Unknown while that rule is undecided, with what it lacks: nobody can say then that it did not fire.
        """
        said = self._loudest(rule)
        truth = None if said is None else said.truth
        if said is None or truth is False or self.is_superseded(rule):
            return NO
        return YES if truth else Joined(None, "any", (said.whole,))

    def _loudest(self, rule: str) -> Advice | None:
        """What a rule said earlier in this call: the first that holds, else the first that may."""
        heard = self._said.get(rule)
        if heard is None:
            return None
        said = [advice for advice in heard if not advice.superseded] if len(heard) > 1 or heard[0].superseded else heard
        return said[0] if len(said) == 1 else max(said, key=_weight, default=None)

    def advices(self, rule: str) -> Iterator[Advice]:
        """Yield what a rule said earlier in this call, fired or not."""
        yield from self._said.get(rule, ())


class NotOfTheChartError(Exception):
    """Something was asked of a chart by itself that hangs on the orders, or on what rules said."""


class _NotThere:
    """What a chart by itself does not have: to look at it in any way raises NotOfTheChartError."""

    def _refuse(self, *_: object) -> Any:  # noqa: ANN401 - it never gives anything
        raise NotOfTheChartError

    __iter__ = __len__ = __bool__ = __contains__ = __getitem__ = __getattr__ = _refuse
    __eq__ = __hash__ = _refuse

    def __deepcopy__(self, _: object) -> _NotThere:
        return self

    def __reduce__(self) -> tuple[type[_NotThere], tuple[()]]:
        return _NotThere, ()


class ChartAlone(Case):
    """
    A case whose orders are not told yet: what does not hang on them is worked out here, once for all that may be.

    To look at the orders, or at what rules said, raises NotOfTheChartError: nothing that hangs on either is shared.
    """

    _of_orders: ClassVar[set[object]] = set()
    """The functions that once looked at either: they are asked of each case by itself, in every call."""

    def __init__(self, facts: Facts, hook: Hook, site: Mapping[str, Decimal] | None = None) -> None:
        nothing: Any = _NotThere()
        super().__init__(msgspec.structs.replace(facts, orders=nothing), hook, site)
        self._said = self._superseded_by = nothing

    def with_orders(self, orders: tuple[Order, ...]) -> Case:
        """Give the case with these orders, of which only what is certain is asked."""
        seen = msgspec.structs.replace(self.facts, orders=orders)
        return Case(seen, self.hook, self.site, certain=True, chart=self)

    def shared(self, case: Case, compute: Callable[[Case], T]) -> T:
        """Compute something about a case `with_orders`: once for all of them where it does not hang on orders."""
        if compute not in self._of_orders:
            try:
                return self.once(compute)
            except NotOfTheChartError:
                self._of_orders.add(compute)
        return compute(case)


def _weight(advice: Advice) -> int:
    truth = advice.truth
    return 2 if truth else 1 if truth is None else 0
