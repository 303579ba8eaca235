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
VERTEBRAE: frozenset[str] = frozenset({"spine", *_TABLES["vertebrae"].values()})
SITES: tuple[str, ...] = tuple(_TABLES["sites"])


def site_of_level(level: str) -> str:
    """Give the part of the spine that a vertebra ("T10") belongs to."""
    site: str = _TABLES["vertebrae"][level[0]]
    return site


def parts_of(site: str) -> tuple[str, ...]:
    """Give the bones that a site may mean: itself, or what a general name ("femur", "lower-limb") leaves open."""
    return tuple(_PARTS.get(site, (site,)))


@dataclass(frozen=True, slots=True)
class Bone:
    """One bone as far as it is told: lesion site, side of a paired bone, level of a vertebra ("T10")."""

    site: str | None = None
    side: Side | None = None
    level: str | None = None

    @property
    def key(self) -> str:
        """Give it as one word, such as `femur/left`, `spine-thoracic/T10`, `sacrum`; `bone` when nothing is told."""
        return "/".join(part for part in (self.site or "bone", self.side, self.level) if part)

    def fits(self, other: Bone) -> bool:
        """Tell whether it is certainly the same bone."""
        return same_bone(self, other) is True


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


def same_bone(one: Bone, other: Bone) -> Truth:
    """
    Tell whether two places are the same bone: same site, same side, same level.

    Two parts of the femur are one bone. A side or level that is not told on both leaves it unknown, and so does a
    mere region; what does not fit is no, whatever else is unknown.
    """
    in_femur = one.site in _FEMUR and other.site in _FEMUR
    place = True if in_femur else same_place(one.site, other.site)
    if place is False or _differ(one.side, other.side) or _differ(one.level, other.level):
        return False
    if place is None or (one.site in PAIRED and other.site in PAIRED and None in {one.side, other.side}):
        return None
    if one.site in VERTEBRAE and other.site in VERTEBRAE and None in {one.level, other.level}:
        return None
    return True


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other
