"""All settings, in one frozen object that is made once."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import ipaddress
import itertools
import re
import ssl
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from fhir_mapping.terms.site import site_mapping
from hooks.cards.language import language_of
from hooks.cards.wording import Language
from recommenders.assessing.topics import RECOMMENDERS, TOPICS
from recommenders.patient import derived, recency
from recommenders.vocabulary.guidance import VOICES, Hook, Recommender, Voice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "ONCOBONE_"
MIB = 1024 * 1024
LONGEST_BUDGET_S = 8.0
IN_MEMORY = frozenset({"sqlite://", "sqlite:///:memory:"})
_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/\-]*)?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Auth = Literal["open", "signed"]
Role = Literal["prescriber", "pharmacist"]


class SettingsError(ValueError):
    """A setting that cannot be; the message names the key, where it stands and what would do."""


def _split(value: object) -> object:
    # The environment has only text: a list is written with commas.
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
Tongue = Annotated[Language, BeforeValidator(lambda value: language_of(str(value)) or value)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceSettings(_Section):
    """
    One `[[services]]` entry: a service of the site's own making, instead of the default one per hook.

    `recommenders` restricts who may speak (None: all); `role` is who reads its cards; `shadow` judges and records its
    calls without showing a card.
    """

    id: str
    hook: Hook
    title: str | None = None
    description: str | None = None
    recommenders: tuple[Recommender, ...] | None = None
    role: Role | None = None
    shadow: bool = False

    @field_validator("id")
    @classmethod
    def _is_a_path_segment(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError("may hold letters, digits, dots, hyphens and underscores, at most 64")
        return value

    @field_validator("recommenders")
    @classmethod
    def _names_somebody(cls, value: tuple[Recommender, ...] | None) -> tuple[Recommender, ...] | None:
        if value is not None and not value:
            raise ValueError("is empty; leave it out for all recommenders")
        for name in value or ():
            if name not in RECOMMENDERS:
                raise ValueError(f"has {name!r}, which is no recommender; there are: {', '.join(RECOMMENDERS)}")
        return value


class ClientSettings(_Section):
    """
    One `[[clients]]` entry: an EHR that may call in signed mode.

    `keys_file` is its key set (JWKS) as a file, `jku` the URL where it publishes one; `tenants` the
    organisations it may speak for (empty: not looked at); `fhir_servers` the FHIR bases that may be called
    for it; `calls_per_second` how often it may call; `feedback_audience` whether the `aud` of a feedback token is
    the URL of the feedback, as CDS Hooks has it, or may be that of the service; `shadow` that its calls are judged
    and recorded and no card is shown; `fhir_anonymous` whether its FHIR
    servers are read also where a call brings no token.
    """

    issuer: str = Field(min_length=1)
    keys_file: Path | None = None
    jku: str | None = None
    algorithms: tuple[str, ...] = ("RS384", "ES384")
    tenants: tuple[str, ...] = ()
    fhir_servers: tuple[str, ...] = ()
    calls_per_second: Annotated[float, Field(gt=0)] = 500.0
    feedback_audience: Literal["feedback", "service"] = "feedback"
    shadow: bool = False
    fhir_anonymous: bool = False

    @field_validator("fhir_servers")
    @classmethod
    def _are_bases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _check_no_endpoint(value)
        return value


def _check_no_endpoint(bases: tuple[str, ...]) -> None:
    for base in bases:
        if base.rstrip("/").endswith("/metadata"):
            raise ValueError("must be FHIR bases: leave /metadata out, such as https://ehr.example.org/fhir")


class Settings(_Section):
    """What a site can set; the README's table is made of these lines."""

    host: str = "127.0.0.1"
    """Where the CDS base is served: the address."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """And the port."""
    now: dt.datetime | None = None
    """A fixed moment of evaluation, for tests and replays."""
    timezone: str = "UTC"
    """Where the calendar day is taken."""
    language: Tongue = "en"
    """`en` or `zh-CN` (`zh` will do), when the caller asks for none."""
    auth: Auth = "open"
    """`open`, or `signed` (CDS client JWTs); `signed` when not on loopback."""
    allow_open: bool = False
    """`on` lets open mode listen elsewhere than on loopback (isolated networks)."""
    cors_origins: Words = ()
    """Origins that browser clients may have; all in open mode on loopback."""
    operator_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Where `/metrics` listens when the host is not loopback."""
    max_body_mb: Annotated[float, Field(gt=0, le=1024)] = 16
    """The largest request, in MB."""
    fhir_servers: Words = ()
    """FHIR bases that may be called in open mode."""
    database_url: str | None = None
    """The SQLAlchemy URL of the store; a SQLite file when not given."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes."""
    threads: Annotated[int, Field(ge=1, le=64)] = 8
    """Threads of each process."""
    console: bool = False
    """The console at `/`; on in open mode on loopback."""
    public_url: str | None = None
    """Our own address, for `aud` and for links on cards."""
    most_cards: Annotated[int, Field(ge=1, le=20)] = 3
    """How many cards a chart opens with, alerts aside."""
    full_evaluation: bool = False
    """Write into the evaluation what knowing each missing fact would change."""
    shadow: bool = False
    """Every call is judged and recorded, and no card is shown."""
    both_languages: bool = False
    """The headline in the other language too."""
    quiet_days: Annotated[float, Field(ge=0, le=366)] = 30
    """How long a card that was answered for a patient is not shown to the same patient again (alerts are)."""
    queue_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How long a call may wait for a free thread before it is refused as overload."""
    fetch_seconds: Annotated[float, Field(ge=0.5, le=LONGEST_BUDGET_S)] = 3.0
    """The time for all fetching of one call together."""
    fhir_anonymous: bool = False
    """Read the FHIR servers also where a call brings no token; on in open mode on loopback."""
    strict: bool = False
    """Refuse a call whose `fhirServer` is not listed, instead of passing it over."""
    observation_search: Literal["two", "all", "coded"] = "two"
    """How results are looked for: `two` (by code, and the rest newest first), `all`, `coded`."""
    ca_file: str | None = None
    """PEM certificates to trust at FHIR servers and at the key sets of clients, instead of the public ones."""
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0
    """How long `/readyz` is red before a stopping server takes no more calls."""
    stop_seconds: Annotated[float, Field(ge=0, le=300)] = 10.0
    """How long running calls may take to end."""
    last_words_seconds: Annotated[float, Field(ge=0, le=300)] = 20.0
    """How long after that a stopping server tries to store what still waits for the database."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`."""
    pharmacists: Words = ()
    """`userId`s who read dose cards as a verification."""
    services: tuple[ServiceSettings, ...] | None = None
    """Services of the site's own making, instead of one for each hook (`[[services]]`)."""
    clients: tuple[ClientSettings, ...] = ()
    """The EHRs that may call in signed mode (`[[clients]]`)."""
    site: dict[str, Decimal] = {}
    """The hospital's own choices, `topic.limit` = number (`[site]`)."""
    mapping: dict[str, Any] = {}
    """Its own codes, names and units (`[mapping]`)."""
    audit_key_file: str | None = None
    """The key of the audit record; beside the database when not given."""
    otlp_endpoint: str | None = None
    """The OpenTelemetry collector that gets traces (`oncobone[otel]`)."""
    smart_client_id: str | None = None
    """The id under which the EHR knows our SMART app; without it the dossier and the form are off."""
    smart_auth_origins: Words = ()
    """Further origins on which an EHR's sign-in may live."""
    smart_frame_ancestors: Words = ()
    """Origins that may show the app in a frame of their own."""
    voice: dict[str, Voice] = {}
    """The site's own voice of a rule, by its id (`[voice]`)."""
    decided_by: str | None = None
    """Who decided that an alert is quieter."""
    quiet_reasons: dict[str, Annotated[float, Field(ge=0, le=366)]] = {}
    """The same as `quiet_days` by code of an override reason, alerts included (`[quiet_reasons]`)."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_hang_on_others(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic gives and takes anything
        if isinstance(data, dict):
            loopback = is_loopback(str(data.get("host", "127.0.0.1")))
            data = {key: value for key, value in data.items() if value is not None}
            # who says that open mode is meant, and names no client to be checked, means open mode
            meant = str(data.get("allow_open", "")).lower() in {"on", "true", "1", "yes"} and not data.get("clients")
            data.setdefault("auth", "open" if loopback or meant else "signed")
            data.setdefault("console", loopback and data["auth"] == "open")
            data.setdefault("fhir_anonymous", loopback and data["auth"] == "open")
        return data

    @field_validator("now", mode="before")
    @classmethod
    def _moment(cls, value: object) -> object:
        text = value.isoformat() if isinstance(value, dt.date) else value
        try:
            if isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
                return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(12), dt.UTC)
            moment = dt.datetime.fromisoformat(str(text))
        except ValueError:
            raise ValueError("must be a day (2026-11-22) or a date-time with zone (2026-11-22T08:00+08:00)") from None
        if moment.tzinfo is None:
            raise ValueError("has a time but no zone; write 2026-11-22T08:00+08:00, or only the day")
        return moment

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        zone(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _is_where_we_begin(cls, value: str | None) -> str | None:
        if value is not None and value.rstrip("/").endswith("/cds-services"):
            raise ValueError("is the address before /cds-services, such as https://cds.example.org; leave the rest out")
        return value

    @field_validator("public_url", "otlp_endpoint")
    @classmethod
    def _is_a_base(cls, value: str | None) -> str | None:
        if value is not None and not _URL.fullmatch(value):
            raise ValueError("must be an http or https address without query, such as https://cds.example.org")
        return value.rstrip("/") if value else None

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=value)
            except OSError:  # ssl.SSLError is one
                raise ValueError("is no readable file of certificates in PEM form") from None
        return value

    @field_validator("fhir_servers")
    @classmethod
    def _are_bases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _check_no_endpoint(value)
        if any(not _URL.fullmatch(base) or ".." in base for base in value):
            raise ValueError("must be FHIR bases, such as https://ehr.example.org/fhir, with commas between")
        return value

    @field_validator("cors_origins", "smart_auth_origins", "smart_frame_ancestors")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin) for origin in value):
            raise ValueError("must be exact origins, such as https://ehr.example.org, without path and with no *")
        return value

    @field_validator("services")
    @classmethod
    def _are_told_apart(cls, value: tuple[ServiceSettings, ...] | None) -> tuple[ServiceSettings, ...] | None:
        pairs = [(service.id, service.hook) for service in value or ()]
        if len(set(pairs)) != len(pairs):
            raise ValueError("holds two entries with the same id and hook")
        return value

    @field_validator("site", mode="before")
    @classmethod
    def _flat(cls, value: object) -> object:
        return dict(_flattened(value)) if isinstance(value, dict) else value

    @field_validator("site")
    @classmethod
    def _may_be_chosen(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for key in value:
            _check_site_key(key)
        return value

    @field_validator("mapping")
    @classmethod
    def _can_be_used(cls, value: dict[str, Any]) -> dict[str, Any]:
        site_mapping(value)
        return value

    @model_validator(mode="after")
    def _voices_are_decided(self) -> Settings:
        for rule, chosen in self.voice.items():
            _check_voice(rule, chosen, self.decided_by)
        return self

    @property
    def voices(self) -> Mapping[str, Voice]:
        """The site's own voices, by rule id."""
        return self.voice

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def max_body_bytes(self) -> int:
        """The largest request body that is read."""
        return int(self.max_body_mb * MIB)

    @property
    def zone(self) -> dt.tzinfo:
        """The time zone whose calendar days count."""
        return zone(self.timezone)

    def moment(self) -> dt.datetime:
        """Give the moment of the evaluation, in the site's time zone."""
        return (self.now or dt.datetime.now(dt.UTC)).astimezone(self.zone)


