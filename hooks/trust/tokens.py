"""
Trust: who calls, told by the signed token (JWT) that CDS Hooks puts into the Authorization header.

Whatever is wrong with a token, the caller reads one fixed text; the cause goes to the log as a word, and
`oncobone keys explain` says it in a sentence. Keys come from the configuration alone: a token may name a key set
(`jku`), and is refused when it is not the configured one, but nothing it says is ever fetched or used as a key.
"""

from __future__ import annotations

import base64
import itertools
import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt
from flask import request

from hooks.errors import Refused
from hooks.settings import Settings, SettingsError
from hooks.store.database import StoreUnavailable
from hooks.store.used import digest
from hooks.trust.clients import LONGEST_TENANT, Client, Issuer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hooks.store.store import Store

log = logging.getLogger("oncobone.trust")

LEEWAY: Final = 60  # seconds that clocks may differ
LONGEST_LIFE: Final = 3600  # seconds from iat to exp
LONGEST_TOKEN: Final = 16 * 1024
LONGEST_ID: Final = 256  # of jti

# Ids of tokens kept by a process while the store is down, and so many of them given to it at a time when it is back.
MEMORY: Final = 100_000
HANDED_OVER: Final = 500

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_.=-]+)")
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Problem(NamedTuple):
    """Why a token is not good: a word for the log, and a sentence for whoever set it up."""

    cause: str
    text: str


class NotAuthenticated(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """Nobody we know. `cause` is for the log; the caller gets the same words for every cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


# Tokens


class _Memory:
    """
    Ids of used tokens in this process, for the time when the store is down.

    `untold` are those that the store does not know yet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, int] = {}
        self.untold: dict[str, int] = {}

    def holds(self, iss: str, jti: str) -> bool:
        return bool(self._until) and digest(iss, jti) in self._until

    def add(self, iss: str, jti: str, exp: int, now: float) -> bool:
        """False when it was there already, or when there is no room to remember it."""
        key = digest(iss, jti)
        with self._lock:
            if len(self._until) >= MEMORY:
                self._until = {each: until for each, until in self._until.items() if until + LEEWAY > now}
                self.untold = {each: until for each, until in self.untold.items() if each in self._until}
            if key in self._until or len(self._until) >= MEMORY:
                return False
            self._until[key] = self.untold[key] = exp
            return True

    def tell(self, store: Store) -> None:
        """Give the store some that it does not know yet, so that other processes refuse them too."""
        with self._lock:
            told = dict(itertools.islice(self.untold.items(), HANDED_OVER))
            for key in told:
                del self.untold[key]
        if not told:
            return

        def ended(future: Future[None] | None) -> None:
            if future is None or future.cancelled() or future.exception() is not None:
                with self._lock:
                    self.untold |= told

        try:
            store.mark_used(told).add_done_callback(ended)
        except StoreUnavailable:
            ended(None)


def _why_no_token(authorization: str | None) -> str:
    if not authorization:
        return "no-token"
    return "malformed" if authorization.strip().partition(" ")[0].lower() == "bearer" else "not-bearer"


