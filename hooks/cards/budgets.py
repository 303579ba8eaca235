"""How long a card may be, and how many there may be: a clinician gives a card ten seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooks.cards.wording import Language

USUAL = {"en": 110, "zh-CN": 220}
"""Words (en) or characters (zh) above which lesser lines go to the dossier."""
LONGEST = {"en": 150, "zh-CN": 300}
"""What no card exceeds, whatever has to go."""

MOST_CARDS = 3
"""Cards at the chart, unless there are more alerts."""
MOST_ACTS = 3
MOST_UNLESS = 1
MOST_DIFFERING = 2
MOST_ASKED = 2
MOST_ALSO = 3
MOST_REASONS = 4
MOST_BUTTONS = 5
MOST_OVERRIDES = 5

_MARKS = re.compile(r"[*_#>\[\]()-]")
_LINKS = re.compile(r"\(https?://[^)]*\)")
_HAN = re.compile(r"[\u4e00-\u9fff]")


def length(text: str, language: Language) -> int:
    """Count what a reader reads: words in English, characters in Chinese."""
    if language == "zh-CN":
        return len(_HAN.findall(text))
    return len(_MARKS.sub(" ", _LINKS.sub("", text)).split())
