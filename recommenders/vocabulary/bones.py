"""Which bone: its site, side and vertebral level, and whether two places are the same bone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from recommenders.vocabulary.guidance import guidance

if TYPE_CHECKING:
    from recommenders.vocabulary.logic import Truth

Side = Literal["left", "right"]

_TABLES = guidance("bones").tables
_PARTS: dict[str, list[str]] = _TABLES["parts"]
_FEMUR: frozenset[str] = frozenset(_TABLES["femur"])
REGIONS: frozenset[str] = frozenset(_TABLES["regions"])
PAIRED: frozenset[str] = frozenset(_TABLES["paired"])
LEVELLED: frozenset[str] = frozenset({"rib", "spine", *_TABLES["vertebrae"].values()} - {"sacrum"})
"""Sites of which each level is a bone of its own; the sacrum is one bone."""
SPINE_REGIONS: frozenset[str] = LEVELLED - {"rib"}
SITES: tuple[str, ...] = tuple(_TABLES["sites"])


LEVELS: tuple[str, ...] = tuple(
    f"{letter}{number}" for letter, count in _TABLES["counts"].items() for number in range(1, count + 1)
)
"""The vertebrae from above downward: C1 … L5, S1 …"""


def site_of_level(level: str) -> str:
    """Give the part of the spine that a level belongs to: `spine` for a run that crosses from one into another."""
    sites = {_TABLES["vertebrae"][one[0]] for one in levels_of(level)}
    return str(sites.pop()) if len(sites) == 1 else "spine"


@cache
def levels_of(level: str) -> frozenset[str]:
    """Give each vertebra of a level: of "T8-T10" three, of "T8,L2" two; a rib's number is its own."""
    found: set[str] = set()
    for run in level.split(","):
        first, _, last = run.partition("-")
        if first in LEVELS and last in LEVELS:
            ends = sorted((LEVELS.index(first), LEVELS.index(last)))
            found |= set(LEVELS[ends[0] : ends[1] + 1])
        else:
            found |= {one for one in (first, last) if one}
    return frozenset(found)


def parts_of(site: str) -> tuple[str, ...]:
    """Give the bones that a site may mean: itself, or what a general name ("femur", "lower-limb") leaves open."""
    return tuple(_PARTS.get(site, (site,)))


@dataclass(frozen=True, slots=True)
class Bone:
    """
    One bone as far as it is told: lesion site, side of a paired bone, level.

    A level is a vertebra ("T10"), a run or list of them ("T8-T10", "T8,L2"), or the number of a rib ("5").
    """

    site: str | None = None
    side: Side | None = None
    level: str | None = None

    @property
    def key(self) -> str:
        """Give it as one word, such as `femur/left`, `spine-thoracic/T10`, `sacrum`; `bone` when nothing is told."""
        return "/".join(part for part in (self.site or "bone", self.side, self.level) if part)

    @property
    def whole(self) -> Bone:
        """The bone as a whole: the parts of a femur are one."""
        return Bone("femur", self.side) if self.site in _FEMUR else self


@cache
def bone_of(key: str) -> Bone:
    """Give the bone of a key."""
    site, *rest = key.split("/")
    side = next((part for part in rest if part in {"left", "right"}), None)
    level = next((part for part in rest if part not in {"left", "right"}), None)
    return Bone(site, side, level)  # type: ignore[arg-type] # only the two words are taken for a side


def same_place(one: str | None, other: str | None) -> Truth:
    """
    Tell whether two sites name the same place, whatever the side and level.

    A bone's general name covers its parts ("femur" and its shaft); a region or no site at all is unknown.
    """
    if one is None or other is None:
        return None
    if one == other:
        return None if one in REGIONS else True
    if not set(parts_of(one)) & set(parts_of(other)):
        return False
    return None if one in REGIONS or other in REGIONS else True


def same_site(one: str | None, other: str | None) -> Truth:
    """Tell whether two sites name the same place or parts of one bone, whatever the side and level."""
    return True if one in _FEMUR and other in _FEMUR else same_place(one, other)


def same_bone(one: Bone, other: Bone) -> Truth:
    """
    Tell whether two places are the same bone: same site, same side, same level.

    Two parts of the femur are one bone; levels that overlap are. A side or level that is not told on both leaves it
    unknown, and so does a mere region; what does not fit is no, whatever else is unknown.
    """
    place = same_site(one.site, other.site)
    side = _agree(one.side, other.side) if one.site in PAIRED and other.site in PAIRED else True
    level = _levels_agree(one.level, other.level) if one.site in LEVELLED and other.site in LEVELLED else True
    if False in {place, side, level}:
        return False
    return None if None in {place, side, level} else True


def _agree(one: str | None, other: str | None) -> Truth:
    return None if one is None or other is None else one == other


def _levels_agree(one: str | None, other: str | None) -> Truth:
    return None if one is None or other is None else bool(levels_of(one) & levels_of(other))
