"""Characters that are written in two ways: traditional Chinese read as simplified."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files


def simplified(text: str) -> str:
    """Give a text with its traditional characters as simplified ones (those of `traditional.csv`, after OpenCC)."""
    return text if text.isascii() else text.translate(_characters())


@lru_cache(maxsize=1)
def _characters() -> dict[int, str]:
    lines = files("fhir_mapping.words").joinpath("traditional.csv").read_text("utf-8").splitlines()[1:]
    return {ord(one): other for one, _, other in (line.partition(",") for line in lines)}
