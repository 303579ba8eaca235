"""Which FHIR server is meant: a base taken apart, and links rebuilt from the configured one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from hooks.settings import is_loopback

LONGEST_URL: Final = 8 * 1024
# Refused before any parser sees them: they are what parsers disagree about.
_ODD = re.compile(r"[^\x21-\x7e]|[\\@#%]|\.\.")


class Base(NamedTuple):
    """A FHIR base, taken apart: scheme and host in lower case, the port written out, the path without end slash."""

    scheme: str
    host: str
    port: int
    path: str


def as_written(text: str) -> str:
    """
    Give the FHIR base that somebody means who writes it on the command line.

    `/metadata` or a slash at its end is left out; where no scheme is written it is https, http on this machine.
    """
    found = text.strip().rstrip("/").removesuffix("/metadata").rstrip("/")
    if "://" in found:
        return found
    host = found.partition("/")[0].rpartition(":")[0] or found.partition("/")[0]
    return f"{'http' if is_loopback(host) else 'https'}://{found}"


def base_of(url: str) -> Base | None:
    """Takes a FHIR base apart; None for anything that is not plainly a http(s) base."""
    parts = _parts(url)
    if parts is None or "?" in url:
        return None
    base, _ = parts
    return base


def configured_base(sent: str, bases: Iterable[str]) -> str | None:
    """
    The configured base that a sent `fhirServer` names, or None.

    The caller goes on with the configured text; the one that was sent is never used.
    """
    wanted = base_of(sent)
    if wanted is None:
        return None
    return next((base.rstrip("/") for base in bases if base_of(base) == wanted), None)


def _parts(url: str) -> tuple[Base, str] | None:
    """Scheme, host, port and path of a URL, and its query; None for one that is not plain."""
    head, _, query = url.partition("?")
    if len(url) > LONGEST_URL or _ODD.search(head) or re.search(r"[^\x21-\x7e]|[\\#]", query):
        return None
    from urllib3.exceptions import LocationParseError  # noqa: PLC0415 - a site without FHIR servers never reads it
    from urllib3.util import parse_url  # noqa: PLC0415 - the same

    try:
        # urllib3's parser, since it is urllib3 that connects: a check with another one would check another host.
        parsed = parse_url(head)
    except LocationParseError:
        return None
    scheme = (parsed.scheme or "").lower()
    if scheme not in {"http", "https"} or not parsed.host or parsed.auth is not None:
        return None
    port = parsed.port if parsed.port is not None else {"http": 80, "https": 443}[scheme]
    return Base(scheme, parsed.host.lower(), port, (parsed.path or "").rstrip("/")), query


def next_query(link: str, base: str) -> str | None:
    """
    What a Bundle's `next` link asks for, as a part to append to the configured base; None when it leads elsewhere.
    """
    ours = base_of(base)
    if ours is None:
        return None
    if "://" not in link and not link.startswith("/"):
        link = f"{base}/{link}" if not link.startswith("?") else f"{base}{link}"
    parts = _parts(link)
    if parts is None:
        return None
    (scheme, host, port, path), query = parts
    if (scheme, host, port) != ours[:3] or not (path == ours.path or path.startswith(f"{ours.path}/")):
        return None
    return path[len(ours.path) :] + (f"?{query}" if query else "")
