"""
A chart as it was known at a moment: what came later is hidden, what ended later has not ended.

An export holds the newest state of each resource and seldom its history. What can be taken back is taken back; where
the state of that moment cannot be told, the newest one stays and this is said (`hindsight`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from fhir_mapping.terms import dates, exact

if TYPE_CHECKING:
    import datetime as dt

    from fhir_mapping.terms.dates import Stamp

Why = Literal["known", "later", "rewound", "assumed", "hindsight"]
"""
`known`: it was so. `later`: nobody knew it yet. `rewound`: something in it came later and was taken back.
`assumed`: nothing in it tells since when it was known. `hindsight`: it was changed after the moment, or at a time
that nobody told, and how it was before is not known.
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """
    What of one resource type tells time; see `known.toml`.

    `changed_only`: its state tells nothing by itself, only a change after the moment does. `ended_by_ends_only`: an
    end that is not dated is part of the thing (a day's procedure is completed), no later change.
    """

    since: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    takes_back: tuple[str, ...] = ()
    status: str = ""
    over: Mapping[str, str] = field(default_factory=dict)
    hindsight: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    always: bool = False
    changed_only: bool = False
    ended_by_ends_only: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of a resource at a moment: its bytes (None: nothing yet), and how sure that is."""

    raw: bytes | None
    why: Why


@cache
def timings() -> Mapping[str, Timing]:
    """Give what tells time, by resource type."""
    table = tomllib.loads(resources.files(__package__).joinpath("known.toml").read_text(encoding="utf-8"))
    return {
        kind: Timing(**{key: _frozen(value) for key, value in row.items()}) for kind, row in table.items()
    }  # a misspelled key is no field of Timing, and is refused


def _frozen(value: Any) -> Any:  # noqa: ANN401 - any TOML
    return tuple(value) if isinstance(value, list) else value


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING_TELLS = Timing()


def as_known(raw: bytes, moment: dt.datetime) -> Known:
    """
    Give a resource as it was known at a moment (timezone-aware; days are days in its zone).

    What is dated after the moment is hidden whatever it says: changing or dropping it changes nothing. A date without
    a time counts from its first instant. Bytes that are no resource are given back as they are, `assumed`.
    """
    try:
        members = _members(raw)
    except exact.BROKEN:
        return Known(raw, "assumed")
    timing = timings().get(_word(members, "resourceType"), _NOTHING_TELLS)
    told = [stamp for name in timing.since if (stamp := _stamp(members, name, moment)) is not None]
    if any(_begins(stamp, moment) > moment for stamp in told):
        return Known(None, "later")
    found, is_rewound = _taken_back(raw, members, timing, moment)
    if is_rewound:
        return Known(found, "rewound")
    if _with_hindsight(members, timing, moment):
        return Known(raw, "hindsight")
    return Known(raw, "known" if told or timing.always else "assumed")


def _with_hindsight(members: Mapping[str, msgspec.Raw], timing: Timing, moment: dt.datetime) -> bool:
    """Tell whether the resource may have said something else at the moment."""
    if any(_code(members, name) in words for name, words in timing.hindsight.items()):
        return True
    if not timing.over or timing.ended_by_ends_only or _code(members, timing.status) not in timing.over:
        return False
    if any(_stamp(members, name, moment) is not None for name in timing.ends):
        return False  # it had ended, and when is told
    if not timing.changed_only:
        return True
    changed = _stamp(members, "meta.lastUpdated", moment)
    return changed is None or _begins(changed, moment) > moment


def _taken_back(
    raw: bytes, members: Mapping[str, msgspec.Raw], timing: Timing, moment: dt.datetime
) -> tuple[bytes, bool]:
    """Take back an end that came later, with the state it left, and notes that were written later."""
    found: dict[str, Any] = {}
    gone: set[str] = set()
    stamps = [_stamp(members, name, moment) for name in timing.ends]
    if any(stamp is not None and _begins(stamp, moment) > moment for stamp in stamps):
        for name in timing.takes_back:
            outer, _, inner = name.partition(".")
            period = _plain(members.get(outer)) if inner else None
            if isinstance(period, dict):
                found[outer] = {key: value for key, value in period.items() if key != inner}
            else:
                gone.add(outer)
        before = timing.over.get(_code(members, timing.status))
        if before is not None:
            found[timing.status] = before if timing.status == "status" else {"coding": [{"code": before}]}
    notes = _plain(members.get("note"))
    if late := _late(notes, moment):
        found["note"] = [note for note in exact.listed(notes) if note not in late]
    if not found and not gone:
        return raw, False
    kept: dict[str, Any] = {name: value for name, value in members.items() if name not in gone}
    return msgspec.json.encode(kept | found), True  # all else stands as it was written, to the digit


def _late(notes: object, moment: dt.datetime) -> list[dict[str, Any]]:
    stamps = [(note, dates.parse(note.get("time"), _zone(moment))) for note in exact.listed(notes)]
    return [note for note, stamp in stamps if stamp is not None and _begins(stamp, moment) > moment]


# --- reading a few elements ---------------------------------------------------------------------------------


def _plain(raw: msgspec.Raw | None) -> Any:  # noqa: ANN401 - any JSON
    if raw is None or exact.too_deep(bytes(raw)):
        return None
    try:
        return msgspec.json.decode(raw)
    except exact.BROKEN:
        return None


def _word(members: Mapping[str, msgspec.Raw], name: str) -> str:
    found = _plain(members.get(name))
    return found if isinstance(found, str) else ""


def _code(members: Mapping[str, msgspec.Raw], name: str) -> str:
    """Give the code of a status element, which is a word, a CodeableConcept or `true`."""
    found = _plain(members.get(name)) if name else None
    if found is True:
        return "true"
    if isinstance(found, str):
        return found.strip()
    listed = found.get("coding") if isinstance(found, dict) else None
    codes = [one.get("code") for one in exact.listed(listed)]
    return next((code for code in codes if isinstance(code, str)), "")


def _stamp(members: Mapping[str, msgspec.Raw], name: str, moment: dt.datetime) -> Stamp | None:
    outer, _, inner = name.partition(".")
    raw = members.get(outer)
    if raw is None:
        return None
    found = _plain(raw)
    if inner:
        found = found.get(inner) if isinstance(found, dict) else None
    return dates.parse(found, _zone(moment))


def _zone(moment: dt.datetime) -> dt.tzinfo:
    if moment.tzinfo is None:
        raise ValueError("`moment` must tell its time zone; use datetime.now(UTC).")
    return moment.tzinfo


def _begins(stamp: Stamp, moment: dt.datetime) -> dt.datetime:
    """Give the first instant of what may be a day, a month or a year."""
    if stamp.moment is not None:
        return stamp.moment
    return moment.replace(
        year=stamp.day.year, month=stamp.day.month, day=stamp.day.day, hour=0, minute=0, second=0, microsecond=0
    )
