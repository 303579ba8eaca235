"""The console's own words in both languages, beside those that it shares with the dossier."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from hooks.dossier import texts as shared

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def texts(language: str) -> Mapping[str, str]:
    """Give the words in `en` or `zh-CN`."""
    data = tomllib.loads(resources.files("hooks.console").joinpath("texts.toml").read_text(encoding="utf-8"))
    return {**shared.texts(language)} | {key: row[language] for key, row in data.items()}
