"""The stage at diagnosis: ISS, R-ISS and R2-ISS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal
from recommenders.patient.myeloma_models import group, told
from recommenders.patient.myeloma_risk import staging
from recommenders.patient.services import ask_together, asked_lately
from recommenders.staging.parts import (
    GUIDANCE,
    abnormal_genes,
    exact,
    group_word,
    number,
    points_and_group,
    stage_in_words,
)
from recommenders.vocabulary.logic import all_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Finding


def stage_rules(case: Case) -> Iterator[Advice]:
    """MM-010 to MM-012: ISS, R-ISS and R2-ISS at diagnosis, as values or as the ranges that missing inputs leave."""
    facts = case.facts
    cyto, found = facts.cyto, case.once(staging)
    groups = GUIDANCE.tables["r2iss_groups"]
    fish = tuple(fact for fact in (cyto.del17p, cyto.t4_14, cyto.t14_16, cyto.gain1q) if not fact.is_known)
    words: dict[str, Fill] = {
        "lab.albumin": exact(facts.mm.baseline_albumin),
        "lab.ldh": exact(facts.mm.baseline_ldh),
        "iss": stage_in_words(found.iss),
        "riss": stage_in_words(found.riss),
        "r2iss": points_and_group(found.r2iss, groups),
        "iss_stage": stage_in_words(found.iss),
        "riss_stage": stage_in_words(found.riss),
        "cyto": abnormal_genes(facts) or Phrase("nothing-abnormal"),
        "missing": tuple(Label(fact.name) for fact in fish),
    }
    narrowed = given(found.iss.word is None and len(found.iss.possible) < len(("I", "II", "III")))

    yield Advice(
        rule="MM-010",
        because=found.applies & found.iss.told(),
        holds={"no-onset": given(_unconfirmed(facts))},
        has_range=narrowed,
        fill=words,
        proposals=tuple(_stage_tests(case, fish)),
    )
    yield Advice(
        rule="MM-011",
        because=found.applies & found.iss.told() & found.riss.told(),
        holds={"said": documented(found.applies & found.iss.told())},
        fill=words,
    )
    fish_and_ldh = (told(found.ldh_raised), told(cyto.del17p), told(cyto.t4_14), told(cyto.gain1q))
    yield Advice(
        rule="MM-012",
        because=all_of((found.applies, found.iss.told(), *fish_and_ldh)),
        holds={"said": documented(found.applies & found.iss.told())},
        fill={
            **words,
            "r2iss_points": number(found.r2iss),
            "r2iss_group": group_word(group(found.r2iss, groups)),
        },
    )


def _stage_tests(case: Case, fish: Sequence[Finding]) -> Iterator[Proposal]:
    facts = case.facts
    newly = documented(facts.mm.phase.is_("newly-diagnosed"))
    if fish and newly.yes and not asked_lately(case, "fish").yes:
        yield ask_together("fish", "fish")
    if not facts.mm.baseline_ldh.is_known and newly.yes and not asked_lately(case, "ldh").yes:
        yield ask_together("ldh", "ldh")


def _unconfirmed(facts: Facts) -> bool:
    used = (facts.mm.b2m, facts.mm.baseline_albumin, facts.mm.baseline_ldh)
    return any(reading.is_known and "baseline-not-confirmed" in reading.flags for reading in used)
