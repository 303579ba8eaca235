"""Reads the settings: a flag wins over the environment, that over the TOML file."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import BaseModel, ValidationError

from fhir_mapping.terms.site import SiteMappingError, site_mapping
from hooks.settings import PREFIX, TABLES, ClientSettings, ServiceSettings, Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIG = "ONCOBONE_CONFIG"
VARIABLES: Mapping[str, str] = {PREFIX + name.upper(): name for name in Settings.model_fields if name not in TABLES}
"""Environment variable -> setting."""


def load(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """
    Make the settings from flags, environment and TOML file (`-`: standard input); a flag that is None is not given.

    Raises SettingsError for an unknown key or a value that cannot be, naming the key and where it stands.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    config = given.pop("config", None) or environ.get(CONFIG)
    origin: dict[str, str] = {}
    values: dict[str, object] = {}
    if config:
        for key, value in _file(Path(str(config))).items():
            values[key], origin[key] = value, f"{key} in {config}"
        if "mapping" in values:
            origin["mapping"] = _mapping_place(Path(str(config)), values["mapping"])
    for key, value in _environment(environ).items():
        values[key], origin[key] = value, PREFIX + key.upper()
    for key, value in given.items():
        values[key], origin[key] = value, "--" + key.replace("_", "-")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_told(detail, origin) for detail in error.errors())) from None


def _mapping_place(path: Path, mapping: object) -> str:
    """Say where the site's mapping stands, with the line of its first entry that cannot be used, if any."""
    place = f"mapping in {path}"
    try:
        site_mapping(mapping if isinstance(mapping, dict) else {})
    except SiteMappingError as error:
        line = _line_of(str(error), _text(path).splitlines())
        return f"{place}, line {line}" if line else place
    return place


def _line_of(message: str, lines: list[str]) -> int | None:
    """Find the line that a message about the mapping speaks of; None when it stands nowhere by itself."""
    entry = re.search(r"(codes|names), entry (\d+)", message)
    unit = re.search(r"units, (['\"])(.*?)\1", message)
    if entry:
        heads = [n for n, line in enumerate(lines, 1) if re.match(rf"\s*\[\[\s*mapping\.{entry[1]}\s*\]\]", line)]
        return heads[int(entry[2]) - 1] if len(heads) >= int(entry[2]) else None
    word = unit[2] if unit else next(iter(re.findall(r"'([^']+)' is not a setting", message)), None)
    return next((n for n, line in enumerate(lines, 1) if word and word in line.partition("#")[0]), None)


@lru_cache(maxsize=1)
def _piped(stream: TextIO) -> str:
    """Standard input, which gives its text only once: a server that reads its settings again has it from here."""
    return stream.read()


def _text(path: Path) -> str:
    return _piped(sys.stdin) if str(path) == "-" else path.read_text(encoding="utf-8")


def _file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(_text(path), parse_float=Decimal)
    except OSError as error:
        raise SettingsError(f"{CONFIG}: {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{CONFIG}: {path} is not TOML: {error}") from None
    for key in data:
        if key not in Settings.model_fields:
            raise SettingsError(f"{key} in {path} is not a setting{_nearest(key, Settings.model_fields)}")
    return data


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key == CONFIG:
            continue
        if key not in VARIABLES:
            raise SettingsError(
                f"{key} is not a setting{_nearest(key, [*VARIABLES, CONFIG])}."
                " (Kubernetes makes such names by itself for a service called oncobone: set enableServiceLinks: false.)"
            )
        if value.strip():  # set but empty is how compose files say "not set"
            found[VARIABLES[key]] = value.strip()
    return found


_PLAINLY: Mapping[str, str] = {
    "tuple_type": 'must be a list, such as ["…"]',
    "bool_parsing": "must be on or off",
    "missing": "is missing",
    "model_type": "must be an entry with keys of its own",
    "dict_type": "must be a table with keys of its own",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "decimal_parsing": "must be a number",
    "string_type": 'must be a text, in quotes: "…"',
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}
"""What is said in the place of pydantic's words, which are for programmers."""
_LISTED: Mapping[str, type[BaseModel]] = {"clients": ClientSettings, "services": ServiceSettings}


def _told(detail: Any, origin: Mapping[str, str]) -> str:  # noqa: ANN401 - pydantic gives and takes anything
    # Never pydantic's whole message: it would print the value, which may be a password in a database URL.
    place = [str(part) for part in detail["loc"]]
    top = place[0] if place else "settings"
    name = origin.get(top, top)
    if top in _LISTED and detail["type"] == "tuple_type" and len(place) == 1:
        return f"{name}: is written [[{top}]], with two brackets, once for each"
    if len(place) > 1 and place[1].isdecimal():
        name = f"{name}, entry {int(place[1]) + 1}"
        place = place[1:]
    if detail["type"] == "extra_forbidden":
        known = list(_LISTED[top].model_fields) if top in _LISTED else []
        return f"{name}: {'.'.join(place[1:])} is not a key that it knows{_nearest(place[-1], known)}"
    inner = "".join(f" ({'.'.join(place[1:])})" for _ in place[1:2])
    plainly = _PLAINLY.get(detail["type"], "").format_map(detail.get("ctx", {}))
    return f"{name}{inner}: {plainly or detail['msg'].removeprefix('Value error, ')}"


def _nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, and all of them."""
    listed = list(known)
    near = difflib.get_close_matches(word, listed, 1, 0.7)
    perhaps = f"; perhaps {near[0]}" if near else ""
    return perhaps + (f"; there are: {', '.join(listed)}" if listed else "")