def zone(name: str) -> dt.tzinfo:
    """
    Give a time zone by its IANA name.

    Raises ValueError for a name that is not there.
    """
    if name.upper() in {"UTC", "Z"}:
        return dt.UTC  # needs no zone files, which slim images lack
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone of this machine; write an IANA name such as Asia/Shanghai") from None


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _flattened(table: Mapping[str, object], prefix: str = "") -> Any:  # noqa: ANN401 - pydantic gives and takes anything
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_site_key(key: str) -> None:
    topic, _, name = key.partition(".")
    guidances = {guidance.topic: guidance for guidance in (derived.GUIDANCE, *(topic.guidance for topic in TOPICS))}
    if topic == "windows":
        windows = recency.windows("chart")
        if name not in windows:
            raise ValueError(f"has {key!r}, but there is no such window; there are: {', '.join(windows)}")
    elif topic not in guidances or name not in guidances[topic].entries:
        raise ValueError(f"has {key!r}, but there is no such limit; write topic.limit, such as common.newly_diagnosed")
    elif not any(entry.site for entry in guidances[topic].entries[name]):
        raise ValueError(f"has {key!r}, which is a source's own number and not a site's to change")


def _check_voice(rule: str, chosen: Voice, decided_by: str | None) -> None:
    """A site may make any rule quieter, an alert only by name; louder only what is a result or a reference."""
    usual = next((topic.guidance.rules[rule].voice for topic in TOPICS if rule in topic.guidance.rules), None)
    if usual is None:
        raise ValueError(f"voice has {rule!r}, which is no rule; oncobone catalogue lists them")
    quieter = VOICES.index(chosen) < VOICES.index(usual)
    if usual == "alert" and quieter and not decided_by:
        raise ValueError(f"voice.{rule} makes an alert quieter; say in decided_by who decided that")
    if usual == "task" and chosen == "alert":
        raise ValueError(f"voice.{rule} may make a task quieter, not louder")


