"""The form's own words in both languages."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.cards.wording import Language


@cache
def texts(language: Language) -> Mapping[str, str]:
    """Give the form's words in one language."""
    data = tomllib.loads(resources.files("hooks.dossier.form").joinpath("texts.toml").read_text(encoding="utf-8"))
    return {key: row[language] for key, row in data.items()}
