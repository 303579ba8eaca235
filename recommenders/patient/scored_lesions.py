"""A lesion with a score that says whether its bone will hold: Mirels of a long bone, SINS of a vertebra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.lesions import bone_key

if TYPE_CHECKING:
    from recommenders.vocabulary.facts import Reading
    from recommenders.vocabulary.logic import Criterion
    from recommenders.vocabulary.records import Lesion
    from recommenders.vocabulary.scores import Score


@dataclass(frozen=True, slots=True)
class ScoredLesion:
    """
    The score of one lesion, from what is told to what is possible.

    `applies` says whether the lesion is one that the score is meant for; `operated` whether that bone was operated on
    or after the day of the finding.
    """

    lesion: Lesion
    applies: Criterion
    score: Score
    operated: Criterion

    @property
    def total(self) -> Reading:
        """The score as a reading; an interval while items are missing."""
        return self.score.total

    @property
    def about(self) -> str:
        """The key of the bone."""
        return bone_key(self.lesion)

    @property
    def in_numbers(self) -> int | str:
        """The score as one number, or as the range that its missing items leave."""
        return self.score.lowest if self.score.is_told else f"{self.score.lowest}–{self.score.highest}"
