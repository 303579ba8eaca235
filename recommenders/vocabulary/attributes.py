"""The source attributes of a recommender (HTI-1, evidence-based): what its advice rests on, and what it reads."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel, ConfigDict, Field


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
    """The thirteen attributes of one recommender, with its purpose and users; `sources` are keys of `sources.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str = Field(min_length=1)
    users: str = Field(min_length=1)
    sources: tuple[str, ...] = Field(min_length=1)
    developer: str = Field(min_length=1)
    funding: str = Field(min_length=1)
    released: dt.date
    revised: dt.date
    uses: Uses
