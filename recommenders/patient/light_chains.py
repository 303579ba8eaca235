"""Free light chains: the ratio, and which chain is the involved one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recommenders.patient.inputs import bounds_of, flags_of, newest_day, resources_of
from recommenders.vocabulary.dictionary import BLANK
from recommenders.vocabulary.facts import Fact, Reading, replace

if TYPE_CHECKING:
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.fact_groups import MyelomaFacts

ENDLESS_RATIO = Decimal(10**9)
"""The upper end of a light chain ratio that is only known from below."""


MG_PER_L_IN_MG_PER_DL = 10
FINEST_LIGHT_CHAIN = Decimal("0.001")
"""mg/L; no assay tells less than this, so a smaller number is "below", and no quotient grows without bound."""


def light_chain_ratio(kappa: Reading, lambda_: Reading, ratio: Reading) -> Reading:
    """
    Give kappa ÷ lambda as an interval, or the reported ratio where that says more.

    A chain reported as 0 or below a limit never divides by zero: the ratio is then open to one side. The
    reported ratio is taken when a chain is unknown, when it is newer than a chain, and when it is narrower.
    """
    top, bottom = _written(kappa), _written(lambda_)
    above, below = bounds_of(top), bounds_of(bottom)
    if above is None or below is None or (above.low <= 0 and below.low <= 0):
        return _with_reason_of(ratio, kappa, lambda_)
    low = above.low / below.high
    high = above.high / below.low if below.low >= FINEST_LIGHT_CHAIN else max(ENDLESS_RATIO, low)
    reported = bounds_of(ratio)
    oldest = min((chain.date for chain in (kappa, lambda_) if chain.date is not None), default=None)
    if reported and ratio.date is not None and oldest is not None:
        narrower = ratio.date == oldest and reported.high - reported.low < high - low
        if narrower or ratio.date > oldest:
            return ratio
    exact = low == high
    apart = ("different-days",) if kappa.date != lambda_.date else ()
    return replace(
        ratio,
        low=low,
        high=high,
        low_open=not exact and (top.low_open or bottom.high_open),
        high_open=not exact and (top.high_open or bottom.low_open),
        reason=None,
        date=newest_day(kappa, lambda_),
        resources=resources_of(kappa, lambda_),
        flags=("calculated", *apart, *flags_of(kappa, lambda_)),
    )


def _written(chain: Reading) -> Reading:
    """
    Give a light chain as it is to be divided: one written as 0 lies below one unit of its last written digit.

    A laboratory that prints 0.0 mg/L has measured less than 0.1 mg/L, not nothing.
    """
    if not chain.is_known or chain.high is None or chain.high >= FINEST_LIGHT_CHAIN:
        return chain
    if chain.high > 0:
        return replace(chain, low=Decimal(0), high=FINEST_LIGHT_CHAIN, high_open=True)
    written = chain.sent_value if chain.sent_value is not None else chain.high
    exponent = written.as_tuple().exponent
    step = Decimal(1).scaleb(max(-3, min(0, exponent)) if isinstance(exponent, int) else 0)
    return replace(chain, high=step * (MG_PER_L_IN_MG_PER_DL if chain.sent_unit == "mg/dL" else 1), high_open=True)


def _with_reason_of(ratio: Reading, *chains: Reading) -> Reading:
    # "too old" says more than "missing": the card then shows the old result
    old = next((chain for chain in chains if chain.reason == "stale"), None)
    if ratio.is_known or ratio.reason != "missing" or old is None:
        return ratio
    return replace(ratio, reason="stale", date=old.date, resources=old.resources)


def involved_ratio(ratio: Reading, blank: Reading) -> Reading:
    """Give involved ÷ uninvolved (1 or more) from kappa ÷ lambda: the ratio itself, or its inverse below 1."""
    found = bounds_of(ratio)
    if found is None or found.high <= 0:
        if ratio.reason in {"stale", "contradictory"}:
            return replace(blank, reason=ratio.reason, date=ratio.date, resources=ratio.resources)
        return replace(blank, reason="missing")
    common: dict[str, Any] = {"reason": None, "date": ratio.date, "resources": ratio.resources, "flags": ratio.flags}
    inverse_low = 1 / found.high
    inverse_high = 1 / found.low if found.low > 0 else max(ENDLESS_RATIO, inverse_low)
    if found.low >= 1:
        return replace(
            blank, low=found.low, high=found.high, low_open=ratio.low_open, high_open=ratio.high_open, **common
        )
    if found.high < 1 or (found.high == 1 and ratio.high_open):
        return replace(
            blank, low=inverse_low, high=inverse_high, low_open=ratio.high_open, high_open=ratio.low_open, **common
        )
    return replace(blank, low=Decimal(1), high=max(found.high, inverse_high), **common)


def involved_of_chains(kappa: Reading, lambda_: Reading, reported: Reading, blank: Reading) -> Reading:
    """
    Give involved ÷ uninvolved (1 or more) from both chains, or from the reported kappa/lambda ratio.

    The larger chain is divided by the smaller one: inverting a rounded quotient would shift a value off an edge.
    """
    ratio = light_chain_ratio(kappa, lambda_, reported)
    if "calculated" not in ratio.flags:
        return involved_ratio(ratio, blank)
    inverse = light_chain_ratio(lambda_, kappa, reported.forget("missing"))
    straight, inverted = bounds_of(ratio), bounds_of(inverse)
    if straight is None or inverted is None:
        return involved_ratio(ratio, blank)
    if straight.low >= 1 or inverted.low >= 1:
        larger = ratio if straight.low >= 1 else inverse
        return replace(larger, name=blank.name, unit=blank.unit, decimals=blank.decimals, lacks=())
    return replace(
        ratio,
        name=blank.name,
        unit=blank.unit,
        decimals=blank.decimals,
        low=Decimal(1),
        high=max(straight.high, inverted.high),
        low_open=False,
        high_open=False,
        lacks=(),
    )


def involved_chain(kappa: Reading, lambda_: Reading, ratio: Reading, blank: Reading) -> Reading:
    """
    Give the involved light chain in mg/L: the larger one of both, or the one that the ratio points to.

    `ratio` is kappa ÷ lambda. While it is open which chain is the larger, the result is an interval.
    """
    top, bottom = bounds_of(kappa), bounds_of(lambda_)
    edges = bounds_of(ratio)
    chain = None if edges is None else kappa if edges.low >= 1 else lambda_ if edges.high < 1 else None
    if chain is not None and chain.is_known:
        return replace(chain, name=blank.name, decimals=blank.decimals)
    if top is None or bottom is None:
        return blank
    return replace(
        blank,
        low=max(top.low, bottom.low),
        high=max(top.high, bottom.high),
        high_open=(kappa if top.high >= bottom.high else lambda_).high_open,
        reason=None,
        date=newest_day(kappa, lambda_),
        resources=resources_of(kappa, lambda_),
        flags=flags_of(kappa, lambda_),
    )


def light_chain_facts(facts: Facts) -> dict[str, Fact]:
    """Give the involved ratio and the involved chain, where they are not known already."""
    return _OF_NOTHING if facts.mm is BLANK.mm else _light_chain_facts(facts.mm)


def _light_chain_facts(mm: MyelomaFacts) -> dict[str, Fact]:
    ratio = light_chain_ratio(mm.kappa, mm.lambda_, mm.flc_ratio_kl)
    found: dict[str, Fact] = {}
    if not mm.flcr.is_known:
        found["mm.flcr"] = involved_of_chains(mm.kappa, mm.lambda_, mm.flc_ratio_kl, mm.flcr)
    if not mm.flc_involved.is_known:
        found["mm.flc_involved"] = involved_chain(mm.kappa, mm.lambda_, ratio, mm.flc_involved)
    return found


_OF_NOTHING = _light_chain_facts(BLANK.mm)
"""What follows where nothing is told of myeloma."""