TABLES = frozenset({"services", "clients", "site", "mapping", "voice", "quiet_reasons"})
"""What only the TOML file can hold."""


def refuse_unsafe_start(settings: Settings) -> str | None:
    """
    Check that the server may be started like this; give the warning to log at each start, if any.

    Raises SettingsError, with what to do, when it would serve patient data to anybody, or could serve nobody.
    """
    if settings.auth == "open" and not settings.loopback:
        if not settings.allow_open:
            raise SettingsError(
                f"Refused to start: {settings.host} can be reached from other machines, and open mode asks nobody who"
                " they are. Use ONCOBONE_AUTH=signed with [[clients]], or, inside an isolated network, say"
                " ONCOBONE_ALLOW_OPEN=on."
            )
        return f"open mode on {settings.host}: whoever can reach this port can call, unasked (ONCOBONE_ALLOW_OPEN=on)"
    if settings.auth == "signed":
        lacking = [name for name in ("clients", "public_url") if not getattr(settings, name)]
        if lacking:
            raise SettingsError(
                f"Refused to start: signed mode (the default on {settings.host}) needs {' and '.join(lacking)} to check"
                " tokens against: [[clients]] in the ONCOBONE_CONFIG file and ONCOBONE_PUBLIC_URL. Inside an isolated"
                " network open mode can be had with ONCOBONE_ALLOW_OPEN=on."
            )
    if settings.workers > 1 and settings.database_url in IN_MEMORY:
        raise SettingsError(
            f"Refused to start: each of {settings.workers} processes would have a database of its own in memory, and"
            " forget it. Name a file or PostgreSQL in ONCOBONE_DATABASE_URL, or set ONCOBONE_WORKERS=1."
        )
    return None


HOOKS: tuple[Hook, ...] = get_args(Hook)


def table() -> Iterator[str]:
    """Give the table of all settings in Markdown, in the order of the model: name, meaning, default."""
    yield "| name | meaning | default |"
    yield "|---|---|---|"
    meanings = _meanings()
    for name, field in Settings.model_fields.items():
        shown = f"`{PREFIX}{name.upper()}`" if name not in TABLES else f"`{name}` (file only)"
        yield f"| {shown} | {meanings[name].rstrip('.')} | {_default(field.get_default())} |"


def _meanings() -> dict[str, str]:
    """Give what stands under each setting; read from the source only here, since every start would pay for it."""
    [described] = ast.parse(inspect.getsource(Settings)).body
    pairs = itertools.pairwise(described.body) if isinstance(described, ast.ClassDef) else ()
    return {
        setting.target.id: inspect.cleandoc(str(meaning.value.value))
        for setting, meaning in pairs
        if isinstance(setting, ast.AnnAssign)
        and isinstance(setting.target, ast.Name)
        and isinstance(meaning, ast.Expr)
        and isinstance(meaning.value, ast.Constant)
    }


def _default(value: object) -> str:
    if value in (None, (), {}):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
