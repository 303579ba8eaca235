"""What fills the braces of rules about bones: the bone, its vertebra, its pain, what speaks against an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Phrase
from recommenders.patient.lesions import in_spine
from recommenders.patient.reasons import lesion_of
from recommenders.patient.surgery import GUIDANCE as SURGICAL
from recommenders.patient.surgery import SPINE_KEY, surgery
from recommenders.vocabulary.bones import Bone, bone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from recommenders.patient.advice import Advice, Case, Fill
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.records import Lesion


def bone_in_words(bone: Bone) -> Fill | None:
    """Say a bone with its side, a vertebra by its level, a rib with its number."""
    if bone.site is None:
        return None
    name: Fill = bone.site
    if bone.level is not None:
        name = Phrase("rib-number", {"level": bone.level}) if bone.site == "rib" else bone.level.replace("-", "–")
    return Phrase(bone.side, {"bone": name}) if bone.side else name


def site(case: Case, advice: Advice) -> Fill | None:
    """Name the bone that an advice is about, with its side or level."""
    lesion = lesion_of(case, advice)
    if lesion is not None and lesion.site.is_known:
        return bone_in_words(lesion.bone)
    return bone_in_words(bone_of(advice.about)) if advice.about else None


def level(case: Case, advice: Advice) -> Fill | None:
    """Name the vertebra that an advice is about; where it is about the spine, those with a lesion; else the spine."""
    if advice.about not in {None, SPINE_KEY}:
        return bone_in_words(bone_of(str(advice.about)))
    found = tuple(dict.fromkeys(_spinal_names(case)))
    return found[0] if len(found) == 1 else found or SPINE_KEY


def _spinal_names(case: Case) -> Iterator[Fill]:
    for lesion in case.facts.lesions:
        if in_spine(lesion).yes and (name := bone_in_words(lesion.bone)) is not None:
            yield name


def spine_lesion(case: Case, advice: Advice) -> Fill | None:
    """Name what lies in the spine: "L1 metastasis", "T8 myeloma lesion", else "lesion of the spine"."""
    spinal = [lesion for lesion in case.facts.lesions if in_spine(lesion).yes]
    natures = {str(lesion.nature.value) for lesion in spinal if lesion.nature.is_known}
    word = natures.pop() if len(natures) == 1 else ""
    key = {"metastasis": "spinal-metastasis", "myeloma": "spinal-myeloma"}.get(word, "spinal-lesion")
    return Phrase(key, {"level": level(case, advice) or SPINE_KEY})


def deficit(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Name the neurological deficit."""
    return Phrase("deficit") if case.facts.spine.neuro_deficit.value is True else None


def deficit_date(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the day of the neurological deficit."""
    return case.facts.spine.neuro_deficit.date


def compression_date(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the day of the nerve compression."""
    return case.facts.clin.nerve_compression.date


def escc_date(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the day on which the cord was graded."""
    return case.facts.spine.escc.date


def escc(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Give the grade of the cord as reported; the grades left open where its letter is not told."""
    grade = case.facts.spine.escc
    return str(grade.value) if grade.is_known else "/".join(grade.possible) or None


def pain(case: Case, advice: Advice) -> Fill | None:
    """Give the pain at the bone of an advice in a word; where the chart has none of it, the score of the patient."""
    lesion: Lesion | None = lesion_of(case, advice)
    if lesion is not None and lesion.pain.is_known:
        return str(lesion.pain.value)
    score = case.facts.pain.nrs
    return Phrase("pain-score", {"score": score}) if score.is_known else None


def bare(reading: Reading) -> Fill:
    """Give a number for a sentence that has its unit: 2, or the range 1–2."""
    if reading.rounded is not None:
        return reading.rounded
    return f"{reading.low:f}–{reading.high:f}" if reading.low is not None and reading.high is not None else ""


def against(case: Case) -> tuple[Fill, ...]:
    """
    Give what speaks against an operation, with its number.

    Several destroyed bones alone do not: a surgeon fixes a femur beside other metastases. Diffuse disease, or more
    lesions than the source's other limit, does.
    """
    return case.once(_against)


def _against(case: Case) -> tuple[Fill, ...]:
    return tuple(_each_against(case))


def _each_against(case: Case) -> Iterator[Fill]:
    facts, lists = case.facts, surgery(case)
    limits = case.limits(SURGICAL)
    if lists.of("SURG-011").found.yes:
        yield Phrase("against-life", {"life": bare(facts.status.life_expectancy)})
    many = (facts.dx.bone_met_count > limits.many_metastases) | facts.dx.diffuse_metastases
    if lists.of("SURG-012").found.yes and many.yes:
        yield Phrase("against-many")
    if lists.of("SURG-013").found.yes:
        yield Phrase("against-organs", {"organs": facts.dx.visceral_met_organs})
    if lists.of("SURG-014").found.yes:
        if facts.status.fit_for_surgery.value is False:
            yield Phrase("against-unfit")
        else:
            yield Phrase("against-ecog", {"ecog": facts.status.ecog})


def contra(case: Case, advice: Advice) -> Fill | None:  # noqa: ARG001 - the shape of a fill
    """Say what speaks against an operation."""
    return against(case) or None


BONE_FILLS: Mapping[str, Callable[[Case, Advice], Fill | None]] = {
    function.__name__: function
    for function in (
        site,
        level,
        spine_lesion,
        deficit,
        deficit_date,
        compression_date,
        escc,
        escc_date,
        pain,
        contra,
    )
}
"""Placeholder -> what fills it, for rules about bones."""
