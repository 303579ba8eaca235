"""The source attributes of each recommender (HTI-1, evidence-based decision support), as data served at a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recommenders.assessing.topics import RECOMMENDERS
from recommenders.vocabulary.guidance import VERSION, sources

if TYPE_CHECKING:
    from recommenders.vocabulary.guidance import Recommender


def as_json(name: Recommender) -> dict[str, Any]:
    """Write a recommender's attributes as served: citations in full, version, and each use by its name."""
    found = RECOMMENDERS[name].attributes
    return {
        "recommender": name,
        "guidance": VERSION,
        "kind": "evidence-based",
        "purpose": found.purpose,
        "users": found.users,
        "citations": [
            {"key": key, "citation": sources()[key].title} | ({"url": sources()[key].url} if sources()[key].url else {})
            for key in found.sources
        ],
        "developer": found.developer,
        "funding": found.funding,
        "released": found.released.isoformat(),
        "revised": found.revised.isoformat(),
        "uses": found.uses.model_dump(),
    }
