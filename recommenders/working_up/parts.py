"""What the rules of the work-up share: the guidance, how a bone is named, and what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Phrase
from recommenders.patient.bone_words import bone_in_words
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.vocabulary.bones import Bone
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, any_of, documented, given

if TYPE_CHECKING:
    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact

GUIDANCE = guidance("workup")
ANY_BONE = Bone()


def no_bone_metastasis(facts: Facts) -> Criterion:
    """Tell whether no bone metastasis is on record; unknown where only a part of the problem list came."""
    return ~documented(facts.dx.bone_met) & given(None if facts.is_cut("conditions") else True)


def is_new(case: Case, fact: Fact) -> Criterion:
    """Tell whether a fact is so new that an answer that rests on it is shown unasked."""
    return given(fact.date is not None) & given(
        fact.date is not None and 0 <= (case.facts.as_of - fact.date).days <= case.limits(COMMON).result_is_new.value
    )


def named(bone: Bone) -> Fill:
    """Name a bone in a sentence; where it is not told, the bone in question."""
    return bone_in_words(bone) or Phrase("bone-in-question")


def about_bone(bone: Bone) -> str | None:
    return bone.whole.key if bone.site else None


def newest_of(case: Case, *facts: Fact) -> Criterion:
    return any_of(is_new(case, fact) for fact in facts if fact.is_known)
