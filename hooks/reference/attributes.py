"""The source attributes of each recommender (HTI-1, evidence-based decision support), as data served at a URL."""

from __future__ import annotations

import datetime as dt
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from recommenders.vocabulary.guidance import VERSION, Recommender, sources

if TYPE_CHECKING:
    from collections.abc import Mapping


class Uses(BaseModel):
    """Attributes 5 to 13: whether an element is used, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    race: str = Field(min_length=1)
    ethnicity: str = Field(min_length=1)
    language: str = Field(min_length=1)
    sexual_orientation: str = Field(min_length=1)
    gender_identity: str = Field(min_length=1)
    sex: str = Field(min_length=1)
    date_of_birth: str = Field(min_length=1)
    social_determinants: str = Field(min_length=1)
    health_status_assessments: str = Field(min_length=1)

    def denies(self, element: str) -> bool:
        """Tell whether the attribute says that this element is not used."""
        said: str = getattr(self, element)
        return said.startswith("No")


class Attributes(BaseModel):
    """The thirteen attributes of one recommender, with its purpose and users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str = Field(min_length=1)
    users: str = Field(min_length=1)
    sources: tuple[str, ...] = Field(min_length=1)
    developer: str = Field(min_length=1)
    funding: str = Field(min_length=1)
    released: dt.date
    revised: dt.date
    uses: Uses

    def as_json(self, name: Recommender) -> dict[str, Any]:
        """Write them as served: citations in full, version, and each use by its name."""
        return {
            "recommender": name,
            "guidance": VERSION,
            "kind": "evidence-based",
            "purpose": self.purpose,
            "users": self.users,
            "citations": [
                {"key": key, "citation": sources()[key].title}
                | ({"url": sources()[key].url} if sources()[key].url else {})
                for key in self.sources
            ],
            "developer": self.developer,
            "funding": self.funding,
            "released": self.released.isoformat(),
            "revised": self.revised.isoformat(),
            "uses": self.uses.model_dump(),
        }


@cache
def attributes() -> Mapping[Recommender, Attributes]:
    """Give the source attributes of all recommenders, checked when first read."""
    data = tomllib.loads(resources.files("hooks.reference").joinpath("attributes.toml").read_text(encoding="utf-8"))
    return {name: Attributes.model_validate(row) for name, row in data["recommenders"].items()}
