"""The dossier's own words in both languages."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def texts(language: str) -> Mapping[str, str]:
    """Give the words in `en` or `zh-CN`."""
    data = tomllib.loads(resources.files("hooks.dossier").joinpath("texts.toml").read_text(encoding="utf-8"))
    return {key: row[language] for key, row in data.items()}