class _Once(dict[str, Any]):
    """A JSON object whose members stand there once."""

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> _Once:
        members = cls(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member twice")
        return members


def _no_constant(_: str) -> None:
    raise ValueError("a number that JSON does not know")


def _part(text: str) -> _Once:
    """A part of a token: base64url without padding, of a JSON object in UTF-8, which is all that a JWT may be."""
    # Decoded here: json would guess other encodings, and whoever looked at the token before us may have read another.
    written = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8")
    value = json.loads(written, object_pairs_hook=_Once.of, parse_constant=_no_constant)
    if not isinstance(value, _Once):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for whatever is not a token
    return value


class Inspection:
    """
    One token looked at for one endpoint: `problems` finds what is wrong with it, one after the other.

    `header` and `claims` are as sent, not yet trusted.
    """

    def __init__(self, issuers: Sequence[Issuer], token: str, endpoint: str, now: float) -> None:
        self._issuers = issuers
        self._token = token
        self._endpoint = endpoint
        self._now = now
        self.header: Mapping[str, Any] = {}
        self.claims: Mapping[str, Any] = {}
        self.issuer: Issuer | None = None

    def problems(self) -> Iterator[Problem]:
        """What is wrong, in the order in which it is looked at; nothing when the token is good (but for replay)."""
        if len(self._token) > LONGEST_TOKEN:
            yield Problem("malformed", f"It is longer than {LONGEST_TOKEN} characters.")
            return
        if not _COMPACT.fullmatch(self._token):
            yield Problem("malformed", "It is not three base64url parts with dots between (a signed JWT).")
            return
        try:
            self.header, self.claims = (_part(part) for part in self._token.split(".")[:2])
        except (ValueError, RecursionError):
            yield Problem("malformed", "Its header or payload is no JSON object in UTF-8, or has a member twice.")
            return
        yield from self._issuer_problems()
        if self.issuer is not None:
            yield from self._signature_problems(self.issuer)
        yield from self._claim_problems()

    def _issuer_problems(self) -> Iterator[Problem]:
        iss, tenant = self.claims.get("iss"), self.claims.get("tenant")
        entries = [each for each in self._issuers if each.settings.issuer == iss]
        if not entries:
            listed = ", ".join(sorted({each.settings.issuer for each in self._issuers}))
            yield Problem(
                "issuer",
                f"`iss` is not a configured client; there are: {listed}. It is compared letter by letter with"
                " `issuer` in [[clients]].",
            )
            return
        speaking = [each for each in entries if not each.settings.tenants or tenant in each.settings.tenants]
        if not speaking:
            listed = ", ".join(tenant for each in entries for tenant in each.settings.tenants)
            yield Problem("tenant", f"`tenant` is not one this client may speak for; there are: {listed}.")
        self.issuer = (speaking or entries)[0]

    def _signature_problems(self, issuer: Issuer) -> Iterator[Problem]:
        header, settings = self.header, issuer.settings
        alg, kid, jku = header.get("alg"), header.get("kid"), header.get("jku")
        if alg not in settings.algorithms:
            yield Problem("algorithm", f"`alg` is not one of this client's: {', '.join(settings.algorithms)}.")
            return
        if str(header.get("typ", "JWT")).upper() != "JWT":
            yield Problem("type", "`typ` is not JWT.")
        if "crit" in header or header.get("b64") is False:
            yield Problem("critical", "`crit` asks for an extension; none is known here.")
            return
        if jku is not None and jku != settings.jku:
            yield Problem("jku", "`jku` is not the configured one; it was not fetched.")
            return
        if not isinstance(kid, str):
            yield Problem("key", "`kid` is missing, so there is no telling which key it is signed with.")
            return
        key = issuer.find(kid)
        if key is None:
            known = ", ".join(issuer.kids()) or "none that can be used"
            faults = "".join(f" Its key set could not be had: {fault}." for fault in issuer.faults())
            yield Problem(
                "key",
                f"`kid` is not among the client's keys (keys_file, jku): {known}. Sign with one of these, or put the"
                f" public key of this `kid` into that key set.{faults}",
            )
            return
        if alg not in key.algorithms:
            yield Problem("algorithm", f"The key of this `kid` is for {' or '.join(key.algorithms)}, not for `alg`.")
            return
        try:
            jwt.PyJWS().decode(self._token, key=key.public, algorithms=[alg])
        except (jwt.PyJWTError, ValueError, TypeError):
            yield Problem(
                "signature", "The signature does not fit the key of this `kid`: signed with another, or changed."
            )

    def _claim_problems(self) -> Iterator[Problem]:
        aud = self.claims.get("aud")
        audiences = aud if isinstance(aud, list) else [aud]
        called = [self._endpoint]
        if self.issuer is not None and self.issuer.settings.feedback_audience == "service":
            called.append(self._endpoint.removesuffix("/feedback"))
        if not any(isinstance(each, str) and each.removesuffix("/") in called for each in audiences):
            yield Problem("audience", f"`aud` must be the URL that is called: {self._endpoint}.")
        exp, iat, nbf = (self._seconds(name) for name in ("exp", "iat", "nbf"))
        if exp is None or iat is None or (nbf is None and "nbf" in self.claims):
            yield Problem(
                "times", "`exp` and `iat` (and `nbf`, if it is there) must be seconds since 1970, not milliseconds."
            )
        else:
            yield from self._time_problems(exp, iat, iat if nbf is None else nbf)
        jti = self.claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_ID:
            yield Problem("jti", f"`jti` must be a text of at most {LONGEST_ID} characters, another one in each token.")

    def _time_problems(self, exp: float, iat: float, nbf: float) -> Iterator[Problem]:
        if self._now >= exp + LEEWAY:
            yield Problem(
                "expired",
                f"It expired {self._now - exp:.0f} s ago (clocks may differ by {LEEWAY} s). Make one for each call;"
                " where it was made just now, set the clock of the machine that makes it.",
            )
        if max(iat, nbf) > self._now + LEEWAY:
            ahead = max(iat, nbf) - self._now
            yield Problem(
                "early",
                f"`iat` or `nbf` is {ahead:.0f} s ahead of this clock (it may differ by {LEEWAY} s). Set both clocks by"
                " the network's time.",
            )
        if not 0 < exp - iat <= LONGEST_LIFE:
            yield Problem("lifetime", f"`exp` must be after `iat`, by {LONGEST_LIFE} s at most.")

    def _seconds(self, name: str) -> float | None:
        value = self.claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
            return None
        return float(value)

    @cached_property
    def client(self) -> Client:
        """Who it is; only after no problem was found."""
        if self.issuer is None:
            raise ValueError("an inspection with problems has no client")
        settings = self.issuer.settings
        # Without a list of tenants the issuer is one organisation, whatever the claim says.
        tenant = str(self.claims["tenant"]) if settings.tenants else settings.issuer
        if len(tenant) > LONGEST_TENANT:
            tenant = sha256(tenant.encode()).hexdigest()
        return Client(
            settings.issuer,
            tenant,
            settings.fhir_servers,
            settings.calls_per_second,
            settings.shadow,
            settings.fhir_anonymous,
        )


def _check_told_apart(issuers: Sequence[Issuer]) -> None:
    """Raises SettingsError where a token could not tell which of two entries is meant: the second would never speak."""
    for place, one in enumerate(issuers):
        for other in issuers[:place]:
            if one.settings.issuer != other.settings.issuer:
                continue
            mine, others = set(one.settings.tenants), set(other.settings.tenants)
            if not mine or not others or mine & others:
                raise SettingsError(
                    f"clients ({one.settings.issuer}): two entries of one issuer need `tenants` of their own to be told"
                    " apart; or make them one entry."
                )


class Authenticator:
    """Tells who calls, by the clients of the settings; each token is good for one call."""

    def __init__(
        self, settings: Settings, store: Store | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuers = [Issuer(client, clock, settings.ca_file) for client in settings.clients]
        _check_told_apart(self._issuers)
        self._store = store
        self._memory = _Memory()

    def authenticate(
        self, authorization: str | None, endpoint: str, now: datetime, *, must_record: bool = False
    ) -> Client:
        """
        The client whose token stands in an Authorization header, for a call of this endpoint (its public URL).

        Raises `NotAuthenticated`. While the store is down, used tokens are remembered by this process alone; where
        that is not enough (`must_record`), `StoreUnavailable` is raised.
        """
        found = _BEARER.fullmatch(authorization.strip(" ")) if authorization else None
        if not found:
            raise NotAuthenticated(_why_no_token(authorization))
        inspection = self.inspect(found[1], endpoint, now)
        problem = next(inspection.problems(), None)
        if problem:
            raise NotAuthenticated(problem.cause)
        if self._used(inspection.claims, now, must_record=must_record):
            raise NotAuthenticated("replay")
        return inspection.client

    def inspect(self, token: str, endpoint: str, now: datetime) -> Inspection:
        """Looks at a token without using it up."""
        return Inspection(self._issuers, token, endpoint.rstrip("/"), now.timestamp())

    def _used(self, claims: Mapping[str, Any], now: datetime, *, must_record: bool) -> bool:
        iss, jti, exp = str(claims["iss"]), str(claims["jti"]), math.ceil(claims["exp"])
        if self._memory.holds(iss, jti):
            return True
        if self._store is not None:
            try:
                used = self._store.seen_token(iss, jti, exp)
            except StoreUnavailable:
                if must_record:
                    raise
            else:
                if self._memory.untold:
                    self._memory.tell(self._store)
                return used
        return not self._memory.add(iss, jti, exp, now.timestamp())


def gate(settings: Settings, store: Store | None, now: Callable[[], datetime]) -> Callable[[str], Client]:
    """
    The check of each request, given its path, for `create_app`.

    It raises Refused: 401 with one text for every cause, and 503 for feedback while the store is down, since a token
    that cannot be marked as used could be used again. `now` is the real clock, not the day of the evaluation.
    """
    authenticator = Authenticator(settings, store)
    public = settings.public_url or ""

    def check(path: str) -> Client:
        path = path.rstrip("/")
        header = request.headers.get("Authorization")
        try:
            return authenticator.authenticate(header, public + path, now(), must_record=path.endswith("/feedback"))
        except NotAuthenticated as refusal:
            raise Refused(401, headers={"WWW-Authenticate": "Bearer"}, cause=refusal.cause) from None
        except StoreUnavailable as error:
            raise Refused(503, headers={"Retry-After": "5"}, cause=f"store: {error.reason}") from None

    return check
